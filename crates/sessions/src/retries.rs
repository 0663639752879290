//! Requests that waited: answered, looked at again, given back.

use alloc::vec::Vec;

use leveret_model::session::{KeptAnswer, SessionRefusal};

use crate::command_bytes::{put_answer, take_request};
use crate::content::Content;
use crate::draft::{Draft, Found};
use crate::effects::Effects;
use crate::hid::Hid;
use crate::pending::{Caller, Waits};
use crate::record::{Forwarded, Record};
use crate::requests::{Attempt, Call};
use crate::rules::Rule;
use crate::sessions::Sessions;
use crate::states::NewState;
use crate::time::{Clock, Ms};

impl Sessions {
    /// Gives an answer.
    pub(crate) fn finish(&mut self, number: u64, answer: KeptAnswer, effects: &mut Effects) {
        let Some(waiting) = self.cluster.pending.remove(number) else { return };
        self.cluster.changed.push(waiting.hid);
        match waiting.caller {
            Caller::Client(asker) => effects.answers.push((asker, answer)),
            Caller::Node { home, number } => {
                let mut bytes = Vec::new();
                put_answer(&mut bytes, answer.as_answer());
                let record = Record::Answer { number, forwarded: Forwarded::Done(&bytes) };
                effects.send(home.node, waiting.hid.bucket(), &record);
            }
        }
    }

    /// Looks again at the requests of keys that changed, until nothing changes any more.
    pub(crate) fn settle_changes(&mut self, clock: Clock, effects: &mut Effects) {
        // each round answers a request or leaves all as they are, so there are as many rounds as requests at
        // most
        while let Some(hid) = self.cluster.changed.pop() {
            for number in self.cluster.pending.of_hid(hid) {
                self.look_again(number, clock, effects);
            }
        }
    }

    pub(crate) fn look_again(&mut self, number: u64, clock: Clock, effects: &mut Effects) {
        let Some(waiting) = self.cluster.pending.get(number) else { return };
        let hid = waiting.hid;
        match &waiting.waits {
            Waits::Copied(_, answer) if !self.cluster.copies.lacks(hid) => {
                let answer = answer.clone();
                return self.finish(number, answer, effects);
            }
            Waits::Gone(life, answer) => {
                let counted = |node| self.cluster.members.is_counted(node);
                let newer = self.gone.get(hid).is_none_or(|gone| gone.life != *life);
                if newer || !self.gone.is_owed(hid, counted) {
                    let answer = answer.clone();
                    self.finish(number, answer, effects);
                }
                return;
            }
            Waits::Change => {}
            Waits::Behind => {
                let Caller::Client(asker) = waiting.caller else { return };
                let same = |other: &u64| match self.cluster.pending.get(*other).map(|waiting| waiting.caller)
                {
                    Some(Caller::Client(other)) => {
                        (other.shard, other.connection) == (asker.shard, asker.connection)
                    }
                    _ => false,
                };
                if self.cluster.pending.of_hid(hid).iter().filter(|other| **other < number).any(same) {
                    return;
                }
            }
            _ => return,
        }
        let waiting = waiting.clone();
        let Ok(kept) = take_request(&waiting.request) else {
            return self.finish(number, KeptAnswer::Refused(SessionRefusal::TryAgain), effects);
        };
        let call = Call {
            caller: waiting.caller,
            hid,
            place: kept.place,
            commands: &kept.commands,
            block: kept.block,
            arrived: waiting.arrived,
            write: Some(waiting.write),
            reader: waiting.reader,
        };
        match self.attempt(clock, &call, effects) {
            Attempt::Done(answer) => self.finish(number, answer, effects),
            Attempt::Wait(waits) => {
                self.cluster.pending.set_waits(number, waits);
                self.ask(number, clock.ms(), effects);
            }
            Attempt::NotHome => self.give_back(number, effects),
        }
    }

    /// The birth has settled: a repeat of the commit that began it gets the same answer.
    pub(crate) fn note_births(&mut self, hid: Hid, now: Ms) {
        for number in self.cluster.pending.of_hid(hid) {
            let waiting = self.cluster.pending.get(number);
            let born = waiting.and_then(|waiting| match &waiting.waits {
                Waits::Claim(answer) => Some((waiting.write, answer.clone())),
                _ => None,
            });
            if let Some((write, answer)) = born {
                self.note_write(hid, write, &answer, now);
            }
        }
    }

    /// A forwarded command whose home is elsewhere.
    fn give_back(&mut self, number: u64, effects: &mut Effects) {
        let Some(waiting) = self.cluster.pending.remove(number) else { return };
        if let Caller::Node { home, number } = waiting.caller {
            let record = Record::Answer { number, forwarded: Forwarded::NotHome };
            effects.send(home.node, waiting.hid.bucket(), &record);
        }
    }

    /// What was asked elsewhere is asked anew.
    pub(crate) fn unask(&mut self, number: u64) {
        if let Some(waiting) = self.cluster.pending.get(number) {
            let hid = waiting.hid;
            self.cluster.pending.set_waits(number, Waits::Change);
            self.cluster.changed.push(hid);
        }
    }

    /// A read is answered out of what another node sent.
    pub(crate) fn answer_read(
        &self,
        clock: Clock,
        number: u64,
        found: Option<NewState<'_>>,
    ) -> Option<KeptAnswer> {
        let waiting = self.cluster.pending.get(number)?;
        let kept = take_request(&waiting.request).ok()?;
        let command = kept.commands.first()?;
        let found = found.map_or(Found::Missing, |new| Found::Alive {
            content: Content::of(new.flags, new.value),
            deadline: new.deadline,
            id: new.id,
        });
        Some(Draft::new(clock, waiting.arrived, Rule::Stays, 0, found).read_kept(command))
    }
}
