//! Control frames of kinds that only a later version knows: skipped, counted, and reported once for each peer
//! and kind.

use alloc::collections::BTreeMap;

use leveret_model::{NodeId, limits};

/// How many frames of each unknown kind came from each peer.
#[derive(Debug, Default)]
pub(crate) struct UnknownFrames {
    counts: BTreeMap<(NodeId, u32), u64>,
}

/// Kinds of a peer past `limits::UNKNOWN_FRAME_KINDS_MAX` are counted under this number, which no frame has.
const ALL_OTHERS: u32 = 0;

impl UnknownFrames {
    /// A frame was skipped. True if it is the first of its peer and kind, to be reported.
    pub(crate) fn on_frame(&mut self, peer: NodeId, kind: u32) -> bool {
        let kinds = self.of(peer).count();
        let known = self.counts.contains_key(&(peer, kind));
        let kind = if known || kinds < limits::UNKNOWN_FRAME_KINDS_MAX { kind } else { ALL_OTHERS };
        let count = self.counts.entry((peer, kind)).or_default();
        *count += 1;
        *count == 1
    }

    /// All frames of a peer that were skipped.
    pub(crate) fn count_of(&self, peer: NodeId) -> u64 {
        self.of(peer).map(|(_, &count)| count).sum()
    }

    pub(crate) fn forget_node(&mut self, peer: NodeId) {
        self.counts.retain(|(of, _), _| *of != peer);
    }

    fn of(&self, peer: NodeId) -> impl Iterator<Item = (&(NodeId, u32), &u64)> {
        self.counts.range((peer, 0)..=(peer, u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_each_peer_is_reported_once_and_every_frame_is_counted() {
        let mut frames = UnknownFrames::default();
        let (a, b) = (NodeId(1), NodeId(2));
        assert!(frames.on_frame(a, 90));
        assert!(!frames.on_frame(a, 90));
        assert!(frames.on_frame(a, 91) && frames.on_frame(b, 90));
        assert_eq!((frames.count_of(a), frames.count_of(b)), (3, 1));
        frames.forget_node(a);
        assert_eq!((frames.count_of(a), frames.count_of(b)), (0, 1));
    }

    #[test]
    fn a_peer_that_invents_kinds_takes_no_more_room_than_its_bound() {
        let mut frames = UnknownFrames::default();
        let reports = (1..=100_000).filter(|&kind| frames.on_frame(NodeId(1), kind)).count();
        // the last one stands for all that follow
        assert_eq!(reports, limits::UNKNOWN_FRAME_KINDS_MAX + 1);
        assert_eq!(frames.counts.len(), limits::UNKNOWN_FRAME_KINDS_MAX + 1);
        assert_eq!(frames.count_of(NodeId(1)), 100_000);
    }
}
