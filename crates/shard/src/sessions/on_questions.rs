//! Questions about all keys: asked of other nodes, and answered to them.

use alloc::boxed::Box;
use alloc::vec::Vec;

use leveret_link::Damage;
use leveret_link::fields::{Put as _, Take};
use leveret_link::record::Record;
use leveret_model::session::Database;
use leveret_model::{Name, ShardAddress, limits};
use leveret_sessions::{Asker, Slot};

use crate::peers::Outboxes;

use super::gathering::WalkStep;
use super::mail::SessionMail;
use super::parts::{Part, part_of};
use super::questions::{
    Goal, Waiting, kind, put_optional, take_database, take_name, take_optional, take_slot,
};
use super::room::SessionRoom;

impl SessionRoom {
    /// The keys of these slots that other nodes have are added to the walk before it goes on.
    pub(super) fn ask_walk(&mut self, from: Slot, step: WalkStep) {
        let nodes = self.peers.linked();
        if nodes.is_empty() {
            return self.pass_on(step);
        }
        let to = step.slot().map_or(Slot::COUNT, Slot::number);
        let part = part_of(from.bucket());
        let (vhost, database) = (step.vhost().clone(), step.database());
        let (pattern, kind_name) =
            (step.pattern().map(Box::<[u8]>::from), step.kind().map(Box::<[u8]>::from));
        self.questions.ask(&nodes, Goal::Walk(step), &[part], |bytes, number| {
            bytes.u8(kind::WALK);
            bytes.u64(number);
            bytes.u16(from.number());
            bytes.u16(to);
            bytes.u8(database.number());
            put_optional(bytes, Some(vhost.as_bytes()));
            put_optional(bytes, pattern.as_deref());
            put_optional(bytes, kind_name.as_deref());
        });
    }

    /// Other nodes destroy their sessions of the parts of this shard before the asker hears.
    pub(super) fn ask_flush(&mut self, asker: Asker, vhost: &Name, database: Database) {
        let (nodes, parts) = (self.peers.linked(), self.parts.own());
        if nodes.is_empty() || parts.is_empty() {
            return self.mail.push((asker.shard, SessionMail::Part { asker, number: None }));
        }
        self.questions.ask(&nodes, Goal::Flush(asker), &parts, |bytes, number| {
            bytes.u8(kind::FLUSH);
            bytes.u64(number);
            bytes.u8(database.number());
            put_optional(bytes, Some(vhost.as_bytes()));
        });
    }

    fn reach(&mut self, goal: Goal) {
        match goal {
            Goal::Walk(step) => self.pass_on(step),
            Goal::Flush(asker) => self.mail.push((asker.shard, SessionMail::Part { asker, number: None })),
        }
    }

    /// Nodes are Down, or their links broke.
    pub(super) fn give_up_questions(&mut self) {
        let linked = self.peers.linked();
        self.surveys.give_up(|node| !linked.contains(&node));
        for goal in self.questions.give_up(|node| !linked.contains(&node)) {
            self.reach(goal);
        }
    }

    /// From the same part of another node.
    pub(super) fn on_question(&mut self, from: ShardAddress, part: Part, bytes: &[u8]) -> Result<(), Damage> {
        let mut take = Take::new(bytes);
        let (kind, number) = (take.u8()?, take.u64()?);
        let mut answer = Vec::new();
        match kind {
            kind::WALK => {
                let (slot, to) = (take_slot(&mut take)?, take_slot(&mut take)?);
                let database = take_database(&mut take)?;
                let vhost = take_name(&mut take)?;
                let (pattern, kind_name) = (take_optional(&mut take)?, take_optional(&mut take)?);
                let filter = (&vhost, database, pattern.as_deref(), kind_name.as_deref());
                let keys = self.parts.keys_between(self.clock(), (slot, to), filter);
                answer.u8(kind::WALKED);
                answer.u64(number);
                answer.u32(keys.len() as u32);
                for key in keys {
                    put_optional(&mut answer, Some(&key));
                }
                self.questions.out.push((from.node, Some(from.shard), part, answer));
            }
            kind::FLUSH => {
                let database = take_database(&mut take)?;
                let vhost = take_name(&mut take)?;
                self.parts.flush_part(self.clock(), part, &vhost, database);
                answer.u8(kind::FLUSHED);
                answer.u64(number);
                self.questions.out.push((from.node, Some(from.shard), part, answer));
            }
            kind::WALKED => {
                let count = take.u32()?;
                let keys = (0..count).map(|_| take_optional(&mut take)).collect::<Result<Vec<_>, _>>()?;
                if let Some(Waiting { goal: Goal::Walk(step), .. }) = self.questions.waiting.get_mut(&number)
                {
                    step.keys.extend(keys.into_iter().flatten());
                }
                if let Some(goal) = self.questions.answered(number, from.node) {
                    self.reach(goal);
                }
            }
            kind::FLUSHED => {
                if let Some(goal) = self.questions.answered(number, from.node) {
                    self.reach(goal);
                }
            }
            kind::PRESENT => self.on_present(from.node, number != 0, &mut take)?,
            kind::SURVEY => self.on_survey(from, part, number, &mut take)?,
            kind::SURVEYED => self.on_surveyed(from.node, number, &mut take)?,
            kind::EXPIRED => self.on_expired_elsewhere(take.rest())?,
            // of a later version, which does not wait for an answer to what we cannot know
            _ => {}
        }
        Ok(())
    }

    pub(super) fn send_questions(&mut self, outboxes: &mut Outboxes) {
        for (node, shard, part, bytes) in self.questions.out.drain(..) {
            let Some(shard) = shard.or_else(|| self.peers.shard_of(node, part)) else { continue };
            let to = ShardAddress { node, shard };
            outboxes.push(to, &Record::Sessions { part: part.0 | limits::SESSION_QUESTION, records: &bytes });
        }
    }
}
