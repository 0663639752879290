//! Operators at the admin socket that wait for an answer of the machine.

use std::collections::BTreeMap;

use crossbeam_channel::Sender;
use leveret_model::session::KeptAnswer;
use leveret_shard::{Effects, SessionTally};

/// Operators that wait, by the number of their question.
#[derive(Debug, Default)]
pub(super) struct Operators {
    asked: u64,
    ends: BTreeMap<u64, Sender<KeptAnswer>>,
    surveys: BTreeMap<u64, Sender<SessionTally>>,
}

impl Operators {
    /// Gives the number of the question.
    pub(super) fn wait_for_end(&mut self, to: Sender<KeptAnswer>) -> u64 {
        self.asked += 1;
        self.ends.insert(self.asked, to);
        self.asked
    }

    /// As [`Self::wait_for_end`], for a survey.
    pub(super) fn wait_for_tally(&mut self, to: Sender<SessionTally>) -> u64 {
        self.asked += 1;
        self.surveys.insert(self.asked, to);
        self.asked
    }

    /// Nobody listens any more if it took too long.
    pub(super) fn answer(&mut self, effects: &mut Effects) {
        for (number, answer) in effects.session_killed.drain(..) {
            if let Some(to) = self.ends.remove(&number) {
                let _ = to.try_send(answer);
            }
        }
        for (number, tally) in effects.session_surveyed.drain(..) {
            if let Some(to) = self.surveys.remove(&number) {
                let _ = to.try_send(tally);
            }
        }
    }
}
