//! What a publish needs of the other rooms.

use crate::clients::Clients;
use crate::pressure::Throttled;
use crate::queues::Queues;
use crate::replies::Replies;
use crate::view::ClusterView;

/// The rooms that a publish goes through.
#[derive(Debug)]
pub(crate) struct Routing<'a> {
    pub(crate) view: &'a ClusterView,
    pub(crate) clients: &'a Clients,
    pub(crate) queues: &'a mut Queues,
    pub(crate) throttled: &'a mut Throttled,
    pub(crate) replies: &'a mut Replies,
}

impl Routing<'_> {
    /// The same, for one more step.
    pub(crate) fn reborrow(&mut self) -> Routing<'_> {
        let Self { view, clients, queues, throttled, replies } = self;
        Routing { view, clients, queues, throttled, replies }
    }
}
