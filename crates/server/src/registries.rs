//! The registries of a node as its other threads see them: mail to them, and what they say for `status`.

use std::sync::{Arc, Mutex, PoisonError};

use leveret_model::{NodeId, limits};
use tokio::sync::mpsc::UnboundedSender;

/// What the node tells its registries.
#[derive(Clone, Debug)]
pub(crate) enum ToRegistry {
    /// Clients are let in.
    Ready,
    /// The cluster has forgotten a node.
    Forgotten(NodeId),
    /// This node leaves. Whoever holds the other end hears when the registry has forgotten it, or cannot.
    Withdraw(crossbeam_channel::Sender<()>),
}

/// The registries of a running node.
#[derive(Clone, Debug)]
pub(crate) struct Registries {
    pub(crate) mail: Vec<UnboundedSender<ToRegistry>>,
    pub(crate) statuses: Arc<Statuses>,
}

impl Registries {
    /// Tells all of them. One that has ended hears nothing any more.
    pub(crate) fn tell(&self, mail: &ToRegistry) {
        for registry in &self.mail {
            let _ = registry.send(mail.clone());
        }
    }

    /// Makes all of them forget this node, for a bounded time.
    pub(crate) fn withdraw(&self) {
        let (done, wait) = crossbeam_channel::bounded(self.mail.len().max(1));
        self.tell(&ToRegistry::Withdraw(done));
        let deadline = std::time::Instant::now() + limits::WITHDRAW_WAIT;
        for _ in &self.mail {
            if wait.recv_deadline(deadline).is_err() {
                return;
            }
        }
    }
}

/// A registry, for `status`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RegistryStatus {
    /// Its kind, and which.
    pub(crate) what: String,
    /// Seeds that it named last; none before its first answer.
    pub(crate) seeds: Option<usize>,
    /// This node is registered there; nothing if it takes no registrations.
    pub(crate) registered: Option<bool>,
    /// Why it gives no seeds, or does not take this node, now.
    pub(crate) problems: Vec<String>,
}

/// The registries of this node as `status` shows them.
#[derive(Debug, Default)]
pub(crate) struct Statuses(Mutex<Vec<RegistryStatus>>);

impl Statuses {
    pub(crate) fn set(&self, all: Vec<RegistryStatus>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = all;
    }

    pub(crate) fn all(&self) -> Vec<RegistryStatus> {
        // each entry is whole at any moment
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
