//! Surveys under way: who asked, and which answers are missing.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use leveret_model::session::KeptAnswer;
use leveret_model::{ConnectionKey, NodeId, ShardAddress, limits};

use super::parts::Part;
use super::selection::SessionTally;

/// Who asks for the ends of sessions: no connection has this slot.
pub(super) const SURVEYOR: ConnectionKey = ConnectionKey { slot: u32::MAX, generation: 2 };

/// Who is told of the tally.
#[derive(Clone, Copy, Debug)]
pub(super) enum SurveyAsker {
    /// An operator, by the number of the question.
    Operator(u64),
    /// A shard of another node, by the part and the number of its survey.
    Node(ShardAddress, Part, u64),
}

#[derive(Debug)]
pub(super) struct Underway {
    asker: SurveyAsker,
    /// Sessions here that are being ended.
    pub(super) ending: usize,
    /// Nodes that have not answered.
    missing: Vec<NodeId>,
    pub(super) tally: SessionTally,
}

/// By number.
#[derive(Debug, Default)]
pub(super) struct Surveys {
    next: u64,
    all: BTreeMap<u64, Underway>,
    /// Tallies for operators, by the number of their question.
    pub(super) told: Vec<(u64, SessionTally)>,
    /// Answers to operators who ended one session, by the same.
    pub(super) killed: Vec<(u64, KeptAnswer)>,
}

impl Surveys {
    /// `None`: there are too many.
    pub(super) fn begin(
        &mut self,
        asker: SurveyAsker,
        missing: Vec<NodeId>,
        tally: SessionTally,
    ) -> Option<u64> {
        if self.all.len() >= limits::SESSION_SURVEYS_MAX {
            return None;
        }
        self.next += 1;
        self.all.insert(self.next, Underway { asker, ending: 0, missing, tally });
        Some(self.next)
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Underway> {
        self.all.get_mut(&number)
    }

    /// A node has answered.
    pub(super) fn answered(&mut self, number: u64, node: NodeId, tally: SessionTally) {
        let Some(survey) = self.all.get_mut(&number) else { return };
        let before = survey.missing.len();
        survey.missing.retain(|missing| *missing != node);
        if survey.missing.len() < before {
            survey.tally.add(tally);
        }
    }

    /// Nodes are not waited for any more.
    pub(super) fn give_up(&mut self, is_lost: impl Fn(NodeId) -> bool) {
        for survey in self.all.values_mut() {
            let (lost, missing) = survey.missing.iter().copied().partition(|node| is_lost(*node));
            survey.missing = missing;
            survey.tally.silent.extend::<Vec<NodeId>>(lost);
        }
    }

    /// Those to which nothing is missing.
    pub(super) fn take_done(&mut self) -> Vec<(SurveyAsker, SessionTally)> {
        let done = |survey: &Underway| survey.ending == 0 && survey.missing.is_empty();
        let numbers: Vec<u64> =
            self.all.iter().filter(|(_, survey)| done(survey)).map(|(number, _)| *number).collect();
        let taken = numbers.iter().filter_map(|number| self.all.remove(number));
        taken.map(|survey| (survey.asker, survey.tally)).collect()
    }
}
