//! Maps of other nodes: asked for when somebody knows more, sent in pieces.

use alloc::vec::Vec;

use leveret_model::{Instant, NodeId, limits};

use crate::control::{Control, Pieces, Wanted};
use crate::directory::map::{Record, Version};
use crate::effects::LinkKey;
use crate::frame::{Frame, Versions};

const PIECE_BYTES_MAX: usize =
    limits::MAP_PIECE_RECORDS_MAX * (limits::FRAME_BYTES_MAX as usize + limits::RECORD_HEAD_BYTES_MAX);
const _: () =
    assert!(PIECE_BYTES_MAX < limits::LINK_FRAME_BYTES_MAX, "a piece of a map fits in a link's frame");

impl Control {
    /// `from` knows a version of a map. Ask for it if it is news: at once, or when the delta that is under way
    /// is late.
    pub(super) fn want(&mut self, now: Instant, from: NodeId, node: NodeId, version: Version, at_once: bool) {
        let known = node == self.own() || version <= self.directory.version_of(node);
        if known || self.forgotten.contains_key(&node) {
            return;
        }
        let linked = self.members.get(&node).is_some_and(|member| member.link.is_some());
        let wanted = self.wanted.entry(node).or_insert(Wanted { since: now, asked: None });
        let late = now >= wanted.since + limits::PING_EVERY * 2;
        let asked = wanted.asked.is_some_and(|(at, _)| now < at + limits::MAP_REQUEST_AGAIN);
        if asked || !(at_once || late || !linked) {
            return;
        }
        wanted.asked = Some((now, from));
        let known = self.directory.version_of(node);
        self.send(from, Frame::MapRequest { node, known });
    }

    pub(super) fn on_map_request(&mut self, peer: NodeId, node: NodeId, known: Version) {
        let Some(map) = self.directory.map(node).filter(|map| map.version > known) else { return };
        let version = map.version;
        let records: Vec<Record> = map.records.values().cloned().collect();
        let mut rest = records.into_iter().peekable();
        for piece in 0.. {
            let records: Vec<Record> = rest.by_ref().take(limits::MAP_PIECE_RECORDS_MAX).collect();
            let last = rest.peek().is_none();
            let rests_on = if last { self.directory.rests_on(node) } else { Versions::new() };
            self.send(peer, Frame::MapReply { node, version, piece, last, records, rests_on });
            if last {
                break;
            }
        }
    }

    pub(super) fn on_map_piece(
        &mut self,
        link: LinkKey,
        node: NodeId,
        version: Version,
        piece: u32,
        last: bool,
        records: Vec<Record>,
    ) -> bool {
        if self.forgotten.contains_key(&node) {
            // asked for before it was forgotten
            return false;
        }
        let begin = Pieces { version, next: 0, records: Vec::new() };
        let pieces = self.pieces.entry((link, node)).or_insert_with(|| begin.clone());
        if piece == 0 {
            *pieces = begin;
        }
        if pieces.version != version || pieces.next != piece {
            return false;
        }
        pieces.next += 1;
        pieces.records.extend(records);
        if last && let Some(pieces) = self.pieces.remove(&(link, node)) {
            self.directory.on_map(node, version, pieces.records);
        }
        last
    }

    /// A map is stored; what it rests on is asked for if it is not here.
    pub(super) fn rests_on(&mut self, now: Instant, from: NodeId, node: NodeId, versions: Versions) {
        let versions = self.without_forgotten(versions);
        for &(other, version) in &versions {
            self.want(now, from, other, version, false);
        }
        self.directory.rest_on(node, versions);
        self.stored.insert(node);
        self.wanted.remove(&node);
    }
}
