//! A shard's clients: their sockets read, offered to the machine, written and lost, as in the real driver.

use bytes::BytesMut;
use leveret_model::{ConnectionKey, Instant, limits};
use leveret_shard::{Caller, Pressure, ReadInterest};

use super::ShardHost;
use crate::control_host::ControlMail;
use crate::event::{Actor, End};
use crate::faults::FaultKind;
use crate::network::{Item, Owner};
use crate::process::SHARDS;
use crate::world::Ways;

/// A client's socket.
#[derive(Debug)]
pub(super) struct Socket {
    end: End,
    unread: BytesMut,
    /// Something new may be made of `unread`.
    offer: bool,
    /// While its kernel takes nothing: it is said not to read, and when.
    watched: bool,
    unread_at: Instant,
}

/// Turns with evictions, one behind the other: there are fewer clients, and the first tells each to go.
const EVICTIONS_MAX: u32 = 30;

/// How much connections keep at their clients' will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crowd {
    Roomy,
    Crowded,
    Over,
}

impl ShardHost {
    pub(super) fn take_client(&mut self, end: End, ways: &mut Ways<'_>) {
        let key = self.shard.accept(Caller { name: format!("{end:?}"), loopback: true });
        self.sockets.insert(
            key,
            Socket { end, unread: BytesMut::new(), offer: false, watched: false, unread_at: Instant::FAR },
        );
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
            self.stopped |= self.pressure.told != Pressure::Calm && self.shard.is_throttled(*key);
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
            ways.oracle.buffers.waits(ways.schedule.now, &self.shard.fullest());
        }
    }

    fn lose(&mut self, key: ConnectionKey, ways: &mut Ways<'_>) {
        let Some(socket) = self.sockets.remove(&key) else { return };
        self.full.remove(&key);
        self.keys.remove(&socket.end);
        ways.network.close(ways.schedule, socket.end);
        ways.oracle.closed(ways.schedule.now, socket.end.pipe);
        self.shard.on_lost(key);
        self.to_control.push(ControlMail::ClientGone(self.own.shard.0));
    }

    /// What the kernels of clients did since the last turn: some sockets take output again.
    pub(super) fn take_writable(&mut self, ways: &mut Ways<'_>) {
        for key in self.full.iter().copied().collect::<Vec<_>>() {
            let Some(socket) = self.sockets.get_mut(&key) else { continue };
            if ways.network.takes_again(socket.end) {
                self.full.remove(&key);
                socket.watched = false;
                self.shard.on_written(key);
            }
        }
    }

    /// When the first client is said not to read.
    pub(super) fn unread_at(&self) -> Instant {
        let full = self.full.iter().filter_map(|key| self.sockets.get(key));
        let watched = full.filter(|socket| socket.watched).map(|socket| socket.unread_at);
        watched.min().unwrap_or(Instant::FAR)
    }

    /// Sockets that took nothing for long: their clients do not read.
    pub(super) fn tell_unread(&mut self) {
        for key in &self.full {
            if let Some(socket) = self.sockets.get_mut(key)
                && socket.watched
                && socket.unread_at <= self.now
            {
                socket.watched = false;
                self.shard.on_unread(*key);
                self.met.push(FaultKind::Unread);
            }
        }
    }

    /// Writes what the turn and the client's kernel allow. True if the next turn goes on with it.
    pub(super) fn write_socket(&mut self, key: ConnectionKey, ways: &mut Ways<'_>) -> bool {
        let Some(socket) = self.sockets.get_mut(&key) else { return false };
        let driver = ways.oracle.buffers.driver;
        let mut more = false;
        if let Some(output) = self.shard.output(key)
            && !output.is_empty()
        {
            ways.oracle.buffers.output(ways.schedule.now, output.len());
            if !self.full.contains(&key) {
                let room = ways.network.room(socket.end);
                let most = room.min(driver.turn_write_bytes);
                let bytes: Vec<u8> = output.iter().flatten().copied().take(most).collect();
                output.advance(bytes.len());
                output.release_memory();
                more = !output.is_empty() && bytes.len() < room;
                if !output.is_empty() && !more {
                    self.full.insert(key);
                    socket.watched = output.len() > driver.unread_bytes;
                    socket.unread_at = self.now + driver.unread_after;
                    ways.oracle.buffers.parts_written += 1;
                }
                if !bytes.is_empty() {
                    ways.trace.bytes(&bytes);
                    ways.network.send(ways.schedule, socket.end, Item::Bytes(bytes.into()));
                }
            }
        }
        if more {
            self.shard.on_written(key);
        }
        more |= self.shard.on_carried(key, socket.unread.len());
        let written = self.shard.output(key).is_none_or(|output| output.is_empty());
        if written && self.shard.is_finished(key) {
            self.lose(key, ways);
            return true;
        }
        let stopped = self.sockets.get(&key).is_some_and(|socket| socket.offer);
        more || (stopped && self.shard.read_interest(key) != ReadInterest::Stop)
    }

    /// What connections keep at their clients' will, on this shard and on the others, has a bound: past half of
    /// it outputs are kept short, past all of it the greediest go. True if some went, or somebody goes on.
    pub(super) fn note_clients(&mut self, ways: &mut Ways<'_>) -> bool {
        let (kept, share) = (self.shard.kept_at_will(), self.clients_max);
        let all = kept + self.kept_elsewhere;
        let percent = match self.crowd {
            Crowd::Roomy => limits::MEMORY_CROWDED_PERCENT,
            Crowd::Crowded | Crowd::Over => limits::MEMORY_ROOMY_PERCENT,
        };
        let crowd = match () {
            () if all > share => Crowd::Over,
            () if all > share / 100 * percent => Crowd::Crowded,
            () => Crowd::Roomy,
        };
        let mut goes_on = false;
        if crowd != self.crowd {
            self.tells_others = true;
            if self.crowd == Crowd::Roomy {
                self.met.push(FaultKind::Crowd);
            }
            self.crowd = crowd;
            goes_on = self.shard.on_crowd(crowd != Crowd::Roomy);
        }
        let part = share / u64::from(SHARDS);
        if crowd != Crowd::Over || kept <= part {
            self.evictions = 0;
            return goes_on;
        }
        if self.shard.evict(part / 100 * limits::MEMORY_EVICT_PERCENT) > 0 {
            self.met.push(FaultKind::Eviction);
        }
        self.evictions += 1;
        if self.evictions > EVICTIONS_MAX {
            let text = format!("{kept} bytes are kept after {EVICTIONS_MAX} turns with evictions");
            ways.oracle.violation(ways.schedule.now, "buffers", text);
        }
        true
    }
}
