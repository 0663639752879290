//! `SESSION.NODES`: where clients reach each node that keeps sessions.
//!
//! [`PRESENCE_SHARD`] of each node knows them. It says its own name and address on each new link. Two nodes may
//! believe in a link at different moments, and what comes before that is dropped; so whoever begins to believe
//! in it also asks for an answer.

use alloc::vec;
use alloc::vec::Vec;

use leveret_link::Damage;
use leveret_link::fields::{Put as _, Take};
use leveret_model::session::KeptAnswer;
use leveret_model::{NodeId, ShardId};
use leveret_sessions::Asker;

use super::attached::Attached;
use super::mail::SessionMail;
use super::parts::Part;
use super::presences::{PRESENCE_SHARD, Presence};
use super::questions::{kind, put_optional, take_name};
use super::room::SessionRoom;

/// Presences travel as records of this part.
const PRESENCE_PART: Part = Part(0);

impl SessionRoom {
    /// Says to nodes who this one is and what its connections want to be told of.
    pub(super) fn say_present(&mut self, to: &[NodeId], asks: bool) {
        if self.own.shard != PRESENCE_SHARD {
            return;
        }
        let mut bytes = Vec::new();
        bytes.u8(kind::PRESENT);
        bytes.u64(asks.into());
        put_optional(&mut bytes, Some(self.presences.own.name.as_bytes()));
        put_optional(&mut bytes, Some(self.presences.own.address.as_bytes()));
        self.attached.put_all(&mut bytes);
        self.questions.out.extend(to.iter().map(|node| (*node, None, PRESENCE_PART, bytes.clone())));
    }

    /// Another node says who it is.
    pub(super) fn on_present(&mut self, from: NodeId, asks: bool, take: &mut Take<'_>) -> Result<(), Damage> {
        let presence = Presence { name: take_name(take)?, address: take_name(take)? };
        let interests = Attached::take_all(take)?;
        let Some((boot, _)) = self.peers.links.get(&from) else { return Ok(()) };
        self.presences.others.insert(from, (*boot, presence));
        for shard in (0..self.parts.shards()).map(ShardId) {
            let interests = interests.clone();
            self.mail.push((shard, SessionMail::AttachedThere { node: from, interests }));
        }
        if asks {
            self.say_present(&[from], false);
        }
        Ok(())
    }

    /// This node first, then the others by name.
    pub(super) fn list_nodes(&mut self, asker: Asker) {
        let known = &self.peers.known;
        self.presences
            .others
            .retain(|node, (boot, _)| known.get(node).is_some_and(|peer| peer.boot == *boot));
        let linked = self.peers.linked();
        let mut others: Vec<(&Presence, &'static str)> = Vec::new();
        for (node, (_, presence)) in &self.presences.others {
            let state = match known.get(node) {
                _ if !linked.contains(node) => "unreachable",
                Some(peer) if peer.leaves => "leaving",
                _ => "serving",
            };
            others.push((presence, state));
        }
        others.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
        let own = (&self.presences.own, if self.presences.leaves { "leaving" } else { "serving" });
        let row = |(presence, state): (&Presence, &'static str)| {
            let text = |text: &str| KeptAnswer::Bytes(text.as_bytes().into());
            KeptAnswer::List(vec![text(&presence.name), text(&presence.address), text(state)])
        };
        let answer = KeptAnswer::List(core::iter::once(own).chain(others).map(row).collect());
        self.mail.push((asker.shard, SessionMail::Answer { asker, answer }));
    }
}
