//! Sessions of a shard: RESP connections, the second kind of client, and the machines of the parts that it keeps.
//!
//! Read first: [`SessionRoom`], then `host.rs` (what a connection asks) and `parts.rs` (which machine has a key).
//! A node has [`limits::SESSION_PARTS`] machines, however many shards it has, so that nodes of different sizes
//! agree on which machine keeps a bucket: part = bucket mod parts, shard = part mod shards. A request for a part of
//! another shard goes there as [`SessionMail`], and its answer comes back in the same way.
//!
//! Invariants
//! - *Off costs nothing*: without `session_listen` there is no room, no timer and no memory.
//! - *Own keys*: slots of RESP connections begin at [`SESSION_SLOTS`], so a [`ConnectionKey`] says which kind it is.
//! - *Order*: answers leave in the order of their commands, because `resp` holds those that come early.

mod clients;
mod gathering;
mod host;
mod logins;
mod mail;
mod parts;
mod report;
mod shared;

use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::BytesMut;
use leveret_auth::Hashed;
use leveret_model::{ConnectionKey, Instant, Seed, ShardAddress, limits};
use leveret_resp::State;
use leveret_sessions::{Clock, Home, Rules};

use crate::effects::Effects;
use crate::shard::{Caller, Shard};

use self::clients::SessionClients;
use self::gathering::Gatherings;
use self::host::SessionHost;
use self::parts::Parts;

pub use self::clients::SESSION_SLOTS;
pub use self::mail::SessionMail;
pub use self::report::SessionReport;
pub use self::shared::SessionShared;

/// What the sessions of a shard are told at their start.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// This node and its process.
    pub home: Home,
    /// Shards of the node.
    pub shards: u8,
    /// `session_memory`: bytes that the sessions of the whole node may take.
    pub memory_bytes: u64,
    /// `session_bytes_max`
    pub value_bytes_max: usize,
    /// `session_gone_for`, ms
    pub gone_for_ms: u64,
    /// `session_rule`
    pub rules: Rules,
    /// `session_copies`
    pub copies: u8,
    /// What the shards of the node share.
    pub shared: Arc<SessionShared>,
}

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

/// RESP connections and sessions of one shard.
#[derive(Debug)]
pub(crate) struct SessionRoom {
    own: ShardAddress,
    clients: SessionClients,
    parts: Parts,
    gatherings: Gatherings,
    shared: Arc<SessionShared>,
    /// For other shards of the node.
    mail: Vec<(leveret_model::ShardId, SessionMail)>,
    now: Instant,
    unix_origin_ms: i64,
    started: Instant,
    /// When the figures of this shard were last noted.
    noted_at: Instant,
}

impl SessionRoom {
    fn new(own: ShardAddress, seed: Seed, config: SessionConfig, now: Instant) -> Self {
        let shared = Arc::clone(&config.shared);
        Self {
            own,
            clients: SessionClients::new(own.shard, config.shards),
            parts: Parts::new(own.shard, seed, config),
            gatherings: Gatherings::default(),
            shared,
            mail: Vec::new(),
            now,
            unix_origin_ms: 0,
            started: now,
            noted_at: Instant::ZERO,
        }
    }

    fn clock(&self) -> Clock {
        Clock { now: self.now, unix_origin_ms: self.unix_origin_ms }
    }

    /// When it wants to be called though nothing comes.
    pub(crate) fn next_deadline(&self) -> Instant {
        self.parts.next_time().min(self.clients.logins_due())
    }

    pub(crate) fn begin_turn(&mut self, now: Instant) {
        self.now = now;
        self.unix_origin_ms = self.shared.unix_origin_ms();
    }

    pub(crate) fn on_timer(&mut self) {
        let clock = self.clock();
        if self.parts.next_time() <= self.now {
            self.parts.on_time(clock);
        }
        self.clients.end_late_logins(self.now);
        self.give_answers();
    }

    /// What the driver is to do.
    pub(crate) fn end_turn(&mut self, effects: &mut Effects) {
        self.give_answers();
        self.clients.end_turn(&mut effects.session_touched);
        effects.session_mail.append(&mut self.mail);
        if self.now >= self.noted_at + limits::SESSION_FIGURES_EVERY {
            self.note_figures();
        }
    }

    fn note_figures(&mut self) {
        self.noted_at = self.now;
        self.shared.note(self.own.shard, self.clients.count(), &self.parts);
    }

    /// Answers that the machines did not give at once go to their connections, here or on another shard.
    fn give_answers(&mut self) {
        for (asker, answer) in self.parts.take_answers() {
            if asker.shard == self.own.shard {
                self.clients.on_answer(asker, &answer);
            } else {
                self.mail.push((asker.shard, SessionMail::Answer { asker, answer }));
            }
        }
    }

    fn on_lost(&mut self, key: ConnectionKey) {
        let Some(asked) = self.clients.remove(key) else { return };
        self.parts.on_closed(self.own.shard, key);
        self.gatherings.forget(key);
        for shard in asked.others() {
            self.mail.push((shard, SessionMail::Closed { shard: self.own.shard, connection: key }));
        }
    }
}

impl Shard {
    /// Sessions are on; to be called before anything else.
    pub fn open_sessions(&mut self, seed: Seed, config: SessionConfig) {
        let (own, now) = (self.machines.own, self.machines.view.now());
        self.sessions = Some(alloc::boxed::Box::new(SessionRoom::new(own, seed, config, now)));
    }

    /// A new socket of a RESP client. `None`: sessions are off.
    pub fn accept_session(&mut self, caller: Caller) -> Option<ConnectionKey> {
        let guest = self.machines.clients.guest_permissions().filter(|_| caller.loopback);
        let room = self.sessions.as_mut()?;
        Some(room.clients.add(caller, guest, room.now))
    }

    /// Bytes of a RESP client: takes whole commands off the front. hot.
    pub fn on_session_bytes(&mut self, key: ConnectionKey, received: &mut BytesMut) -> SessionInterest {
        let Some(room) = self.sessions.as_deref_mut() else { return SessionInterest::Ended };
        let clock = room.clock();
        let SessionRoom { own, clients, parts, gatherings, shared, mail, started, .. } = room;
        let Some(client) = clients.get_mut(key) else { return SessionInterest::Ended };
        let mut host = SessionHost {
            own: own.shard,
            key,
            clock,
            started: *started,
            identity: &mut client.identity,
            asked: &mut client.asked,
            parts,
            gatherings,
            shared,
            mail,
        };
        let state = client.connection.on_bytes(received, clock.unix_ms(), &mut host, &mut client.out);
        let wanted = client.connection.wanted();
        clients.touch(key);
        room.give_answers();
        self.machines.clients.check_session_login(key, room);
        match state {
            State::Reading => SessionInterest::Read(wanted),
            State::Paused => SessionInterest::Stop,
            State::Ended => SessionInterest::Ended,
        }
    }

    /// Whether a RESP client's socket is to be read, now that something was written or answered.
    #[must_use]
    pub fn session_interest(&self, key: ConnectionKey) -> SessionInterest {
        let client = self.sessions.as_ref().and_then(|room| room.clients.get(key));
        client.map_or(SessionInterest::Ended, |client| client.interest())
    }

    /// True until the connection's login is through.
    #[must_use]
    pub fn is_session_half_open(&self, key: ConnectionKey) -> bool {
        let client = self.sessions.as_ref().and_then(|room| room.clients.get(key));
        client.is_some_and(|client| !client.connection.is_logged_in())
    }

    /// True if ending the connection now loses no answer.
    #[must_use]
    pub fn is_session_idle(&self, key: ConnectionKey) -> bool {
        let client = self.sessions.as_ref().and_then(|room| room.clients.get(key));
        client.is_none_or(|client| client.connection.is_idle())
    }

    /// What is to be written to a RESP client's socket.
    pub fn session_output(&mut self, key: ConnectionKey) -> Option<&mut Vec<u8>> {
        Some(&mut self.sessions.as_mut()?.clients.get_mut(key)?.out)
    }

    /// The other end of a RESP connection, as the driver named it.
    #[must_use]
    pub fn session_peer(&self, key: ConnectionKey) -> &str {
        let client = self.sessions.as_ref().and_then(|room| room.clients.get(key));
        client.map_or("", |client| client.identity.peer())
    }

    /// The socket of a RESP client is gone.
    pub fn on_session_lost(&mut self, key: ConnectionKey) {
        if let Some(room) = &mut self.sessions {
            room.on_lost(key);
        }
    }

    /// A password of a RESP client was hashed.
    pub(crate) fn on_session_password(&mut self, key: ConnectionKey, hashed: Hashed) {
        let Some(room) = self.sessions.as_deref_mut() else { return };
        let now = room.now;
        let user = self.machines.clients.on_session_password(hashed, now);
        self.machines.clients.settle_session_login(key, user, room);
    }

    /// From another shard of the node.
    pub fn on_session_mail(&mut self, mail: SessionMail) {
        if let Some(room) = &mut self.sessions {
            room.on_mail(mail);
        }
    }
}
