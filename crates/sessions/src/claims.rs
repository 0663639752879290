//! Claims under way here (CLAIM): who still has to vote. What wins and what a vote changes: `election.rs`.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use leveret_model::NodeId;

use crate::hid::Hid;
use crate::record::ClaimKind;
use crate::stamp::{Epoch, Stamp};

/// A claim that waits for votes.
#[derive(Clone, Debug)]
pub(crate) struct ClaimUnderWay {
    pub(crate) kind: ClaimKind,
    pub(crate) life: Stamp,
    pub(crate) epoch: Epoch,
    owed_by: Vec<NodeId>,
}

/// All of them.
#[derive(Default)]
pub(crate) struct Claims {
    under_way: BTreeMap<Hid, ClaimUnderWay>,
}

impl Claims {
    pub(crate) fn begin(
        &mut self,
        hid: Hid,
        kind: ClaimKind,
        life: Stamp,
        epoch: Epoch,
        owed_by: Vec<NodeId>,
    ) {
        self.under_way.insert(hid, ClaimUnderWay { kind, life, epoch, owed_by });
    }

    pub(crate) fn get(&self, hid: Hid) -> Option<&ClaimUnderWay> {
        self.under_way.get(&hid)
    }

    pub(crate) fn is_of(&self, hid: Hid, life: Stamp, epoch: Epoch) -> bool {
        self.under_way.get(&hid).is_some_and(|claim| (claim.life, claim.epoch) == (life, epoch))
    }

    pub(crate) fn remove(&mut self, hid: Hid) -> Option<ClaimUnderWay> {
        self.under_way.remove(&hid)
    }

    /// True if that was the last vote.
    pub(crate) fn voted(&mut self, hid: Hid, voter: NodeId) -> bool {
        let Some(claim) = self.under_way.get_mut(&hid) else { return false };
        claim.owed_by.retain(|owing| *owing != voter);
        claim.owed_by.is_empty()
    }

    /// Who is heard again while a claim waits must vote too. Gives every claim that it owes a vote.
    pub(crate) fn owed_also_by(&mut self, voter: NodeId) -> Vec<Hid> {
        for claim in self.under_way.values_mut().filter(|claim| !claim.owed_by.contains(&voter)) {
            claim.owed_by.push(voter);
        }
        self.under_way.keys().copied().collect()
    }

    /// The voter is not awaited any more. Gives the claims that waited for it alone.
    pub(crate) fn not_awaited(&mut self, voter: NodeId) -> Vec<Hid> {
        let hids: Vec<Hid> = self.under_way.keys().copied().collect();
        hids.into_iter().filter(|&hid| self.voted(hid, voter)).collect()
    }
}
