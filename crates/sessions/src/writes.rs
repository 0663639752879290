//! Ids of recent writes with their answers (S1): a write that is repeated is not applied twice. They travel
//! with copies.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};

use leveret_model::limits;
use leveret_model::session::KeptAnswer;

use crate::hid::Hid;
use crate::record::WriteId;
use crate::time::Ms;

type Line = (WriteId, Ms, Box<[u8]>);

/// By session; also of sessions that ended.
#[derive(Default)]
pub(crate) struct Writes {
    of: BTreeMap<Hid, VecDeque<Line>>,
}

impl Writes {
    /// The answer to a write that was applied.
    pub(crate) fn find(&self, hid: Hid, write: WriteId) -> Option<KeptAnswer> {
        let line = self.of.get(&hid)?.iter().find(|(known, ..)| *known == write)?;
        crate::command_bytes::take_answer(&line.2).ok()
    }

    /// False if the session has too many that are too young: the write must be refused.
    pub(crate) fn has_room(&mut self, hid: Hid, now: Ms) -> bool {
        let Some(lines) = self.of.get_mut(&hid) else { return true };
        while lines.front().is_some_and(|(_, at, _)| is_old(*at, now)) {
            lines.pop_front();
        }
        lines.len() < limits::SESSION_WRITES_KEPT
    }

    pub(crate) fn note(&mut self, hid: Hid, write: WriteId, now: Ms, answer: Box<[u8]>) {
        let lines = self.of.entry(hid).or_default();
        if lines.iter().all(|(known, ..)| *known != write) {
            lines.push_back((write, now, answer));
        }
    }

    pub(crate) fn of(&self, hid: Hid) -> impl Iterator<Item = (WriteId, &[u8])> {
        self.of.get(&hid).into_iter().flatten().map(|(write, _, answer)| (*write, &answer[..]))
    }

    /// Forgets what nobody repeats any more.
    pub(crate) fn expire(&mut self, now: Ms) {
        self.of.retain(|_, lines| {
            lines.retain(|(_, at, _)| !is_old(*at, now));
            !lines.is_empty()
        });
    }
}

fn is_old(at: Ms, now: Ms) -> bool {
    now.since(at) > limits::SESSION_WRITES_TIME.as_millis() as u64
}
