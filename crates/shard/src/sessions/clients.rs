//! RESP connections of a shard, by key, and until when each must have logged in.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use leveret_auth::Permissions;
use leveret_model::session::KeptAnswer;
use leveret_model::{ConnectionKey, Instant, ShardId, limits};
use leveret_resp::host::Ticket;
use leveret_resp::{Config, Connection, State};
use leveret_sessions::Asker;

use super::identity::Identity;

/// The first slot of RESP connections: below are those of AMQP.
pub const SESSION_SLOTS: u32 = 1 << 31;

/// Whether a RESP connection's socket is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionInterest {
    /// Yes, with so much room behind what is there already, bytes.
    Read(usize),
    /// Not now: an answer or room for output is awaited. Then what is left is offered again.
    Stop,
    /// Never again: the socket is closed once its output is written.
    Ended,
}

/// Other shards that a connection has asked something.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked(u64);

impl Asked {
    pub(super) fn note(&mut self, shard: ShardId) {
        self.0 |= 1 << shard.0;
    }

    pub(super) fn others(self) -> impl Iterator<Item = ShardId> {
        (0..64).filter(move |shard| self.0 >> shard & 1 == 1).map(ShardId)
    }
}

/// A RESP connection.
#[derive(Debug)]
pub(super) struct SessionClient {
    pub(super) connection: Connection,
    pub(super) identity: Identity,
    pub(super) asked: Asked,
    /// What its socket has not taken.
    pub(super) out: Vec<u8>,
}

impl SessionClient {
    pub(super) fn interest(&self) -> SessionInterest {
        match self.connection.state(&self.out) {
            State::Reading => SessionInterest::Read(self.connection.wanted()),
            State::Paused => SessionInterest::Stop,
            State::Ended => SessionInterest::Ended,
        }
    }
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    client: Option<alloc::boxed::Box<SessionClient>>,
    /// On the list of this turn.
    touched: bool,
}

/// All of them.
#[derive(Debug)]
pub(super) struct SessionClients {
    slots: Vec<Slot>,
    free: Vec<u32>,
    touched: Vec<ConnectionKey>,
    /// Those that came without a right to be here, oldest first.
    logins: VecDeque<(Instant, ConnectionKey)>,
    shard: ShardId,
    shards: u8,
    came: u64,
}

impl SessionClients {
    pub(super) fn new(shard: ShardId, shards: u8) -> Self {
        let (slots, free) = (Vec::new(), Vec::new());
        Self { slots, free, touched: Vec::new(), logins: VecDeque::new(), shard, shards, came: 0 }
    }

    pub(super) fn count(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// A client that came from there; `guest` if it may do without a login.
    pub(super) fn add(
        &mut self,
        (name, loopback): (String, bool),
        guest: Option<Arc<Permissions>>,
        now: Instant,
    ) -> ConnectionKey {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() as u32 - 1
        });
        let at = &mut self.slots[slot as usize];
        at.generation = at.generation.wrapping_add(1);
        let key = ConnectionKey { slot: SESSION_SLOTS | slot, generation: at.generation };
        // each shard counts in steps, so that no number is given twice in the node
        let number = self.came * u64::from(self.shards) + u64::from(self.shard.0) + 1;
        self.came += 1;
        if guest.is_none() {
            self.logins.push_back((now + limits::HANDSHAKE_TIMEOUT, key));
        }
        let connection = Connection::new(Config { number, guest: guest.is_some() });
        let identity = Identity::new(name, loopback, guest);
        let client = SessionClient { connection, identity, asked: Asked::default(), out: Vec::new() };
        at.client = Some(alloc::boxed::Box::new(client));
        at.touched = false;
        key
    }

    /// Gives whom it has asked.
    pub(super) fn remove(&mut self, key: ConnectionKey) -> Option<Asked> {
        let slot = key.slot.checked_sub(SESSION_SLOTS)?;
        let at = self.slots.get_mut(slot as usize).filter(|at| at.generation == key.generation)?;
        let client = at.client.take()?;
        self.free.push(slot);
        Some(client.asked)
    }

    /// hot.
    pub(super) fn get_mut(&mut self, key: ConnectionKey) -> Option<&mut SessionClient> {
        let slot = key.slot.checked_sub(SESSION_SLOTS)?;
        let at = self.slots.get_mut(slot as usize).filter(|at| at.generation == key.generation)?;
        at.client.as_deref_mut()
    }

    pub(super) fn get(&self, key: ConnectionKey) -> Option<&SessionClient> {
        let slot = key.slot.checked_sub(SESSION_SLOTS)?;
        let at = self.slots.get(slot as usize).filter(|at| at.generation == key.generation)?;
        at.client.as_deref()
    }

    /// Notes that a connection has something for its socket, or may want to be read again. hot.
    pub(super) fn touch(&mut self, key: ConnectionKey) {
        let slot = key.slot.wrapping_sub(SESSION_SLOTS);
        let Some(at) = self.slots.get_mut(slot as usize).filter(|at| at.generation == key.generation) else {
            return;
        };
        if !core::mem::replace(&mut at.touched, true) {
            self.touched.push(key);
        }
    }

    /// An answer for a connection that may be gone.
    pub(super) fn on_answer(&mut self, asker: Asker, answer: &KeptAnswer) {
        let Some(client) = self.get_mut(asker.connection) else { return };
        let ticket = Ticket { reply: asker.reply, part: asker.part };
        client.connection.on_answer(ticket, answer.as_answer(), &mut client.out);
        self.touch(asker.connection);
    }

    /// When the first that has not logged in has had its time.
    pub(super) fn logins_due(&self) -> Instant {
        self.logins.front().map_or(Instant::FAR, |(at, _)| *at)
    }

    pub(super) fn end_late_logins(&mut self, now: Instant) {
        while let Some((_, key)) = self.logins.front().copied().filter(|(at, _)| *at <= now) {
            self.logins.pop_front();
            if let Some(client) = self.get_mut(key)
                && !client.connection.is_logged_in()
            {
                client.connection.end();
                self.touch(key);
            }
        }
    }

    pub(super) fn end_turn(&mut self, into: &mut Vec<ConnectionKey>) {
        for key in &self.touched {
            self.slots[(key.slot - SESSION_SLOTS) as usize].touched = false;
        }
        into.append(&mut self.touched);
    }
}
