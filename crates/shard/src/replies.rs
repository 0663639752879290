//! Direct reply-to: the addresses of this shard's consumers of replies, and replies on their way to them and to
//! those of other shards.
//!
//! ```text
//!   publish to the default exchange ── no queue of that name ──▶ ReplyAddress::from_name
//!        its shard is this one ──▶ waiting ──▶ the connection, before the door closes
//!        another one           ──▶ Record::Reply ──▶ Shard::deliver_reply there
//! ```
//! A reply is confirmed when it is on its way, and delivered at most once (RabbitMQ: direct reply-to).
//! Invariant: `consumers` and `of_channels` have the same pairs.

use alloc::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use leveret_auth::SecretNumbers;
use leveret_link::record::Record;
use leveret_model::{
    ChannelKey, ConsumerNumber, Message, Name, OwnedMessage, Refusal, ReplyAddress, ReplyCode, ReplySecret,
    Seed, ShardAddress, limits,
};

use crate::queues::Queues;
use crate::view::{ClusterView, ReplyWay};

/// What became of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SentReply {
    /// It is on its way, or its consumer is gone: the publisher cannot tell.
    Sent,
    /// There is no such place.
    Nowhere,
    /// The way there is cut or full: it may go later.
    NotNow,
}

/// Consumers of replies of this shard's channels, and replies for them.
#[derive(Debug)]
pub(crate) struct Replies {
    own: ShardAddress,
    secrets: SecretNumbers,
    consumers: HashMap<ReplySecret, (ChannelKey, ConsumerNumber), FixedState>,
    of_channels: HashMap<ChannelKey, ReplySecret, FixedState>,
    /// Replies of this shard's publishers to its consumers.
    waiting: VecDeque<(ReplySecret, OwnedMessage)>,
    /// Somebody's reply waits for room in an outbox.
    held: bool,
    delivered: u64,
    dropped: u64,
}

impl Replies {
    pub(crate) fn new(own: ShardAddress, seed: Seed, secret: [u8; 32]) -> Self {
        let map_seed = FixedState::with_seed(seed.part(6).0);
        Self {
            own,
            secrets: SecretNumbers::new(secret),
            consumers: HashMap::with_hasher(map_seed.clone()),
            of_channels: HashMap::with_hasher(map_seed),
            waiting: VecDeque::new(),
            held: false,
            delivered: 0,
            dropped: 0,
        }
    }

    /// A channel consumes replies from now on.
    pub(crate) fn open(&mut self, channel: ChannelKey, consumer: ConsumerNumber) -> Result<Name, Refusal> {
        if self.consumers.len() >= limits::REPLY_CONSUMERS_PER_SHARD_MAX {
            let text = "the node has as many consumers of replies as it may, use another one";
            return Err(Refusal::new(ReplyCode::ResourceError, text));
        }
        self.close(channel);
        let secret = ReplySecret(self.secrets.draw());
        self.consumers.insert(secret, (channel, consumer));
        self.of_channels.insert(channel, secret);
        Ok(ReplyAddress { at: self.own, secret }.to_name())
    }

    /// A channel consumes replies no more.
    pub(crate) fn close(&mut self, channel: ChannelKey) {
        if let Some(secret) = self.of_channels.remove(&channel) {
            self.consumers.remove(&secret);
        }
    }

    /// Who gets replies to this secret.
    pub(crate) fn consumer(&self, secret: ReplySecret) -> Option<(ChannelKey, ConsumerNumber)> {
        self.consumers.get(&secret).copied()
    }

    /// Is the consumer of replies at this address there? `None`: its shard is to be asked.
    pub(crate) fn knows(&self, address: ReplyAddress, view: &ClusterView) -> Option<bool> {
        if address.at == self.own {
            return Some(self.consumers.contains_key(&address.secret));
        }
        (view.reply_way(address.at) == ReplyWay::None).then_some(false)
    }

    /// Sends a reply on its way.
    pub(crate) fn send(
        &mut self,
        address: ReplyAddress,
        message: &Message<'_>,
        view: &ClusterView,
        queues: &mut Queues,
    ) -> SentReply {
        let ReplyAddress { at, secret } = address;
        if at == self.own {
            self.waiting.push_back((secret, OwnedMessage::from(message)));
            return SentReply::Sent;
        }
        if view.reply_way(at) == ReplyWay::None {
            return SentReply::Nowhere;
        }
        // the link will be back, or the node be Down
        let Some(outbox) = queues.peers().to(at).filter(|outbox| outbox.is_up()) else {
            return SentReply::NotNow;
        };
        if outbox.waiting_bytes() >= limits::REPLIES_WAITING_BYTES_MAX {
            self.held = true;
            return SentReply::NotNow;
        }
        outbox.push(&Record::Reply { to: secret, message: *message });
        SentReply::Sent
    }

    /// Credit came from another shard: true if somebody waited for that.
    pub(crate) fn take_held(&mut self) -> bool {
        core::mem::take(&mut self.held)
    }

    /// The next reply for a consumer of this shard.
    pub(crate) fn pop_waiting(&mut self) -> Option<(ReplySecret, OwnedMessage)> {
        self.waiting.pop_front()
    }

    /// A reply was given to its consumer, or not: that is gone, or reads too little.
    pub(crate) fn count(&mut self, delivered: bool) {
        *(if delivered { &mut self.delivered } else { &mut self.dropped }) += 1;
    }

    /// Replies that were delivered, and that were dropped here.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.delivered, self.dropped)
    }

    /// What its consumers take, bytes.
    pub(crate) fn bytes(&self) -> u64 {
        (self.consumers.len() * limits::CONSUMER_BYTES) as u64
    }
}
