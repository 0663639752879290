//! RESP connections and sessions of one shard.

use alloc::sync::Arc;
use alloc::vec::Vec;

use leveret_model::{ConnectionKey, Instant, Seed, ShardAddress, ShardId, limits};
use leveret_sessions::Clock;

use crate::effects::Effects;

use super::attached::Attached;
use super::clients::SessionClients;
use super::config::SessionConfig;
use super::gathering::Gatherings;
use super::mail::{SessionMail, announce};
use super::parts::Parts;
use super::peers::SessionPeers;
use super::presences::Presences;
use super::questions::Questions;
use super::renames::Renames;
use super::shared::SessionShared;
use super::surveys::{SURVEYOR, Surveys};
use super::target::OPERATOR;

/// RESP connections and sessions of one shard.
#[derive(Debug)]
pub(crate) struct SessionRoom {
    pub(super) own: ShardAddress,
    pub(super) clients: SessionClients,
    pub(super) parts: Parts,
    pub(super) gatherings: Gatherings,
    pub(super) renames: Renames,
    pub(super) attached: Attached,
    pub(super) presences: Presences,
    pub(super) peers: SessionPeers,
    pub(super) questions: Questions,
    pub(super) surveys: Surveys,
    pub(super) shared: Arc<SessionShared>,
    /// For other shards of the node.
    pub(super) mail: Vec<(ShardId, SessionMail)>,
    pub(super) now: Instant,
    pub(super) unix_origin_ms: i64,
    pub(super) started: Instant,
    /// When the figures of this shard were last noted.
    pub(super) noted_at: Instant,
}

impl SessionRoom {
    pub(super) fn new(own: ShardAddress, seed: Seed, config: &SessionConfig, now: Instant) -> Self {
        let shared = Arc::clone(&config.shared);
        Self {
            own,
            clients: SessionClients::new(own.shard, config.shards),
            parts: Parts::new(own.shard, seed, config),
            gatherings: Gatherings::default(),
            renames: Renames::default(),
            attached: Attached::default(),
            presences: Presences::new(config),
            peers: SessionPeers::default(),
            questions: Questions::default(),
            surveys: Surveys::default(),
            shared,
            mail: Vec::new(),
            now,
            unix_origin_ms: 0,
            started: now,
            noted_at: Instant::ZERO,
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.now
    }

    pub(super) fn clients(&mut self) -> &mut SessionClients {
        &mut self.clients
    }

    pub(super) fn clock(&self) -> Clock {
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
        effects.session_killed.append(&mut self.surveys.killed);
        effects.session_surveyed.append(&mut self.surveys.told);
        if self.now >= self.noted_at + limits::SESSION_FIGURES_EVERY {
            self.note_figures();
        }
    }

    fn note_figures(&mut self) {
        self.noted_at = self.now;
        let bytes = self.parts.bytes();
        self.shared.note(self.own.shard, self.clients.count(), bytes, |database| self.parts.count(database));
    }

    /// Answers that the machines did not give at once go to their connections, here or on another shard.
    pub(super) fn give_answers(&mut self) {
        self.give_expired();
        for (asker, answer) in self.parts.take_answers() {
            if asker.connection == OPERATOR {
                self.surveys.killed.push((asker.reply, answer));
            } else if asker.connection == SURVEYOR {
                self.on_surveyed_end(asker.reply, &answer);
            } else if asker.shard == self.own.shard {
                self.on_answer(asker, &answer);
            } else {
                self.mail.push((asker.shard, SessionMail::Answer { asker, answer }));
            }
        }
        self.give_tallies();
    }

    pub(super) fn on_lost(&mut self, key: ConnectionKey) {
        let Some(asked) = self.clients.remove(key) else { return };
        self.parts.on_closed(self.own.shard, key);
        self.gatherings.forget(key);
        self.renames.forget(key);
        if self.attached.forget(key) {
            announce(&self.attached, self.own.shard, self.parts.shards(), &mut self.mail);
        }
        for shard in asked.others() {
            self.mail.push((shard, SessionMail::Closed { shard: self.own.shard, connection: key }));
        }
    }
}
