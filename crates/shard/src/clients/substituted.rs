//! Queues that were declared as another type than they are (`Config::substitute_queue_types`): one warning for
//! each name.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use leveret_model::{Name, limits};

use crate::effects::SubstitutedQueue;

/// What the log was told of.
#[derive(Debug, Default)]
pub(super) struct Substituted {
    /// Vhosts and names.
    known: BTreeSet<(Name, Name)>,
    pub(super) untold: Vec<SubstitutedQueue>,
}

impl Substituted {
    /// A client declared a queue of a type that is not here.
    pub(super) fn note(&mut self, queue: SubstitutedQueue) {
        let name = (queue.vhost.clone(), queue.name.clone());
        // names are the clients' to choose
        if self.known.len() < limits::SUBSTITUTED_QUEUES_KNOWN && self.known.insert(name) {
            self.untold.push(queue);
        }
    }
}
