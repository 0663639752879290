//! Commands of clients: what each needs, and what is done with it once that is there.
//!
//! ```text
//!   Waiting ──lease, name free──▶ Proposing ──votes (R2)──▶ Finishing ──R1──▶ Removing ──▶ answered
//!      │  ▲                          │ lost to a rival         ▲
//!      │  └──────────────────────────┘                         │
//!      ├──queue of this node──▶ Closing ──shard──▶─────────────┤
//!      ├──change of this node's map────────────────────────────┘
//!      └──queue of another node──▶ Forwarded ──Response──▶ answered, or judged again if that is not its home
//! ```
//! Invariants: a command that waits is judged anew from its beginning whenever the view changes, so nothing is
//! decided on a view of before; nothing is said without the lease; each command is answered exactly once, or
//! forgotten when nobody waits for the answer and nothing is under way.

mod decide;
mod forwarding;
mod proposing;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use leveret_model::definition::{DestinationKind, ExchangeDefinition};
use leveret_model::directory::{Command, Reply, ToShard};
use leveret_model::{Instant, NodeId, QueueId, Refusal, RequestId, ShardId, Ulid, limits, refusals};

use self::decide::Step;
use crate::control::Control;
use crate::directory::known_registers;
use crate::directory::lookup::{Lookup, QueueLookup};
use crate::directory::map::{Dropped, Op, Record, Version};
use crate::directory::names::ObjectName;
use crate::membership::Standing;
use crate::refusal;

/// A command under way, numbered in the order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CommandKey(pub(crate) u64);

/// Who wants the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// A shard of this node.
    Shard(ShardId, RequestId),
    /// Another node, for a shard of its own.
    Peer(NodeId, RequestId),
}

/// How far a command is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Phase {
    /// For the lease, or for somebody else's operation on the name.
    Waiting,
    /// For the votes.
    Proposing(Ulid),
    /// For the queue's shard.
    Closing(QueueId),
    /// For everyone to act on it. Then exchanges that lost a binding are looked at.
    Finishing(Reply, BTreeSet<ObjectName>),
    /// For the votes on the deletion of an auto-delete exchange.
    Removing(Ulid, ObjectName, Reply, BTreeSet<ObjectName>),
    /// For the node that is home.
    Forwarded(NodeId),
}

/// A command under way.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) origin: Origin,
    pub(crate) command: Command,
    pub(crate) phase: Phase,
    /// When the phase gives up. Phases that end by themselves have [`Instant::FAR`].
    pub(crate) until: Instant,
    /// When it may wait for a view or a name no longer.
    wait_until: Instant,
    /// Nobody waits for the answer: it ends where it would begin anew.
    forgotten: bool,
}

/// All commands under way.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    pub(crate) commands: BTreeMap<CommandKey, Pending>,
    by_origin: BTreeMap<Origin, CommandKey>,
    pub(crate) waiting: BTreeSet<CommandKey>,
    deadlines: BTreeSet<(Instant, CommandKey)>,
    pub(crate) proposals: BTreeMap<Ulid, CommandKey>,
    closing: BTreeSet<QueueId>,
    /// To be made visible at the end of this input: everyone, or the own shards alone.
    pub(crate) finishing: Vec<(CommandKey, bool)>,
    /// Steps of merges that wait to be visible.
    pub(crate) unions: BTreeMap<CommandKey, (QueueId, Version)>,
    next: u64,
    /// Not among `waiting`: those that wait for a name, by when it is free, and those that were passed back, by
    /// when they are judged again. An entry may be of a command that is gone.
    for_names: BTreeSet<(Instant, CommandKey)>,
}

impl Desk {
    pub(crate) fn draw_key(&mut self) -> CommandKey {
        self.next += 1;
        CommandKey(self.next)
    }

    pub(crate) fn next_deadline(&self) -> Instant {
        let deadline = self.deadlines.first().map_or(Instant::FAR, |(at, _)| *at);
        self.for_names.first().map_or(deadline, |(free_at, _)| deadline.min(*free_at))
    }

    /// A command waits for a name that is free then: it is judged again, and may wait for the view and the
    /// votes as long as one that comes then.
    fn wait_for_name(&mut self, key: CommandKey, free_at: Instant) {
        self.for_names.insert((free_at, key));
        if let Some(pending) = self.commands.get_mut(&key) {
            let until = pending.wait_until.max(free_at + limits::PUBLISH_WAIT);
            pending.wait_until = until;
            self.set_phase(key, Phase::Waiting, until);
        }
    }

    /// A command is judged again then, and has no more time for that.
    fn judge_again_at(&mut self, key: CommandKey, at: Instant, until: Instant) {
        self.for_names.insert((at, key));
        self.set_phase(key, Phase::Waiting, until);
    }

    /// Names are free by then: who waits for them is to be judged again. True if anybody does.
    pub(crate) fn names_free(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some((free_at, key)) = self.for_names.pop_first() {
            if free_at > now {
                self.for_names.insert((free_at, key));
                break;
            }
            if self.commands.contains_key(&key) {
                any |= self.waiting.insert(key);
            }
        }
        any
    }

    fn set_phase(&mut self, key: CommandKey, phase: Phase, until: Instant) {
        if let Some(pending) = self.commands.get_mut(&key) {
            self.deadlines.remove(&(pending.until, key));
            pending.phase = phase;
            pending.until = until;
            if until != Instant::FAR {
                self.deadlines.insert((until, key));
            }
        }
    }

    /// Those that wait for that node's answer.
    pub(crate) fn forwarded_to(&self, node: NodeId) -> Vec<CommandKey> {
        let to_node = self.commands.iter().filter(|(_, pending)| pending.phase == Phase::Forwarded(node));
        to_node.map(|(&key, _)| key).collect()
    }

    pub(crate) fn take(&mut self, key: CommandKey) -> Option<Pending> {
        let pending = self.commands.remove(&key)?;
        self.by_origin.remove(&pending.origin);
        self.deadlines.remove(&(pending.until, key));
        self.waiting.remove(&key);
        Some(pending)
    }
}

impl Control {
    /// A client or a peer wants something.
    pub(crate) fn on_command(&mut self, now: Instant, origin: Origin, command: Command) -> CommandKey {
        let key = self.desk.draw_key();
        let until = now + limits::PUBLISH_WAIT;
        let phase = Phase::Waiting;
        let pending = Pending { origin, command, phase, until, wait_until: until, forgotten: false };
        self.desk.commands.insert(key, pending);
        self.desk.by_origin.insert(origin, key);
        self.desk.deadlines.insert((until, key));
        self.judge(now, key);
        key
    }

    /// Nobody waits for the answer any more.
    pub(crate) fn forget_command(&mut self, origin: Origin) {
        let Some(&key) = self.desk.by_origin.get(&origin) else { return };
        let Some(pending) = self.desk.commands.get_mut(&key) else { return };
        pending.forgotten = true;
        if pending.phase == Phase::Waiting {
            self.desk.take(key);
        }
    }

    /// Judges a command that is not among those that wait; it may join them.
    pub(crate) fn judge(&mut self, now: Instant, key: CommandKey) {
        let Some(pending) = self.desk.commands.get(&key) else { return };
        if pending.forgotten {
            self.desk.take(key);
            return;
        }
        let (origin, command) = (pending.origin, pending.command.clone());
        let step = if self.stopped() {
            Step::Refuse(refusals::cloned())
        } else if !self.serves(now, origin) {
            Step::PassBack
        } else if self.has_lease(now) {
            self.decide(now, origin, &command)
        } else {
            Step::Wait
        };
        match step {
            Step::Wait => {
                self.desk.waiting.insert(key);
            }
            Step::WaitUntil(free_at) => self.desk.wait_for_name(key, free_at),
            Step::Answer(reply) => self.answer(key, reply),
            Step::Refuse(refusal) => self.answer(key, Reply::Refused(refusal)),
            Step::Finish(reply, sources) => {
                self.desk.set_phase(key, Phase::Finishing(reply, sources), Instant::FAR);
                self.desk.finishing.push((key, true));
            }
            Step::ProposeQueue(record) => self.propose_queue(now, key, *record),
            Step::ProposeExchange(exchange) => self.propose_exchange(now, key, *exchange),
            Step::Close(id) => {
                self.desk.closing.insert(id);
                self.desk.set_phase(key, Phase::Closing(id), Instant::FAR);
                let Command::DeleteQueue { if_unused, if_empty, .. } = command else { return };
                let shard = self.directory.own_queue(id).map_or(ShardId(0), |record| record.home.shard);
                let request = RequestId(key.0);
                self.effects
                    .to_shards
                    .push((shard, ToShard::CloseQueue { request, id, if_unused, if_empty }));
            }
            Step::Forward(home) => {
                self.desk.set_phase(key, Phase::Forwarded(home), now + limits::FORWARDED_WAIT);
                self.send_request(home, key);
            }
            Step::PassBack => self.pass_back(key),
        }
    }

    /// Writes the exchange register.
    fn write_exchange(&mut self, name: &ObjectName, value: Option<&ExchangeDefinition>) {
        let stamp = self.directory.stamp();
        let deleted = if value.is_some() { self.directory.deleted(name) } else { stamp.lamport };
        let register = known_registers::exchange(name, stamp, deleted, value);
        self.directory.write(Op::Put(Record::Register(register)));
    }

    /// The votes are in, or everyone acts on it.
    pub(crate) fn on_visible(&mut self, now: Instant, key: CommandKey) {
        if let Some((loser, version)) = self.desk.unions.remove(&key) {
            return self.directory.united(loser, version);
        }
        let Some(pending) = self.desk.commands.get(&key) else { return };
        match pending.phase.clone() {
            Phase::Proposing(id) => self.stand(key, id),
            Phase::Finishing(reply, sources) => self.finish(now, key, reply, sources),
            Phase::Removing(id, name, reply, sources) => {
                self.desk.proposals.remove(&id);
                self.directory.write(Op::Drop(Dropped::Proposal(id)));
                self.write_exchange(&name, None);
                self.desk.set_phase(key, Phase::Finishing(reply, sources), Instant::FAR);
                self.desk.finishing.push((key, true));
            }
            Phase::Waiting | Phase::Closing(_) | Phase::Forwarded(_) => {}
        }
    }

    /// Visible everywhere. Auto-delete exchanges that lost their last binding by it go first (RabbitMQ: in one
    /// step).
    fn finish(&mut self, now: Instant, key: CommandKey, reply: Reply, mut sources: BTreeSet<ObjectName>) {
        while let Some(name) = sources.pop_first() {
            let auto_delete = match self.directory.exchange(&name) {
                Lookup::There(exchange) => exchange.auto_delete,
                Lookup::Nothing | Lookup::Undecided => false,
            };
            if auto_delete
                && self.directory.bindings_from(&name) == 0
                && !self.directory.is_being_removed(&name)
            {
                let more = self.directory.sources_bound_to(&name);
                sources.extend(more);
                let id = self.draw_ulid(now);
                self.directory.write(Op::Put(Record::Proposal { id, name: name.clone(), value: None }));
                self.desk.proposals.insert(id, key);
                self.desk.set_phase(
                    key,
                    Phase::Removing(id, name, reply, sources),
                    now + limits::PROPOSAL_WAIT,
                );
                self.desk.finishing.push((key, true));
                return;
            }
        }
        self.answer(key, reply);
    }

    /// The queue's shard closed it, or not.
    pub(crate) fn on_queue_closed(&mut self, request: RequestId, result: Result<u64, Refusal>) {
        let key = CommandKey(request.0);
        let Some(Pending { phase: Phase::Closing(id), .. }) = self.desk.commands.get(&key) else { return };
        let id = *id;
        self.desk.closing.remove(&id);
        self.stirred = true;
        match result {
            Err(refusal) => self.answer(key, Reply::Refused(refusal)),
            Ok(messages) => {
                let sources = self.directory.drop_bindings(id);
                self.directory.write(Op::Drop(Dropped::Queue(id)));
                self.desk.set_phase(
                    key,
                    Phase::Finishing(Reply::Deleted { messages }, sources),
                    Instant::FAR,
                );
                self.desk.finishing.push((key, true));
            }
        }
    }

    /// Gives up what waited too long; what waits for a name that is free by now is judged again.
    pub(crate) fn on_command_deadlines(&mut self, now: Instant) {
        self.stirred |= self.desk.names_free(now);
        while let Some(&(at, key)) = self.desk.deadlines.first()
            && at <= now
        {
            self.desk.deadlines.pop_first();
            let Some(pending) = self.desk.commands.get(&key) else { continue };
            match pending.phase.clone() {
                Phase::Waiting => {
                    let refusal = self.overdue(now, &pending.command.clone());
                    self.answer(key, Reply::Refused(refusal));
                }
                Phase::Proposing(id) => {
                    self.withdraw(now, id);
                    self.answer(key, Reply::Refused(refusals::busy()));
                }
                Phase::Removing(id, ..) => self.withdraw(now, id),
                Phase::Forwarded(home) => {
                    let missing = self.name_of(home);
                    self.answer(key, Reply::Refused(refusals::no_view(Some(&missing))));
                }
                Phase::Closing(_) | Phase::Finishing(..) => {}
            }
        }
    }

    /// Why a command waited in vain.
    fn overdue(&self, now: Instant, command: &Command) -> Refusal {
        if let Some(name) = queue_of(command)
            && let Lookup::There(QueueLookup { record, home: Standing::Unreachable }) =
                self.directory.queue(&name)
        {
            return refusal::home_down(&name, record.definition.durable, &self.name_of(record.home.node));
        }
        if self.has_lease(now) { refusals::busy() } else { refusals::no_view(Some(&self.missing_names(now))) }
    }

    /// Answers a command and forgets it.
    pub(crate) fn answer(&mut self, key: CommandKey, reply: Reply) {
        let Some(pending) = self.desk.take(key) else { return };
        match pending.origin {
            Origin::Shard(shard, request) => {
                self.effects.to_shards.push((shard, ToShard::Reply { request, reply }));
            }
            Origin::Peer(node, request) => self.respond(node, request, reply),
        }
    }
}

/// The queue that a command is about.
fn queue_of(command: &Command) -> Option<ObjectName> {
    match command {
        Command::DeclareQueue { definition, .. } => {
            Some(ObjectName::new(&definition.vhost, &definition.name))
        }
        Command::DeleteQueue { vhost, name, .. } => Some(ObjectName::new(vhost, name)),
        Command::Bind(binding) | Command::Unbind(binding) if binding.kind == DestinationKind::Queue => {
            Some(ObjectName::new(&binding.vhost, &binding.destination))
        }
        _ => None,
    }
}
