//! SCAN, FLUSHDB and an operator's surveys over all nodes: what the shard that keeps a part asks the same part
//! of every other node.
//!
//! A node whose link breaks, or that is Down, is no longer waited for: its sessions are taken over, and a later
//! step of the walk finds them there.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use leveret_link::Damage;
use leveret_link::fields::{Put as _, Take};
use leveret_model::session::Database;
use leveret_model::{Name, NodeId, ShardId};
use leveret_sessions::{Asker, Slot};

use super::gathering::WalkStep;
use super::parts::Part;

/// The kind byte of each; a number is never given to another one.
pub(super) mod kind {
    pub(crate) const WALK: u8 = 1;
    pub(crate) const WALKED: u8 = 2;
    pub(crate) const FLUSH: u8 = 3;
    pub(crate) const FLUSHED: u8 = 4;
    pub(crate) const PRESENT: u8 = 5;
    pub(crate) const EXPIRED: u8 = 6;
    pub(crate) const SURVEY: u8 = 7;
    pub(crate) const SURVEYED: u8 = 8;
}

/// What waits for other nodes.
#[derive(Debug, Default)]
pub(super) struct Questions {
    next: u64,
    pub(super) waiting: BTreeMap<u64, Waiting>,
    /// On their way out: to whom, about which part, and their bytes.
    pub(super) out: Vec<(NodeId, Option<ShardId>, Part, Vec<u8>)>,
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) missing: Vec<NodeId>,
    pub(super) goal: Goal,
}

#[derive(Debug)]
pub(super) enum Goal {
    Walk(WalkStep),
    /// Sessions of all parts of this shard are destroyed.
    Flush(Asker),
}

/// Appends a text or pattern that may be absent.
pub(super) fn put_optional(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    out.u8(bytes.is_some().into());
    out.u32(bytes.map_or(0, <[u8]>::len) as u32);
    out.raw(bytes.unwrap_or_default());
}

pub(super) fn take_optional(take: &mut Take<'_>) -> Result<Option<Box<[u8]>>, Damage> {
    let there = take.u8()? != 0;
    let length = take.u32()? as usize;
    let bytes = take.bytes(length)?;
    Ok(there.then(|| bytes.into()))
}

pub(super) fn take_name(take: &mut Take<'_>) -> Result<Name, Damage> {
    let bytes = take_optional(take)?.unwrap_or_default();
    core::str::from_utf8(&bytes).map(Name::new).map_err(|_| Damage::Value("vhost"))
}

pub(super) fn take_database(take: &mut Take<'_>) -> Result<Database, Damage> {
    Database::new(take.u8()?).ok_or(Damage::Value("database"))
}

pub(super) fn take_slot(take: &mut Take<'_>) -> Result<u16, Damage> {
    take.u16().and_then(|slot| if slot <= Slot::COUNT { Ok(slot) } else { Err(Damage::Value("slot")) })
}

impl Questions {
    pub(super) fn ask(
        &mut self,
        nodes: &[NodeId],
        goal: Goal,
        parts: &[Part],
        write: impl Fn(&mut Vec<u8>, u64),
    ) {
        self.next += 1;
        let mut bytes = Vec::new();
        write(&mut bytes, self.next);
        let missing = nodes.iter().flat_map(|node| parts.iter().map(move |_| *node)).collect();
        for &node in nodes {
            self.out.extend(parts.iter().map(|part| (node, None, *part, bytes.clone())));
        }
        self.waiting.insert(self.next, Waiting { missing, goal });
    }

    /// A node has answered once; the goal if it was the last answer.
    pub(super) fn answered(&mut self, number: u64, node: NodeId) -> Option<Goal> {
        let waiting = self.waiting.get_mut(&number)?;
        let at = waiting.missing.iter().position(|missing| *missing == node)?;
        waiting.missing.swap_remove(at);
        if !waiting.missing.is_empty() {
            return None;
        }
        self.waiting.remove(&number).map(|waiting| waiting.goal)
    }

    /// A node is not waited for any more; gives what is complete without it.
    pub(super) fn give_up(&mut self, is_lost: impl Fn(NodeId) -> bool) -> Vec<Goal> {
        self.waiting.values_mut().for_each(|waiting| waiting.missing.retain(|node| !is_lost(*node)));
        let over: Vec<u64> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.missing.is_empty())
            .map(|(number, _)| *number)
            .collect();
        over.iter().filter_map(|number| self.waiting.remove(number)).map(|waiting| waiting.goal).collect()
    }
}
