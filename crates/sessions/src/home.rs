//! Commands at the session's home (S1, S4, S5): draft, then the verdict is carried out.

use alloc::vec::Vec;

use leveret_model::limits;
use leveret_model::session::{Answer, KeptAnswer, KeyCommand, SessionRefusal};

use crate::draft::{Draft, Found, Verdict};
use crate::effects::{Effects, EventKind, Request};
use crate::hid::Hid;
use crate::list::{Flags, Row};
use crate::rules::Rule;
use crate::sessions::Sessions;
use crate::stamp::{Epoch, Stamp, StateId, Version};
use crate::states::{NewState, StateKey};
use crate::time::{Clock, Deadline};

impl Sessions {
    /// A command that only looks. hot.
    pub(crate) fn read_here(
        &mut self,
        clock: Clock,
        request: &Request<'_>,
        hid: Hid,
        key: Option<StateKey>,
        command: &KeyCommand<'_>,
    ) -> Answer<'_> {
        match key {
            Some(key) => {
                self.states.mark_used(key);
                self.counters.loads += 1;
            }
            None => self.note_reader(request, hid),
        }
        let found = found(self, key);
        let bytes_max = self.config.value_bytes_max;
        Draft::new(clock, clock.ms(), Rule::Stays, bytes_max, found).read(command)
    }

    /// Any other command, or a block. hot.
    pub(crate) fn write_here(
        &mut self,
        clock: Clock,
        request: &Request<'_>,
        hid: Hid,
        key: Option<StateKey>,
        effects: &mut Effects,
    ) -> Option<Answer<'_>> {
        let rule = self.rule(request, key);
        let may_begin = key.is_none() && self.may_begin(request, hid, rule);
        let bytes_max = self.config.value_bytes_max;
        let mut draft = Draft::new(clock, clock.ms(), rule, bytes_max, self.found(hid, key, may_begin));
        let answer = if request.block {
            KeptAnswer::Block(request.commands.iter().map(|command| draft.take(command)).collect::<Vec<_>>())
        } else {
            request.commands.first().map_or(KeptAnswer::Nil, |command| draft.take(command))
        };
        let verdict = draft.verdict();
        self.last = match self.carry_out(clock, request, hid, key, rule, verdict, effects) {
            Ok(()) => answer,
            Err(why) => KeptAnswer::Refused(why),
        };
        Some(self.last.as_answer())
    }

    fn rule(&self, request: &Request<'_>, key: Option<StateKey>) -> Rule {
        match key {
            Some(key) => self.states.get(key).flags().rule(),
            None => self.config.rules.of(request.place.database, request.place.key),
        }
    }

    /// What a draft begins with.
    fn found(&self, hid: Hid, key: Option<StateKey>, may_begin: bool) -> Found<'_> {
        match found(self, key) {
            Found::Missing if self.gone.get(hid).is_some() => Found::Gone { may_begin },
            found => found,
        }
    }

    fn may_begin(&self, request: &Request<'_>, hid: Hid, rule: Rule) -> bool {
        let Some(gone) = self.gone.get(hid) else { return true };
        let reader = (request.asker.shard, request.asker.connection);
        match rule {
            Rule::Stays => false,
            Rule::Reader => self.readers.has_read(reader, hid, gone.life),
            Rule::Free => true,
        }
    }

    /// The connection is told that nothing is there: under `reader` it may begin a new life.
    fn note_reader(&mut self, request: &Request<'_>, hid: Hid) {
        if self.config.rules.of(request.place.database, request.place.key) == Rule::Reader {
            let gone = self.gone.get(hid).map(|gone| gone.life);
            self.readers.note((request.asker.shard, request.asker.connection), hid, gone);
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one decision, each needed by some verdict")]
    fn carry_out(
        &mut self,
        clock: Clock,
        request: &Request<'_>,
        hid: Hid,
        key: Option<StateKey>,
        rule: Rule,
        verdict: Verdict<'_>,
        effects: &mut Effects,
    ) -> Result<(), SessionRefusal> {
        match (verdict, key) {
            (Verdict::Nothing, _) => {}
            (Verdict::Dropped, _) => self.counters.late_writes += 1,
            (Verdict::Touch(deadline), Some(key)) => {
                self.states.touch(key, deadline);
                self.counters.touches += 1;
            }
            (Verdict::Commit { value, deadline }, Some(key)) => self.commit(key, value, deadline)?,
            (Verdict::Birth { value, deadline }, _) => {
                self.make_room(clock, request.place.key.len() + value.len(), effects)?;
                self.begin(clock, request, hid, rule, value, deadline, effects)?;
            }
            (Verdict::Destroy, Some(_)) => self.destroy(clock, hid, EventKind::Destroyed, effects),
            (Verdict::Touch(_) | Verdict::Commit { .. } | Verdict::Destroy, None) => {
                unreachable!("only what is there can be changed")
            }
        }
        Ok(())
    }

    fn commit(
        &mut self,
        key: StateKey,
        value: Option<&[u8]>,
        deadline: Deadline,
    ) -> Result<(), SessionRefusal> {
        // who is there may go on a little longer than who comes
        let most = self.config.memory_max / 100 * limits::SESSION_MEMORY_COMMIT_PERCENT;
        let grows = value.is_some_and(|value| value.len() > self.states.get(key).value().len());
        if grows && self.states.bytes() > most {
            self.counters.refused += 1;
            return Err(SessionRefusal::OutOfMemory);
        }
        let version = Version(self.states.get(key).version().0 + 1);
        self.states.commit(key, version, value, deadline);
        self.expiry.file(&mut self.states, key);
        self.counters.commits += 1;
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "what a session consists of")]
    fn begin(
        &mut self,
        clock: Clock,
        request: &Request<'_>,
        hid: Hid,
        rule: Rule,
        value: &[u8],
        deadline: Deadline,
        effects: &mut Effects,
    ) -> Result<(), SessionRefusal> {
        let full = SessionRefusal::TooMuch("entries of the session list");
        let life = self.next_life(hid);
        let flags = Flags::new(request.place.database, rule);
        let row = Row { life, epoch: Epoch(1), home: self.config.own, flags };
        if self.list.len() >= limits::SESSION_LIST_MAX || !self.list.set(hid, row) {
            return Err(full);
        }
        let id = StateId { life, epoch: Epoch(1), version: Version(1) };
        let new = NewState { place: request.place, id, flags, deadline, value };
        let Some(key) = self.states.insert(hid, new, clock.ms()) else {
            self.list.remove(hid);
            return Err(full);
        };
        self.expiry.file(&mut self.states, key);
        self.counters.created += 1;
        self.tell(EventKind::Created, key, effects);
        Ok(())
    }

    /// Higher than every life and gone entry of this key that is known here (S1).
    fn next_life(&mut self, hid: Hid) -> Stamp {
        let row = self.list.get(hid).map_or(0, |row| row.life.counter);
        let gone = self.gone.get(hid).map_or(0, |gone| gone.life.counter);
        self.counter = self.counter.max(row).max(gone) + 1;
        Stamp { counter: self.counter, node: self.config.own.node }
    }

    /// The session ends, and unless its rule is `free`, that is remembered.
    pub(crate) fn destroy(&mut self, clock: Clock, hid: Hid, kind: EventKind, effects: &mut Effects) {
        let Some(key) = self.states.find(hid) else { return };
        self.tell(kind, key, effects);
        let life = self.states.id(key).life;
        let rule = self.states.get(key).flags().rule();
        self.states.remove(hid);
        self.list.remove(hid);
        match kind {
            EventKind::Expired => self.counters.expired += 1,
            EventKind::Evicted => self.counters.evicted += 1,
            _ => {
                self.counters.destroyed += 1;
                if rule != Rule::Free {
                    self.gone.insert(hid, life, clock.ms(), self.config.gone_for_ms, &[]);
                }
            }
        }
    }

    /// Only the home expires, and a command that comes before the sweep finds nothing (S9).
    pub(crate) fn expire_if_over(&mut self, hid: Hid, clock: Clock, effects: &mut Effects) {
        let key = self.states.find(hid);
        if key.is_some_and(|key| self.states.get(key).deadline().is_over(clock.ms())) {
            self.destroy(clock, hid, EventKind::Expired, effects);
        }
    }

    /// Room for a birth: sessions that were never used again after their creation give way, a minute old at
    /// least (crawlers).
    fn make_room(&mut self, clock: Clock, bytes: usize, effects: &mut Effects) -> Result<(), SessionRefusal> {
        let fits = |sessions: &Self| sessions.states.bytes() + bytes as u64 <= sessions.config.memory_max;
        let places = self.states.places();
        let old = (clock.ms().0 / 1_000).saturating_sub(limits::SESSION_UNUSED_AGE.as_secs());
        for _ in 0..places.min(limits::SESSION_EVICTION_LOOK_MAX) {
            if fits(self) {
                return Ok(());
            }
            self.eviction_hand = (self.eviction_hand + 1) % places;
            let unused = self
                .states
                .at(self.eviction_hand)
                .filter(|(_, state)| !state.is_used() && u64::from(state.created()) < old)
                .map(|(_, state)| state.hid());
            if let Some(hid) = unused {
                self.destroy(clock, hid, EventKind::Evicted, effects);
            }
        }
        if fits(self) {
            return Ok(());
        }
        self.counters.refused += 1;
        Err(SessionRefusal::OutOfMemory)
    }
}

/// Without a look at gone entries: for reads these are as missing keys.
fn found(sessions: &Sessions, key: Option<StateKey>) -> Found<'_> {
    key.map_or(Found::Missing, |key| {
        let state = sessions.states.get(key);
        Found::Alive { value: state.value(), deadline: state.deadline() }
    })
}
