//! One node alone: commands answered through its own shards.

use leveret_cluster::{Config, Control, Effects};
use leveret_model::definition::{
    Binding, DestinationKind, ExchangeDefinition, ExchangeKind, QueueDefinition,
};
use leveret_model::directory::{Change, Command, FromShard, Reply, ToShard};
use leveret_model::{
    Arguments, Boot, Incarnation, Instant, Name, NodeId, RequestId, RoutingKey, Seed, ShardAddress, ShardId,
    Value, limits,
};

/// A control machine whose two shards apply everything at once.
struct Alone {
    control: Control,
    changes: Vec<Change>,
    next: u64,
    ready_messages: u64,
}

impl Alone {
    fn new() -> Self {
        let config = Config {
            node: NodeId(7 << 96),
            incarnation: Incarnation(1),
            boot: Boot(1),
            name: Name::new("a"),
            shards: 2,
            address: "127.0.0.1:25672".into(),
            seed: Seed(1),
            rebalance: true,
            unix_ms_at_zero: 1_700_000_000_000,
        };
        let mut control = Control::new(Instant::ZERO, config);
        control.on_seeds(Instant::ZERO, &[]);
        let mut alone = Self { control, changes: Vec::new(), next: 0, ready_messages: 0 };
        let mut effects = Effects::default();
        alone.control.drain(&mut effects);
        assert_eq!(effects.ready, Some(0));
        assert!(effects.to_shards.contains(&(ShardId(1), ToShard::Lease { until: Instant::FAR })));
        alone
    }

    fn ask(&mut self, command: Command) -> Reply {
        self.next += 1;
        let request = RequestId(self.next);
        self.control.on_shard(Instant::ZERO, ShardId(1), FromShard::Command { request, command });
        loop {
            let mut effects = Effects::default();
            self.control.drain(&mut effects);
            assert!(!effects.to_shards.is_empty(), "the command hangs");
            for (shard, mail) in effects.to_shards {
                match mail {
                    ToShard::Change { sequence, change } => {
                        if shard == ShardId(0) {
                            self.changes.push(change);
                        }
                        self.control.on_shard(Instant::ZERO, shard, FromShard::Applied { sequence });
                    }
                    ToShard::Reply { request: answered, reply } => {
                        assert_eq!((shard, answered), (ShardId(1), request));
                        return reply;
                    }
                    ToShard::CloseQueue { request, .. } => {
                        let result = Ok(self.ready_messages);
                        self.control.on_shard(
                            Instant::ZERO,
                            shard,
                            FromShard::QueueClosed { request, result },
                        );
                    }
                    ToShard::Move { .. } => unreachable!("a node that is alone moves nothing"),
                    ToShard::Lease { .. }
                    | ToShard::NodeNamed { .. }
                    | ToShard::NodeDown { .. }
                    | ToShard::SessionPeers { .. }
                    | ToShard::NodeForgotten { .. } => {}
                }
            }
        }
    }

    fn refusal(&mut self, command: Command) -> (u16, String) {
        match self.ask(command) {
            Reply::Refused(refusal) => (refusal.code.code(), refusal.text),
            other => panic!("{other:?}"),
        }
    }
}

fn name(text: &str) -> Name {
    Name::new(text)
}

fn queue(queue: &str, durable: bool) -> Command {
    queue_with(queue, durable, Arguments::default())
}

fn queue_with(queue: &str, durable: bool, arguments: Arguments) -> Command {
    let arguments = arguments.into();
    let definition = QueueDefinition { durable, arguments, ..QueueDefinition::new(name("/"), name(queue)) };
    let home = ShardAddress { node: NodeId(7 << 96), shard: ShardId(1) };
    Command::DeclareQueue { definition: definition.into(), home, server_named: false }
}

fn exchange(exchange: &str, kind: ExchangeKind, auto_delete: bool) -> Command {
    let definition = ExchangeDefinition::new(name("/"), name(exchange), kind);
    Command::DeclareExchange(ExchangeDefinition { auto_delete, ..definition })
}

fn binding(source: &str, kind: DestinationKind, destination: &str) -> Binding {
    Binding {
        vhost: name("/"),
        source: name(source),
        kind,
        destination: name(destination),
        key: RoutingKey::new(b"k"),
        arguments: Arguments::default(),
    }
}

fn to_queue(source: &str, destination: &str) -> Binding {
    binding(source, DestinationKind::Queue, destination)
}

fn delete_queue(queue: &str) -> Command {
    Command::DeleteQueue { vhost: name("/"), name: name(queue), if_unused: false, if_empty: false }
}

fn delete_exchange(exchange: &str, if_unused: bool) -> Command {
    Command::DeleteExchange { vhost: name("/"), name: name(exchange), if_unused }
}

#[test]
fn a_queue_is_created_once_and_compared_afterwards() {
    let mut alone = Alone::new();
    let Reply::Queue { record, created: true } = alone.ask(queue("q", true)) else { panic!("not created") };
    assert_eq!(alone.changes, vec![Change::PutQueue((*record).clone())]);
    assert_eq!(alone.ask(queue("q", true)), Reply::Queue { record, created: false });
    let text =
        "inequivalent arg 'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'";
    assert_eq!(alone.refusal(queue("q", false)), (406, text.into()));
    assert_eq!(alone.refusal(queue("amq.q", false)).0, 403);
}

#[test]
fn deleting_a_queue_drops_its_bindings_before_it() {
    let mut alone = Alone::new();
    alone.ask(queue("q", false));
    assert_eq!(alone.ask(Command::Bind(to_queue("amq.direct", "q"))), Reply::Done);
    assert_eq!(alone.ask(Command::Bind(to_queue("amq.direct", "q"))), Reply::Done);
    alone.changes.clear();
    alone.ready_messages = 3;
    assert_eq!(alone.ask(delete_queue("q")), Reply::Deleted { messages: 3 });
    assert!(
        matches!(&alone.changes[..], [Change::DropBinding(_), Change::DropQueue { .. }]),
        "{:?}",
        alone.changes
    );
    assert_eq!(alone.ask(delete_queue("q")), Reply::Deleted { messages: 0 });
    assert_eq!(alone.control.status().bindings, vec![]);
}

#[test]
fn missing_ends_are_named_as_rabbitmq_names_them() {
    let mut alone = Alone::new();
    assert_eq!(
        alone.refusal(Command::Bind(to_queue("amq.direct", "q"))),
        (404, "no queue 'q' in vhost '/'".into())
    );
    assert_eq!(
        alone.refusal(Command::Bind(to_queue("x", "q"))),
        (404, "no exchange 'x' in vhost '/'".into()),
        "neither is there"
    );
    alone.ask(queue("q", false));
    assert_eq!(
        alone.refusal(Command::Bind(to_queue("x", "q"))),
        (404, "no exchange 'x' in vhost '/'".into())
    );
    assert_eq!(alone.refusal(Command::Bind(to_queue("", "q"))).0, 403);
    assert_eq!(alone.ask(Command::Unbind(to_queue("x", "q"))), Reply::Done);
    assert_eq!(alone.ask(Command::Unbind(to_queue("x", "nothing"))), Reply::Done);
}

#[test]
fn exchanges_are_compared_deleted_and_made_anew_without_their_old_bindings() {
    let mut alone = Alone::new();
    assert_eq!(alone.ask(exchange("amq.topic", ExchangeKind::Topic, false)).clone(), {
        // RabbitMQ: the predeclared ones are durable
        Reply::Refused(leveret_model::Refusal::new(
            leveret_model::ReplyCode::PreconditionFailed,
            "inequivalent arg 'durable' for exchange 'amq.topic' in vhost '/': received 'false' but current is 'true'",
        ))
    });
    assert_eq!(alone.refusal(exchange("amq.mine", ExchangeKind::Topic, false)).0, 403);
    assert_eq!(alone.refusal(delete_exchange("amq.topic", false)).0, 403);
    assert_eq!(alone.ask(exchange("x", ExchangeKind::Topic, false)), Reply::Done);
    assert_eq!(alone.ask(exchange("x", ExchangeKind::Topic, false)), Reply::Done);
    let text =
        "inequivalent arg 'type' for exchange 'x' in vhost '/': received 'fanout' but current is 'topic'";
    assert_eq!(alone.refusal(exchange("x", ExchangeKind::Fanout, false)), (406, text.into()));
    alone.ask(queue("q", false));
    alone.ask(Command::Bind(to_queue("x", "q")));
    assert_eq!(alone.refusal(delete_exchange("x", true)), (406, "exchange 'x' in vhost '/' in use".into()));
    assert_eq!(alone.ask(delete_exchange("x", false)), Reply::Done);
    assert_eq!(alone.ask(delete_exchange("x", false)), Reply::Done);
    assert_eq!(alone.ask(delete_exchange("never", false)), Reply::Done);
    assert_eq!(alone.ask(exchange("x", ExchangeKind::Fanout, false)), Reply::Done);
    assert_eq!(alone.control.status().bindings, vec![]);
    assert_eq!(alone.ask(Command::Bind(to_queue("x", "q"))), Reply::Done);
    assert_eq!(alone.control.status().bindings.len(), 1);
}

#[test]
fn an_auto_delete_exchange_goes_with_its_last_binding_and_so_on_up() {
    let mut alone = Alone::new();
    alone.ask(exchange("up", ExchangeKind::Fanout, true));
    alone.ask(exchange("x", ExchangeKind::Fanout, true));
    alone.ask(queue("q", false));
    alone.ask(queue("r", false));
    assert_eq!(alone.ask(Command::Bind(binding("up", DestinationKind::Exchange, "x"))), Reply::Done);
    alone.ask(Command::Bind(to_queue("x", "q")));
    alone.ask(Command::Bind(to_queue("x", "r")));
    alone.ask(Command::Unbind(to_queue("x", "q")));
    assert_eq!(alone.control.status().exchanges.len(), 2);
    assert_eq!(alone.ask(delete_queue("r")), Reply::Deleted { messages: 0 });
    assert_eq!(alone.control.status().exchanges, vec![]);
    assert_eq!(alone.refusal(Command::Bind(to_queue("x", "q"))).0, 404);
}

#[test]
fn exchange_bindings_come_and_go() {
    let mut alone = Alone::new();
    alone.ask(exchange("x", ExchangeKind::Fanout, false));
    let bound = binding("amq.topic", DestinationKind::Exchange, "x");
    assert_eq!(alone.ask(Command::Bind(bound.clone())), Reply::Done);
    assert_eq!(alone.control.status().bindings, vec![bound.clone()]);
    assert_eq!(alone.ask(Command::Unbind(bound.clone())), Reply::Done);
    assert_eq!(alone.control.status().bindings, vec![]);
    assert_eq!(alone.ask(Command::Unbind(bound.clone())), Reply::Done);
    let missing = binding("amq.topic", DestinationKind::Exchange, "y");
    assert_eq!(alone.refusal(Command::Bind(missing)).0, 404);
}

#[test]
fn large_arguments_are_refused_when_they_fill_their_bound_and_make_room_when_they_go() {
    let mut node = Alone::new();
    let value = Value::LongString(vec![b'x'; 100_000].into());
    let arguments = Arguments(vec![(RoutingKey::new(b"note"), value)]);
    let large = |called: &str| queue_with(called, false, arguments.clone());
    let mut made = 0;
    while let Reply::Queue { created: true, .. } = node.ask(large(&format!("q{made}"))) {
        made += 1;
    }
    assert_eq!(made, limits::DEFINITION_ARGUMENT_BYTES_MAX / arguments.weight_bytes() + 1);
    let (code, text) = node.refusal(large("one more"));
    assert_eq!((code, &*text), (406, "the cluster has 67108864 bytes of arguments, which is its limit"));
    // what is there is equal, what has no arguments takes none
    assert!(matches!(node.ask(large("q0")), Reply::Queue { created: false, .. }));
    assert!(matches!(node.ask(queue("plain", false)), Reply::Queue { created: true, .. }));
    node.ask(delete_queue("q0"));
    assert!(matches!(node.ask(large("one more")), Reply::Queue { created: true, .. }));
}
