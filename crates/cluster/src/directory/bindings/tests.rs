use super::super::register::Stamp;
use super::super::samples::{exchange, object};
use super::*;
use alloc::collections::BTreeSet;
use leveret_model::definition::QueueDefinition;
use leveret_model::directory::QueueRecord;
use leveret_model::{Arguments, Incarnation, Name, NodeId, QueueId, RoutingKey, ShardAddress, ShardId, Ulid};
use std::vec::Vec;

const OWN: NodeId = NodeId(1);
const PEER: NodeId = NodeId(2);
const MANY: usize = 10_000;
const LIFE: QueueId = QueueId { generation: 0, ulid: Ulid(1) };

fn bound(source: &str, kind: DestinationKind, destination: &str, key: usize) -> Binding {
    Binding {
        vhost: Name::new("/"),
        source: Name::new(source),
        kind,
        destination: Name::new(destination),
        key: RoutingKey::new(std::format!("{key}").as_bytes()),
        arguments: Arguments::default(),
    }
}

fn written(binding: &Binding, stamp: Stamp, present: bool) -> Op {
    let key = BindingKey::of(binding);
    Op::Put(Record::Register(known_registers::exchange_binding(&key, stamp, present.then_some(binding))))
}

/// A directory, and what it tells the shards.
struct Rig {
    directory: Directory,
    published: BTreeSet<BindingKey>,
    changes: usize,
}

impl Rig {
    fn new() -> Self {
        let directory = Directory::new(OWN, Incarnation(1));
        Self { directory, published: BTreeSet::new(), changes: 0 }
    }

    fn refresh(&mut self) {
        self.directory.refresh();
        for change in self.directory.take_changes() {
            self.changes += 1;
            match change {
                Change::PutBinding(binding) => assert!(self.published.insert(BindingKey::of(&binding))),
                Change::DropBinding(binding) => assert!(self.published.remove(&BindingKey::of(&binding))),
                _ => {}
            }
        }
    }

    fn write(&mut self, op: Op) {
        self.directory.write(op);
        self.refresh();
    }

    fn exchange(&mut self, name: &str, there: bool) {
        let op = exchange(&mut self.directory, name, there);
        self.write(op);
    }

    fn queue(&mut self, name: &str) {
        let record = QueueRecord {
            definition: QueueDefinition::new(Name::new("/"), Name::new(name)).into(),
            id: LIFE,
            home: ShardAddress { node: OWN, shard: ShardId(0) },
            epoch: 0,
        };
        self.write(Op::Put(Record::Queue { record, standing: true }));
    }

    fn bind_queue(&mut self, source: &str, key: usize) {
        let lamport = self.directory.tick();
        let binding = bound(source, DestinationKind::Queue, "q", key);
        self.write(Op::Put(Record::Binding { queue: LIFE, epoch: 0, lamport, binding }));
    }

    fn bind_exchange(&mut self, key: usize, present: bool) {
        let stamp = self.directory.stamp();
        let binding = bound("amq.topic", DestinationKind::Exchange, "x", key);
        self.write(written(&binding, stamp, present));
    }

    /// Bindings derived since the last call.
    fn derived(&mut self) -> usize {
        core::mem::take(&mut self.directory.derived)
    }
}

#[test]
fn each_bind_and_unbind_of_a_queue_with_many_bindings_costs_one_binding() {
    let mut rig = Rig::new();
    rig.queue("q");
    rig.derived();
    for key in 0..MANY {
        rig.bind_queue("amq.direct", key);
    }
    assert_eq!((rig.derived(), rig.published.len()), (MANY, MANY));
    assert_eq!(rig.directory.bindings_from(&object("amq.direct")), MANY);
    for key in 0..MANY {
        let binding = bound("amq.direct", DestinationKind::Queue, "q", key);
        rig.write(Op::Drop(Dropped::Binding(LIFE, binding.into())));
    }
    assert_eq!((rig.derived(), rig.published.len()), (MANY, 0));
    assert_eq!(rig.directory.bindings_from(&object("amq.direct")), 0);
}

#[test]
fn each_bind_and_unbind_of_an_exchange_with_many_bindings_costs_one_binding() {
    let mut rig = Rig::new();
    rig.exchange("x", true);
    rig.derived();
    for key in 0..MANY {
        rig.bind_exchange(key, true);
    }
    assert_eq!((rig.derived(), rig.published.len(), rig.directory.binding_count()), (MANY, MANY, MANY));
    for key in 0..MANY {
        rig.bind_exchange(key, false);
    }
    assert_eq!((rig.derived(), rig.published.len(), rig.directory.binding_count()), (MANY, 0, 0));
    assert!(rig.directory.bindings.from.is_empty());
}

#[test]
fn an_exchange_that_goes_costs_its_own_bindings_and_leaves_the_others() {
    let mut rig = Rig::new();
    rig.queue("q");
    rig.exchange("x", true);
    for key in 0..MANY {
        rig.bind_queue("amq.direct", key);
    }
    for key in 0..3 {
        rig.bind_queue("x", key);
    }
    rig.derived();
    rig.exchange("x", false);
    // once because the exchange goes, once because the home drops the void record
    assert_eq!((rig.derived(), rig.published.len()), (6, MANY));
    rig.exchange("x", true);
    assert_eq!(rig.published.len(), MANY, "a new exchange of the name has no bindings");
}

#[test]
fn a_binding_that_came_before_its_exchange_is_told_with_it_and_goes_with_its_queue() {
    let mut rig = Rig::new();
    rig.queue("q");
    rig.bind_queue("x", 1);
    rig.bind_queue("y", 1);
    assert!(rig.published.is_empty());
    rig.exchange("x", true);
    assert_eq!(rig.published.len(), 1);
    rig.write(Op::Drop(Dropped::Queue(LIFE)));
    assert!(rig.published.is_empty());
    rig.queue("q");
    assert_eq!(rig.published.len(), 1, "the record was still there");
}

#[test]
fn all_bindings_of_a_queue_are_looked_at_when_its_home_writes_a_new_epoch() {
    let mut rig = Rig::new();
    rig.queue("q");
    for key in 0..5 {
        rig.bind_queue("amq.direct", key);
    }
    let Some(record) = rig.directory.own_queue(LIFE).cloned() else { panic!("it is there") };
    rig.write(Op::Put(Record::Queue { record: QueueRecord { epoch: 1, ..record }, standing: true }));
    assert!(rig.published.is_empty(), "bindings of another epoch do not count");
}

#[test]
fn a_binding_of_a_peer_is_void_here_only_once_its_home_says_so() {
    let mut rig = Rig::new();
    rig.exchange("x", true);
    let version = |counter| super::super::map::Version { incarnation: Incarnation(1), counter };
    let record = QueueRecord {
        definition: QueueDefinition::new(Name::new("/"), Name::new("q")).into(),
        id: LIFE,
        home: ShardAddress { node: PEER, shard: ShardId(0) },
        epoch: 0,
    };
    let binding = bound("x", DestinationKind::Queue, "q", 1);
    let bind = Record::Binding { queue: LIFE, epoch: 0, lamport: 9, binding: binding.clone() };
    let ops: Vec<Op> = [Record::Queue { record, standing: true }, bind].into_iter().map(Op::Put).collect();
    assert!(rig.directory.on_delta(PEER, version(0), version(2), ops));
    rig.refresh();
    assert_eq!(rig.published.len(), 1);
    rig.exchange("x", false);
    assert!(rig.published.is_empty());
    assert_eq!(rig.directory.binding_count(), 1, "only its home may drop it");
    let drop = Op::Drop(Dropped::Binding(LIFE, binding.into()));
    assert!(rig.directory.on_delta(PEER, version(2), version(3), std::vec![drop]));
    rig.refresh();
    assert_eq!(rig.directory.binding_count(), 0);
}

fn register(node: NodeId, lamport: u64, present: bool) -> Op {
    let binding = bound("amq.topic", DestinationKind::Exchange, "x", 1);
    written(&binding, Stamp { lamport, node }, present)
}

#[test]
fn a_register_that_two_nodes_wrote_counts_once_and_only_while_its_last_write_bound() {
    let mut rig = Rig::new();
    rig.exchange("x", true);
    rig.bind_exchange(1, true);
    let version = |counter| super::super::map::Version { incarnation: Incarnation(1), counter };
    for (at, (lamport, present, count)) in
        [(50, true, 1), (60, false, 0), (70, true, 1)].into_iter().enumerate()
    {
        let (from, to) = (version(at as u64), version(at as u64 + 1));
        assert!(rig.directory.on_delta(PEER, from, to, std::vec![register(PEER, lamport, present)]));
        rig.refresh();
        assert_eq!((rig.directory.binding_count(), rig.published.len()), (count, count));
    }
    rig.bind_exchange(1, false);
    assert_eq!((rig.directory.binding_count(), rig.published.len()), (0, 0));
}

#[test]
fn bindings_of_a_deleted_exchange_are_unbound_by_their_writer_and_beat_no_later_bind() {
    let mut rig = Rig::new();
    rig.exchange("x", true);
    rig.bind_exchange(1, true);
    let bind = rig.directory.lamport;
    rig.exchange("x", false);
    assert_eq!((rig.directory.binding_count(), rig.published.len()), (0, 0));
    rig.exchange("x", true);
    let version = |counter| super::super::map::Version { incarnation: Incarnation(1), counter };
    let later = rig.directory.lamport + 1;
    assert!(later > bind);
    assert!(rig.directory.on_delta(PEER, version(0), version(1), std::vec![register(PEER, later, true)]));
    rig.refresh();
    assert_eq!(
        (rig.directory.binding_count(), rig.published.len()),
        (1, 1),
        "the bind after the deletion stands"
    );
}
