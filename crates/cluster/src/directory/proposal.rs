//! R2, the voter's side: of several proposals for one name a node agrees to one at a time.
//!
//! Invariants: a proposal is routed by only while it has this node's vote; the vote moves only when the
//! proposal that has it is gone (withdrawn, standing, or its proposer is Down). Two proposals that share one
//! voter can therefore not both be agreed to, which is all that "no two declare-oks for one name" needs.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use leveret_model::{NodeId, Ulid};

/// What a count of the votes has to say, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// To the proposer: a rival has the vote.
    Conflict {
        /// Whose proposal.
        proposer: NodeId,
        /// The proposal.
        proposal: Ulid,
        /// The rival is no proposal: it stands, and this node does not take its home for Down.
        taken: bool,
    },
    /// To the proposer, once the shards route by it: the rival is gone, the vote is yours.
    Agreed {
        /// Whose proposal.
        proposer: NodeId,
        /// The proposal.
        proposal: Ulid,
    },
    /// To this node itself: its own proposal loses to a rival.
    Lost {
        /// The proposal.
        proposal: Ulid,
    },
}

/// The proposals for one name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ballot {
    /// Proposals under way and who made them.
    pub(crate) pending: BTreeMap<Ulid, NodeId>,
    voted: Option<Ulid>,
    /// Refused, and whether for something that stands.
    refused: BTreeMap<Ulid, bool>,
}

impl Ballot {
    /// The proposal that has the vote, and its proposer.
    pub(crate) fn voted(&self) -> Option<(Ulid, NodeId)> {
        self.voted.and_then(|id| Some((id, *self.pending.get(&id)?)))
    }

    /// Refusals that stand against proposals of `proposer`; said again on a new link.
    pub(crate) fn refused(&self, proposer: NodeId) -> impl Iterator<Item = (Ulid, bool)> + '_ {
        let refused = self.refused.iter().map(|(&id, &taken)| (id, taken));
        refused.filter(move |(id, _)| self.pending.get(id) == Some(&proposer))
    }

    /// True without anything to remember.
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Gives the vote anew. `taken`: a live thing of that name stands already; it beats every proposal.
    pub(crate) fn count(
        &mut self,
        own: NodeId,
        taken: bool,
        is_down: impl Fn(NodeId) -> bool,
        notices: &mut Vec<Notice>,
    ) {
        let live: Vec<(Ulid, NodeId)> =
            self.pending.iter().filter(|&(_, &node)| !is_down(node)).map(|(&id, &node)| (id, node)).collect();
        self.refused.retain(|id, _| self.pending.contains_key(id));
        if taken || !live.iter().any(|&(id, _)| Some(id) == self.voted) {
            self.voted = None;
        }
        let own_proposal = live.iter().find(|&&(_, node)| node == own).map(|&(id, _)| id);
        if self.voted.is_none() && !taken {
            self.voted = own_proposal.or_else(|| live.first().map(|&(id, _)| id));
        }
        // Acked beats pending, then the older one: the proposer of the younger gives way by itself.
        if let Some(proposal) = own_proposal
            && (taken || live[0].0 != proposal)
        {
            notices.push(Notice::Lost { proposal });
        }
        for (proposal, proposer) in live.into_iter().filter(|&(_, node)| node != own) {
            if self.voted == Some(proposal) {
                if self.refused.remove(&proposal).is_some() {
                    notices.push(Notice::Agreed { proposer, proposal });
                }
            } else if self.refused.insert(proposal, taken).is_none_or(|before| taken && !before) {
                notices.push(Notice::Conflict { proposer, proposal, taken });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    const OWN: NodeId = NodeId(1);
    const A: NodeId = NodeId(2);
    const B: NodeId = NodeId(3);

    fn count(ballot: &mut Ballot, taken: bool, down: &[NodeId]) -> Vec<Notice> {
        let mut notices = Vec::new();
        ballot.count(OWN, taken, |node| down.contains(&node), &mut notices);
        notices
    }

    #[test]
    fn the_first_seen_keeps_the_vote_though_an_older_one_comes() {
        let mut ballot = Ballot::default();
        ballot.pending.insert(Ulid(9), A);
        assert_eq!(count(&mut ballot, false, &[]), vec![]);
        ballot.pending.insert(Ulid(1), B);
        assert_eq!(
            count(&mut ballot, false, &[]),
            vec![Notice::Conflict { proposer: B, proposal: Ulid(1), taken: false }]
        );
        assert_eq!(ballot.voted(), Some((Ulid(9), A)));
        ballot.pending.remove(&Ulid(9));
        assert_eq!(count(&mut ballot, false, &[]), vec![Notice::Agreed { proposer: B, proposal: Ulid(1) }]);
    }

    #[test]
    fn an_own_younger_proposal_gives_way_and_an_older_one_stays() {
        for (own_id, lost) in [(Ulid(5), true), (Ulid(1), false)] {
            let mut ballot = Ballot::default();
            ballot.pending.insert(own_id, OWN);
            count(&mut ballot, false, &[]);
            ballot.pending.insert(Ulid(3), A);
            let notices = count(&mut ballot, false, &[]);
            assert_eq!(notices.contains(&Notice::Lost { proposal: own_id }), lost);
            assert!(notices.contains(&Notice::Conflict { proposer: A, proposal: Ulid(3), taken: false }));
        }
    }

    #[test]
    fn a_standing_name_refuses_all_and_a_dead_proposer_counts_for_nothing() {
        let mut ballot = Ballot::default();
        ballot.pending.insert(Ulid(3), A);
        assert_eq!(
            count(&mut ballot, true, &[]),
            vec![Notice::Conflict { proposer: A, proposal: Ulid(3), taken: true }]
        );
        assert_eq!(ballot.voted(), None);
        assert_eq!(count(&mut ballot, false, &[A]), vec![]);
        assert_eq!(ballot.voted(), None);
        assert_eq!(count(&mut ballot, false, &[]), vec![Notice::Agreed { proposer: A, proposal: Ulid(3) }]);
    }
}
