//! The way of an expired session to one connection that wants to be told: of this shard, else of another one of
//! the node, else of another node.

use alloc::boxed::Box;
use alloc::vec::Vec;

use leveret_link::Damage;
use leveret_link::fields::Put as _;
use leveret_model::{NodeId, ShardId};
use leveret_sessions::{Expired, Place};

use super::attached::Interest;
use super::mail::SessionMail;
use super::parts::part_of;
use super::presences::PRESENCE_SHARD;
use super::questions::kind;
use super::room::SessionRoom;

impl SessionRoom {
    pub(super) fn on_attached_here(&mut self, shard: ShardId, interests: Vec<Interest>) {
        self.attached.on_sibling(shard, interests);
        self.parts.want_expired(!self.attached.is_empty());
        if self.own.shard == PRESENCE_SHARD {
            self.say_present(&self.peers.linked(), false);
        }
    }

    pub(super) fn on_attached_there(&mut self, node: NodeId, interests: Vec<Interest>) {
        self.attached.on_node(node, interests);
        self.parts.want_expired(!self.attached.is_empty());
    }

    /// The link to a node is gone. It says again what it wants when there is a new one.
    pub(super) fn on_attached_gone(&mut self, node: NodeId) {
        self.attached.forget_node(node);
        self.parts.want_expired(!self.attached.is_empty());
    }

    pub(super) fn give_expired(&mut self) {
        for expired in self.parts.take_expired() {
            if !self.push_here(&expired) && !self.push_to_sibling(&expired) {
                self.push_elsewhere(&expired);
            }
        }
    }

    /// True once a connection of this shard has it.
    pub(super) fn push_here(&mut self, expired: &Expired) -> bool {
        for key in self.attached.here(expired) {
            let Some(client) = self.clients.get_mut(key) else { continue };
            let content = expired.content.as_answer();
            if client.connection.push_expired(&expired.key, content, &mut client.out) {
                self.clients.touch(key);
                return true;
            }
        }
        false
    }

    fn push_to_sibling(&mut self, expired: &Expired) -> bool {
        let Some(shard) = self.attached.sibling(self.own.shard, expired) else { return false };
        self.mail.push((shard, SessionMail::Expired(Box::new(expired.clone()))));
        true
    }

    fn push_elsewhere(&mut self, expired: &Expired) {
        let Some(node) = self.attached.node(expired) else { return };
        let place = Place { vhost: &expired.vhost, database: expired.database, key: &expired.key };
        let mut bytes = Vec::new();
        bytes.u8(kind::EXPIRED);
        bytes.u64(0);
        bytes.raw(&expired.encode());
        self.questions.out.push((node, None, part_of(place.hid().bucket()), bytes));
    }

    /// A session that expired at another node, which believes that a connection here wants it.
    pub(super) fn on_expired_elsewhere(&mut self, bytes: &[u8]) -> Result<(), Damage> {
        let expired = Expired::decode(bytes).map_err(|_| Damage::Value("expired session"))?;
        if !self.push_here(&expired) {
            self.push_to_sibling(&expired);
        }
        Ok(())
    }
}
