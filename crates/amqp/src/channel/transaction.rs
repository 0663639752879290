//! What a channel in tx mode keeps. What it does with that is in `commit.rs`.

use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::format;
use alloc::vec::Vec;

use leveret_model::limits::TRANSACTION_OPERATIONS_MAX;
use leveret_model::{DeliveryTag, Held, Instant, PublishNumber, ReplyCode, Settlement};

use super::assembly::Assembly;
use crate::exception::{Exception, MethodId};

/// What waits for the commit.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    pub(super) publishes: VecDeque<Box<Assembly>>,
    pub(super) settlements: Vec<(DeliveryTag, Held, Settlement)>,
    /// The number of the last publish that was given to the host, over all transactions of the channel.
    pub(super) last: u64,
}

/// A commit under way.
#[derive(Debug)]
pub(super) struct Commit {
    /// When it was asked for: publishes are given up `limits::PUBLISH_WAIT` later.
    pub(super) arrived: Instant,
    /// Publishes that the host answers later.
    pub(super) owed: BTreeSet<PublishNumber>,
    /// A publish was not stored everywhere.
    pub(super) failed: bool,
    /// The first publish waits for `resume`.
    pub(super) held: bool,
}

impl Transaction {
    /// Deliveries that are settled if it is committed.
    pub(super) fn held(&self) -> impl Iterator<Item = Held> + '_ {
        self.settlements.iter().map(|(_, held, _)| *held)
    }

    /// `limits::TRANSACTION_OPERATIONS_MAX`
    pub(super) fn demand_room(&self, id: MethodId) -> Result<(), Exception> {
        if self.publishes.len() + self.settlements.len() < TRANSACTION_OPERATIONS_MAX {
            return Ok(());
        }
        let text = format!("more than {TRANSACTION_OPERATIONS_MAX} operations in one transaction");
        Err(Exception::new(ReplyCode::PreconditionFailed, id, text))
    }
}
