//! What the control machine does for each command of a client, phase by phase. The phases are defined in
//! `desk`.
//!
//! ```text
//!   Waiting ──lease, name free──▶ Proposing ──votes (R2)──▶ Finishing ──R1──▶ Removing ──▶ answered
//!      │  ▲                          │ lost to a rival         ▲
//!      │  └──────────────────────────┘                         │
//!      ├──queue of this node──▶ Closing ──shard──▶─────────────┤
//!      ├──change of this node's map────────────────────────────┘
//!      └──queue of another node──▶ Forwarded ──Response──▶ answered, or judged again if that is not its home
//! ```
//! Invariants:
//! - When the view changes, every waiting command is decided again from its beginning, so no decision rests
//!   on an old view.
//! - No answer is given without the lease.
//! - Each command is answered exactly once, unless its client is gone and nothing is under way for it.

mod decide;
mod forwarding;
mod proposing;

use alloc::collections::BTreeSet;

use leveret_model::definition::ExchangeDefinition;
use leveret_model::directory::{Command, Reply, ToShard};
use leveret_model::{Instant, QueueId, Refusal, RequestId, ShardId, limits, refusals};

use self::decide::Step;
use crate::control::Control;
use crate::desk::{CommandKey, Origin, Pending, Phase, queue_of};
use crate::directory::known_registers;
use crate::directory::lookup::{Lookup, QueueLookup};
use crate::directory::map::{Dropped, Op, Record};
use crate::directory::names::ObjectName;
use crate::membership::Standing;
use crate::refusal;

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
        let step = if self.lease.is_stopped() {
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
        if self.on_move_visible(now, key) {
            return;
        }
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

    /// Visible everywhere. Auto-delete exchanges that lost their last binding by it go first (RabbitMQ: in
    /// one step).
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

    /// A queue of this node is over by itself, and its shard has closed it. Its record goes, whatever the view:
    /// it is this node's alone, and nobody has the queue any more.
    pub(crate) fn on_queue_over(&mut self, origin: Origin, id: QueueId) {
        let name = self.directory.own_queue(id).map(ObjectName::of_queue).unwrap_or_default();
        let command =
            Command::DeleteQueue { vhost: name.vhost, name: name.name, if_unused: false, if_empty: false };
        let (phase, until) = (Phase::Closing(id), Instant::FAR);
        let pending = Pending { origin, command, phase, until, wait_until: until, forgotten: false };
        let key = self.desk.draw_key();
        self.desk.commands.insert(key, pending);
        self.desk.by_origin.insert(origin, key);
        if self.lease.is_stopped() {
            // the other process with this identity may write the same map
            return self.answer(key, Reply::Refused(refusals::cloned()));
        }
        self.on_queue_closed(RequestId(key.0), Ok(0));
    }

    /// The queue's shard closed it, or not.
    pub(crate) fn on_queue_closed(&mut self, request: RequestId, result: Result<u64, Refusal>) {
        let key = CommandKey(request.0);
        let Some(Pending { phase: Phase::Closing(id), .. }) = self.desk.commands.get(&key) else { return };
        let id = *id;
        self.desk.closing.remove(&id);
        self.desk.recheck();
        match result {
            Err(refusal) => self.answer(key, Reply::Refused(refusal)),
            Ok(messages) => {
                // a queue that is over by itself may be deleted by its client at the same time
                let mut sources = BTreeSet::new();
                if self.directory.own_queue(id).is_some() {
                    sources = self.directory.drop_bindings(id);
                    self.directory.write(Op::Drop(Dropped::Queue(id)));
                }
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
        if self.desk.names_free(now) {
            self.desk.recheck();
        }
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
            Origin::Operator(request) => self.effects.to_operators.push((request, reply)),
        }
    }
}
