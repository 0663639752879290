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

fn exchange() -> impl Strategy<Value = definition::Exchange> {
    let kind = prop::sample::select(&ExchangeKind::ALL[..]);
    (any_name(), any_name(), kind, any::<[bool; 3]>(), arguments()).prop_map(
        |(vhost, name, kind, [durable, auto_delete, internal], arguments)| definition::Exchange {
            vhost,
            name,
            kind,
            durable,
            auto_delete,
            internal,
            arguments,
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
    (any_name(), any_name(), any::<(u32, u128, u128, u8, u64, bool)>(), arguments()).prop_map(
        |(vhost, name, (generation, ulid, node, shard, epoch, durable), arguments)| QueueRecord {
            vhost,
            name,
            id: leveret_model::QueueId { generation, ulid: Ulid(ulid) },
            home: ShardAddress { node: NodeId(node), shard: ShardId(shard) },
            epoch,
            durable,
            arguments,
        },
    )
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        exchange().prop_map(Command::DeclareExchange),
        (any_name(), any_name(), any::<bool>())
            .prop_map(|(vhost, name, if_unused)| { Command::DeleteExchange { vhost, name, if_unused } }),
        queue().prop_map(|QueueRecord { vhost, name, home, durable, arguments, .. }| {
            Command::DeclareQueue { vhost, name, home, durable, arguments }
        }),
        (any_name(), any_name(), any::<(bool, bool)>()).prop_map(|(vhost, name, (if_unused, if_empty))| {
            Command::DeleteQueue { vhost, name, if_unused, if_empty }
        }),
        binding().prop_map(Command::Bind),
        binding().prop_map(Command::Unbind),
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        Just(Reply::Done),
        (queue(), any::<bool>())
            .prop_map(|(record, created)| Reply::Queue { record: Box::new(record), created }),
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
    fn any_bytes_are_a_frame_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(ControlFrame::decode(&bytes[..]));
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
    let queue = Queue { shard: 256, ..Queue::default() };
    assert_eq!(QueueRecord::try_from(&queue), Err(Damage::Value("shard")));
    let queue = Queue { name: "x".repeat(256), ..Queue::default() };
    assert_eq!(QueueRecord::try_from(&queue), Err(Damage::Value("name")));
    let exchange = Exchange { kind: "x-consistent-hash".into(), ..Exchange::default() };
    assert_eq!(definition::Exchange::try_from(&exchange), Err(Damage::Value("exchange type")));
}
