//! R2, the proposer's side: a creation waits for everyone's vote, then stands, or gives way.

use alloc::collections::BTreeSet;

use leveret_model::definition::ExchangeDefinition;
use leveret_model::directory::{Command, QueueRecord, Reply};
use leveret_model::{Instant, NodeId, QueueId, Ulid, limits};

use super::{CommandKey, Phase};
use crate::control::Control;
use crate::directory::map::{Dropped, Op, Record};
use crate::directory::names::ObjectName;
use crate::effects::Event;
use crate::refusal;

impl Control {
    pub(super) fn propose_queue(&mut self, now: Instant, key: CommandKey, record: QueueRecord) {
        if self.peers().is_empty() && self.visible.is_alone(now) {
            let reply = Reply::Queue { record: record.clone().into(), created: true };
            self.directory.write(Op::Put(Record::Queue { record, standing: true }));
            self.desk.set_phase(key, Phase::Finishing(reply, BTreeSet::new()), Instant::FAR);
        } else {
            let id = record.id.ulid;
            self.directory.write(Op::Put(Record::Queue { record, standing: false }));
            self.desk.proposals.insert(id, key);
            self.desk.set_phase(key, Phase::Proposing(id), now + limits::PROPOSAL_WAIT);
        }
        self.desk.finishing.push((key, true));
    }

    pub(super) fn propose_exchange(&mut self, now: Instant, key: CommandKey, exchange: ExchangeDefinition) {
        let name = ObjectName::new(&exchange.vhost, &exchange.name);
        if self.peers().is_empty() && self.visible.is_alone(now) {
            self.write_exchange(&name, Some(&exchange));
            self.desk.set_phase(key, Phase::Finishing(Reply::Done, BTreeSet::new()), Instant::FAR);
        } else {
            let id = self.draw_ulid(now);
            self.directory.write(Op::Put(Record::Proposal { id, name, value: Some(exchange) }));
            self.desk.proposals.insert(id, key);
            self.desk.set_phase(key, Phase::Proposing(id), now + limits::PROPOSAL_WAIT);
        }
        self.desk.finishing.push((key, true));
    }

    /// The proposal has every vote: it stands. Everyone else routes by a queue already, so only the own shards
    /// are awaited; an exchange has no home that goes with it, so its register must be everywhere before the
    /// ok.
    pub(super) fn stand(&mut self, key: CommandKey, id: Ulid) {
        self.desk.proposals.remove(&id);
        let queue = QueueId { generation: 0, ulid: id };
        let everyone = self.directory.own_queue(queue).is_none();
        let reply = if let Some(record) = self.directory.own_queue(queue).cloned() {
            self.directory.write(Op::Put(Record::Queue { record: record.clone(), standing: true }));
            Reply::Queue { record: record.into(), created: true }
        } else {
            let exchange = match self.desk.commands.get(&key).map(|pending| &pending.command) {
                Some(Command::DeclareExchange(exchange)) => exchange.clone(),
                _ => return,
            };
            let name = ObjectName::new(&exchange.vhost, &exchange.name);
            self.write_exchange(&name, Some(&exchange));
            self.directory.write(Op::Drop(Dropped::Proposal(id)));
            Reply::Done
        };
        self.desk.set_phase(key, Phase::Finishing(reply, BTreeSet::new()), Instant::FAR);
        self.desk.finishing.push((key, everyone));
    }

    /// A proposal gives way to a rival, to a refusal, or to time.
    pub(crate) fn withdraw(&mut self, now: Instant, id: Ulid) {
        let Some(key) = self.desk.proposals.remove(&id) else { return };
        self.visible.forget(&key);
        self.desk.finishing.retain(|(finishing, _)| *finishing != key);
        let queue = QueueId { generation: 0, ulid: id };
        let name = match self.directory.own_queue(queue) {
            Some(record) => {
                let name = ObjectName::of_queue(record);
                self.directory.write(Op::Drop(Dropped::Queue(queue)));
                Some(name)
            }
            None => {
                self.directory.write(Op::Drop(Dropped::Proposal(id)));
                None
            }
        };
        let Some(pending) = self.desk.commands.get(&key) else { return };
        if let Phase::Removing(_, _, reply, sources) = pending.phase.clone() {
            self.finish(now, key, reply, sources);
            return;
        }
        let lost = name.or_else(|| match &pending.command {
            Command::DeclareExchange(exchange) => Some(ObjectName::new(&exchange.vhost, &exchange.name)),
            _ => None,
        });
        if let Some(ObjectName { vhost, name }) = lost {
            self.effects.events.push(Event::ProposalLost { vhost, name });
        }
        let until = pending.wait_until.max(now + limits::PING_EVERY * 5);
        self.desk.set_phase(key, Phase::Waiting, until);
        self.desk.waiting.insert(key);
        self.stirred = true;
    }

    /// A voter knows a live rival. What this node took for masked is not: withdrawn; else the homes settle it.
    pub(crate) fn on_conflict(&mut self, now: Instant, from: NodeId, id: Ulid, taken: bool) {
        let Some(&key) = self.desk.proposals.get(&id) else { return };
        self.visible.on_conflict(&key, from);
        let Some(pending) = self.desk.commands.get(&key) else { return };
        match (&pending.phase, &pending.command) {
            (Phase::Removing(..), _) => self.withdraw(now, id),
            // two rivals over a masked name settle it between them: were both to go, neither client had its
            // queue
            (_, Command::DeclareQueue { definition, .. }) if taken => {
                let name = ObjectName::new(&definition.vhost, &definition.name);
                if let Some(masked) = self.directory.masked(&name).cloned() {
                    self.withdraw(now, id);
                    let home = self.name_of(masked.home.node);
                    self.answer(
                        key,
                        Reply::Refused(refusal::home_down(&name, masked.definition.durable, &home)),
                    );
                }
            }
            _ => {}
        }
    }
}
