//! Requests that wait: for the lease, for another node, for copies, for a claim.
//!
//! Invariants
//! - *Order*: of one connection and key at most one request is under way; the next one waits behind it.
//! - *Bound*: a request waits `SESSION_REQUEST_WAIT` in all, then it is refused with TRYAGAIN.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use leveret_model::ConnectionKey;
use leveret_model::ShardId;
use leveret_model::session::KeptAnswer;

use crate::effects::{Asker, RENAME_PART};
use crate::hid::Hid;
use crate::record::WriteId;
use crate::stamp::{Home, Stamp, StateId};
use crate::time::Ms;

/// Who gets the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    Client(Asker),
    /// Another node, which calls its question so.
    Node {
        home: Home,
        number: u64,
    },
}

/// For what a request waits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Waits {
    /// It is tried again when the session lease comes, or the key's entry changes.
    Change,
    /// An earlier request of its connection on its key.
    Behind,
    /// Home and replicator were asked.
    Load { number: u64, asked: Vec<Home> },
    /// The home does it.
    Forward { number: u64, home: Home },
    /// The claim of its key settles; then this is the answer.
    Claim(KeptAnswer),
    /// The replicator has this state; then this is the answer.
    Copied(StateId, KeptAnswer),
    /// Everybody has the gone entry; then this is the answer.
    Gone(Stamp, KeptAnswer),
}

/// A request that waits.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) caller: Caller,
    pub(crate) hid: Hid,
    /// `command_bytes::put_request`
    pub(crate) request: Box<[u8]>,
    pub(crate) arrived: Ms,
    pub(crate) write: WriteId,
    pub(crate) reader: bool,
    pub(crate) waits: Waits,
}

/// All of them, in the order of their arrival.
#[derive(Default)]
pub(crate) struct Pending {
    requests: BTreeMap<u64, Waiting>,
    next: u64,
    by_hid: BTreeMap<Hid, Vec<u64>>,
    /// By the number of a question to another node.
    questions: BTreeMap<u64, u64>,
}

impl Pending {
    pub(crate) fn len(&self) -> usize {
        self.requests.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    pub(crate) fn insert(&mut self, waiting: Waiting) -> u64 {
        let number = self.next;
        self.next += 1;
        self.by_hid.entry(waiting.hid).or_default().push(number);
        self.note_question(number, &waiting.waits);
        self.requests.insert(number, waiting);
        number
    }

    fn note_question(&mut self, number: u64, waits: &Waits) {
        if let Waits::Load { number: question, .. } | Waits::Forward { number: question, .. } = waits {
            self.questions.insert(*question, number);
        }
    }

    fn forget_question(&mut self, waits: &Waits) {
        if let Waits::Load { number, .. } | Waits::Forward { number, .. } = waits {
            self.questions.remove(number);
        }
    }

    pub(crate) fn get(&self, number: u64) -> Option<&Waiting> {
        self.requests.get(&number)
    }

    pub(crate) fn set_waits(&mut self, number: u64, waits: Waits) {
        let Some(waiting) = self.requests.get_mut(&number) else { return };
        // the same question may go on with fewer nodes, so the old one goes first
        let before = core::mem::replace(&mut waiting.waits, Waits::Change);
        self.forget_question(&before);
        self.note_question(number, &waits);
        if let Some(waiting) = self.requests.get_mut(&number) {
            waiting.waits = waits;
        }
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<Waiting> {
        let waiting = self.requests.remove(&number)?;
        if let Some(numbers) = self.by_hid.get_mut(&waiting.hid) {
            numbers.retain(|other| *other != number);
            if numbers.is_empty() {
                self.by_hid.remove(&waiting.hid);
            }
        }
        self.forget_question(&waiting.waits);
        Some(waiting)
    }

    /// The request that asked this question, if it still waits for it.
    pub(crate) fn of_question(&self, question: u64) -> Option<u64> {
        let number = *self.questions.get(&question)?;
        let waits = &self.requests.get(&number)?.waits;
        let same = matches!(waits, Waits::Load { number, .. } | Waits::Forward { number, .. } if *number == question);
        same.then_some(number)
    }

    pub(crate) fn of_hid(&self, hid: Hid) -> Vec<u64> {
        self.by_hid.get(&hid).cloned().unwrap_or_default()
    }

    pub(crate) fn all(&self) -> Vec<u64> {
        self.requests.keys().copied().collect()
    }

    /// True if this connection has a request under way on this key.
    pub(crate) fn has_earlier(&self, shard: ShardId, connection: ConnectionKey, hid: Hid) -> bool {
        self.by_hid.get(&hid).into_iter().flatten().filter_map(|number| self.requests.get(number)).any(|waiting| {
            matches!(waiting.caller, Caller::Client(asker) if asker.shard == shard && asker.connection == connection)
        })
    }

    /// Requests of a closed connection that nobody has applied: they are dropped, never applied later. Steps of
    /// a rename are not among them.
    pub(crate) fn of_connection(&self, shard: ShardId, connection: ConnectionKey) -> Vec<u64> {
        let of = |waiting: &Waiting| {
            let Caller::Client(asker) = waiting.caller else { return false };
            asker.shard == shard && asker.connection == connection && asker.part != RENAME_PART
        };
        self.requests.iter().filter(|(_, waiting)| of(waiting)).map(|(number, _)| *number).collect()
    }
}
