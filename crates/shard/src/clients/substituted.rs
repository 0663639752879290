//! Queues that were declared as another type than they are (`Config::substitute_queue_types`): one warning for
//! each name.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use leveret_model::{ConnectionKey, Name, limits};

use super::Clients;
use crate::effects::SubstitutedQueue;

/// What the log was told of.
#[derive(Debug, Default)]
pub(super) struct Substituted {
    /// Vhosts and names.
    known: BTreeSet<(Name, Name)>,
    pub(super) untold: Vec<SubstitutedQueue>,
}

impl Clients {
    /// A client declared a queue of a type that is not here.
    pub(crate) fn note_substituted(&mut self, connection: ConnectionKey, queue: &Name, kind: &'static str) {
        let client = self.get(connection);
        let (vhost, peer) = (client.vhost_name.clone(), client.name.clone());
        let Substituted { known, untold } = &mut self.substituted;
        // names are the clients' to choose
        if known.len() < limits::SUBSTITUTED_QUEUES_KNOWN && known.insert((vhost.clone(), queue.clone())) {
            untold.push(SubstitutedQueue { peer, vhost, name: queue.clone(), kind });
        }
    }
}
