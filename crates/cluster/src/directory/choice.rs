//! R5 and R3 in one choice: of all lives of a queue name, which one does this node route to?
//!
//! Standing lives whose home is Alive beat those whose home is unreachable; those beat a proposal that has the
//! vote; that beats lives whose home is Down, which are masked. Among equals R3's order: the smaller `QueueId`.
//! Nothing here deletes anything.

use leveret_model::QueueId;

use crate::membership::Standing;

/// Why a life is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// Its home is Alive.
    Served,
    /// Its home counts, but is not heard.
    Unreachable,
    /// A proposal with this node's vote.
    Proposed,
    /// Its home is Down.
    Masked,
}

impl Rank {
    /// The rank of a standing life.
    pub(crate) const fn of(standing: Standing) -> Self {
        match standing {
            Standing::Alive => Self::Served,
            Standing::Unreachable => Self::Unreachable,
            Standing::Down { .. } => Self::Masked,
        }
    }
}

/// The life to route to.
pub(crate) fn choose(lives: impl Iterator<Item = (Rank, QueueId)>) -> Option<(Rank, QueueId)> {
    lives.min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use leveret_model::Ulid;

    fn id(ulid: u128) -> QueueId {
        QueueId { generation: 0, ulid: Ulid(ulid) }
    }

    #[test]
    fn while_the_winners_home_is_away_the_other_serves() {
        let away = [(Rank::Unreachable, id(1)), (Rank::Served, id(2))];
        assert_eq!(choose(away.into_iter()), Some((Rank::Served, id(2))));
        let back = [(Rank::Served, id(1)), (Rank::Served, id(2))];
        assert_eq!(choose(back.into_iter()), Some((Rank::Served, id(1))));
    }

    #[test]
    fn a_proposal_beats_a_masked_life_and_nothing_else() {
        assert_eq!(
            choose([(Rank::Masked, id(1)), (Rank::Proposed, id(2))].into_iter()).map(|c| c.1),
            Some(id(2))
        );
        assert_eq!(
            choose([(Rank::Unreachable, id(2)), (Rank::Proposed, id(1))].into_iter()).map(|c| c.1),
            Some(id(2))
        );
    }
}
