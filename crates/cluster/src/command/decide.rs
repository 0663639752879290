//! Decides the next step of a command from the current view.
//!
//! Called only under the lease. A step that is a change of the own map is made here; everything that takes
//! longer is left to the phases of `command`.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;

use leveret_link::handshake::Capability;
use leveret_model::definition::{Binding, DestinationKind, ExchangeDefinition, QueueDefinition};
use leveret_model::directory::{Command, QueueRecord, Reply};
use leveret_model::{Instant, NodeId, QueueId, Refusal, ShardAddress, limits, refusals};

use crate::control::Control;
use crate::desk::Origin;
use crate::directory::lookup::{Lookup, QueueLookup};
use crate::directory::map::{Dropped, Op, Record};
use crate::directory::names::{BindingKey, ObjectName};
use crate::directory::{is_reserved, known_registers};
use crate::membership::Standing;
use crate::refusal;

/// What a command needs next.
pub(super) enum Step {
    Wait,
    /// The name is free then.
    WaitUntil(Instant),
    Answer(Reply),
    Refuse(Refusal),
    /// The own map was changed (or need not be): visible, then answered; these exchanges lost a binding.
    Finish(Reply, BTreeSet<ObjectName>),
    ProposeQueue(Box<QueueRecord>),
    ProposeExchange(Box<ExchangeDefinition>),
    Close(QueueId),
    Forward(NodeId),
    /// A peer took this node for the home: it is to see better.
    PassBack,
}

impl Step {
    fn done() -> Self {
        Self::Finish(Reply::Done, BTreeSet::new())
    }
}

impl Control {
    /// What the command needs next.
    pub(super) fn decide(&mut self, now: Instant, origin: Origin, command: &Command) -> Step {
        match command {
            Command::DeclareExchange(exchange) => self.declare_exchange(exchange),
            Command::DeleteExchange { vhost, name, if_unused } => {
                self.delete_exchange(&ObjectName::new(vhost, name), *if_unused)
            }
            Command::DeclareQueue { definition, home, server_named } => {
                self.declare_queue(now, definition, *home, *server_named)
            }
            Command::DeleteQueue { vhost, name, .. } => {
                self.delete_queue(origin, &ObjectName::new(vhost, name))
            }
            Command::Bind(binding) | Command::Unbind(binding) if binding.source.is_empty() => {
                Step::Refuse(refusals::default_exchange())
            }
            Command::Bind(binding) if binding.kind == DestinationKind::Queue => {
                self.bind_queue(origin, binding)
            }
            Command::Bind(binding) => self.bind_exchange(binding),
            Command::Unbind(binding) if binding.kind == DestinationKind::Queue => {
                self.unbind_queue(origin, binding)
            }
            Command::Unbind(binding) => self.unbind_exchange(binding),
        }
    }

    fn declare_exchange(&mut self, exchange: &ExchangeDefinition) -> Step {
        let name = ObjectName::new(&exchange.vhost, &exchange.name);
        if name.name.is_empty() {
            return Step::Refuse(refusals::default_exchange());
        }
        if self.directory.is_being_removed(&name) {
            return Step::Wait;
        }
        match self.directory.exchange(&name) {
            Lookup::Undecided => Step::Wait,
            Lookup::There(current) => match refusal::other_exchange(exchange, &current) {
                Some(refusal) => Step::Refuse(refusal),
                None => Step::Answer(Reply::Done),
            },
            Lookup::Nothing if is_reserved(&name) => Step::Refuse(refusal::reserved("exchange", &name)),
            Lookup::Nothing => match self.directory.no_room_for_exchange(&name, &exchange.arguments) {
                Some(bound) => Step::Refuse(refusal::too_many(bound)),
                None => Step::ProposeExchange(exchange.clone().into()),
            },
        }
    }

    fn delete_exchange(&mut self, name: &ObjectName, if_unused: bool) -> Step {
        if name.name.is_empty() {
            return Step::Refuse(refusals::default_exchange());
        }
        if is_reserved(name) {
            return Step::Refuse(refusal::system_exchange(name));
        }
        match self.directory.exchange(name) {
            Lookup::Undecided => Step::Wait,
            // a deletion under way elsewhere may not be visible everywhere yet: this one is
            Lookup::Nothing if self.directory.was_exchange(name) => {
                self.write_exchange(name, None);
                Step::done()
            }
            Lookup::Nothing => Step::Answer(Reply::Done),
            Lookup::There(_) if if_unused && self.directory.bindings_from(name) > 0 => {
                Step::Refuse(refusal::exchange_in_use(name))
            }
            Lookup::There(_) => {
                let sources = self.directory.sources_bound_to(name);
                self.write_exchange(name, None);
                Step::Finish(Reply::Done, sources)
            }
        }
    }

    fn declare_queue(
        &mut self,
        now: Instant,
        definition: &Arc<QueueDefinition>,
        home: ShardAddress,
        server_named: bool,
    ) -> Step {
        let name = ObjectName::new(&definition.vhost, &definition.name);
        match self.directory.queue(&name) {
            Lookup::Undecided => return Step::Wait,
            Lookup::There(QueueLookup { home: Standing::Unreachable, .. }) => return Step::Wait,
            Lookup::There(QueueLookup { record, .. }) if self.desk.closing.contains(&record.id) => {
                return Step::Wait;
            }
            Lookup::There(QueueLookup { record, home: Standing::Alive }) => {
                return match refusal::other_queue(definition, &record.definition) {
                    Some(refusal) => Step::Refuse(refusal),
                    None => Step::Answer(Reply::Queue { record: record.into(), created: false }),
                };
            }
            Lookup::There(QueueLookup { home: Standing::Down { since }, .. }) => {
                let free_at = since + limits::ECHO_WAIT;
                if now < free_at {
                    // clients that lost the node come at once, to declare again what they had there
                    return Step::WaitUntil(free_at);
                }
            }
            Lookup::Nothing if is_reserved(&name) && !server_named => {
                return Step::Refuse(refusal::reserved("queue", &name));
            }
            Lookup::Nothing => {}
        }
        if let Some(bound) = self.directory.no_room_for_queue(&definition.arguments) {
            return Step::Refuse(refusal::too_many(bound));
        }
        Step::ProposeQueue(Box::new(QueueRecord {
            definition: definition.clone(),
            id: QueueId { generation: 0, ulid: self.draw_ulid(now) },
            home,
            epoch: 0,
        }))
    }

    /// The queue of that name if it lives here; else what to do.
    fn own_life(
        &self,
        origin: Origin,
        name: &ObjectName,
        missing: impl FnOnce() -> Step,
    ) -> Result<QueueRecord, Step> {
        match self.directory.queue(name) {
            Lookup::Undecided | Lookup::There(QueueLookup { home: Standing::Unreachable, .. }) => {
                Err(Step::Wait)
            }
            Lookup::Nothing => Err(missing()),
            Lookup::There(QueueLookup { record, home: Standing::Down { .. } }) => {
                let home = self.name_of(record.home.node);
                Err(Step::Refuse(refusal::home_down(name, record.definition.durable, &home)))
            }
            Lookup::There(QueueLookup { record, home: Standing::Alive }) => {
                if record.home.node != self.own() {
                    let home = record.home.node;
                    return Err(match origin {
                        Origin::Shard(..) if self.can(home, Capability::QUEUE_COMMANDS) => {
                            Step::Forward(home)
                        }
                        Origin::Shard(..) => Step::Refuse(refusal::not_supported(name, &self.name_of(home))),
                        // nothing is passed on twice
                        Origin::Peer(..) => Step::PassBack,
                    });
                }
                let busy = self.desk.closing.contains(&record.id) || self.moves.is_outgoing(record.id);
                if busy { Err(Step::Wait) } else { Ok(record) }
            }
        }
    }

    fn delete_queue(&mut self, origin: Origin, name: &ObjectName) -> Step {
        match self.own_life(origin, name, || Step::Answer(Reply::Deleted { messages: 0 })) {
            Err(step) => step,
            // a life that loses to this one, and has not given the name up, would take it
            Ok(record) if self.directory.has_rival(name, record.id) => Step::Wait,
            Ok(record) => Step::Close(record.id),
        }
    }

    fn bind_queue(&mut self, origin: Origin, binding: &Binding) -> Step {
        let name = ObjectName::new(&binding.vhost, &binding.destination);
        let source = self.source_missing(binding);
        // with neither there, RabbitMQ names the exchange
        let absent = match &source {
            Some(Step::Refuse(refusal)) => refusal.clone(),
            _ => refusal::no_queue(&name),
        };
        let record = match self.own_life(origin, &name, || Step::Refuse(absent)) {
            Err(step) => return step,
            Ok(record) => record,
        };
        if let Some(step) = source {
            return step;
        }
        // one that is there already may not be visible everywhere yet
        if self.directory.has_queue_binding(record.id, &BindingKey::of(binding)) {
            return Step::done();
        }
        if let Some(bound) = self.directory.no_room_for_binding(&binding.arguments) {
            return Step::Refuse(refusal::too_many(bound));
        }
        let lamport = self.directory.tick();
        let (queue, epoch) = (record.id, record.epoch);
        self.directory.write(Op::Put(Record::Binding { queue, epoch, lamport, binding: binding.clone() }));
        Step::done()
    }

    fn source_missing(&self, binding: &Binding) -> Option<Step> {
        let source = ObjectName::new(&binding.vhost, &binding.source);
        if self.directory.is_being_removed(&source) {
            return Some(Step::Wait);
        }
        if self.directory.routed_exchange(&source).is_some() {
            return None;
        }
        Some(match self.directory.exchange(&source) {
            Lookup::Nothing => Step::Refuse(refusal::no_exchange(&source)),
            Lookup::Undecided | Lookup::There(_) => Step::Wait,
        })
    }

    fn unbind_queue(&mut self, origin: Origin, binding: &Binding) -> Step {
        let name = ObjectName::new(&binding.vhost, &binding.destination);
        let record = match self.own_life(origin, &name, || Step::Answer(Reply::Done)) {
            Err(step) => return step,
            Ok(record) => record,
        };
        let key = BindingKey::of(binding);
        // a life that loses to this one would bring it back: its bindings are this one's (R3)
        if self.directory.is_bound_in_another_life(record.id, &key) {
            return Step::Wait;
        }
        if !self.directory.has_queue_binding(record.id, &key) {
            return Step::done();
        }
        self.directory.write(Op::Drop(Dropped::Binding(record.id, binding.clone().into())));
        Step::Finish(Reply::Done, BTreeSet::from([ObjectName::new(&binding.vhost, &binding.source)]))
    }

    fn bind_exchange(&mut self, binding: &Binding) -> Step {
        if binding.destination.is_empty() {
            return Step::Refuse(refusals::default_exchange());
        }
        if let Some(step) = self.source_missing(binding) {
            return step;
        }
        let destination = ObjectName::new(&binding.vhost, &binding.destination);
        if self.directory.is_being_removed(&destination) {
            return Step::Wait;
        }
        if self.directory.routed_exchange(&destination).is_none() {
            return match self.directory.exchange(&destination) {
                Lookup::Nothing => Step::Refuse(refusal::no_exchange(&destination)),
                Lookup::Undecided | Lookup::There(_) => Step::Wait,
            };
        }
        let key = BindingKey::of(binding);
        if !self.directory.was_exchange_bound(&key)
            && let Some(bound) = self.directory.no_room_for_exchange_binding(&binding.arguments)
        {
            return Step::Refuse(refusal::too_many(bound));
        }
        let register = known_registers::exchange_binding(&key, self.directory.stamp(), Some(binding));
        self.directory.write(Op::Put(Record::Register(register)));
        Step::done()
    }

    fn unbind_exchange(&mut self, binding: &Binding) -> Step {
        let key = BindingKey::of(binding);
        if !self.directory.was_exchange_bound(&key) {
            return Step::Answer(Reply::Done);
        }
        let register = known_registers::exchange_binding(&key, self.directory.stamp(), None);
        self.directory.write(Op::Put(Record::Register(register)));
        Step::Finish(Reply::Done, BTreeSet::from([ObjectName::new(&binding.vhost, &binding.source)]))
    }
}
