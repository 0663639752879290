//! What happens in the cluster, told to people: a line each in the log, and what `status` is to remember.

use leveret_cluster::Event as ClusterEvent;
use tracing::{debug, error, info, warn};

use crate::admin::Admin;

pub(crate) fn tell(event: &ClusterEvent, admin: &mut Admin) {
    admin.on_event(event);
    log(event);
}

fn log(event: &ClusterEvent) {
    match event {
        ClusterEvent::Ready { others } => info!(others, "ready"),
        ClusterEvent::StillJoining { missing } => {
            warn!(missing = missing.join(", "), "still joining: these do not answer");
        }
        ClusterEvent::Joined { node, name, address } => info!(%node, %name, %address, "a node joined"),
        ClusterEvent::Unreachable { node, name } => {
            warn!(%node, %name, "a node is not heard here, but others hear it: it still counts");
        }
        ClusterEvent::Down { node, name, queues } => {
            warn!(%node, %name, queues, "a node is down; its queues are away with it");
        }
        ClusterEvent::Back { node, name } => info!(%node, %name, "a node is back"),
        ClusterEvent::Forgotten { node, name } => {
            info!(%node, %name, "the queues and bindings of a node that was down too long are forgotten");
        }
        ClusterEvent::ProposalLost { vhost, name } => {
            debug!(%vhost, %name, "two declares of one name met; ours gave way");
        }
        ClusterEvent::MergeWon { vhost, name, from, bindings } => {
            warn!(%vhost, %name, %from, bindings, "two queues of one name met: ours keeps it and takes the bindings");
        }
        ClusterEvent::MergeLost { vhost, name, renamed, winner } => {
            warn!(%vhost, %name, %renamed, %winner, "two queues of one name met: ours keeps its messages as `renamed`");
        }
        ClusterEvent::Clone { node } => {
            error!(%node, "two processes run with one identity: neither serves its queues");
        }
        ClusterEvent::RolledBack { peer } => {
            error!(%peer, "a peer knows more of this node's directory than this node: it serves nothing");
        }
        ClusterEvent::BadFrame { peer, reason } => {
            error!(%peer, %reason, "a peer sent what cannot be; its link is closed");
        }
        ClusterEvent::Full { node } => warn!(%node, "a node was turned away: the cluster is full"),
    }
}
