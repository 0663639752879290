//! The doors of a shard for its RESP clients.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::BytesMut;
use leveret_auth::Hashed;
use leveret_model::{ConnectionKey, Seed};
use leveret_resp::State;
use leveret_sessions::Sessions;

use crate::shard::{Caller, Shard};

use super::clients::{SessionClient, SessionInterest};
use super::config::SessionConfig;
use super::host::SessionHost;
use super::mail::SessionMail;
use super::report::SessionReport;
use super::room::SessionRoom;

impl Shard {
    /// Sessions are on; to be called before anything else.
    pub fn open_sessions(&mut self, seed: Seed, config: &SessionConfig) {
        let (own, now) = (self.machines.own, self.machines.view.now());
        self.sessions = Some(Box::new(SessionRoom::new(own, seed, config, now)));
    }

    /// A new socket of a RESP client. `None`: sessions are off.
    pub fn accept_session(&mut self, caller: Caller) -> Option<ConnectionKey> {
        let guest = self.machines.clients.guest_permissions().filter(|_| caller.loopback);
        let room = self.sessions.as_mut()?;
        Some(room.clients.add((caller.name, caller.loopback), guest, room.now))
    }

    /// Bytes of a RESP client: takes whole commands off the front. hot.
    pub fn on_session_bytes(&mut self, key: ConnectionKey, received: &mut BytesMut) -> SessionInterest {
        let Some(room) = self.sessions.as_deref_mut() else { return SessionInterest::Ended };
        let clock = room.clock();
        let SessionRoom { own, clients, parts, gatherings, renames, attached, shared, mail, started, .. } =
            room;
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
            renames,
            attached,
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
        client.map_or(SessionInterest::Ended, SessionClient::interest)
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

    /// What its sessions tell; `None` while they are off.
    #[must_use]
    pub fn session_report(&self) -> Option<SessionReport> {
        let room = self.sessions.as_deref()?;
        let mut report = SessionReport {
            connections: room.clients.count(),
            unknown_commands: room.parts.unknown_commands(),
            handover: room.parts.handover(),
            ..SessionReport::default()
        };
        for sizes in room.parts.machines().iter().map(Sessions::sizes) {
            report.sessions += sizes.list;
            report.states += sizes.states;
            report.bytes += sizes.bytes;
            report.gone += sizes.gone;
            report.waiting += sizes.waiting;
        }
        for counters in room.parts.counters() {
            report.counters += counters;
        }
        Some(report)
    }
}
