//! What every registry can do.

use std::future::Future;
use std::pin::Pin;

use leveret_model::NodeId;

/// What a registry answers, or why it cannot, in words that say what to do.
pub(crate) type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, String>> + 'a>>;

/// A place where nodes find each other. Addresses that were given are the static one: they are known without
/// asking (`Board::new`).
pub(crate) trait Registry {
    /// For people: the kind of it, and which.
    fn what(&self) -> String;

    /// Cluster addresses of other nodes, all that it knows now; none is an answer.
    fn seeds(&mut self) -> Answer<'_, Vec<String>>;

    /// Makes it know this node; done again and again, so it does nothing where nothing is missing. `ready`:
    /// clients are let in. False if this registry takes no registrations.
    fn register(&mut self, _ready: bool) -> Answer<'_, bool> {
        Box::pin(std::future::ready(Ok(false)))
    }

    /// Makes it forget this node, which leaves.
    fn withdraw(&mut self) -> Answer<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Makes it forget a node that the cluster has forgotten.
    fn forget(&mut self, _node: NodeId) -> Answer<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}
