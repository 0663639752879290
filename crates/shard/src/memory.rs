//! The doors of a shard that concern memory: how short the node is of it, what clients keep, who is closed for
//! it.

use alloc::format;
use alloc::vec::Vec;

use leveret_model::{ConnectionKey, Position, ReplyCode};

use crate::machines::Machines;
use crate::pressure::Pressure;
use crate::queues::StoredMessage;
use crate::shard::{ReadInterest, Shard};

impl Shard {
    /// How short the node is of memory for messages.
    pub fn on_memory(&mut self, pressure: Pressure) {
        self.machines.queues.set_pressure(pressure);
        self.machines.throttled.set_pressure(pressure);
        for key in self.connections.keys() {
            self.note_waiting(key);
        }
    }

    /// Is the connection's socket to be read? Ask again when it was touched, and after [`Shard::on_memory`].
    #[must_use]
    pub fn read_interest(&mut self, key: ConnectionKey) -> ReadInterest {
        let Some(connection) = self.connections.get(key).filter(|connection| connection.wants_read()) else {
            return ReadInterest::Stop;
        };
        match self.machines.throttled.paused(key, connection) {
            None => ReadInterest::Read,
            Some(_) if connection.holds_unacked() => ReadInterest::Trickle,
            Some(_) => ReadInterest::Stop,
        }
    }

    /// True while it waits for memory.
    #[must_use]
    pub fn is_throttled(&self, key: ConnectionKey) -> bool {
        let connection = self.connections.get(key);
        connection.is_some_and(|connection| self.machines.throttled.paused(key, connection).is_some())
    }

    /// Whether a connection waits may have changed.
    #[cold]
    pub(crate) fn note_waiting(&mut self, key: ConnectionKey) {
        let Machines { view, memory, throttled, .. } = &mut self.machines;
        if let Some(text) = throttled.note(key, &mut self.connections, memory, view.now()) {
            self.close(key, ReplyCode::ConnectionForced, &text);
        }
    }

    /// The driver wrote what the connection's socket takes, and keeps so many bytes of its input itself: what
    /// it keeps is counted. True if somebody waited for room in its output, and goes on in the next turn. hot.
    pub fn on_carried(&mut self, key: ConnectionKey, unread_bytes: usize) -> bool {
        let Some(connection) = self.connections.get(key) else { return false };
        let (kept, output) = (connection.kept(), connection.output_len());
        // one write may take an output from full to empty, and nothing else would wake who waited
        let has_room = connection.has_room_again();
        let at_will = (kept.begun + kept.unwritten + unread_bytes) as u64;
        let Machines { view, memory, egress, .. } = &mut self.machines;
        memory.count(key, at_will + kept.waiting as u64, at_will, view.now());
        let goes_on = output < memory.output_low() && egress.waits_for_room(key);
        if goes_on {
            self.connections.touch(key);
        }
        if has_room {
            self.on_written(key);
        }
        goes_on || has_room
    }

    /// What connections keep as long as their clients like, bytes.
    #[must_use]
    pub fn kept_at_will(&self) -> u64 {
        self.machines.memory.at_will()
    }

    /// Connections of the node keep much: outputs are kept short, or not any more. True if somebody who waited
    /// for room goes on in the next turn.
    pub fn on_crowd(&mut self, crowded: bool) -> bool {
        self.machines.memory.set_crowded(crowded);
        let mut goes_on = false;
        for key in self.connections.keys() {
            if self.machines.egress.waits_for_room(key) && !crowded {
                self.connections.touch(key);
                goes_on = true;
            }
        }
        goes_on
    }

    /// Closes connections until no more than `bytes_max` are kept at their clients' will; gives how many.
    pub fn evict(&mut self, bytes_max: u64) -> usize {
        self.enter(|shard| {
            let Machines { view, memory, throttled, .. } = &shard.machines;
            let now = view.now();
            let waits = |key| throttled.is_told_to_wait(key);
            let greediest: Vec<_> = memory.greediest_first(&shard.connections, now, waits);
            let mut evicted = 0;
            for (key, bytes) in greediest {
                if shard.machines.memory.at_will() <= bytes_max {
                    break;
                }
                let text = format!(
                    "kept {bytes} bytes of unfinished messages or unread output while memory was short"
                );
                let code = ReplyCode::ConnectionForced;
                shard.with(key, |connection, now, broker| connection.evict(now, code, &text, broker));
                shard.machines.memory.count(key, 0, 0, now);
                evicted += 1;
            }
            evicted
        })
    }

    /// Memory that this shard holds for clients: arena, outboxes, what connections keep, and consumers, bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        let Machines { memory, queues, egress, replies, .. } = &self.machines;
        queues.bytes_held() + memory.bytes() + egress.subscribed.bytes() + replies.bytes()
    }

    /// Memory is short: of stored messages the bytes go, and come back from the store
    /// ([`Effects::reads`](crate::Effects::reads)) when they are next. Gives about how many bytes are free.
    pub fn page_out(&mut self, bytes: u64) -> u64 {
        self.machines.queues.page_out(bytes)
    }

    /// Messages whose bytes are on the disk alone.
    #[must_use]
    pub fn paged_out(&self) -> u64 {
        self.machines.queues.paged_out()
    }

    /// The store answered a read: these messages are there, and nothing else up to `next`; `None`: nothing else
    /// of what was asked for.
    pub fn on_read(&mut self, id: u64, messages: &[StoredMessage<'_>], next: Option<Position>) {
        self.enter(|shard| {
            if let Some(queue) = shard.machines.queues.on_read(id, messages, next) {
                let (requests, mut rooms) = shard.machines.requests();
                requests.ask_again(queue, &mut rooms);
            }
        });
    }

    /// What the disk has at the start stays there once the shard holds so many bytes; to be called before
    /// [`Shard::recover`].
    pub fn recover_within(&mut self, bytes: u64) {
        self.machines.queues.recover_within(bytes);
    }

    /// Of that, bodies of queues and lanes that may lie in blocks with others, bytes.
    #[must_use]
    pub fn bytes_in_blocks(&self) -> u64 {
        self.machines.queues.bytes_in_blocks()
    }

    /// The blocks that bodies came in hold much more than those: some of the bodies are copied out. True if
    /// there are more.
    pub fn own_bodies(&mut self) -> bool {
        let queues = self.machines.queues.own_bodies();
        self.connections.own_slices() | queues
    }
}
