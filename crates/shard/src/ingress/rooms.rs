//! What a publish needs of the other rooms.

use crate::clients::Clients;
use crate::pressure::Throttled;
use crate::queues::Queues;
use crate::view::ClusterView;

/// The rooms that a publish goes through.
#[derive(Debug)]
pub(crate) struct Routing<'a> {
    pub(crate) view: &'a ClusterView,
    pub(crate) clients: &'a Clients,
    pub(crate) queues: &'a mut Queues,
    pub(crate) throttled: &'a mut Throttled,
}
