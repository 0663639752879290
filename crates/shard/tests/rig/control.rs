//! A control machine that agrees to every command, by the rules of `model/directory.rs`: changes reach all
//! shards of all nodes in order, and the reply waits until all have applied them.

use std::collections::{BTreeMap, BTreeSet};

use leveret_model::definition::{Binding, DestinationKind, ExchangeDefinition};
use leveret_model::directory::{
    Change, Command, FromShard, MoveOrder, MoveReport, QueueRecord, Reply, ToShard,
};
use leveret_model::policy::Policy;
use leveret_model::{MoveAttempt, Name, NodeId, QueueId, Refusal, ReplyCode, RequestId, ShardAddress, Ulid};

type Mail = Vec<(ShardAddress, ToShard)>;

/// A reply that waits until every shard has applied the changes behind it.
struct Waiting {
    to: ShardAddress,
    request: RequestId,
    reply: Reply,
    missing: BTreeSet<(ShardAddress, u64)>,
}

/// A queue that is being deleted: whose command it is.
struct Closing {
    to: ShardAddress,
    request: RequestId,
    id: QueueId,
    name: Name,
}

#[derive(Default)]
pub(crate) struct Control {
    pub(crate) shards: Vec<ShardAddress>,
    pub(crate) queues: BTreeMap<Name, QueueRecord>,
    exchanges: BTreeMap<Name, ExchangeDefinition>,
    pub(crate) bindings: Vec<Binding>,
    sequences: BTreeMap<NodeId, u64>,
    applied: BTreeMap<ShardAddress, u64>,
    waiting: Vec<Waiting>,
    closing: BTreeMap<RequestId, Closing>,
    next: u64,
    /// Queues that move, as they will be.
    moving: BTreeMap<QueueId, QueueRecord>,
    /// What shards said of moves.
    pub(crate) reports: Vec<(ShardAddress, MoveReport)>,
    /// Queues whose copies were done, in order.
    pub(crate) copied: Vec<QueueId>,
    /// The new home is not told to serve.
    pub(crate) slow_to_open: bool,
    /// Queues are copied while they serve.
    pub(crate) copies: bool,
    /// A queue that is copied is not told to freeze.
    pub(crate) slow_to_freeze: bool,
    /// Queues move for the sake of balance.
    pub(crate) only_if_short: bool,
    /// Commands are kept and not answered.
    pub(crate) deaf: bool,
    /// Commands that nobody waits for.
    pub(crate) forgotten: Vec<(ShardAddress, RequestId)>,
}

impl Control {
    pub(crate) fn on_mail(&mut self, from: ShardAddress, mail: FromShard) -> Mail {
        match mail {
            FromShard::Command { .. } if self.deaf => Vec::new(),
            FromShard::Command { request, command } => self.on_command(from, request, command),
            FromShard::Forget { request } => {
                self.forgotten.push((from, request));
                Vec::new()
            }
            FromShard::Applied { sequence } => self.on_applied(from, sequence),
            FromShard::Move { id, attempt, report } => self.on_move(from, id, attempt, report),
            FromShard::QueueOver { request, id } => {
                let name = self.queues.iter().find(|(_, record)| record.id == id);
                let name = name.map(|(name, _)| name.clone()).unwrap_or_default();
                self.drop_queue(&Closing { to: from, request, id, name }, 0)
            }
            FromShard::QueueClosed { request, result } => {
                let closing = self.closing.remove(&request).expect("it was asked for");
                match result {
                    Ok(messages) => self.drop_queue(&closing, messages),
                    Err(refusal) => reply(closing.to, closing.request, Reply::Refused(refusal)),
                }
            }
        }
    }

    /// The orders that move a queue to a shard.
    pub(crate) fn move_queue(&mut self, name: &str, to: ShardAddress) -> Mail {
        let record = self.queues[name].clone();
        let (id, from) = (record.id, record.home);
        self.next += 1;
        let attempt = MoveAttempt(self.next);
        let record = QueueRecord { home: to, epoch: record.epoch + 1, ..record };
        self.moving.insert(id, record.clone());
        let expect = MoveOrder::Expect { record: Box::new(record), from };
        let hand_over = if self.copies {
            MoveOrder::Copy { to }
        } else {
            MoveOrder::HandOver { to, only_if_short: self.only_if_short }
        };
        vec![
            (to, ToShard::Move { id, attempt, order: expect }),
            (from, ToShard::Move { id, attempt, order: hand_over }),
        ]
    }

    /// Another home has the queue by a later epoch: its node was away.
    pub(crate) fn supersede(&mut self, name: &str, home: ShardAddress) -> Mail {
        let record = self.queues[name].clone();
        let record = QueueRecord { home, epoch: record.epoch + 1, ..record };
        self.queues.insert(record.definition.name.clone(), record.clone());
        self.announce(&Change::PutQueue(record))
    }

    /// The same order to both homes of the last move.
    pub(crate) fn order_move(&mut self, name: &str, order: &MoveOrder) -> Mail {
        let (id, from, attempt) = (self.queues[name].id, self.queues[name].home, MoveAttempt(self.next));
        let to = self.moving[&id].home;
        let mail = |shard| (shard, ToShard::Move { id, attempt, order: order.clone() });
        vec![mail(from), mail(to)]
    }

    fn on_move(&mut self, from: ShardAddress, id: QueueId, attempt: MoveAttempt, report: MoveReport) -> Mail {
        self.reports.push((from, report));
        if report == MoveReport::Copied {
            self.copied.push(id);
        }
        if report == MoveReport::Drained {
            return Vec::new();
        }
        let record = self.moving[&id].clone();
        match report {
            MoveReport::Yielded(_) if self.slow_to_open => Vec::new(),
            MoveReport::Yielded(_) => {
                vec![(record.home, ToShard::Move { id, attempt, order: MoveOrder::Open })]
            }
            MoveReport::Failed | MoveReport::Drained => Vec::new(),
            MoveReport::Copied if self.slow_to_freeze => Vec::new(),
            MoveReport::Copied => {
                let order = MoveOrder::HandOver { to: record.home, only_if_short: false };
                vec![(from, ToShard::Move { id, attempt, order })]
            }
            MoveReport::Opened(_) => {
                self.queues.insert(record.definition.name.clone(), record.clone());
                self.announce(&Change::PutQueue(record))
            }
        }
    }

    fn on_applied(&mut self, from: ShardAddress, sequence: u64) -> Mail {
        let last = self.applied.entry(from).or_default();
        assert_eq!(sequence, *last + 1, "changes are applied one by one");
        *last = sequence;
        let mut mail = Vec::new();
        for waiting in &mut self.waiting {
            waiting.missing.remove(&(from, sequence));
        }
        self.waiting.retain_mut(|waiting| {
            if waiting.missing.is_empty() {
                let reply = waiting.reply.clone();
                mail.push((waiting.to, ToShard::Reply { request: waiting.request, reply }));
            }
            !waiting.missing.is_empty()
        });
        mail
    }

    /// Changes for everyone; the reply comes when all have applied them.
    fn change(&mut self, changes: Vec<Change>, to: ShardAddress, request: RequestId, reply: Reply) -> Mail {
        let mut mail = Vec::new();
        let mut missing = BTreeSet::new();
        for change in changes {
            for (shard, sequence) in self.number() {
                missing.insert((shard, sequence));
                mail.push((shard, ToShard::Change { sequence, change: change.clone() }));
            }
        }
        self.waiting.push(Waiting { to, request, reply, missing });
        mail
    }

    /// A change that nobody waits for.
    pub(crate) fn announce(&mut self, change: &Change) -> Mail {
        let numbered = self.number();
        numbered
            .into_iter()
            .map(|(shard, sequence)| (shard, ToShard::Change { sequence, change: change.clone() }))
            .collect()
    }

    fn number(&mut self) -> Vec<(ShardAddress, u64)> {
        for node in self.shards.iter().map(|at| at.node).collect::<BTreeSet<_>>() {
            *self.sequences.entry(node).or_default() += 1;
        }
        self.shards.iter().map(|at| (*at, self.sequences[&at.node])).collect()
    }

    fn on_command(&mut self, from: ShardAddress, request: RequestId, command: Command) -> Mail {
        match command {
            Command::DeclareExchange(exchange) => match self.exchanges.get(&exchange.name) {
                Some(known) if *known == exchange => reply(from, request, Reply::Done),
                Some(_) => refuse(from, request, ReplyCode::PreconditionFailed, "inequivalent arg"),
                None => {
                    self.exchanges.insert(exchange.name.clone(), exchange.clone());
                    self.change(vec![Change::PutExchange(exchange)], from, request, Reply::Done)
                }
            },
            Command::DeleteExchange { vhost, name, .. } => {
                if self.exchanges.remove(&name).is_none() {
                    return reply(from, request, Reply::Done);
                }
                let mut changes = self.unbind(|binding| binding.source == name);
                changes.push(Change::DropExchange { vhost, name });
                self.change(changes, from, request, Reply::Done)
            }
            Command::DeclareQueue { definition, home, .. } => {
                let name = definition.name.clone();
                if let Some(record) = self.queues.get(&name) {
                    let record = Box::new(record.clone());
                    return reply(from, request, Reply::Queue { record, created: false });
                }
                self.next += 1;
                let id = QueueId { generation: 0, ulid: Ulid(u128::from(self.next)) };
                let record = QueueRecord { definition, id, home, epoch: 0 };
                self.queues.insert(name, record.clone());
                let done = Reply::Queue { record: Box::new(record.clone()), created: true };
                self.change(vec![Change::PutQueue(record)], from, request, done)
            }
            Command::DeleteQueue { name, if_unused, if_empty, .. } => {
                let Some(record) = self.queues.get(&name) else {
                    return reply(from, request, Reply::Deleted { messages: 0 });
                };
                let (id, home) = (record.id, record.home);
                self.next += 1;
                let asked = RequestId(self.next);
                self.closing.insert(asked, Closing { to: from, request, id, name });
                vec![(home, ToShard::CloseQueue { request: asked, id, if_unused, if_empty })]
            }
            Command::Bind(binding) => {
                if let Some(missing) = self.missing_end(&binding) {
                    return refuse(from, request, ReplyCode::NotFound, &missing);
                }
                if self.bindings.iter().any(|known| known.same(&binding)) {
                    return reply(from, request, Reply::Done);
                }
                self.bindings.push(binding.clone());
                self.change(vec![Change::PutBinding(binding)], from, request, Reply::Done)
            }
            Command::Unbind(binding) => {
                let changes = self.unbind(|known| known.same(&binding));
                if changes.is_empty() {
                    return reply(from, request, Reply::Done);
                }
                self.change(changes, from, request, Reply::Done)
            }
            Command::SetPolicy(policy) => {
                let policy = Policy::new((*policy).clone()).into();
                self.change(vec![Change::PutPolicy(policy)], from, request, Reply::Done)
            }
            Command::ClearPolicy { vhost, name } => {
                self.change(vec![Change::DropPolicy { vhost, name }], from, request, Reply::Done)
            }
        }
    }

    fn missing_end(&self, binding: &Binding) -> Option<String> {
        let exchange = |name: &Name| name.starts_with("amq.") || self.exchanges.contains_key(name);
        let vhost = &binding.vhost;
        if !exchange(&binding.source) {
            return Some(format!("no exchange '{}' in vhost '{vhost}'", binding.source));
        }
        let name = &binding.destination;
        match binding.kind {
            DestinationKind::Queue if !self.queues.contains_key(name) => {
                Some(format!("no queue '{name}' in vhost '{vhost}'"))
            }
            DestinationKind::Exchange if !exchange(name) => {
                Some(format!("no exchange '{name}' in vhost '{vhost}'"))
            }
            _ => None,
        }
    }

    fn unbind(&mut self, of: impl Fn(&Binding) -> bool) -> Vec<Change> {
        let gone = self.bindings.extract_if(.., |binding| of(binding));
        gone.map(Change::DropBinding).collect()
    }

    fn drop_queue(&mut self, closing: &Closing, messages: u64) -> Mail {
        let Closing { to, request, id, ref name } = *closing;
        if self.queues.get(name).is_none_or(|record| record.id != id) {
            return reply(to, request, Reply::Deleted { messages });
        }
        self.queues.remove(name);
        let mut changes =
            self.unbind(|binding| binding.kind == DestinationKind::Queue && binding.destination == *name);
        changes.push(Change::DropQueue { id });
        self.change(changes, to, request, Reply::Deleted { messages })
    }
}

fn reply(to: ShardAddress, request: RequestId, reply: Reply) -> Mail {
    vec![(to, ToShard::Reply { request, reply })]
}

fn refuse(to: ShardAddress, request: RequestId, code: ReplyCode, text: &str) -> Mail {
    reply(to, request, Reply::Refused(Refusal::new(code, text)))
}
