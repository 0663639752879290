//! Whole maps: requested from a peer that has a later version, and sent in pieces to a peer that asks.

use alloc::vec::Vec;

use leveret_model::{Instant, NodeId, limits};

use crate::control::Control;
use crate::directory::map::{Record, Version, Versions};
use crate::effects::LinkKey;
use crate::frame::Frame;
use crate::peers::map_transfers::Piece;

const PIECE_BYTES_MAX: usize =
    limits::MAP_PIECE_RECORDS_MAX * (limits::FRAME_BYTES_MAX as usize + limits::RECORD_HEAD_BYTES_MAX);
const _: () =
    assert!(PIECE_BYTES_MAX < limits::LINK_FRAME_BYTES_MAX, "a piece of a map fits in a link's frame");

impl Control {
    /// `from` knows a version of a map. Ask for it if it is news: at once, or when the delta that is under
    /// way is late.
    pub(super) fn want(&mut self, now: Instant, from: NodeId, node: NodeId, version: Version, at_once: bool) {
        let known = node == self.own() || version <= self.directory.version_of(node);
        if known || self.forgotten.contains(node) || self.is_of_former_start(node, version) {
            return;
        }
        let linked = self.members.get(&node).is_some_and(|member| member.link.is_some());
        if self.transfers.on_news(now, from, node, linked, at_once) {
            let known = self.directory.version_of(node);
            self.send(from, Frame::MapRequest { node, known });
        }
    }

    /// A peer that has not met the last start of a node yet speaks of the one before.
    fn is_of_former_start(&self, node: NodeId, version: Version) -> bool {
        self.members.get(&node).is_some_and(|member| version.incarnation < member.hello.incarnation)
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

    /// True if a map is whole with this piece.
    pub(super) fn on_map_piece(&mut self, link: LinkKey, node: NodeId, piece: Piece) -> bool {
        let version = piece.version;
        if self.forgotten.contains(node) || self.is_of_former_start(node, version) {
            // asked for before it was forgotten, or started again
            return false;
        }
        let Some(records) = self.transfers.on_piece(link, node, piece) else { return false };
        self.directory.on_map(node, version, records);
        true
    }

    /// A map is stored; what it rests on is asked for if it is not here.
    pub(super) fn rests_on(&mut self, now: Instant, from: NodeId, node: NodeId, versions: Versions) {
        let versions = self.forgotten.without(versions);
        for &(other, version) in &versions {
            self.want(now, from, other, version, false);
        }
        self.directory.rest_on(node, versions);
        self.applied.on_stored(node);
        self.transfers.on_stored(node);
    }
}
