//! Which connections want to be told of expired sessions: here, on other shards of the node, on other nodes.
//!
//! Every shard knows all patterns, so whichever expires a session can hand it to a connection that wants it in
//! one step. Each announcement carries everything that its origin wants, so the last one counts.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use leveret_link::Damage;
use leveret_link::fields::{Put as _, Take};
use leveret_model::session::Database;
use leveret_model::{ConnectionKey, Name, NodeId, ShardId, glob_matches, limits};
use leveret_sessions::Expired;

use super::questions::{put_optional, take_database, take_name, take_optional};

/// What a connection wants to be told of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interest {
    pub(super) vhost: Name,
    pub(super) database: Database,
    pub(super) pattern: Box<[u8]>,
}

impl Interest {
    pub(super) fn covers(&self, expired: &Expired) -> bool {
        *self.vhost == *expired.vhost
            && self.database == expired.database
            && glob_matches(&self.pattern, &expired.key)
    }
}

/// All that a shard knows of attached connections.
#[derive(Debug, Default)]
pub(super) struct Attached {
    here: Vec<(ConnectionKey, Interest)>,
    siblings: BTreeMap<ShardId, Vec<Interest>>,
    nodes: BTreeMap<NodeId, Vec<Interest>>,
}

impl Attached {
    /// Sets or ends what a connection of this shard wants; false if too many want something.
    pub(super) fn set(&mut self, key: ConnectionKey, interest: Option<Interest>) -> bool {
        self.forget(key);
        let Some(interest) = interest else { return true };
        let fits = self.here.len() < limits::SESSION_ATTACHED_MAX;
        if fits {
            self.here.push((key, interest));
        }
        fits
    }

    /// True if the connection wanted something.
    pub(super) fn forget(&mut self, key: ConnectionKey) -> bool {
        let before = self.here.len();
        self.here.retain(|(attached, _)| *attached != key);
        self.here.len() < before
    }

    /// What connections of this shard want.
    pub(super) fn interests(&self) -> Vec<Interest> {
        self.here.iter().map(|(_, interest)| interest.clone()).collect()
    }

    pub(super) fn on_sibling(&mut self, shard: ShardId, interests: Vec<Interest>) {
        self.siblings.insert(shard, interests);
    }

    pub(super) fn on_node(&mut self, node: NodeId, interests: Vec<Interest>) {
        self.nodes.insert(node, interests);
    }

    pub(super) fn forget_node(&mut self, node: NodeId) {
        self.nodes.remove(&node);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.here.is_empty()
            && self.siblings.values().all(Vec::is_empty)
            && self.nodes.values().all(Vec::is_empty)
    }

    /// Connections here that want it.
    pub(super) fn here(&self, expired: &Expired) -> Vec<ConnectionKey> {
        let wants = |(_, interest): &&(ConnectionKey, Interest)| interest.covers(expired);
        self.here.iter().filter(wants).map(|(key, _)| *key).collect()
    }

    pub(super) fn sibling(&self, own: ShardId, expired: &Expired) -> Option<ShardId> {
        let others = self.siblings.iter().filter(|(shard, _)| **shard != own);
        first_that_wants(others, expired)
    }

    pub(super) fn node(&self, expired: &Expired) -> Option<NodeId> {
        first_that_wants(self.nodes.iter(), expired)
    }

    /// For other nodes: what connections of any shard here want. Those past the bound are told only of what
    /// expires on this node.
    pub(super) fn put_all(&self, out: &mut Vec<u8>) {
        let all: BTreeSet<&Interest> = self.siblings.values().flatten().collect();
        let count = all.len().min(limits::SESSION_ATTACHED_MAX);
        out.u16(count as u16);
        for interest in all.into_iter().take(count) {
            put_optional(out, Some(interest.vhost.as_bytes()));
            out.u8(interest.database.number());
            put_optional(out, Some(&interest.pattern));
        }
    }

    pub(super) fn take_all(take: &mut Take<'_>) -> Result<Vec<Interest>, Damage> {
        let count = take.u16()?;
        if usize::from(count) > limits::SESSION_ATTACHED_MAX {
            return Err(Damage::Value("attached patterns"));
        }
        let one = |take: &mut Take<'_>| {
            let (vhost, database) = (take_name(take)?, take_database(take)?);
            Ok(Interest { vhost, database, pattern: take_optional(take)?.unwrap_or_default() })
        };
        (0..count).map(|_| one(take)).collect()
    }
}

fn first_that_wants<'a, K: Copy + 'a>(
    mut all: impl Iterator<Item = (&'a K, &'a Vec<Interest>)>,
    expired: &Expired,
) -> Option<K> {
    let wants = |(_, interests): &(&K, &Vec<Interest>)| interests.iter().any(|one| one.covers(expired));
    all.find(wants).map(|(key, _)| *key)
}
