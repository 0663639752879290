//! Judges all members, and passes verdicts on to the shards, to commands and to people.

use alloc::vec::Vec;

use leveret_link::handshake::Capability;
use leveret_model::directory::ToShard;
use leveret_model::{Instant, NodeId, ShardId};

use crate::control::Control;
use crate::effects::{Event, SessionWish};
use crate::membership::Standing;
use crate::membership::detector::{listed, verdict};

impl Control {
    /// Judges all members anew and does what follows.
    pub(crate) fn judge_peers(&mut self, now: Instant) {
        let patient = self.schedule.is_patient(now);
        let nodes: Vec<NodeId> = self.members.keys().copied().collect();
        let listed = listed(now, &self.members);
        for node in nodes {
            let Some(member) = self.members.get(&node) else { continue };
            let standing = verdict(now, member, listed.contains(&node), patient);
            let standing = self.bug.verdict(now, member, standing);
            let Some(member) = self.members.get_mut(&node) else { continue };
            if standing.is_down() && !member.counted && member.link.is_none() && member.announced.is_none() {
                self.forget_stray(node);
                continue;
            }
            let before = core::mem::replace(&mut member.standing, standing);
            if before != standing {
                self.directory.set_standing(node, standing);
                // a home may be back whose names somebody waits for
                self.desk.names_free(Instant::FAR);
                self.desk.recheck();
            }
            self.name_to_shards(node);
            self.announce(now, node, standing);
        }
    }

    /// What shards call a member when they say that it is away; until it is forgotten.
    fn name_to_shards(&mut self, node: NodeId) {
        let Some(member) = self.members.get_mut(&node) else { return };
        let known = member.counted || member.announced.is_some() || member.standing == Standing::Alive;
        if !known || core::mem::replace(&mut member.named, true) {
            return;
        }
        let takes_replies = member.hello.capabilities.has(Capability::DIRECT_REPLY_TO);
        let reply_shards = if takes_replies { member.hello.shards } else { 0 };
        for shard in 0..self.config.shards {
            let name = member.hello.name.clone();
            let mail = ToShard::NodeNamed { node, name, reply_shards };
            self.effects.to_shards.push((ShardId(shard), mail));
        }
    }

    /// Tells shards and people about a change of standing, once it concerns them.
    pub(super) fn announce(&mut self, now: Instant, node: NodeId, standing: Standing) {
        let Some(member) = self.members.get_mut(&node) else { return };
        let known = member.announced;
        if known == Some(standing) || (known.is_none() && standing != Standing::Alive) {
            return;
        }
        member.announced = Some(standing);
        let (boot, shards, name) = (member.hello.boot, member.hello.shards, member.hello.name.clone());
        let address = member.hello.address.clone();
        let event = match standing {
            Standing::Alive => {
                let wanted = SessionWish::Wanted { node, boot, shards, address: address.clone() };
                self.effects.sessions.push(wanted);
                match known {
                    None => Event::Joined { node, name, address },
                    Some(_) => Event::Back { node, name },
                }
            }
            Standing::Unreachable => Event::Unreachable { node, name },
            Standing::Down { .. } => {
                member.echoes.clear();
                self.effects.sessions.push(SessionWish::Unwanted(node));
                for shard in 0..self.config.shards {
                    self.effects.to_shards.push((ShardId(shard), ToShard::NodeDown { node }));
                }
                let (queues, names) = self.directory.queues_at(node);
                Event::Down { node, name, queues, names }
            }
        };
        self.effects.events.push(event);
        if standing.is_down() {
            self.adopt_from_leaving(node);
            self.on_peer_down(now, node);
            self.ack_applied();
        }
    }

    /// Nothing of a node that is Down is waited for, but the acks that R1 awaits for their time.
    pub(super) fn on_peer_down(&mut self, now: Instant, node: NodeId) {
        self.desk.visible.on_down(node);
        self.lease.forget_node(node);
        self.on_home_down(now, node);
    }
}
