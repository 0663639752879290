//! A shard as control sees it: it applies what it is told, in order, and checks that it can.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use leveret_cluster::Control;
use leveret_model::definition::Binding;
use leveret_model::directory::{Change, MoveOrder, MoveReport, QueueRecord};
use leveret_model::policy::Policy;
use leveret_model::{Instant, Name, NodeId, Position, QueueId};

/// What one shard knows.
#[derive(Default)]
pub struct Shard {
    pub lease: Instant,
    pub queues: BTreeMap<QueueId, (QueueRecord, bool)>,
    /// Queues that are gone, and whether they were deleted.
    pub gone: BTreeMap<QueueId, bool>,
    pub bindings: Vec<Binding>,
    pub exchanges: BTreeSet<Name>,
    pub policies: BTreeMap<Name, Arc<Policy>>,
    /// Nodes whose names it knows.
    pub named: BTreeSet<NodeId>,
    pub sequence: u64,
    /// What it was to do for queues that move, in order.
    pub orders: Vec<MoveOrder>,
    /// A copy does not end.
    pub copies_on: bool,
    /// Mail is taken in order.
    pub free_at: Instant,
}

impl Shard {
    pub fn note_node(&mut self, node: NodeId, named: bool) {
        if named {
            self.named.insert(node);
        } else {
            self.named.remove(&node);
        }
    }

    /// Does at once what a move asks for.
    pub fn follow(&mut self, order: MoveOrder) -> Option<MoveReport> {
        let report = match order {
            MoveOrder::Copy { .. } => (!self.copies_on).then_some(MoveReport::Copied),
            MoveOrder::HandOver { .. } => Some(MoveReport::Yielded(Position(0))),
            MoveOrder::Open => Some(MoveReport::Opened(Position(0))),
            MoveOrder::Cancel => Some(MoveReport::Failed),
            MoveOrder::Expect { .. } | MoveOrder::TakeBack => None,
        };
        self.orders.push(order);
        report
    }

    pub fn apply(&mut self, change: Change) {
        match change {
            Change::PutExchange(exchange) => {
                assert!(self.exchanges.insert(exchange.name.clone()), "{} put twice", exchange.name);
            }
            Change::DropExchange { name, .. } => {
                assert!(!self.bindings.iter().any(|b| b.source == name), "bindings go before their exchange");
                assert!(self.exchanges.remove(&name));
            }
            Change::PutQueue(record) => {
                let masked = self.queues.get(&record.id).is_some_and(|known| known.1);
                self.queues.insert(record.id, (record, masked));
            }
            Change::DropQueue { id } | Change::WithdrawQueue { id } => {
                assert!(self.queues.remove(&id).is_some(), "an unknown queue is dropped");
                self.gone.insert(id, matches!(change, Change::DropQueue { .. }));
            }
            Change::MaskQueue { id } => {
                let known = self.queues.get_mut(&id).expect("a known queue is masked");
                assert!(!std::mem::replace(&mut known.1, true), "masked twice");
                let home = known.0.home.node;
                assert!(self.named.contains(&home), "a queue is away with a node without a name");
            }
            Change::UnmaskQueue { id } => {
                let known = self.queues.get_mut(&id).expect("a known queue is unmasked");
                assert!(std::mem::replace(&mut known.1, false), "unmasked twice");
            }
            Change::PutBinding(binding) => {
                assert!(!self.bindings.iter().any(|known| known.same(&binding)), "bound twice: {binding:?}");
                self.bindings.push(binding);
            }
            Change::DropBinding(binding) => {
                let before = self.bindings.len();
                self.bindings.retain(|known| !known.same(&binding));
                assert_eq!(before, self.bindings.len() + 1, "an unknown binding is dropped: {binding:?}");
            }
            Change::PutPolicy(policy) => {
                let name = policy.definition().name.clone();
                let old = self.policies.insert(name, policy.clone());
                assert_ne!(old, Some(policy), "a policy is put that is there");
            }
            Change::DropPolicy { name, .. } => {
                assert!(self.policies.remove(&name).is_some(), "an unknown policy is dropped: {name}");
            }
        }
    }

    /// It applied all that its control machine told it.
    pub fn follows(&self, control: &Control) -> bool {
        let told = control.status();
        let follows = told.queues.len() == self.queues.len()
            && told.queues.iter().all(|queue| {
                self.queues
                    .get(&queue.record.id)
                    .is_some_and(|(r, masked)| (r, masked) == (&queue.record, &queue.masked))
            })
            && told.bindings.len() == self.bindings.len()
            && told.bindings.iter().all(|binding| self.bindings.contains(binding))
            && told.exchanges.len() == self.exchanges.len();
        let serving = self.queues.values().filter(|(_, masked)| follows && !masked);
        for (record, _) in serving {
            let first = self.serving(record.definition.name.as_str());
            assert_eq!(first, Some(record), "two lives of a name are routed to");
        }
        follows
    }

    /// The queue that takes messages under a name: while a name changes hands, the first of two.
    pub fn serving(&self, name: &str) -> Option<&QueueRecord> {
        self.queues
            .values()
            .find(|(record, masked)| !masked && record.definition.name.as_str() == name)
            .map(|known| &known.0)
    }
}
