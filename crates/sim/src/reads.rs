//! When nodes read publishes: a publish is made when its last byte is read, however long it waited in a socket.

use std::collections::{BTreeMap, VecDeque};

use crate::event::PipeId;
use crate::oracle::MessageId;

/// What clients wrote on each connection, and how much of it was read.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    pipes: BTreeMap<PipeId, Stream>,
}

#[derive(Debug, Default)]
struct Stream {
    written: u64,
    read: u64,
    /// Where publishes end.
    publishes: VecDeque<(u64, MessageId)>,
}

impl Reads {
    /// A publish ends so many bytes behind what was written.
    pub(crate) fn published(&mut self, pipe: PipeId, behind: usize, id: MessageId) {
        let stream = self.pipes.entry(pipe).or_default();
        stream.publishes.push_back((stream.written + behind as u64, id));
    }

    pub(crate) fn wrote(&mut self, pipe: PipeId, bytes: usize) {
        self.pipes.entry(pipe).or_default().written += bytes as u64;
    }

    /// A shard took bytes: the publishes that it has whole by now.
    pub(crate) fn read(&mut self, pipe: PipeId, bytes: usize) -> Vec<MessageId> {
        let stream = self.pipes.entry(pipe).or_default();
        stream.read += bytes as u64;
        let whole = stream.publishes.iter().take_while(|(end, _)| *end <= stream.read).count();
        stream.publishes.drain(..whole).map(|(_, id)| id).collect()
    }

    pub(crate) fn closed(&mut self, pipe: PipeId) {
        self.pipes.remove(&pipe);
    }
}
