//! When nodes read what clients wrote: a publish is made when its last byte is read, and a node knows that the
//! consumers of a connection ended when it hears that it is gone, however long that waited in a socket.

use std::collections::{BTreeMap, VecDeque};

use crate::event::PipeId;
use crate::message_id::MessageId;

/// Something that a client wrote.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Written {
    Publish(MessageId),
    /// Nothing more: a consumer ended with the connection.
    End(u32),
}

/// What clients wrote on each connection, and how much of it was read.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    pipes: BTreeMap<PipeId, Stream>,
}

#[derive(Debug, Default)]
struct Stream {
    written: u64,
    read: u64,
    /// Where each ends.
    waiting: VecDeque<(u64, Written)>,
    /// Who publishes on each channel.
    publishers: BTreeMap<u16, u32>,
}

impl Reads {
    /// Something ends so many bytes behind what was written.
    pub(crate) fn said(&mut self, pipe: PipeId, behind: usize, what: Written) {
        let stream = self.pipes.entry(pipe).or_default();
        stream.waiting.push_back((stream.written + behind as u64, what));
    }

    /// A channel opens; what was open before by its number is over for its node too.
    pub(crate) fn opened(&mut self, pipe: PipeId, channel: u16, publisher: u32) {
        self.pipes.entry(pipe).or_default().publishers.insert(channel, publisher);
    }

    pub(crate) fn publisher(&self, pipe: PipeId, channel: u16) -> Option<u32> {
        self.pipes.get(&pipe)?.publishers.get(&channel).copied()
    }

    pub(crate) fn wrote(&mut self, pipe: PipeId, bytes: usize) {
        self.pipes.entry(pipe).or_default().written += bytes as u64;
    }

    /// A shard took bytes: what it has whole by now.
    pub(crate) fn read(&mut self, pipe: PipeId, bytes: usize) -> Vec<Written> {
        let stream = self.pipes.entry(pipe).or_default();
        stream.read += bytes as u64;
        let whole = stream.waiting.iter().take_while(|(end, _)| *end <= stream.read).count();
        stream.waiting.drain(..whole).map(|(_, what)| what).collect()
    }

    /// A shard heard that the connection is gone: what it will never read.
    pub(crate) fn closed(&mut self, pipe: PipeId) -> Vec<Written> {
        let waiting = self.pipes.remove(&pipe).unwrap_or_default().waiting;
        waiting.into_iter().map(|(_, what)| what).collect()
    }
}
