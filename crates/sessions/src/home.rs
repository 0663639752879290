//! Commands at the session's home (S1, S4, S5): draft, then the verdict is carried out.

use alloc::vec::Vec;

use leveret_model::session::{Answer, KeptAnswer, KeyCommand, SessionRefusal};
use leveret_model::{NodeId, limits};

use crate::attributes::Changed;
use crate::draft::{Draft, Found, NewContent, Verdict};
use crate::effects::{Asker, Effects, EventKind};
use crate::hid::{Hid, Place};
use crate::list::{Flags, Row};
use crate::pending::Caller;
use crate::record::{Ended, Record};
use crate::renames::Renamed;
use crate::requests::{After, Call};
use crate::rules::Rule;
use crate::sessions::Sessions;
use crate::stamp::{Epoch, Stamp, StateId, Version};
use crate::states::{NewState, StateKey};
use crate::time::{Clock, Deadline};
use crate::token;

impl Sessions {
    /// A command that only looks. hot.
    pub(crate) fn read_here(
        &mut self,
        clock: Clock,
        asker: Asker,
        place: Place<'_>,
        key: Option<StateKey>,
        command: &KeyCommand<'_>,
    ) -> Answer<'_> {
        match key {
            Some(key) => {
                self.note_load(key, clock.ms());
            }
            None => self.note_reader(asker, place),
        }
        let bytes_max = self.config.value_bytes_max;
        let draft = Draft::new(clock, clock.ms(), Rule::Stays, bytes_max, found(self, key));
        if let Some(list) = draft.read_list(command) {
            self.last = list;
            return self.last.as_answer();
        }
        Draft::new(clock, clock.ms(), Rule::Stays, bytes_max, found(self, key)).read(command)
    }

    /// Any other command, or a block, on what is here: the answer, and what must follow before it is given.
    /// hot.
    pub(crate) fn write_here(
        &mut self,
        clock: Clock,
        call: &Call<'_>,
        key: Option<StateKey>,
        effects: &mut Effects,
    ) -> (KeptAnswer, After) {
        if let Some(moved) = self.redirect(call).filter(|_| key.is_none()) {
            return (moved, After::Nothing);
        }
        let rule = self.rule(call, key);
        let may_begin = key.is_none() && self.may_begin(call, rule);
        let found = self.found(call.hid, key, may_begin);
        let next = key.map_or(Changed::FIRST, |key| self.next_commit(key));
        let mut draft = Draft::new(clock, call.arrived, rule, self.config.value_bytes_max, found).named(next);
        let answer = if call.block {
            KeptAnswer::Block(call.commands.iter().map(|command| draft.take(command)).collect::<Vec<_>>())
        } else {
            call.commands.first().map_or(KeptAnswer::Nil, |command| draft.take(command))
        };
        let conflicts = draft.conflicts() as u64;
        let verdict = draft.verdict();
        self.counters.conflicts += conflicts;
        if let ([KeyCommand::EndRenamed { to, id, .. }], Verdict::Destroy, Some(key)) =
            (call.commands, &verdict, key)
            && rule != Rule::Free
        {
            let life = self.states.id(key).life;
            let renamed = Renamed { life, to: (*to).into(), id: (*id).into() };
            self.note_rename(call.hid, renamed, effects);
        }
        match self.carry_out(clock, call, key, rule, verdict, effects) {
            Ok(after) => (self.with_token(call, answer), after),
            Err(why) => (KeptAnswer::Refused(why), After::Nothing),
        }
    }

    /// The token of what a commit has made.
    fn with_token(&self, call: &Call<'_>, mut answer: KeptAnswer) -> KeptAnswer {
        if let ([KeyCommand::Commit { .. } | KeyCommand::Restore { .. }], KeptAnswer::List(items)) =
            (call.commands, &mut answer)
            && let (Some(place), Some(key)) = (items.first_mut(), self.states.find(call.hid))
        {
            *place = KeptAnswer::Bytes(token::text(self.states.id(key)));
        }
        answer
    }

    fn rule(&self, call: &Call<'_>, key: Option<StateKey>) -> Rule {
        match key {
            Some(key) => self.states.get(key).flags().rule(),
            None => self.config.rules.of(call.place.database, call.place.key),
        }
    }

    /// What a draft begins with.
    fn found(&self, hid: Hid, key: Option<StateKey>, may_begin: bool) -> Found<'_> {
        match found(self, key) {
            Found::Missing if self.gone.get(hid).is_some() => Found::Gone { may_begin },
            found => found,
        }
    }

    fn may_begin(&self, call: &Call<'_>, rule: Rule) -> bool {
        let Some(gone) = self.gone.get(call.hid) else { return true };
        match rule {
            Rule::Stays => false,
            Rule::Reader => match call.caller {
                Caller::Client(asker) => {
                    self.readers.has_read((asker.shard, asker.connection), call.hid, gone.life)
                }
                Caller::Node { .. } => call.reader,
            },
            Rule::Free => true,
        }
    }

    /// The connection is told that nothing is there: under `reader` it may begin a new life.
    pub(crate) fn note_reader(&mut self, asker: Asker, place: Place<'_>) {
        if self.config.rules.of(place.database, place.key) == Rule::Reader {
            let hid = place.hid();
            let gone = self.gone.get(hid).map(|gone| gone.life);
            self.readers.note((asker.shard, asker.connection), hid, gone);
        }
    }

    fn carry_out(
        &mut self,
        clock: Clock,
        call: &Call<'_>,
        key: Option<StateKey>,
        rule: Rule,
        verdict: Verdict<'_>,
        effects: &mut Effects,
    ) -> Result<After, SessionRefusal> {
        match (verdict, key) {
            (Verdict::Nothing, _) => Ok(After::Nothing),
            (Verdict::Dropped, _) => {
                self.counters.late_writes += 1;
                Ok(After::Nothing)
            }
            (Verdict::Touch(deadline), Some(key)) => {
                self.states.touch(key, deadline, clock.ms());
                self.counters.touches += 1;
                Ok(After::Touch)
            }
            (Verdict::Commit { content, deadline }, Some(key)) => {
                let (before, had) = (self.states.id(key), self.states.get(key).flags().has_attributes());
                self.commit(clock, key, content.as_ref(), deadline)?;
                let has = self.states.get(key).flags().has_attributes();
                Ok(After::Commit((had && has).then_some(before)))
            }
            (Verdict::Birth { content, deadline }, _) => {
                self.make_room(clock, call.place.key.len() + content.bytes().len(), effects)?;
                self.begin(clock, call, rule, &content, deadline)?;
                Ok(After::Birth)
            }
            (Verdict::Destroy, Some(_)) => Ok(self.destroy(clock, call.hid, EventKind::Destroyed, effects)),
            (Verdict::Touch(_) | Verdict::Commit { .. } | Verdict::Destroy, None) => {
                unreachable!("only what is there can be changed")
            }
        }
    }

    fn commit(
        &mut self,
        clock: Clock,
        key: StateKey,
        content: Option<&NewContent<'_>>,
        deadline: Deadline,
    ) -> Result<(), SessionRefusal> {
        // who is there may go on a little longer than who comes
        let most = self.config.memory_max / 100 * limits::SESSION_MEMORY_COMMIT_PERCENT;
        let grows = content.is_some_and(|new| new.bytes().len() > self.states.get(key).value().len());
        if grows && self.states.bytes() > most {
            self.counters.refused += 1;
            return Err(SessionRefusal::OutOfMemory);
        }
        let Changed { epoch, version } = self.next_commit(key);
        // a deadline alone keeps the epoch, so that after a cut it does not beat what the other side wrote (S8)
        let epoch = if content.is_some() { epoch } else { self.states.id(key).epoch };
        // stores that begin with HSET and EXPIRE: the first expiry belongs to the creation, and is no use
        if content.is_some() || self.states.get(key).deadline() != Deadline::NEVER {
            self.note_used(key, clock.ms());
        }
        self.states.commit(key, version, content, deadline);
        self.states.set_id(key, epoch, version);
        self.expiry.file(&mut self.states, key);
        self.counters.commits += 1;
        Ok(())
    }

    /// What the next commit of a session will be called.
    fn next_commit(&self, key: StateKey) -> Changed {
        let row = self.list.get(self.states.get(key).hid());
        let version = Version(self.states.get(key).version().0 + 1);
        Changed { epoch: row.map_or(Epoch(1), |row| row.epoch), version }
    }

    /// A state of a new life, and a row that waits for its claim.
    fn begin(
        &mut self,
        clock: Clock,
        call: &Call<'_>,
        rule: Rule,
        content: &NewContent<'_>,
        deadline: Deadline,
    ) -> Result<(), SessionRefusal> {
        let full = SessionRefusal::TooMuch("entries of the session list");
        let hid = call.hid;
        let life = self.next_life(hid);
        let attributes = matches!(content, NewContent::Attributes(_));
        let flags = Flags::new(call.place.database, rule).with_attributes(attributes);
        let row = Row { life, epoch: Epoch(1), home: self.config.own, flags: flags.waiting(true) };
        if self.list.len() >= limits::SESSION_LIST_MAX || !self.list.set(hid, row) {
            return Err(full);
        }
        let id = StateId { life, epoch: Epoch(1), version: Version(1) };
        let new = NewState { place: call.place, id, flags, deadline, value: content.bytes() };
        let Some(key) = self.states.insert(hid, new, clock.ms()) else {
            self.list.remove(hid);
            return Err(full);
        };
        self.expiry.file(&mut self.states, key);
        Ok(())
    }

    /// Higher than every life and gone entry of this key that is known here (S1).
    fn next_life(&mut self, hid: Hid) -> Stamp {
        let row = self.list.get(hid).map_or(0, |row| row.life.counter);
        let gone = self.gone.get(hid).map_or(0, |gone| gone.life.counter);
        self.counter = self.counter.max(row).max(gone) + 1;
        Stamp { counter: self.counter, node: self.config.own.node }
    }

    /// The session ends at its home, and unless its rule is `free`, that is remembered and told.
    pub(crate) fn destroy(
        &mut self,
        clock: Clock,
        hid: Hid,
        kind: EventKind,
        effects: &mut Effects,
    ) -> After {
        let Some(key) = self.states.find(hid) else { return After::Nothing };
        self.tell(kind, key, effects);
        let life = self.states.id(key).life;
        let remembered = kind == EventKind::Destroyed && self.states.get(key).flags().rule() != Rule::Free;
        match kind {
            EventKind::Expired => self.counters.expired += 1,
            EventKind::Evicted => self.counters.evicted += 1,
            _ => self.counters.destroyed += 1,
        }
        self.drop_session(hid);
        let others: Vec<NodeId> = self.cluster.members.counted().map(|home| home.node).collect();
        if remembered {
            let left = self.config.gone_for_ms;
            self.gone.insert(hid, life, clock.ms(), left, &others);
        }
        let ended = Ended { hid, life, left_ms: u32::try_from(self.config.gone_for_ms).unwrap_or(u32::MAX) };
        for &node in &others {
            let record = if remembered { Record::Gone(ended) } else { Record::Left { hid, life } };
            effects.send(node, hid.bucket(), &record);
        }
        if remembered { After::Gone(life) } else { After::Nothing }
    }

    /// Row, state and commit under way of a session that is no more.
    pub(crate) fn drop_session(&mut self, hid: Hid) {
        self.states.remove(hid);
        self.list.remove(hid);
        self.cluster.copies.forget(hid);
        self.cluster.claims.remove(hid);
        self.cluster.moves.arrived(hid);
    }

    /// Only the home expires, and only under the lease; a command that comes before the sweep finds nothing
    /// (S9).
    pub(crate) fn expire_if_over(&mut self, hid: Hid, clock: Clock, effects: &mut Effects) {
        let Some(key) = self.states.find(hid) else { return };
        let over = self.states.get(key).deadline().is_over(clock.ms());
        let here = self.list.get(hid).is_some_and(|row| row.home == self.config.own && !row.flags.waits());
        if over && here && self.has_lease() {
            self.tell_expired(key, effects);
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
                .filter(|(_, state)| !state.is_used() && u64::from(state.used_at()) < old)
                .filter(|(_, state)| {
                    self.list.get(state.hid()).is_some_and(|row| row.home == self.config.own)
                })
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
        Found::Alive { content: state.content(), deadline: state.deadline(), id: sessions.states.id(key) }
    })
}
