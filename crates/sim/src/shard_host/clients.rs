//! A shard's clients: their sockets read, offered to the machine, written and lost.

use bytes::BytesMut;
use leveret_model::ConnectionKey;
use leveret_shard::{Caller, Pressure, ReadInterest};

use super::ShardHost;
use crate::control_host::ControlMail;
use crate::event::{Actor, End};
use crate::network::{Item, Owner};
use crate::world::Ways;

/// A client's socket.
#[derive(Debug)]
pub(super) struct Socket {
    end: End,
    unread: BytesMut,
    /// Something new may be made of `unread`.
    offer: bool,
}

impl ShardHost {
    pub(super) fn take_client(&mut self, end: End, ways: &mut Ways<'_>) {
        let key = self.shard.accept(Caller { name: format!("{end:?}"), loopback: true });
        self.sockets.insert(key, Socket { end, unread: BytesMut::new(), offer: false });
        self.keys.insert(end, key);
        let owner = Owner::Thread(self.process, Actor::Shard(self.own.shard.0));
        if ways.network.claim(end, owner) {
            self.ready.push_back(end);
        }
    }

    pub(super) fn end_of(&self, key: ConnectionKey) -> Option<End> {
        self.sockets.get(&key).map(|socket| socket.end)
    }

    /// A client that read may be written to again.
    pub(crate) fn waits_for_room(&self) -> bool {
        !self.full.is_empty()
    }

    pub(super) fn read_socket(&mut self, key: ConnectionKey, end: End, ways: &mut Ways<'_>) {
        while let Some(item) = ways.network.read(end) {
            match item {
                Item::Bytes(bytes) => {
                    if let Some(socket) = self.sockets.get_mut(&key) {
                        socket.unread.extend_from_slice(&bytes);
                        socket.offer = true;
                    }
                }
                Item::Close => return self.lose(key, ways),
                Item::Open(_) => {}
            }
        }
    }

    pub(super) fn offer_all(&mut self, ways: &mut Ways<'_>) {
        for (key, socket) in &mut self.sockets {
            if !socket.offer || socket.unread.is_empty() {
                continue;
            }
            self.stopped |= self.told != Pressure::Calm && self.shard.is_throttled(*key);
            if self.shard.read_interest(*key) == ReadInterest::Stop {
                continue;
            }
            socket.offer = false;
            let bytes = socket.unread.split().freeze();
            let consumed = self.shard.on_bytes(*key, &bytes);
            ways.oracle.read(ways.schedule.now, socket.end.pipe, consumed);
            socket.unread = BytesMut::from(&bytes[consumed..]);
            // stopped in the middle: offered again when it may be read again, with or without more behind it
            socket.offer = consumed < bytes.len() && self.shard.read_interest(*key) == ReadInterest::Stop;
        }
    }

    fn lose(&mut self, key: ConnectionKey, ways: &mut Ways<'_>) {
        let Some(socket) = self.sockets.remove(&key) else { return };
        self.keys.remove(&socket.end);
        ways.network.close(ways.schedule, socket.end);
        ways.oracle.closed(ways.schedule.now, socket.end.pipe);
        self.shard.on_lost(key);
        self.to_control.push(ControlMail::ClientGone(self.own.shard.0));
    }

    pub(super) fn write_socket(&mut self, key: ConnectionKey, ways: &mut Ways<'_>) -> bool {
        let Some(socket) = self.sockets.get_mut(&key) else { return false };
        let end = socket.end;
        if let Some(output) = self.shard.output(key) {
            ways.oracle.buffers.output(ways.schedule.now, output.len());
        }
        if ways.network.is_full(end) && self.shard.output(key).is_some_and(|output| !output.is_empty()) {
            self.full.insert(key);
            return false;
        }
        let mut more = false;
        if let Some(output) = self.shard.output(key)
            && !output.is_empty()
        {
            let bytes: Vec<u8> = output.iter().flatten().copied().collect();
            output.clear();
            output.release_memory();
            ways.trace.bytes(&bytes);
            ways.network.send(ways.schedule, end, Item::Bytes(bytes.into()));
        }
        let unread = socket.unread.len();
        more |= self.shard.on_carried(key, unread);
        if self.shard.is_finished(key) {
            self.lose(key, ways);
            return true;
        }
        let stopped = self.sockets.get(&key).is_some_and(|socket| socket.offer);
        more || (stopped && self.shard.read_interest(key) != ReadInterest::Stop)
    }
}
