//! Requests that change attributes of the same few sessions, each at any node, and what was answered.

use std::collections::BTreeMap;

use leveret_model::session::{ByteList, Database, KeptAnswer, KeyCommand};
use leveret_model::{ConnectionKey, Seed, ShardId, SplitMix};
use leveret_sessions::{Asker, Place};

use crate::nodes::{NODES, Nodes};

/// Sessions, and attributes of each. Many, so that most writes to one attribute lie far apart.
const KEYS: u64 = 3;
const FIELDS: u64 = 24;
/// Numbers of these requests: above those of the other clients.
const FIRST: u64 = 1 << 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MergeOp {
    Load,
    Set,
    Remove,
}

/// A request and its answer.
#[derive(Clone, Debug)]
pub(crate) struct MergeEntry {
    pub(crate) key: u64,
    /// Of a write.
    pub(crate) field: u64,
    pub(crate) op: MergeOp,
    pub(crate) node: usize,
    pub(crate) asked: u64,
    pub(crate) answered: Option<u64>,
    /// Carried out, not refused.
    pub(crate) is_done: bool,
    /// Of a load: the numbers of the writes whose values it saw, by field.
    pub(crate) seen: BTreeMap<u64, u64>,
    /// See `clients::Entry::alone`.
    pub(crate) alone: bool,
    /// Of a write: the session began with it.
    pub(crate) is_birth: bool,
}

pub(crate) struct Merging {
    random: SplitMix,
    record: Vec<MergeEntry>,
}

impl Merging {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: SplitMix::new(Seed(seed)), record: Vec::new() }
    }

    pub(crate) fn record(&self) -> &[MergeEntry] {
        &self.record
    }

    pub(crate) fn ask(&mut self, nodes: &mut Nodes) {
        if self.random.below(60) > 0 {
            return;
        }
        let at = self.random.below(NODES as u64) as usize;
        if !nodes.runs(at) {
            return;
        }
        let (key, field) = (self.random.below(KEYS), self.random.below(FIELDS));
        let op = match self.random.below(10) {
            0..=3 => MergeOp::Load,
            4..=8 => MergeOp::Set,
            _ => MergeOp::Remove,
        };
        let number = self.record.len() as u64;
        let (name, value) = (field.to_string(), number.to_string());
        // one attribute always stays, because a session ends with its last one
        let set: [&[u8]; 4] = [b"base", b"x", name.as_bytes(), value.as_bytes()];
        let names: [&[u8]; 1] = [name.as_bytes()];
        let command = match op {
            MergeOp::Load => KeyCommand::AllFields,
            MergeOp::Set => KeyCommand::SetFields { fields: ByteList::Slices(&set), counts: true },
            MergeOp::Remove => KeyCommand::RemoveFields(ByteList::Slices(&names)),
        };
        self.record.push(MergeEntry {
            key,
            field,
            op,
            node: at,
            asked: nodes.now_ms(),
            answered: None,
            is_done: false,
            seen: BTreeMap::new(),
            alone: nodes.is_cut(at),
            is_birth: false,
        });
        let connection = ConnectionKey { slot: number as u32, generation: 2 };
        let asker = Asker { shard: ShardId(0), connection, reply: FIRST + number, part: 0 };
        let text = format!("attr:{key}");
        let place = Place { vhost: "/", database: Database::default(), key: text.as_bytes() };
        nodes.ask(at, asker, place, command);
    }

    /// Takes its own answers, and leaves the others.
    pub(crate) fn take(&mut self, nodes: &mut Nodes) {
        let (own, others) = core::mem::take(&mut nodes.answers)
            .into_iter()
            .partition(|(_, _, asker, _)| asker.reply >= FIRST);
        nodes.answers = others;
        let own: Vec<(usize, u64, Asker, KeptAnswer)> = own;
        for (_, at, asker, answer) in own {
            let entry = &mut self.record[(asker.reply - FIRST) as usize];
            entry.answered = Some(at);
            entry.alone |= nodes.is_cut(entry.node);
            // both the field and the one that always stays are new
            entry.is_birth = entry.op == MergeOp::Set && answer == KeptAnswer::Integer(2);
            entry.is_done = !matches!(answer, KeptAnswer::Refused(_));
            if let KeptAnswer::Map(items) = answer {
                let numbers: Vec<Option<u64>> = items.iter().map(number).collect();
                entry.seen = numbers.chunks(2).filter_map(|pair| Some((pair[0]?, pair[1]?))).collect();
            }
        }
    }
}

fn number(item: &KeptAnswer) -> Option<u64> {
    let KeptAnswer::Bytes(bytes) = item else { return None };
    core::str::from_utf8(bytes).ok()?.parse().ok()
}
