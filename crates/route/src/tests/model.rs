//! The table against plain lists that are searched from end to end, over random histories.

use super::*;
use leveret_model::policy::PolicyDefinition;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

mod policies;

/// The definition of the table.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    exchanges: Vec<ExchangeDefinition>,
    queues: Vec<(QueueRecord, bool)>,
    bindings: Vec<Binding>,
    policies: Vec<PolicyDefinition>,
}

type Reached = BTreeSet<QueueId>;
/// Vhost and exchange.
type Place = (&'static str, &'static str);
/// For each key and headers: what is reached, and where it lives.
type Results = Vec<Vec<(QueueId, Address)>>;

impl Model {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::PutExchange(new) if !predeclared(&new.name) => {
                match self.exchanges.iter_mut().find(|old| old.name == new.name && old.vhost == new.vhost) {
                    Some(old) => *old = new.clone(),
                    None => self.exchanges.push(new.clone()),
                }
            }
            Change::DropExchange { vhost, name } if !predeclared(name) => {
                self.exchanges.retain(|old| old.name != *name || old.vhost != *vhost);
                self.bindings.retain(|b| {
                    let from_or_to =
                        b.source == *name || (b.kind == DestinationKind::Exchange && b.destination == *name);
                    b.vhost != *vhost || !from_or_to
                });
            }
            Change::PutExchange(_) | Change::DropExchange { .. } => {}
            Change::PutQueue(new) => match self.queues.iter_mut().find(|(old, _)| old.id == new.id) {
                Some((old, _)) => *old = new.clone(),
                None => self.queues.push((new.clone(), false)),
            },
            Change::DropQueue { id } | Change::WithdrawQueue { id } => {
                let Some(at) = self.queues.iter().position(|(old, _)| old.id == *id) else { return };
                let (gone, _) = self.queues.remove(at);
                let gone = gone.definition;
                if !self.queues.iter().any(|(q, _)| is_called(q, &gone.vhost, &gone.name)) {
                    self.bindings.retain(|b| {
                        b.vhost != gone.vhost
                            || b.kind != DestinationKind::Queue
                            || b.destination != gone.name
                    });
                }
            }
            Change::MaskQueue { id } => self.mask(*id, true),
            Change::UnmaskQueue { id } => self.mask(*id, false),
            Change::PutBinding(new) => {
                let at_default = new.source.is_empty()
                    || (new.kind == DestinationKind::Exchange && new.destination.is_empty());
                if !at_default && !self.bindings.iter().any(|old| old.same(new)) {
                    self.bindings.push(new.clone());
                }
            }
            Change::DropBinding(gone) => self.bindings.retain(|old| !old.same(gone)),
            Change::PutPolicy(policy) => self.put_policy(policy.definition()),
            Change::DropPolicy { vhost, name } => self.drop_policy(vhost, name),
        }
    }

    fn mask(&mut self, id: QueueId, masked: bool) {
        self.queues.iter_mut().filter(|(queue, _)| queue.id == id).for_each(|queue| queue.1 = masked);
    }

    fn kind(&self, vhost: &str, name: &str) -> Option<ExchangeKind> {
        Some(match name {
            "" | "amq.direct" => ExchangeKind::Direct,
            "amq.fanout" => ExchangeKind::Fanout,
            "amq.topic" => ExchangeKind::Topic,
            "amq.headers" => ExchangeKind::Headers,
            _ => {
                let is_it = |e: &&ExchangeDefinition| *e.name == *name && *e.vhost == *vhost;
                self.exchanges.iter().find(is_it)?.kind
            }
        })
    }

    fn serving(&self, vhost: &str, name: &str) -> Option<QueueId> {
        let unmasked = self.queues.iter().filter(|(q, masked)| !masked && is_called(q, vhost, name));
        unmasked.map(|(queue, _)| queue.id).min()
    }

    fn route(&self, vhost: &str, start: &str, key: &str, headers: &Arguments) -> Reached {
        let mut reached = Reached::new();
        if start.is_empty() {
            reached.extend(self.serving(vhost, key));
            return reached;
        }
        let mut seen = BTreeSet::new();
        let mut todo = Vec::from([String::from(start)]);
        while let Some(source) = todo.pop() {
            let Some(kind) = self.kind(vhost, &source).filter(|_| seen.insert(source.clone())) else {
                continue;
            };
            let mut matched = false;
            for b in self.bindings.iter().filter(|b| *b.vhost == *vhost && *b.source == *source) {
                if !matches(kind, b, key, headers) {
                    continue;
                }
                matched = true;
                match b.kind {
                    DestinationKind::Queue => reached.extend(self.serving(vhost, &b.destination)),
                    DestinationKind::Exchange => todo.push(b.destination.as_str().into()),
                }
            }
            todo.extend(self.alternate(vhost, &source).filter(|name| !matched && !name.is_empty()));
        }
        reached
    }
}

fn predeclared(name: &str) -> bool {
    name.is_empty() || name.starts_with("amq.")
}

fn matches(kind: ExchangeKind, binding: &Binding, key: &str, headers: &Arguments) -> bool {
    match kind {
        ExchangeKind::Direct => *binding.key == *key.as_bytes(),
        ExchangeKind::Fanout => true,
        ExchangeKind::Topic => match &*binding.key {
            b"#" => true,
            b"*" => !key.is_empty() && !key.contains('.'),
            b"a.#" => key == "a" || key.starts_with("a."),
            b"#.b" => key == "b" || key.ends_with(".b"),
            plain => plain == key.as_bytes(),
        },
        ExchangeKind::Headers => {
            let any = binding.arguments.get("x-match").is_some();
            let criteria = binding.arguments.0.iter().filter(|(key, _)| **key != *b"x-match");
            let mut results = criteria.map(|(key, value)| {
                let header = headers.0.iter().find(|(name, _)| name == key);
                header.is_some_and(|(_, header)| {
                    *value == Value::Void || header.as_integer() == value.as_integer()
                })
            });
            if any { results.any(|holds| holds) } else { results.all(|holds| holds) }
        }
        other => unreachable!("no history has {other}"),
    }
}

const VHOSTS: [&str; 2] = ["/", "other"];
const EXCHANGES: [&str; 8] = ["", "amq.direct", "amq.fanout", "amq.topic", "amq.headers", "e0", "e1", "e2"];
const QUEUES: [&str; 3] = ["q0", "q1", "a"];
const PATTERNS: [&str; 7] = ["", "#", "*", "a.#", "#.b", "a", "a.b"];
const KEYS: [&str; 6] = ["", "a", "b", "a.b", "a..b", "q0"];

fn arguments(choice: usize) -> Arguments {
    let entries: &[(&[u8], Value)] = match choice {
        0 => &[],
        1 => &[(b"n", Value::I8(1))],
        2 => &[(b"n", Value::I64(1))],
        3 => &[(b"n", Value::I64(2)), (b"v", Value::Void)],
        4 => &[(b"v", Value::Void), (b"n", Value::I8(2))],
        5 => &[
            (b"x-match", Value::LongString(b"any".as_slice().into())),
            (b"n", Value::U8(1)),
            (b"v", Value::Void),
        ],
        // floats have one hash
        6 => &[(b"n", Value::F64(1.0))],
        7 => &[(b"n", Value::F64(2.0))],
        _ => &[(b"x-match", Value::LongString(b"any".as_slice().into()))],
    };
    Arguments(entries.iter().map(|(key, value)| (RoutingKey::new(key), value.clone())).collect())
}

fn some(from: &'static [&'static str]) -> impl Strategy<Value = Name> {
    prop::sample::select(from).prop_map(Name::new)
}

/// Mostly the first, so that things meet.
fn vhost() -> impl Strategy<Value = Name> {
    prop_oneof![9 => Just(Name::new(VHOSTS[0])), 1 => Just(Name::new(VHOSTS[1]))]
}

fn any_exchange() -> impl Strategy<Value = ExchangeDefinition> {
    // those that choose one binding are in `tests/chosen.rs`
    let kind = prop::sample::select(&ExchangeKind::ALL[..4]);
    let alternate = prop::option::weighted(0.4, some(&EXCHANGES));
    (vhost(), some(&EXCHANGES), kind, alternate).prop_map(|(vhost, name, kind, alternate)| {
        ExchangeDefinition { vhost, ..with_alternate(exchange(&name, kind), alternate.as_deref()) }
    })
}

fn any_queue() -> impl Strategy<Value = QueueRecord> {
    (vhost(), some(&QUEUES), 0..6u128, 0..3u8).prop_map(|(vhost, name, n, shard)| QueueRecord {
        definition: QueueDefinition::new(vhost, name.clone()).into(),
        home: ShardAddress { node: NodeId(1 + u128::from(shard / 2)), shard: ShardId(shard % 2) },
        ..queue(n, &name)
    })
}

fn any_binding() -> impl Strategy<Value = Binding> {
    let destination = prop_oneof![
        3 => some(&QUEUES).prop_map(|name| (DestinationKind::Queue, name)),
        2 => some(&EXCHANGES).prop_map(|name| (DestinationKind::Exchange, name)),
    ];
    (vhost(), some(&EXCHANGES), destination, prop::sample::select(&PATTERNS[..]), 0..9usize).prop_map(
        |(vhost, source, (kind, destination), key, choice)| Binding {
            vhost,
            arguments: arguments(choice),
            ..binding(&source, kind, &destination, key)
        },
    )
}

fn change() -> impl Strategy<Value = Change> {
    let queue_id = || (0..6u128).prop_map(id);
    prop_oneof![
        3 => any_exchange().prop_map(Change::PutExchange),
        1 => (vhost(), some(&EXCHANGES)).prop_map(|(vhost, name)| Change::DropExchange { vhost, name }),
        4 => any_queue().prop_map(Change::PutQueue),
        1 => queue_id().prop_map(|id| Change::DropQueue { id }),
        1 => queue_id().prop_map(|id| Change::WithdrawQueue { id }),
        1 => queue_id().prop_map(|id| Change::MaskQueue { id }),
        1 => queue_id().prop_map(|id| Change::UnmaskQueue { id }),
        10 => any_binding().prop_map(Change::PutBinding),
        4 => policies::policy_change(),
        // more than by luck: see `history`
        2 => any_binding().prop_map(Change::DropBinding),
    ]
}

/// Changes, some of which take back a binding that an earlier one made.
fn history() -> impl Strategy<Value = Vec<Change>> {
    let step = (change(), prop::option::weighted(0.15, any::<prop::sample::Index>()));
    prop::collection::vec(step, 1..60).prop_map(|steps| {
        let mut history: Vec<Change> = Vec::new();
        for (change, undo) in steps {
            let bound: Vec<_> = history
                .iter()
                .filter_map(|old| if let Change::PutBinding(b) = old { Some(b.clone()) } else { None })
                .collect();
            match undo {
                Some(index) if !bound.is_empty() => {
                    history.push(Change::DropBinding(index.get(&bound).clone()));
                }
                _ => history.push(change),
            }
        }
        history
    })
}

/// All routes of the model.
fn routes(model: &Model) -> BTreeMap<Place, Results> {
    let address = |id: QueueId| {
        let (record, _) = model.queues.iter().find(|(queue, _)| queue.id == id).unwrap();
        (id, Address::seen_from(OWN, record.home))
    };
    let mut all = BTreeMap::new();
    for (vhost, name) in VHOSTS.iter().flat_map(|vhost| EXCHANGES.map(|name| (*vhost, name))) {
        if model.kind(vhost, name).is_some() {
            let mut results = Vec::new();
            for (key, headers) in KEYS.iter().flat_map(|key| headers().map(|headers| (*key, headers))) {
                results.push(model.route(vhost, name, key, &headers).into_iter().map(address).collect());
            }
            all.insert((vhost, name), results);
        }
    }
    all
}

/// The same of the table; asserts that no queue is reached twice and that the answer about headers is right.
fn routes_of(table: &Table) -> BTreeMap<Place, (ExchangeId, u64, Results)> {
    let mut all = BTreeMap::new();
    let mut out = Vec::new();
    for (vhost, name) in VHOSTS.iter().flat_map(|vhost| EXCHANGES.map(|name| (*vhost, name))) {
        let id = table.vhost(vhost).and_then(|vhost| table.exchange(vhost, name.as_bytes()));
        let Some(id) = id else { continue };
        let mut results = Vec::new();
        for key in KEYS {
            let first_of_key = results.len();
            for headers in headers() {
                table.route(id, key.as_bytes(), &headers, &mut out);
                let mut reached: Vec<_> = out.iter().map(|found| (found.id, found.address)).collect();
                reached.sort();
                assert!(reached.windows(2).all(|pair| pair[0].0 != pair[1].0), "twice: {reached:?}");
                results.push(reached);
            }
            let alike = results[first_of_key..].iter().all(|result| *result == results[first_of_key]);
            assert!(alike || table.varies(id), "{name} depends on headers");
        }
        all.insert((vhost, name), (id, table.generation_of(id), results));
    }
    all
}

fn check_lists(table: &Table, model: &Model) {
    assert_eq!(table.binding_count(), model.bindings.len());
    assert_eq!(table.queue_count(), model.queues.len());
    for (record, masked) in &model.queues {
        let entry = table.queue_by_id(record.id).expect("every record is found");
        assert_eq!((&entry.record, entry.masked), (record, *masked));
        assert_eq!(entry.address, Address::seen_from(OWN, record.home));
        let to =
            |b: &&Binding| b.kind == DestinationKind::Queue && is_called(record, &b.vhost, &b.destination);
        assert_eq!(table.bindings_to(record.id).count(), model.bindings.iter().filter(to).count());
    }
    for (id, definition) in table.exchanges() {
        let from = |b: &&Binding| b.source == definition.name && b.vhost == definition.vhost;
        assert_eq!(table.bindings_of(id).count(), model.bindings.iter().filter(from).count());
        assert_eq!(table.has_bindings(id), model.bindings.iter().any(|b| from(&b)));
        for found in table.bindings_of(id) {
            let found = found.to_binding();
            assert!(model.bindings.iter().any(|b| b.same(&found)), "{found:?}");
        }
        let to = |b: &&Binding| {
            b.kind == DestinationKind::Exchange
                && b.destination == definition.name
                && b.vhost == definition.vhost
        };
        assert_eq!(table.bindings_to_exchange(id).count(), model.bindings.iter().filter(to).count());
    }
}

/// Everything dropped, in the order that the lists have.
fn drop_all(table: &mut Table, model: &Model) {
    for (record, _) in &model.queues {
        table.apply(&Change::DropQueue { id: record.id });
    }
    for binding in &model.bindings {
        table.apply(&Change::DropBinding(binding.clone()));
    }
    model.policy_drops().for_each(|change| drop(table.apply(&change)));
    for exchange in &model.exchanges {
        table.apply(&Change::DropExchange { vhost: exchange.vhost.clone(), name: exchange.name.clone() });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// After each change: the same routes, lists and records as the model; "unchanged" is said exactly when nothing changed; a
    /// route that changed has another generation, wherever the change was made; a dropped exchange's id is dead.
    #[test]
    fn any_history_leaves_the_table_that_the_model_describes(history in history()) {
        let (mut table, mut model) = (table(), Model::default());
        for change in &history {
            let (old_model, old, old_generation) = (model.clone(), routes_of(&table), table.generation());
            let applied = table.apply(change);
            model.apply(change);
            prop_assert_eq!(applied == Applied::Unchanged, model == old_model, "{:?}", change);
            check_lists(&table, &model);
            let (new, expected) = (routes_of(&table), routes(&model));
            for (name, (_, _, results)) in &new {
                prop_assert_eq!(results, &expected[name], "{:?} after {:?}", name, change);
            }
            let known = |name: &(&str, &str)| table.vhost(name.0).is_some();
            prop_assert_eq!(new.len(), expected.keys().filter(|name| known(name)).count());
            for (name, (id, generation, results)) in &old {
                match new.get(name).filter(|(new_id, ..)| new_id == id) {
                    Some((_, new_generation, new_results)) => {
                        prop_assert!(new_generation >= generation);
                        let changed = results != new_results;
                        prop_assert!(!changed || new_generation > generation, "{:?} after {:?}", name, change);
                        prop_assert!(!changed || table.generation() > old_generation);
                    }
                    None => prop_assert_eq!((table.definition(*id), table.generation_of(*id)), (None, 0)),
                }
            }
        }
        drop_all(&mut table, &model);
        let vhosts = table.vhosts().count();
        prop_assert_eq!((table.binding_count(), table.queue_count()), (0, 0));
        prop_assert_eq!(table.names_in_use(), (7 * vhosts, 0));
    }

    /// Twice the same changes into two tables with one seed: the same matches in the same order.
    #[test]
    fn the_order_of_matches_depends_on_history_and_seed_alone(history in history()) {
        let mut tables = [table(), table()];
        for change in &history {
            tables.iter_mut().for_each(|table| drop(table.apply(change)));
        }
        let (mut out, mut other) = (Vec::new(), Vec::new());
        for (id, _) in tables[0].exchanges() {
            for (key, headers) in KEYS.iter().flat_map(|key| headers().map(|headers| (key, headers))) {
                tables[0].route(id, key.as_bytes(), &headers, &mut out);
                tables[1].route(id, key.as_bytes(), &headers, &mut other);
                prop_assert_eq!(&out, &other);
            }
        }
    }
}
