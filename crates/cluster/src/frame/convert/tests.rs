//! Nouns through the bytes of a frame and back.

use std::string::String;

use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::frame::arguments::tests::arguments;
use crate::frame::message::{Request, Response};
use crate::frame::record::{Entry, EntryKind};

fn any_name() -> impl Strategy<Value = Name> {
    any::<String>().prop_map(|text| Name::new(&text))
}

fn any_shard() -> impl Strategy<Value = ShardAddress> {
    any::<(u128, u8)>().prop_map(|(node, shard)| ShardAddress { node: NodeId(node), shard: ShardId(shard) })
}

fn any_owner() -> impl Strategy<Value = Option<ConnectionAddress>> {
    let connection = any::<(u32, u32)>().prop_map(|(slot, generation)| ConnectionKey { slot, generation });
    let owner = (any_shard(), connection);
    prop::option::of(owner.prop_map(|(at, connection)| ConnectionAddress { at, connection }))
}

fn exchange() -> impl Strategy<Value = definition::ExchangeDefinition> {
    let kind = prop::sample::select(&ExchangeKind::ALL[..]);
    (any_name(), any_name(), kind, any::<[bool; 3]>(), arguments()).prop_map(
        |(vhost, name, kind, [durable, auto_delete, internal], arguments)| definition::ExchangeDefinition {
            vhost,
            name,
            kind,
            durable,
            auto_delete,
            internal,
            arguments: arguments.into(),
        },
    )
}

fn binding() -> impl Strategy<Value = definition::Binding> {
    let kind = prop_oneof![Just(DestinationKind::Queue), Just(DestinationKind::Exchange)];
    let key = prop::collection::vec(any::<u8>(), 0..=255).prop_map(|key| RoutingKey::new(&key));
    (any_name(), any_name(), kind, any_name(), key, arguments()).prop_map(
        |(vhost, source, kind, destination, key, arguments)| definition::Binding {
            vhost,
            source,
            kind,
            destination,
            key,
            arguments,
        },
    )
}

fn queue() -> impl Strategy<Value = QueueRecord> {
    let definition = (any_name(), any_name(), any::<[bool; 2]>(), any_owner(), arguments()).prop_map(
        |(vhost, name, [durable, auto_delete], exclusive, arguments)| definition::QueueDefinition {
            vhost,
            name,
            durable,
            exclusive,
            auto_delete,
            arguments: arguments.into(),
        },
    );
    (definition, any::<(u32, u128, u64)>(), any_shard()).prop_map(
        |(definition, (generation, ulid, epoch), home)| QueueRecord {
            definition: definition.into(),
            id: leveret_model::QueueId { generation, ulid: Ulid(ulid) },
            home,
            epoch,
        },
    )
}

/// What is passed on to the home of a queue.
fn command() -> impl Strategy<Value = Command> {
    let to_queue = |binding| definition::Binding { kind: DestinationKind::Queue, ..binding };
    prop_oneof![
        (any_name(), any_name(), any::<(bool, bool)>()).prop_map(|(vhost, name, (if_unused, if_empty))| {
            Command::DeleteQueue { vhost, name, if_unused, if_empty }
        }),
        binding().prop_map(move |binding| Command::Bind(to_queue(binding))),
        binding().prop_map(move |binding| Command::Unbind(to_queue(binding))),
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        Just(Reply::Done),
        any::<u64>().prop_map(|messages| Reply::Deleted { messages }),
        (prop::sample::select(ReplyCode::ALL), any::<String>())
            .prop_map(|(code, text)| Reply::Refused(Refusal::new(code, text))),
    ]
}

/// Through the bytes of a frame.
fn sent(body: Body) -> Body {
    let bytes = ControlFrame::from(body).encode_to_vec();
    ControlFrame::decode(&bytes[..]).unwrap().body.unwrap()
}

fn shown(value: &impl core::fmt::Debug) -> String {
    std::format!("{value:?}")
}

proptest! {
    #[test]
    fn commands_come_back_as_they_were(command in command()) {
        let request = Request { id: 1, oldest: 1, command: Some((&command).into()) };
        let Body::Request(back) = sent(Body::Request(request)) else { panic!("a request") };
        let back = Command::try_from(&back.command.unwrap()).unwrap();
        prop_assert_eq!(shown(&back), shown(&command));
    }

    #[test]
    fn replies_come_back_as_they_were(reply in reply()) {
        let response = Response { id: 1, reply: Some((&reply).into()) };
        let Body::Response(back) = sent(Body::Response(response)) else { panic!("a response") };
        let back = Reply::try_from(&back.reply.unwrap()).unwrap();
        prop_assert_eq!(shown(&back), shown(&reply));
    }

    #[test]
    fn queues_and_exchanges_come_back_as_they_were(queue in queue(), exchange in exchange()) {
        let back = Queue::decode(&Queue::from(&queue).encode_to_vec()[..]).unwrap();
        prop_assert_eq!(shown(&QueueRecord::try_from(&back).unwrap()), shown(&queue));
        let back = ExchangeDefinition::decode(&ExchangeDefinition::from(&exchange).encode_to_vec()[..]).unwrap();
        prop_assert_eq!(shown(&definition::ExchangeDefinition::try_from(&back).unwrap()), shown(&exchange));
    }

    #[test]
    fn any_bytes_are_a_frame_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(ControlFrame::decode(&bytes[..]));
    }
}

/// Declarations and bindings between exchanges are each node's own, so no peer may have them done here; nor does any
/// answer name a queue.
#[test]
fn a_command_or_an_answer_that_no_node_sends_is_damage() {
    use crate::frame::Frame;
    // the frame with that tag, of id 1, with an empty message under the other tag
    let with = |frame: u8, tag: u8| [frame << 3 | 2, 4, 1 << 3, 1, tag << 3 | 2, 0];
    let (request, response) = (11, 12);
    for tag in [2, 3, 4, 9] {
        assert_eq!(Frame::decode(&with(request, tag)), Err(Damage::Value("command")), "command {tag}");
    }
    assert_eq!(Frame::decode(&with(response, 3)), Err(Damage::Value("reply")));
    for (frame, tag) in [(request, 5), (request, 6), (request, 7), (response, 2)] {
        assert!(matches!(Frame::decode(&with(frame, tag)), Ok(Some(_))), "{frame} {tag}");
    }
    for kind in [CommandKind::Bind, CommandKind::Unbind] {
        let between_exchanges = kind(Binding { to_exchange: true, ..Binding::default() });
        assert_eq!(Command::try_from(&between_exchanges), Err(Damage::Value("destination")));
    }
}

#[test]
fn an_entry_of_a_later_version_is_skipped() {
    // field 99, a string: this version has no such entry
    let later = [0x9a, 0x06, 1, b'x'];
    assert_eq!(Entry::decode(&later[..]).unwrap().kind, None);
    let known = Entry { kind: Some(EntryKind::DropQueue(QueueId::default())) }.encode_to_vec();
    assert!(Entry::decode(&known[..]).unwrap().kind.is_some());
}

#[test]
fn a_value_that_the_model_cannot_hold_is_damage() {
    let home = Shard { shard: 256, ..Shard::default() };
    let queue = Queue { home, ..Queue::default() };
    assert_eq!(QueueRecord::try_from(&queue), Err(Damage::Value("shard")));
    let definition = QueueDefinition { name: "x".repeat(256), ..QueueDefinition::default() };
    let queue = Queue { definition, ..Queue::default() };
    assert_eq!(QueueRecord::try_from(&queue), Err(Damage::Value("name")));
    let exchange = ExchangeDefinition { kind: "x-consistent-hash".into(), ..ExchangeDefinition::default() };
    assert_eq!(definition::ExchangeDefinition::try_from(&exchange), Err(Damage::Value("exchange type")));
}
