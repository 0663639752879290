//! Browsers: what they ask at which node, and what they were told.

use std::collections::BTreeMap;

use leveret_model::session::{Database, ExpireIf, Expiry, KeptAnswer, KeyCommand, Presence, SetAnswer};
use leveret_model::{ConnectionKey, Seed, ShardId, SplitMix};
use leveret_sessions::{Asker, Hid, Place};

use crate::nodes::{NODES, Nodes};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Get,
    Set,
    SetNx,
    Del,
    Touch,
}

/// A request and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: u32,
    pub(crate) op: Op,
    pub(crate) node: usize,
    pub(crate) boot: u64,
    pub(crate) asked: u64,
    pub(crate) answered: Option<u64>,
    pub(crate) answer: Option<KeptAnswer>,
    /// Of a SET: its number, which is its value. Of a GET: the number that was read.
    pub(crate) value: Option<u64>,
    /// The node was cut off when it answered, or later wrote what it was asked then: after 2 s it goes on
    /// alone, and both sides join when it is back (S8).
    pub(crate) alone: bool,
    /// When the node is dead or stopped before it answered, nobody answers.
    pub(crate) node_died: bool,
}

impl Entry {
    pub(crate) fn is(&self, answer: &KeptAnswer) -> bool {
        self.answer.as_ref() == Some(answer)
    }

    /// Answered by what was done, not refused.
    pub(crate) fn is_done(&self) -> bool {
        !matches!(self.answer, None | Some(KeptAnswer::Refused(_)))
    }
}

/// How long a session lasts without use, ms.
pub(crate) const TTL_MS: u64 = 20_000;

pub(crate) struct Clients {
    random: SplitMix,
    record: Vec<Entry>,
    open: BTreeMap<u64, usize>,
    /// Keys in use: a key that was destroyed is replaced by a new one.
    keys: Vec<u32>,
    next_key: u32,
    /// A browser follows the answer to a write to another node at once.
    follow: Vec<u32>,
}

impl Clients {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: SplitMix::new(Seed(seed)),
            record: Vec::new(),
            open: BTreeMap::new(),
            keys: (0..6).collect(),
            next_key: 6,
            follow: Vec::new(),
        }
    }

    pub(crate) fn record(&self) -> &[Entry] {
        &self.record
    }

    pub(crate) fn hids(&self) -> impl Iterator<Item = Hid> {
        self.keys.iter().map(|key| place(&name(*key)).hid())
    }

    pub(crate) fn all_hids(&self) -> impl Iterator<Item = (u32, Hid)> {
        (0..self.next_key).map(|key| (key, place(&name(key)).hid()))
    }

    pub(crate) fn ask(&mut self, nodes: &mut Nodes) {
        let follow = self.follow.pop();
        if follow.is_none() && self.random.below(6) > 0 {
            return;
        }
        let at = self.random.below(NODES as u64) as usize;
        if !nodes.accepts(at) {
            return;
        }
        let slot = self.random.below(self.keys.len() as u64) as usize;
        let key = follow.unwrap_or(self.keys[slot]);
        let number = self.record.len() as u64;
        let text = number.to_string();
        let op = match self.random.below(40) {
            _ if follow.is_some() => Op::Get,
            0..=21 => Op::Get,
            22..=31 => Op::Set,
            32..=35 => Op::SetNx,
            36..=38 => Op::Touch,
            _ => Op::Del,
        };
        let set = |presence| KeyCommand::Set {
            value: text.as_bytes(),
            expiry: Expiry::In(TTL_MS as i64),
            presence,
            answer: SetAnswer::Status,
        };
        let command = match op {
            Op::Get => KeyCommand::Get,
            Op::Set => set(Presence::Any),
            Op::SetNx => set(Presence::Missing),
            Op::Del => KeyCommand::Destroy,
            Op::Touch => KeyCommand::Expire { left_ms: TTL_MS as i64, only: ExpireIf::default() },
        };
        if op == Op::Del {
            // asked about for a while yet, then a new one takes its place
            if self.random.below(2) == 0 {
                self.keys.push(self.next_key);
                self.next_key += 1;
                if self.keys.len() > 10 {
                    self.keys.remove(0);
                }
            }
        }
        // a connection of its own, so that nothing waits behind another request
        let connection = ConnectionKey { slot: number as u32, generation: 1 };
        let asker = Asker { shard: ShardId(0), connection, reply: number, part: 0 };
        let value = matches!(op, Op::Set | Op::SetNx).then_some(number);
        let asked = nodes.now_ms();
        self.record.push(Entry {
            key,
            op,
            node: at,
            boot: nodes.boot(at),
            asked,
            answered: None,
            answer: None,
            value,
            alone: nodes.is_cut(at),
            node_died: false,
        });
        self.open.insert(number, self.record.len() - 1);
        nodes.ask(at, asker, place(&name(key)), command);
    }

    pub(crate) fn take(&mut self, nodes: &mut Nodes) {
        for (_, at, asker, answer) in core::mem::take(&mut nodes.answers) {
            let Some(entry) = self.open.remove(&asker.reply) else { continue };
            let entry = &mut self.record[entry];
            entry.answered = Some(at);
            entry.alone |= nodes.is_cut(entry.node);
            if let (Op::Get, KeptAnswer::Bytes(bytes)) = (entry.op, &answer) {
                entry.value = core::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
            }
            if matches!(entry.op, Op::Set | Op::SetNx) && self.random.below(3) == 0 {
                self.follow.push(entry.key);
            }
            entry.answer = Some(answer);
        }
        for entry in self.open.values() {
            let entry = &mut self.record[*entry];
            entry.node_died |= !nodes.runs(entry.node) || nodes.boot(entry.node) != entry.boot;
        }
    }
}

/// Keys that a node wrote to while it was cut off: what was answered on one side may be joined away.
pub(crate) fn written_alone(record: &[Entry], key: u32) -> bool {
    record
        .iter()
        .any(|entry| entry.key == key && entry.alone && matches!(entry.op, Op::Set | Op::SetNx | Op::Del))
}

fn name(key: u32) -> String {
    format!("sess:{key}")
}

fn place(name: &str) -> Place<'_> {
    Place { vhost: "/", database: Database::default(), key: name.as_bytes() }
}
