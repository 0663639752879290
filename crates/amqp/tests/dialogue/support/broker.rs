//! A broker that does as it is told, and notes what it was asked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use leveret_amqp::host::{Host, Operation, Publish, Published, VhostOpening};
use leveret_model::{
    Body, ChannelKey, ChannelNumber, ConsumerNumber, Held, Instant, Name, Position, QueueHandle, Refusal,
    ReplyCode, RoutingKey, Settlement,
};

/// What the host was asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Call {
    Login(String, Vec<u8>),
    Vhost(String),
    Publish { channel: u16, address: (String, String), body: Vec<u8>, number: Option<u64>, arrived: Instant },
    Request(ChannelKey, Operation),
    Settle(Position, Settlement),
    Closed(u16, Vec<u32>),
}

/// A broker that answers as told, and checks that no channel asks twice at once.
#[derive(Default)]
pub(crate) struct Broker {
    pub(crate) calls: VecDeque<Call>,
    /// Answers to the next publishes; then mandatory ones are unroutable, all others settled.
    pub(crate) outcomes: VecDeque<Result<Published, Refusal>>,
    pub(crate) vhost: Option<Refusal>,
    /// It cannot be said yet whether there is a vhost.
    pub(crate) vhost_later: bool,
    /// What is wrong with every exchange.
    pub(crate) exchange: Option<Refusal>,
    pub(crate) pending: BTreeSet<ChannelKey>,
    /// Channels that were closed, and why.
    pub(crate) refused: Vec<(u16, u16, String)>,
    /// Chunks of the last large publish.
    pub(crate) chunks: Vec<Bytes>,
    pub(crate) chunked: bool,
    /// Queues that were taken as classic ones, and what they were to be.
    pub(crate) substituted: Vec<(String, &'static str)>,
    /// Names drawn.
    pub(crate) drawn: u32,
    /// Exclusive queues of the connection take time to go.
    pub(crate) queues_left: bool,
    /// Channels that consume replies, with their addresses.
    pub(crate) reply_addresses: BTreeMap<ChannelKey, String>,
    /// Content header of the last publish.
    pub(crate) header: Vec<u8>,
    /// Of each publish with further routing keys: these, and its content header.
    pub(crate) copies: Vec<(Vec<String>, Vec<u8>)>,
    /// `x-consumer-timeout` of every queue.
    pub(crate) ack_timeout: Option<Duration>,
}

impl Host for Broker {
    type Channel = ();

    fn login(&mut self, mechanism: &str, response: &[u8]) {
        self.calls.push_back(Call::Login(mechanism.into(), response.into()));
    }

    fn open_vhost(&mut self, vhost: &Name) -> Result<VhostOpening, Refusal> {
        self.calls.push_back(Call::Vhost(vhost.as_str().into()));
        let opening = if self.vhost_later { VhostOpening::Later } else { VhostOpening::Now };
        self.vhost.take().map_or(Ok(opening), Err)
    }

    fn ack_timeout(&self, _: QueueHandle) -> Option<Duration> {
        self.ack_timeout
    }

    fn publish(
        &mut self,
        channel: ChannelKey,
        (): &mut (),
        publish: Publish<'_>,
    ) -> Result<Published, Refusal> {
        assert!(!self.pending.contains(&channel), "a publish overtook an operation");
        self.header = publish.message.header.to_vec();
        let usual = if publish.mandatory { Published::Unroutable } else { Published::Settled };
        let outcome = self.outcomes.pop_front().unwrap_or(Ok(usual));
        self.chunked = matches!(publish.message.body, Body::Chunks(_));
        let body = match publish.message.body {
            Body::Flat(bytes) => bytes.to_vec(),
            Body::Chunks(chunks) => {
                self.chunks = chunks.to_vec();
                chunks.concat()
            }
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.calls.push_back(Call::Publish {
            channel: channel.number.0,
            address: (text(publish.exchange), text(publish.routing_key)),
            body,
            number: publish.number.map(|n| n.0),
            arrived: publish.arrived,
        });
        outcome
    }

    fn publish_copies(
        &mut self,
        channel: ChannelKey,
        publish: Publish<'_>,
        keys: &[RoutingKey],
    ) -> Result<Published, Refusal> {
        let keys = keys.iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect();
        self.copies.push((keys, publish.message.header.to_vec()));
        self.publish(channel, &mut (), publish)
    }

    fn may_publish(&mut self, _: ChannelKey, _: &[u8]) -> Result<(), Refusal> {
        self.exchange.clone().map_or(Ok(()), Err)
    }

    fn queue_type_substituted(&mut self, queue: &Name, kind: &'static str) {
        self.substituted.push((queue.to_string(), kind));
    }

    fn draw_queue_name(&mut self) -> Name {
        self.drawn += 1;
        Name::new(&format!("amq.gen-{}", self.drawn))
    }

    fn open_reply_address(&mut self, channel: ChannelKey, consumer: ConsumerNumber) -> Result<Name, Refusal> {
        let name = format!("amq.rabbitmq.reply-to.{}-{}", channel.number.0, consumer.0);
        self.reply_addresses.insert(channel, name.clone());
        Ok(Name::new(&name))
    }

    fn close_reply_address(&mut self, channel: ChannelKey) {
        assert!(self.reply_addresses.remove(&channel).is_some(), "closed without being open");
    }

    fn connection_closed(&mut self) -> bool {
        self.queues_left
    }

    fn request(&mut self, channel: ChannelKey, operation: Operation) {
        assert!(self.pending.insert(channel), "two operations under way on {channel:?}");
        self.calls.push_back(Call::Request(channel, operation));
    }

    fn settle(&mut self, _: ChannelKey, held: Held, verdict: Settlement) {
        self.calls.push_back(Call::Settle(held.position, verdict));
    }

    fn channel_refused(&mut self, channel: ChannelNumber, code: ReplyCode, text: &Name) {
        self.refused.push((channel.0, code.code(), text.to_string()));
    }

    fn channel_closed(&mut self, channel: ChannelKey, consumers: &[ConsumerNumber]) {
        self.pending.remove(&channel);
        self.reply_addresses.remove(&channel);
        let consumers = consumers.iter().map(|c| c.0).collect();
        self.calls.push_back(Call::Closed(channel.number.0, consumers));
    }
}

pub(crate) fn held(position: u64, consumer: ConsumerNumber) -> Held {
    Held { queue: QueueHandle::default(), position: Position(position), consumer }
}
