//! Records of peers, and what each asks for.

use alloc::vec::Vec;

use leveret_model::session::KeptAnswer;

use crate::command_bytes::{take_answer, take_request};
use crate::copy::CopyOf;
use crate::effects::Effects;
use crate::election::ClaimOf;
use crate::fields::{Damage, Take};
use crate::hid::{Bucket, Hid};
use crate::list::Row;
use crate::pending::{Caller, Waits};
use crate::record::{self, Ended, Forwarded, Loaded, NOBODY, Record};
use crate::renames::Renamed;
use crate::requests::{Attempt, Call};
use crate::rules::Rule;
use crate::sessions::Sessions;
use crate::stamp::{Epoch, Home};
use crate::states::StateKey;
use crate::time::{Clock, Deadline};

impl Sessions {
    /// Records of a peer, in their order.
    ///
    /// # Errors
    /// [`Damage`]: the peer has a bug or is of another version; its link ends. What came before is done.
    pub fn on_records(
        &mut self,
        clock: Clock,
        from: Home,
        bytes: &[u8],
        effects: &mut Effects,
    ) -> Result<(), Damage> {
        self.now = clock.ms();
        let mut take = Take::new(bytes);
        while !take.is_empty() {
            if let Some((bucket, record)) = record::take(&mut take)? {
                self.on_record(clock, from, bucket, record, effects);
                self.settle_changes(clock, effects);
            }
        }
        self.go_on_leaving(clock, effects);
        Ok(())
    }

    fn on_record(
        &mut self,
        clock: Clock,
        from: Home,
        bucket: Bucket,
        record: Record<'_>,
        effects: &mut Effects,
    ) {
        match record {
            Record::SyncAsk { round } => self.on_sync_ask(clock, from, round, effects),
            Record::SyncEnd { round } => self.on_sync_end(clock, from, round, effects),
            Record::Row { hid, row } => {
                if let Some(named) = self.cluster.named.get_mut(&from.node) {
                    named.insert(hid);
                }
                self.learn(clock, hid, row, from.node, effects);
            }
            Record::Left { hid, life } => {
                if self.list.get(hid).is_some_and(|row| row.home == from && row.life == life) {
                    self.drop_session(hid);
                    self.cluster.changed.push(hid);
                }
            }
            Record::Gone(ended) => self.on_gone(clock, ended, from, effects),
            Record::HaveGone { hid, life } => {
                self.gone.acknowledged(hid, life, from.node);
                self.cluster.changed.push(hid);
            }
            Record::Renamed { hid, life, to, id } => {
                self.renames.insert(hid, Renamed { life, to: to.into(), id: id.into() });
            }
            Record::Claim { kind, hid, life, epoch, flags, state } => {
                let claim = ClaimOf { kind, life, epoch, flags, state };
                self.on_claim(hid, from, claim, effects);
            }
            Record::Vote { hid, life, epoch, copy } => {
                self.on_vote(clock, from, (hid, life, epoch), copy, effects);
            }
            Record::Overruled { hid, life, epoch, winner } => {
                self.on_overruled(clock, (hid, life, epoch), from, winner, effects);
            }
            Record::Orphan { row, copy, writes } => self.on_orphan(clock, row, copy, writes, effects),
            Record::Give { hid, life, epoch } => self.on_give(clock, from, (hid, life, epoch), effects),
            Record::CopiesAsk { number } => self.on_copies_ask(from, number),
            Record::CopiesDone { number } => self.cluster.moves.on_copies_done(from, number),
            other => self.on_copy_or_question(clock, from, bucket, other, effects),
        }
    }

    fn on_copy_or_question(
        &mut self,
        clock: Clock,
        from: Home,
        bucket: Bucket,
        record: Record<'_>,
        effects: &mut Effects,
    ) {
        match record {
            Record::Copy { copy, writes, keeps, epoch } => {
                self.on_copy(clock, from, copy, (writes, keeps, epoch), effects);
            }
            Record::Copied { hid, id } => {
                if self.cluster.copies.on_copied(hid, id, from.node) {
                    self.cluster.changed.push(hid);
                }
            }
            Record::Lacks { hid } => self.on_lacks(hid, from.node, clock.ms(), effects),
            Record::Touched { hid, life, left } => self.on_touched(clock, from, hid, life, left),
            Record::Retire => {
                let of_home: Vec<StateKey> = self
                    .states
                    .of_bucket(bucket)
                    .filter(|(_, state)| self.list.get(state.hid()).is_some_and(|row| row.home == from))
                    .map(|(key, _)| key)
                    .collect();
                for key in of_home {
                    self.states.set_fresh(key, false);
                }
                effects.send(from.node, bucket, &Record::Retired);
            }
            Record::Retired => {
                let done = self.cluster.copies.retired(bucket, from.node);
                self.cluster.changed.extend(done);
            }
            Record::Load { number, hid } => self.on_load(clock, from, number, hid, effects),
            Record::Loaded { number, loaded } => self.on_loaded(clock, from, number, loaded, effects),
            Record::Answer { number, forwarded } => self.on_answer(number, forwarded, effects),
            Record::Forward { number, write, hid, age_ms, reader, request } => {
                let Ok(kept) = take_request(request) else { return };
                let call = Call {
                    caller: Caller::Node { home: from, number },
                    hid,
                    place: kept.place,
                    commands: &kept.commands,
                    block: kept.block,
                    arrived: crate::time::Ms(clock.ms().0.saturating_sub(age_ms.into())),
                    write: Some(write),
                    reader,
                };
                self.on_forward(clock, &call, effects);
            }
            _ => unreachable!("the others are done by the caller"),
        }
    }

    /// A command of another node's client.
    fn on_forward(&mut self, clock: Clock, call: &Call<'_>, effects: &mut Effects) {
        let Caller::Node { home, number } = call.caller else { return };
        let bucket = call.hid.bucket();
        match self.attempt(clock, call, effects) {
            Attempt::Done(answer) => {
                let mut bytes = Vec::new();
                crate::command_bytes::put_answer(&mut bytes, answer.as_answer());
                let record = Record::Answer { number, forwarded: Forwarded::Done(&bytes) };
                effects.send(home.node, bucket, &record);
            }
            Attempt::Wait(waits) => self.keep(call, waits, effects),
            Attempt::NotHome => {
                let record = Record::Answer { number, forwarded: Forwarded::NotHome };
                effects.send(home.node, bucket, &record);
            }
        }
    }

    fn on_answer(&mut self, number: u64, forwarded: Forwarded<'_>, effects: &mut Effects) {
        let Some(request) = self.cluster.pending.of_question(number) else { return };
        match forwarded {
            Forwarded::Done(answer) => {
                if let Ok(answer) = take_answer(answer) {
                    self.finish(request, answer, effects);
                }
            }
            // it is tried again at the next tick, or when the list changes
            Forwarded::NotHome => self.cluster.pending.set_waits(request, Waits::Change),
        }
    }

    fn on_copy(
        &mut self,
        clock: Clock,
        from: Home,
        copy: CopyOf<'_>,
        (writes, keeps, epoch): (&[u8], bool, Epoch),
        effects: &mut Effects,
    ) {
        let hid = copy.hid;
        let row = Row { life: copy.id.life, epoch, home: from, flags: copy.flags };
        self.learn(clock, hid, row, from.node, effects);
        let follows = self
            .list
            .get(hid)
            .is_some_and(|mine| (mine.life, mine.epoch, mine.home) == (row.life, row.epoch, from));
        if !follows {
            return;
        }
        for (write, answer) in record::take_writes(writes).unwrap_or_default() {
            self.cluster.writes.note(hid, write, clock.ms(), answer.into());
        }
        let known = self.states.find(hid).map(|key| self.states.id(key));
        if known.is_none_or(|known| known <= copy.id) {
            let Some(value) = self.complete(&copy) else {
                return effects.send(from.node, hid.bucket(), &Record::Lacks { hid });
            };
            let new = copy.kept_as(&value, clock.ms());
            self.put_state(hid, new, clock.ms());
            if let Some(key) = self.states.find(hid) {
                self.states.set_fresh(key, keeps);
            }
        }
        effects.send(from.node, hid.bucket(), &Record::Copied { hid, id: copy.id });
    }

    fn on_touched(&mut self, clock: Clock, from: Home, hid: Hid, life: crate::stamp::Stamp, left: i64) {
        // of an old home: it gives the session to us
        let claims = self.cluster.claims.get(hid).is_some_and(|claim| claim.life == life);
        let of_home = self.list.get(hid).is_some_and(|row| row.home == from && row.life == life);
        if let Some(key) = self.states.find(hid).filter(|_| of_home || claims) {
            let deadline = Deadline::from_left(clock.ms(), left).max(self.states.get(key).deadline());
            self.states.touch(key, deadline, clock.ms());
        } else if let Some(key) = self.states.find(hid)
            && self.list.get(hid).is_some_and(|row| row.home == self.config.own && row.life == life)
        {
            // the replicator has answered loads out of its copy
            self.states.mark_used(key, clock.ms());
        }
    }

    /// A copy that the home which the row names sent since it is our business.
    pub(crate) fn may_answer(&self, key: StateKey, row: Row) -> bool {
        self.states.get(key).is_fresh() && self.states.id(key).life == row.life
    }

    fn on_load(&mut self, clock: Clock, from: Home, number: u64, hid: Hid, effects: &mut Effects) {
        let now = clock.ms();
        let lease = self.has_lease();
        if lease {
            self.expire_if_over(hid, clock, effects);
        }
        let key = self.states.find(hid);
        let loaded = match self.list.get(hid) {
            _ if !lease => Loaded::NotHere,
            None => Loaded::None,
            Some(row) => {
                let own =
                    row.home == self.config.own && !row.flags.waits() && !self.cluster.copies.lacks(hid);
                let can = key.filter(|&key| own || self.may_answer(key, row));
                let alive = can.filter(|&key| !self.states.get(key).deadline().is_over(now));
                alive.map_or(Loaded::NotHere, |key| Loaded::Found(CopyOf::whole(&self.states, key, now)))
            }
        };
        let found = key.filter(|_| matches!(loaded, Loaded::Found(_)));
        effects.send(from.node, hid.bucket(), &Record::Loaded { number, loaded });
        if let Some(key) = found {
            self.note_load(key, now);
        }
    }

    fn on_loaded(
        &mut self,
        clock: Clock,
        from: Home,
        number: u64,
        loaded: Loaded<'_>,
        effects: &mut Effects,
    ) {
        let Some(request) = self.cluster.pending.of_question(number) else { return };
        let Some(waiting) = self.cluster.pending.get(request) else { return };
        let hid = waiting.hid;
        let Waits::Load { asked, .. } = &waiting.waits else { return };
        // the own list is looked at again: gone wins, and so does a later life
        let row = self.list.get(hid).filter(|row| row.home != NOBODY);
        if !self.has_lease() || row.is_none() {
            return self.unask(request);
        }
        let answer: Option<KeptAnswer> = match loaded {
            Loaded::Found(copy) if row.is_some_and(|row| row.life <= copy.id.life) => {
                let state = copy.to_state(clock.ms());
                state.and_then(|new| self.answer_read(clock, request, Some(new)))
            }
            Loaded::None if row.is_some_and(|row| row.home == from) => self.answer_read(clock, request, None),
            _ => None,
        };
        if let Some(answer) = answer {
            return self.finish(request, answer, effects);
        }
        let left: Vec<Home> = asked.iter().copied().filter(|home| *home != from).collect();
        let waits = if left.is_empty() { Waits::Change } else { Waits::Load { number, asked: left } };
        self.cluster.pending.set_waits(request, waits);
    }

    /// That a session ended (S5).
    pub(crate) fn on_gone(&mut self, clock: Clock, ended: Ended, from: Home, effects: &mut Effects) {
        let Ended { hid, life, left_ms } = ended;
        self.counter = self.counter.max(life.counter);
        if self.list.get(hid).is_some_and(|row| row.life <= life || row.flags.rule() == Rule::Stays) {
            self.drop_session(hid);
        }
        let others = self.cluster.members.counted().map(|home| home.node);
        let others: Vec<_> = others.filter(|node| *node != from.node).collect();
        self.gone.insert(hid, life, clock.ms(), left_ms.into(), &others);
        for home in self.cluster.members.counted().collect::<Vec<_>>() {
            effects.send(home.node, hid.bucket(), &Record::HaveGone { hid, life });
        }
        for number in self.cluster.pending.of_hid(hid) {
            // Whatever it waited for, it is answered by what is true now; but a command that its home has is
            // answered there, perhaps because it is what ended the session, and not before every node knows.
            if !matches!(
                self.cluster.pending.get(number).map(|waiting| &waiting.waits),
                Some(Waits::Gone(..) | Waits::Behind | Waits::Forward { .. })
            ) {
                self.cluster.pending.set_waits(number, Waits::Change);
            }
        }
        self.cluster.changed.push(hid);
    }
}
