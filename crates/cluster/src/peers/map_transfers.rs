//! Transfers of whole maps to this node: which map was asked of which peer, and the pieces that arrived.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use leveret_model::{Instant, NodeId, limits};

use crate::directory::map::{Record, Version};
use crate::effects::LinkKey;

/// A map that was heard of and is not here yet.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    since: Instant,
    /// When, and which peer; forgotten with the link to it.
    asked: Option<(Instant, NodeId)>,
}

/// Pieces of a map that came so far.
#[derive(Clone, Debug)]
struct Pieces {
    version: Version,
    next: u32,
    records: Vec<Record>,
}

/// A piece of a map.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) version: Version,
    /// Which one, from 0.
    pub(crate) number: u32,
    pub(crate) last: bool,
    pub(crate) records: Vec<Record>,
}

/// Transfers of maps to this node.
#[derive(Debug, Default)]
pub(crate) struct MapTransfers {
    wanted: BTreeMap<NodeId, Wanted>,
    pieces: BTreeMap<(LinkKey, NodeId), Pieces>,
}

impl MapTransfers {
    /// `from` knows a later version of the map of `node`. True if it is to be asked for it: at once, or when
    /// the delta is late that is under way from its writer, if that is `linked`.
    pub(crate) fn on_news(
        &mut self,
        now: Instant,
        from: NodeId,
        node: NodeId,
        linked: bool,
        at_once: bool,
    ) -> bool {
        let wanted = self.wanted.entry(node).or_insert(Wanted { since: now, asked: None });
        let late = now >= wanted.since + limits::PING_EVERY * 2;
        let asked = wanted.asked.is_some_and(|(at, _)| now < at + limits::MAP_REQUEST_AGAIN);
        let ask = !asked && (at_once || late || !linked);
        if ask {
            wanted.asked = Some((now, from));
        }
        ask
    }

    /// A piece came; with the last one the whole map. A piece out of turn is left out: the map is asked for
    /// again.
    pub(crate) fn on_piece(&mut self, link: LinkKey, node: NodeId, piece: Piece) -> Option<Vec<Record>> {
        let Piece { version, number, last, records } = piece;
        let begin = Pieces { version, next: 0, records: Vec::new() };
        let pieces = self.pieces.entry((link, node)).or_insert_with(|| begin.clone());
        if number == 0 {
            *pieces = begin;
        }
        if pieces.version != version || pieces.next != number {
            return None;
        }
        pieces.next += 1;
        pieces.records.extend(records);
        if !last {
            return None;
        }
        self.pieces.remove(&(link, node)).map(|pieces| pieces.records)
    }

    /// A later version of the map is here.
    pub(crate) fn on_stored(&mut self, node: NodeId) {
        self.wanted.remove(&node);
    }

    /// What was under way over a link that is gone is asked for anew, of whoever knows it.
    pub(crate) fn forget_link(&mut self, link: LinkKey, peer: NodeId) {
        self.pieces.retain(|(of, _), _| *of != link);
        for wanted in self.wanted.values_mut() {
            if wanted.asked.is_some_and(|(_, of)| of == peer) {
                wanted.asked = None;
            }
        }
    }

    pub(crate) fn forget_node(&mut self, node: NodeId) {
        self.wanted.remove(&node);
        self.pieces.retain(|(_, of), _| *of != node);
    }

    /// Nodes whose maps are wanted.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.wanted.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;
    use leveret_model::Incarnation;

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    fn piece(counter: u64, number: u32, last: bool) -> Piece {
        let key = number.to_be_bytes()[..].into();
        let record = Record::Unknown { kind: 9, key, value: [][..].into() };
        let version = Version { incarnation: Incarnation(1), counter };
        Piece { version, number, last, records: std::vec![record] }
    }

    #[test]
    fn pieces_of_one_version_in_their_order_are_a_map() {
        let (link, node) = (LinkKey(1), NodeId(2));
        let mut transfers = MapTransfers::default();
        assert_eq!(transfers.on_piece(link, node, piece(1, 0, false)), None);
        // the writer went on: the new version begins anew, a late piece of the old one is left out
        assert_eq!(transfers.on_piece(link, node, piece(2, 0, false)), None);
        assert_eq!(transfers.on_piece(link, node, piece(1, 1, true)), None);
        assert_eq!(transfers.on_piece(link, node, piece(2, 2, true)), None);
        let map = transfers.on_piece(link, node, piece(2, 1, true)).map(|records| records.len());
        assert_eq!(map, Some(2));
        assert_eq!(transfers.on_piece(link, node, piece(2, 1, true)), None);
    }

    #[test]
    fn a_map_is_asked_for_once_until_that_is_late_or_the_link_is_gone() {
        let (from, node) = (NodeId(3), NodeId(2));
        let mut transfers = MapTransfers::default();
        assert!(!transfers.on_news(at(0), from, node, true, false), "its delta may be under way");
        assert!(transfers.on_news(at(200), from, node, true, false));
        assert!(!transfers.on_news(at(300), from, node, true, true));
        transfers.forget_link(LinkKey(1), from);
        assert!(transfers.on_news(at(300), NodeId(4), node, true, true));
        assert!(transfers.on_news(at(800), from, node, true, true));
    }
}
