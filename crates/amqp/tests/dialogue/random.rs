//! Any cut of the bytes gives the same dialogue; any bytes and any order of deeds give no panic, no second operation on a
//! channel, and only whole frames.

use std::time::Duration;

use leveret_amqp::host::{Answer, Delivery, Operation, Published};
use leveret_model::{Body, ChannelKey, ConsumerNumber, Message, Name, Refusal, ReplyCode};
use leveret_wire::method::*;
use leveret_wire::{PROTOCOL_HEADER, Table};
use proptest::prelude::*;

use crate::support::{
    Call, Talk, Written, address, all_capabilities, body_frame, client_properties, frame, header_frame,
    header_payload, held, publish_frames,
};

/// What a client says from its first byte to its last. Between two parts it waits for what it needs to hear.
fn long_dialogue() -> [Vec<u8>; 3] {
    let properties = client_properties(&all_capabilities());
    let start_ok = ConnectionStartOk {
        client_properties: Table(&properties),
        mechanism: b"PLAIN",
        response: b"\0guest\0guest",
        locale: b"en_US",
    };
    let mut parts = [PROTOCOL_HEADER.to_vec(), Vec::new(), Vec::new()];
    let mut say = |frames: Vec<u8>| parts[0].extend(frames);
    say(frame(0, start_ok));
    say(frame(0, ConnectionTuneOk { channel_max: 9, frame_max: 8192, heartbeat: 9 }));
    say(frame(0, ConnectionOpen { virtual_host: b"/" }));
    say(frame(1, ChannelOpen));
    say(frame(2, ChannelOpen));
    say(frame(1, ConfirmSelect { no_wait: false }));
    say(frame(1, QueueDeclare { queue: b"q", ..Default::default() }));
    say(publish_frames(1, "", "q", false, b"small"));
    say(frame(2, BasicPublish { exchange: b"e", routing_key: b"k", ..Default::default() }));
    say(header_frame(2, 12_000));
    say(publish_frames(1, "", "q", true, b""));
    say(body_frame(2, &[1; 7_000]));
    say(leveret_wire::HEARTBEAT.to_vec());
    say(body_frame(2, &[2; 5_000]));
    say(frame(1, BasicConsume { queue: b"q", consumer_tag: b"c", ..Default::default() }));
    let mut say = |frames: Vec<u8>| parts[1].extend(frames);
    say(frame(1, BasicAck { delivery_tag: 1, multiple: false }));
    say(frame(2, BasicAck { delivery_tag: 5, multiple: false }));
    say(publish_frames(2, "e", "late", false, &[5; 6_000]));
    say(frame(2, ChannelCloseOk));
    say(frame(2, ChannelOpen));
    say(publish_frames(2, "e", "k", false, &[6; 4_100]));
    say(frame(1, ChannelClose::default()));
    let mut say = |frames: Vec<u8>| parts[2].extend(frames);
    say(frame(0, ConnectionClose::default()));
    say(leveret_wire::HEARTBEAT.to_vec());
    parts
}

/// The answers of a broker that never takes long: after each block.
fn answer_all(talk: &mut Talk, done: &mut Vec<Call>) {
    while let Some(call) = talk.broker.calls.pop_front() {
        match &call {
            Call::Login(..) => talk.connection.on_login(talk.now, Ok(Name::new("guest"))),
            Call::Request(channel, operation) => answer(talk, *channel, operation),
            _ => {}
        }
        done.push(call);
    }
}

fn answer(talk: &mut Talk, channel: ChannelKey, operation: &Operation) {
    let (address, header) = (address("e", "k"), header_payload(2));
    let message = Message::new(&address, &header, Body::Flat(b"hi"));
    match operation {
        Operation::QueueDeclare(_)
        | Operation::QueueDeclareServerNamed(_)
        | Operation::QueueDeclarePassive { .. } => {
            talk.answers(channel, Answer::Queue { messages: 0, consumers: 0 });
        }
        Operation::QueueDelete { .. } | Operation::QueuePurge { .. } => {
            talk.answers(channel, Answer::Messages(1));
        }
        Operation::Consume { consumer, .. } => {
            talk.answers(channel, Answer::Done);
            let delivery = Delivery { held: held(1, *consumer), redelivered: false, message };
            let _ = talk.connection.deliver(channel, &delivery);
        }
        Operation::Get { .. } => {
            let held = held(2, ConsumerNumber(0));
            talk.answers(channel, Answer::Got { held, message, redelivered: false, remaining: 0 });
        }
        _ => talk.answers(channel, Answer::Done),
    }
}

/// The dialogue with the bytes cut into these blocks: what the broker was asked, what the client heard.
fn dialogue<'b>(blocks: impl IntoIterator<Item = &'b [u8]>) -> (Vec<Call>, Vec<Written>) {
    let mut talk = Talk::accepted();
    let (mut done, mut heard) = (Vec::new(), Vec::new());
    let mut listen = |talk: &mut Talk| {
        let (confirms, others): (Vec<_>, Vec<_>) =
            talk.all_frames().into_iter().partition(|f| f.payload.starts_with(&[0, 60, 0, 80]));
        // how many confirms share a frame depends on the turns, which the cuts make
        drop(confirms);
        heard.extend(others);
    };
    for block in blocks {
        talk.says_bytes(block);
        answer_all(&mut talk, &mut done);
        loop {
            let before = talk.unread_len();
            talk.goes_on();
            answer_all(&mut talk, &mut done);
            if talk.unread_len() == before {
                break;
            }
        }
        listen(&mut talk);
    }
    assert_eq!(talk.unread_len(), 0);
    assert!(talk.connection.is_finished());
    // channels wait for their own operations only, so their order to each other is not fixed
    heard.sort_by_key(|frame| frame.channel);
    done.sort_by_key(|call| match call {
        Call::Login(..) | Call::Vhost(..) => 0,
        Call::Publish { channel, .. } | Call::Closed(channel, _) => *channel,
        Call::Request(channel, _) => channel.number.0,
        Call::Settle(..) => 1,
    });
    (done, heard)
}

#[test]
fn the_cut_of_the_bytes_does_not_matter() {
    let parts = long_dialogue();
    let chunked = |size: usize| dialogue(parts.iter().flat_map(|part| part.chunks(size)));
    let (calls, heard) = chunked(1);
    let publishes = calls.iter().filter(|call| matches!(call, Call::Publish { .. })).count();
    assert_eq!((publishes, heard.len()), (4, 17));
    for size in (2..200).chain([500, 1_000, 4_096, 10_000, usize::MAX]) {
        let (other_calls, other_heard) = chunked(size);
        assert_eq!(other_heard, heard, "blocks of {size}");
        assert!(other_calls == calls, "blocks of {size}");
    }
    let longest = parts.iter().map(Vec::len).max().unwrap();
    for cut in 1..longest {
        let halves = parts.iter().flat_map(|part| {
            let (a, b) = part.split_at(cut.min(part.len()));
            [a, b]
        });
        let (other_calls, other_heard) = dialogue(halves);
        assert_eq!(other_heard, heard, "cut at {cut}");
        assert!(other_calls == calls, "cut at {cut}");
    }
}

/// One deed of a client or a broker.
#[derive(Clone, Debug)]
enum Deed {
    Say(u16, u8, u8),
    Publish(u16, u16, bool),
    Answer(u8),
    Refuse(u8, u8),
    Outcome(u8),
    Resume,
    Deliver(u8),
    Cancel(u8),
    Settle(u8, bool),
    Wait(u16),
    Block(bool),
    Raw(Vec<u8>),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        8 => (1u16..4, 0u8..24, any::<u8>()).prop_map(|(c, m, n)| Deed::Say(c, m, n)),
        6 => (1u16..4, prop_oneof![0u16..20, 4_000u16..20_000], any::<bool>()).prop_map(|(c, n, m)| Deed::Publish(c, n, m)),
        6 => any::<u8>().prop_map(Deed::Answer),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(n, c)| Deed::Refuse(n, c)),
        2 => any::<u8>().prop_map(Deed::Outcome),
        2 => Just(Deed::Resume),
        4 => any::<u8>().prop_map(Deed::Deliver),
        1 => any::<u8>().prop_map(Deed::Cancel),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(n, ok)| Deed::Settle(n, ok)),
        1 => (0u16..20_000).prop_map(Deed::Wait),
        1 => any::<bool>().prop_map(Deed::Block),
        1 => proptest::collection::vec(any::<u8>(), 0..20).prop_map(Deed::Raw),
    ];
    proptest::collection::vec(deed, 0..120)
}

fn say(talk: &mut Talk, channel: u16, method: u8, n: u8) {
    let (queue, tag) = (b"q", [b'a' + n % 3]);
    let (consumer_tag, delivery_tag, multiple) = (&tag[..], u64::from(n % 8), n >= 128);
    let bytes = match method {
        0..4 => frame(channel, ChannelOpen),
        4 => frame(channel, ChannelClose::default()),
        5 | 6 => frame(channel, ChannelCloseOk),
        7 => frame(channel, ConfirmSelect { no_wait: multiple }),
        8 | 9 => frame(channel, QueueDeclare { queue, no_wait: multiple, ..Default::default() }),
        10..13 => frame(
            channel,
            BasicConsume {
                queue,
                consumer_tag,
                no_ack: n.is_multiple_of(5),
                no_wait: multiple,
                ..Default::default()
            },
        ),
        13 => frame(channel, BasicCancel { consumer_tag, no_wait: multiple }),
        14..17 => frame(channel, BasicAck { delivery_tag, multiple }),
        17 => frame(channel, BasicNack { delivery_tag, multiple, requeue: n.is_multiple_of(2) }),
        18 => frame(channel, BasicRecover { requeue: n != 3 }),
        19..22 => frame(channel, BasicGet { queue, no_ack: multiple }),
        22 => frame(channel, BasicQos { prefetch_count: n.into(), ..Default::default() }),
        _ if n == 7 => frame(0, ConnectionClose::default()),
        _ => frame(channel, QueuePurge { queue, no_wait: multiple }),
    };
    talk.says_bytes(&bytes);
}

/// What was asked and is not answered, and the consumers that the broker believes in.
#[derive(Default)]
struct Books {
    asked: Vec<(ChannelKey, Operation)>,
    consumers: Vec<(ChannelKey, ConsumerNumber)>,
}

impl Books {
    fn keep(&mut self, talk: &mut Talk) {
        for call in std::mem::take(&mut talk.broker.calls) {
            match call {
                Call::Request(channel, operation) => self.asked.push((channel, operation)),
                Call::Closed(number, _) => {
                    self.asked.retain(|(channel, _)| channel.number.0 != number);
                    self.consumers.retain(|(channel, _)| channel.number.0 != number);
                }
                _ => {}
            }
        }
    }

    fn take(&mut self, n: u8) -> Option<(ChannelKey, Operation)> {
        (!self.asked.is_empty()).then(|| self.asked.swap_remove(usize::from(n) % self.asked.len()))
    }

    fn consumer(&self, n: u8) -> Option<(ChannelKey, ConsumerNumber)> {
        (!self.consumers.is_empty()).then(|| self.consumers[usize::from(n) % self.consumers.len()])
    }
}

fn act(talk: &mut Talk, books: &mut Books, deed: Deed) {
    match deed {
        Deed::Say(channel, method, n) => say(talk, channel, method, n),
        Deed::Publish(channel, len, mandatory) => {
            talk.says_bytes(&publish_frames(channel, "e", "k", mandatory, &vec![1; len.into()]));
        }
        Deed::Answer(n) => {
            if let Some((channel, operation)) = books.take(n) {
                if let Operation::Consume { consumer, .. } = operation {
                    books.consumers.push((channel, consumer));
                }
                if let Operation::Cancel { consumer } = operation {
                    books.consumers.retain(|known| *known != (channel, consumer));
                }
                answer(talk, channel, &operation);
            }
        }
        Deed::Refuse(n, code) => {
            if let Some((channel, _)) = books.take(n) {
                let code = ReplyCode::ALL[1 + usize::from(code) % (ReplyCode::ALL.len() - 1)];
                talk.refuses(channel, code, "refused");
            }
        }
        Deed::Outcome(n) => talk.broker.outcomes.push_back(match n % 6 {
            0 | 1 => Ok(Published::NotNow),
            2 => Ok(Published::Owed),
            3 => Ok(Published::GivenUp),
            4 => Ok(Published::Unroutable),
            _ => Err(Refusal::new(ReplyCode::NotFound, "no exchange")),
        }),
        Deed::Resume => talk.connection.resume(talk.now, &mut talk.broker),
        Deed::Deliver(n) => {
            if let Some((channel, consumer)) = books.consumer(n) {
                talk.delivers(channel, consumer, n.into(), &vec![0; usize::from(n) * 40]);
            }
        }
        Deed::Cancel(n) => {
            if let Some((channel, consumer)) = books.consumer(n) {
                books.consumers.retain(|known| *known != (channel, consumer));
                talk.connection.cancel_consumer(channel, consumer);
            }
        }
        Deed::Settle(n, ok) => talk.settled(u16::from(n % 3) + 1, u64::from(n / 3), ok),
        Deed::Wait(ms) => talk.passes(Duration::from_millis(ms.into())),
        Deed::Block(true) => talk.connection.block("memory"),
        Deed::Block(false) => talk.connection.unblock(),
        Deed::Raw(bytes) => talk.says_bytes(&bytes),
    }
    talk.goes_on();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// `Broker::request` panics at a second operation of a channel, `Talk::all_frames` at half a frame.
    #[test]
    fn any_order_of_deeds_keeps_to_one_operation_a_channel(deeds in deeds()) {
        let mut talk = Talk::open();
        let mut books = Books::default();
        for channel in 1..4 {
            talk.says(channel, ChannelOpen);
        }
        for deed in deeds {
            act(&mut talk, &mut books, deed);
            books.keep(&mut talk);
            talk.all_frames();
        }
        talk.connection.lost(&mut talk.broker);
        prop_assert!(talk.broker.pending.is_empty(), "the broker was told of every channel's end");
        prop_assert_eq!(talk.connection.unfinished_bytes(), 0);
        prop_assert!(!talk.connection.holds_publish());
    }

    #[test]
    fn any_bytes_give_frames_or_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..300), open: bool) {
        let mut talk = if open { Talk::on_channel_1() } else { Talk::accepted() };
        talk.says_bytes(&bytes);
        if open || !talk.connection.is_finished() {
            talk.all_frames();
        }
    }

    /// Frames that are whole, with anything in them.
    #[test]
    fn any_payload_gives_frames_or_an_end(
        kind in prop_oneof![Just(1u8), Just(2), Just(3), Just(8)],
        channel in 0u16..3,
        class in prop_oneof![Just(10u8), Just(20), Just(30), Just(40), Just(50), Just(60), Just(85), Just(90)],
        method in (0u8..13).prop_map(|n| n * 10),
        rest in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut talk = Talk::on_channel_1();
        let payload = [&[0, class, 0, method], &rest[..]].concat();
        talk.says_bytes(&crate::support::raw_frame(kind, channel, &payload));
        talk.all_frames();
    }
}
