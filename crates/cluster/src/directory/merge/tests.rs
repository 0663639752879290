use super::super::map::Dropped;
use super::super::samples::exchange;
use super::*;
use leveret_model::definition::{Binding, DestinationKind, QueueDefinition};
use leveret_model::directory::QueueRecord;
use leveret_model::{
    Arguments, Incarnation, Instant, RoutingKey, Seed, ShardAddress, ShardId, SplitMix, Ulid,
};
use std::vec;

const OWN: NodeId = NodeId(1);
const PEER: NodeId = NodeId(2);
const DEAD: NodeId = NodeId(3);
const DOWN: Standing = Standing::Down { since: Instant::ZERO };
const MANY: u128 = 5_000;

fn id(ulid: u128) -> QueueId {
    QueueId { generation: 0, ulid: Ulid(ulid) }
}

fn queue(node: NodeId, ulid: u128, name: &str) -> Record {
    let record = QueueRecord {
        definition: QueueDefinition::new(Name::new("/"), Name::new(name)).into(),
        id: id(ulid),
        home: ShardAddress { node, shard: ShardId(0) },
        epoch: 0,
    };
    Record::Queue { record, standing: true }
}

fn binding(ulid: u128, lamport: u64, source: &str, name: &str, key: u64) -> Record {
    let binding = Binding {
        vhost: Name::new("/"),
        source: Name::new(source),
        kind: DestinationKind::Queue,
        destination: Name::new(name),
        key: RoutingKey::new(format!("{key}").as_bytes()),
        arguments: Arguments::default(),
    };
    Record::Binding { queue: id(ulid), epoch: 0, lamport, binding }
}

/// A directory as the control machine drives it.
struct Rig {
    directory: Directory,
    /// Unions on which not everyone acts yet.
    united: Vec<(QueueId, Version)>,
    looked_at: usize,
}

impl Rig {
    fn new() -> Self {
        let mut directory = Directory::new(OWN, Incarnation(1));
        for node in [PEER, DEAD] {
            directory.set_standing(node, Standing::Alive);
        }
        Self { directory, united: Vec::new(), looked_at: 0 }
    }

    /// Works out an input; how many names were looked at, and the steps.
    fn work(&mut self) -> (usize, Vec<MergeStep>) {
        let mut all = Vec::new();
        loop {
            self.directory.refresh();
            let steps = self.directory.merge();
            if steps.is_empty() && !self.directory.is_dirty() {
                break;
            }
            all.extend(steps);
        }
        self.united.extend(all.iter().filter_map(|step| match step {
            MergeStep::United { loser, version } => Some((*loser, *version)),
            _ => None,
        }));
        let before = core::mem::replace(&mut self.looked_at, self.directory.contested.looked_at);
        (self.looked_at - before, all)
    }

    fn write(&mut self, record: Record) -> (usize, Vec<MergeStep>) {
        self.directory.write(Op::Put(record));
        self.work()
    }

    fn peer_writes(&mut self, node: NodeId, ops: Vec<Op>) {
        let from = self.directory.version_of(node);
        let counter = from.counter + ops.len() as u64;
        assert!(self.directory.on_delta(node, from, Version { incarnation: Incarnation(1), counter }, ops));
    }

    fn exchange(&mut self, name: &str, there: bool) {
        let op = exchange(&mut self.directory, name, there);
        self.directory.write(op);
    }

    /// Looks at every contested name, as if each had changed: what would go on then.
    fn look_at_all(&mut self) -> Vec<MergeStep> {
        let names: Vec<ObjectName> = self.directory.contested.names.keys().cloned().collect();
        self.directory.contested.again.extend(names);
        self.work().1
    }
}

/// A node had many queues and is Down; this node declares their names anew, and looks at one name each time.
fn redeclared() -> Rig {
    let mut rig = Rig::new();
    let records = (0..MANY).map(|n| Op::Put(queue(DEAD, n, &format!("q{n}")))).collect();
    rig.peer_writes(DEAD, records);
    rig.directory.set_standing(DEAD, DOWN);
    assert_eq!(rig.work(), (0, vec![]));
    for n in 0..MANY {
        assert_eq!(rig.write(queue(OWN, MANY + n, &format!("q{n}"))), (1, vec![]));
    }
    assert_eq!(rig.directory.contested.names.len(), MANY as usize);
    rig
}

#[test]
fn names_of_a_dead_node_that_were_declared_anew_cost_other_inputs_nothing() {
    let mut rig = redeclared();
    assert_eq!(rig.work(), (0, vec![]), "a ping");
    assert_eq!(rig.write(queue(OWN, 3 * MANY, "other")), (0, vec![]));
    assert_eq!(rig.write(binding(3 * MANY, 1, "amq.direct", "other", 0)), (0, vec![]));
    rig.directory.set_standing(PEER, Standing::Unreachable);
    assert_eq!(rig.work(), (0, vec![]));
    assert_eq!(rig.write(binding(MANY, 1, "amq.direct", "q0", 0)), (1, vec![]), "its own name");
}

#[test]
fn when_the_dead_node_comes_back_each_of_its_names_is_merged() {
    let mut rig = redeclared();
    rig.directory.set_standing(DEAD, Standing::Alive);
    let (looked_at, steps) = rig.work();
    assert_eq!(steps.len(), MANY as usize);
    assert!(looked_at <= 2 * MANY as usize, "{looked_at}");
    // each step ends the wait of one name alone
    let united = core::mem::take(&mut rig.united);
    assert_eq!(united.len(), MANY as usize);
    for (loser, version) in united {
        rig.directory.united(loser, version);
        let (looked_at, steps) = rig.work();
        assert_eq!(looked_at, 1);
        assert!(matches!(&steps[..], [MergeStep::Renamed { .. }]), "{steps:?}");
    }
    assert!(rig.directory.contested.names.is_empty());
}

/// Something that a merge may follow from: of three nodes, two names, two lives that each node may have.
fn change(rig: &mut Rig, random: &mut SplitMix) {
    let node = [OWN, PEER, DEAD][random.below(3) as usize];
    let name = ["q", "r"][random.below(2) as usize];
    let ulid = node.0 * 2 + u128::from(name == "r") + 10 * u128::from(random.below(2));
    let source = ["amq.direct", "x"][random.below(2) as usize];
    let bound = binding(ulid, rig.directory.tick(), source, name, random.below(2));
    let op = match (random.below(10), bound) {
        (0..3, _) => Op::Put(queue(node, ulid, name)),
        (3, _) => Op::Drop(Dropped::Queue(id(ulid))),
        (4, Record::Binding { queue, binding, .. }) => Op::Drop(Dropped::Binding(queue, binding.into())),
        (4..7, bound) => Op::Put(bound),
        (7, _) => {
            let standings = [Standing::Alive, Standing::Alive, Standing::Unreachable, DOWN];
            return rig.directory.set_standing(node, standings[random.below(4) as usize]);
        }
        (8, _) => return rig.exchange("x", random.below(2) == 0),
        _ => {
            let united = core::mem::take(&mut rig.united);
            return united.into_iter().for_each(|(loser, version)| rig.directory.united(loser, version));
        }
    };
    if node == OWN { rig.directory.write(op) } else { rig.peer_writes(node, vec![op]) }
}

/// To look at all contested names after each change leads to no step more.
#[test]
fn no_merge_that_can_go_on_is_left_alone() {
    let (mut took_over, mut renamed) = (0, 0);
    for seed in 0..200 {
        let mut rig = Rig::new();
        let mut random = SplitMix::new(Seed(seed));
        for round in 0..150 {
            change(&mut rig, &mut random);
            for step in rig.work().1 {
                took_over += usize::from(matches!(step, MergeStep::TookOver { .. }));
                renamed += usize::from(matches!(step, MergeStep::Renamed { .. }));
            }
            assert_eq!(rig.look_at_all(), vec![], "seed {seed} round {round}");
        }
    }
    assert!(took_over > 100 && renamed > 100, "{took_over} took over, {renamed} renamed");
}

#[test]
fn a_losers_name_keeps_its_ulid_even_when_the_name_is_long() {
    let id = QueueId { generation: 0, ulid: Ulid(7) };
    let long = loser_name(&"ä".repeat(127), id);
    assert!(long.len() <= 255);
    assert!(long.ends_with("~00000000000000000000000007"));
    assert_eq!(loser_name("q", id).as_str(), "q~00000000000000000000000007");
}
