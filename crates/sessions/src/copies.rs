//! Copies of what is at home here (S3): who keeps them, and which state it has not acknowledged.
//!
//! Invariant *answered = copied*: [`Copies::lacks`] is true until every node that may answer loads of the
//! bucket has the state, the one that is being retired too.
//!
//! A new keeper is filled with what is there; no answer waits for that, but a node that leaves does
//! ([`Copies::are_copied`]).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use leveret_model::NodeId;

use crate::hid::{Bucket, Hid};
use crate::stamp::StateId;

/// Who keeps the copies of a bucket.
#[derive(Clone, Debug, Default)]
struct Keepers {
    current: Option<NodeId>,
    /// Was told that it keeps them no longer, and has not said yet that it knows.
    retiring: Vec<NodeId>,
}

/// A commit under way.
#[derive(Clone, Debug)]
struct Commit {
    id: StateId,
    owed_by: Vec<NodeId>,
    /// Number of the first commit of this session that has no copy yet.
    since: u64,
}

/// Keepers by bucket, and commits by session.
#[derive(Default)]
pub(crate) struct Copies {
    keepers: BTreeMap<Bucket, Keepers>,
    commits: BTreeMap<Hid, Commit>,
    /// States on their way to a new keeper, with the number of that.
    fills: BTreeMap<Hid, (NodeId, u64)>,
    /// Number of the last commit or fill.
    begun: u64,
}

impl Copies {
    pub(crate) fn keepers(&self, bucket: Bucket) -> Vec<NodeId> {
        let keepers = self.keepers.get(&bucket);
        keepers.map_or_else(Vec::new, |keepers| {
            keepers.current.into_iter().chain(keepers.retiring.iter().copied()).collect()
        })
    }

    pub(crate) fn current(&self, bucket: Bucket) -> Option<NodeId> {
        self.keepers.get(&bucket)?.current
    }

    /// Another node keeps the bucket from now on; gives the one that is to be retired.
    pub(crate) fn change(
        &mut self,
        bucket: Bucket,
        keeper: Option<NodeId>,
        counted: impl Fn(NodeId) -> bool,
    ) -> Option<NodeId> {
        let keepers = self.keepers.entry(bucket).or_default();
        let before = core::mem::replace(&mut keepers.current, keeper);
        keepers.retiring.retain(|node| Some(*node) != keeper && counted(*node));
        let retired = before.filter(|node| counted(*node) && Some(*node) != keeper)?;
        keepers.retiring.push(retired);
        Some(retired)
    }

    /// It says nothing out of copies of this bucket any more. Gives the commits that waited for it alone.
    pub(crate) fn retired(&mut self, bucket: Bucket, node: NodeId) -> Vec<Hid> {
        if let Some(keepers) = self.keepers.get_mut(&bucket) {
            keepers.retiring.retain(|other| *other != node);
        }
        let of_bucket: Vec<Hid> = self.commits.keys().copied().filter(|hid| hid.bucket() == bucket).collect();
        let still = self.keepers(bucket).contains(&node);
        of_bucket.into_iter().filter(|&hid| !still && self.settled_by(hid, node)).collect()
    }

    /// The node is Down: it has no lease, so it says nothing.
    pub(crate) fn lost(&mut self, node: NodeId) -> Vec<Hid> {
        for keepers in self.keepers.values_mut() {
            keepers.retiring.retain(|other| *other != node);
        }
        self.fills.retain(|_, (keeper, _)| *keeper != node);
        let hids: Vec<Hid> = self.commits.keys().copied().collect();
        hids.into_iter().filter(|&hid| self.settled_by(hid, node)).collect()
    }

    fn settled_by(&mut self, hid: Hid, node: NodeId) -> bool {
        let Some(commit) = self.commits.get_mut(&hid) else { return false };
        let before = commit.owed_by.len();
        commit.owed_by.retain(|owing| *owing != node);
        let done = commit.owed_by.is_empty() && before > 0;
        if done {
            self.commits.remove(&hid);
        }
        done
    }

    /// A commit goes to `owed_by`; a later one of the same session takes its place.
    pub(crate) fn begin(&mut self, hid: Hid, id: StateId, owed_by: Vec<NodeId>) {
        if owed_by.is_empty() {
            self.commits.remove(&hid);
        } else {
            self.begun += 1;
            let since = self.commits.get(&hid).map_or(self.begun, |earlier| earlier.since);
            self.commits.insert(hid, Commit { id, owed_by, since });
        }
    }

    /// A state goes to a new keeper.
    pub(crate) fn begin_fill(&mut self, hid: Hid, keeper: NodeId) {
        self.begun += 1;
        self.fills.insert(hid, (keeper, self.begun));
    }

    /// The number of the last commit or fill.
    pub(crate) const fn begun(&self) -> u64 {
        self.begun
    }

    /// True once everything up to that number has its copy.
    pub(crate) fn are_copied(&self, up_to: u64) -> bool {
        self.fills.values().all(|(_, number)| *number > up_to)
            && self.commits.values().all(|commit| commit.since > up_to)
    }

    /// `node` has this state. True if nobody lacks the session's newest any more.
    pub(crate) fn on_copied(&mut self, hid: Hid, id: StateId, node: NodeId) -> bool {
        if self.fills.get(&hid).is_some_and(|(keeper, _)| *keeper == node) {
            self.fills.remove(&hid);
        }
        let newest = self.commits.get(&hid).is_some_and(|commit| commit.id <= id);
        newest && self.settled_by(hid, node)
    }

    /// True while a state that was committed has not all its copies.
    pub(crate) fn lacks(&self, hid: Hid) -> bool {
        self.commits.contains_key(&hid)
    }

    pub(crate) fn forget(&mut self, hid: Hid) {
        self.commits.remove(&hid);
        self.fills.remove(&hid);
    }

    /// Sessions whose commit `node` owes: sent again over a new link.
    pub(crate) fn owed_by(&self, node: NodeId) -> Vec<Hid> {
        let owes = self.commits.iter().filter(|(_, commit)| commit.owed_by.contains(&node));
        owes.map(|(hid, _)| *hid).collect()
    }
}
