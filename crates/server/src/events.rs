//! What happens in the cluster, told to people: a line each in the log, and what `status` is to remember.

use std::collections::VecDeque;

use leveret_cluster::Event as ClusterEvent;
use leveret_model::{Instant, Name, limits};
use tracing::{debug, error, info, warn};

use crate::log_limits::{PeerLogLimit, unless_none};

/// Tells people.
#[derive(Debug, Default)]
pub(crate) struct Teller {
    /// Lines that each redial of the same peer may bring anew.
    peer_lines: PeerLogLimit,
    /// Queues of this node that lost their names, the latest: what they are called now, and what they were.
    renamed: VecDeque<(String, String)>,
}

impl Teller {
    pub(crate) fn tell(&mut self, now: Instant, event: &ClusterEvent) {
        if let ClusterEvent::MergeLost { name, renamed, .. } = event {
            if self.renamed.len() == limits::RENAMED_WARNINGS_MAX {
                self.renamed.pop_front();
            }
            self.renamed.push_back((renamed.to_string(), name.to_string()));
        }
        let unsaid = match event {
            ClusterEvent::Clone { node } => self.peer_lines.take(now, &node.to_string(), "clone"),
            ClusterEvent::BadFrame { peer, reason, .. } => {
                self.peer_lines.take(now, &peer.to_string(), reason)
            }
            ClusterEvent::Full { .. } => self.peer_lines.take(now, "", "full"),
            _ => Some(0),
        };
        if let Some(unsaid) = unsaid {
            log(event, unless_none(unsaid));
        }
    }

    /// What `status` is to say of names that were lost.
    pub(crate) fn renamed(&self) -> Vec<(String, String)> {
        self.renamed.iter().cloned().collect()
    }
}

/// Which queues are away: a name alone if its vhost is the usual one.
fn away(queues: usize, names: &[(Name, Name)]) -> String {
    let names: Vec<String> = names
        .iter()
        .map(|(vhost, name)| match vhost.as_str() {
            "/" => format!("'{name}'"),
            vhost => format!("'{name}' in '{vhost}'"),
        })
        .collect();
    match queues - names.len() {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

fn log(event: &ClusterEvent, unsaid: Option<u64>) {
    match event {
        ClusterEvent::Ready { others } => info!(others, "ready"),
        ClusterEvent::StillJoining { missing } => {
            warn!(missing = missing.join(", "), "still joining: these do not answer");
        }
        ClusterEvent::Leaving { queues } => info!(queues, "leaving: so many queues are here still"),
        ClusterEvent::Joined { node, name, address } => info!(%node, %name, %address, "a node joined"),
        ClusterEvent::Unreachable { node, name } => {
            warn!(%node, %name, "a node is not heard here, but others hear it: it still counts");
        }
        ClusterEvent::Down { node, name, queues: 0, .. } => warn!(%node, %name, "a node is down"),
        ClusterEvent::Down { node, name, queues, names } => {
            let away = away(*queues, names);
            warn!(%node, %name, queues, away, "a node is down; its queues are away with it");
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
        ClusterEvent::ExchangeRetyped { vhost, name, was, is } => {
            warn!(%vhost, %name, %was, %is, "two exchanges of one name and of two types met: the later declare holds");
        }
        ClusterEvent::RolledBack { peer } => {
            error!(%peer, "a peer knows more of this node's directory than this node (the data directory was put back from an old copy), so it serves nothing: stop it, and start it with an empty data directory");
        }
        ClusterEvent::TurnedAway { address, why, joining: true } => {
            error!(%address, %why, "a node of this group answers and does not take this one in: it serves nobody, and keeps trying");
        }
        ClusterEvent::TurnedAway { address, why, joining: false } => {
            warn!(%address, %why, "a node of this group answers and does not take this one in: both serve, apart");
        }
        ClusterEvent::Clone { node } => {
            error!(%node, unsaid, "two processes run with one identity (a data directory was copied), so neither serves its queues: stop both, give each a data directory of its own, and start the right one");
        }
        ClusterEvent::BadFrame { peer, name, reason } => {
            error!(node = %peer, %name, %reason, unsaid, "a peer sent what cannot be; its link is closed");
        }
        ClusterEvent::UnknownFrame { peer, name, kind } => {
            warn!(node = %peer, %name, kind, "a node of a later version sends control frames that this one does not know: they are skipped");
        }
        ClusterEvent::UnknownRecord { kind, node, name } => {
            warn!(%node, %name, %kind, "a node of a later version wrote what this one cannot act on: it is kept and handed on");
        }
        ClusterEvent::Full { node, name, address } => {
            warn!(%node, %name, %address, unsaid, "a node was turned away: the cluster is full");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_that_are_away_are_named_and_the_rest_is_counted() {
        let name = |vhost, name| (Name::new(vhost), Name::new(name));
        let names = [name("/", "orders"), name("shop", "mail, and more")];
        assert_eq!(away(2, &names), "'orders', 'mail, and more' in 'shop'");
        assert_eq!(away(9, &names), "'orders', 'mail, and more' in 'shop' and 7 more");
    }
}
