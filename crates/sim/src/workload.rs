//! What clients do: publishers, consumers, administrators, and those who drain what is left.

use std::collections::BTreeSet;

use leveret_model::Instant;
use leveret_wire::method::ConnectionClose;

use crate::channel::{Channel, ChannelPhase, Holding, Settling};
use crate::client::{Client, Phase};
use crate::oracle::Fate;
use crate::removals::RemovalNumber;
use crate::request::Request;
use crate::topology::{Base, Exchange, binding_keys, keys};
use crate::world::Ways;

/// What a client is for.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    Publisher,
    Consumer {
        base: Base,
        /// A second consumer of its channel takes from here.
        also: Option<Base>,
        prefetch: u16,
    },
    /// Binds and unbinds what no other administrator does; gets; deletes.
    Admin {
        index: usize,
    },
    Drainer {
        queue: String,
    },
    /// Wants an exclusive queue that others want too, and uses an auto-delete one for a moment.
    Owner,
}

/// How many administrators there are.
pub(crate) const ADMINS: usize = 2;
/// How many want the exclusive queue.
pub(crate) const OWNERS: usize = 3;
/// Publishes of one channel that may wait for their answers.
const UNANSWERED_MAX: usize = 400;

/// What clients do at this time of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Season {
    /// Everything, while faults happen.
    Busy,
    /// The faults are over: the topology rests, the rest goes on.
    Settling,
    /// Nothing new; what is there is consumed and acknowledged.
    Draining,
}

/// Bindings that consumers make and nobody ends.
fn lasting(base: Base) -> Vec<(Exchange, &'static str)> {
    match base.0 {
        0 => vec![(Exchange::Direct, "k0")],
        1 => vec![(Exchange::Direct, "k1"), (Exchange::Fanout, "")],
        2 => vec![(Exchange::Direct, "k2"), (Exchange::Topic, "t.*")],
        3 => vec![(Exchange::Topic, "u.#"), (Exchange::Headers, "all:b=2")],
        4 => vec![(Exchange::Direct, "k3"), (Exchange::Fanout, "")],
        _ => vec![],
    }
}

/// What an administrator may bind and unbind; no two share a binding, so that each knows what is bound.
fn passing(index: usize) -> Vec<(Exchange, &'static str, Base)> {
    let mut all = Vec::new();
    for base in &Base::ALL[..5] {
        for exchange in Exchange::DECLARED {
            for key in binding_keys(exchange) {
                if !lasting(*base).contains(&(exchange, *key)) {
                    all.push((exchange, *key, *base));
                }
            }
        }
    }
    all.into_iter().enumerate().filter(|(at, _)| at % ADMINS == index).map(|(_, place)| place).collect()
}

impl Role {
    pub(crate) fn channels(&self) -> u16 {
        match self {
            Self::Publisher => 2,
            _ => 1,
        }
    }

    /// Each of its consumers by itself.
    fn parts(&self) -> Vec<Self> {
        match self {
            Self::Consumer { base, also, prefetch } => {
                let part = |base| Self::Consumer { base, also: None, prefetch: *prefetch };
                [Some(*base), *also].into_iter().flatten().map(part).collect()
            }
            other => vec![other.clone()],
        }
    }

    /// A channel lacks its consumer.
    fn is_missing(&self, channel: &Channel) -> bool {
        let mut consumers = channel.consumers.values();
        match self {
            Self::Consumer { base, .. } => consumers.all(|consumer| consumer.base != *base),
            _ => channel.consumers.is_empty(),
        }
    }

    /// What a new channel begins with.
    pub(crate) fn script(&self, ways: &mut Ways<'_>) -> Vec<Request> {
        let tag = format!("c{:x}", ways.schedule.dice.bits());
        match self {
            Self::Publisher => vec![Request::ConfirmSelect],
            Self::Consumer { also: Some(_), .. } => {
                self.parts().iter().flat_map(|part| part.script(ways)).collect()
            }
            Self::Consumer { base, also: None, prefetch } => {
                let mut script: Vec<_> = Exchange::DECLARED.map(Request::DeclareExchange).into();
                script.push(Request::BindExchange(Exchange::Front, Exchange::Front.behind()));
                script.push(Request::DeclareQueue(*base));
                script.extend(
                    lasting(*base).into_iter().map(|(exchange, key)| Request::Bind(exchange, key, *base)),
                );
                script.push(Request::Qos(*prefetch));
                let no_ack = *base == Base::NO_ACK;
                let (queue, prefetch) = (base.name(), *prefetch);
                script.push(Request::Consume { queue, tag, prefetch, no_ack, consumer: 0 });
                script
            }
            Self::Admin { .. } => {
                let mut script: Vec<_> = Exchange::DECLARED.map(Request::DeclareExchange).into();
                script.extend([Base::GOTTEN, Base::DELETED, Base::GRABBED].map(Request::DeclareQueue));
                script
            }
            Self::Owner => vec![
                Request::DeclareBrief,
                Request::ConsumeBrief(tag.clone()),
                Request::CancelBrief(tag),
                Request::DeclareOwn,
            ],
            Self::Drainer { queue } => vec![
                Request::Qos(100),
                Request::Consume { queue: queue.clone(), tag, prefetch: 100, no_ack: false, consumer: 0 },
            ],
        }
    }
}

impl Client {
    /// Something of its own accord. Answers whether it lives on this connection.
    pub(crate) fn act(&mut self, ways: &mut Ways<'_>) {
        if self.phase != Phase::Open {
            return;
        }
        self.reopen(ways);
        match self.role.clone() {
            Role::Publisher => self.act_publisher(ways),
            Role::Consumer { base, .. } => self.act_consumer(base, ways),
            Role::Admin { index } => self.act_admin(index, ways),
            Role::Drainer { .. } => self.settle_all(ways),
            Role::Owner => self.act_owner(ways),
        }
        self.send_requests(ways);
        self.flush(ways);
    }

    /// Channels that were closed are opened again after a while; consumers that were cancelled are made again.
    fn reopen(&mut self, ways: &mut Ways<'_>) {
        let now = ways.schedule.now;
        let closed: Vec<u16> = self
            .channels
            .iter()
            .filter(|(_, channel)| matches!(channel.phase, ChannelPhase::Closed(since) if due(since, now)))
            .map(|(number, _)| *number)
            .collect();
        for number in closed {
            self.open_channel(number, ways);
        }
        if self.again_at.is_some_and(|at| at <= now)
            && let Some(channel) = self.channels.get(&1).filter(|channel| channel.is_open())
            && channel.requests.is_empty()
        {
            self.again_at = None;
            let parts = self.role.parts().into_iter().filter(|part| part.is_missing(channel));
            let script: Vec<Request> = parts.flat_map(|part| part.script(ways)).collect();
            if let Some(channel) = self.channels.get_mut(&1) {
                channel.requests.extend(script);
            }
        }
    }

    fn act_publisher(&mut self, ways: &mut Ways<'_>) {
        if ways.season == Season::Draining {
            return;
        }
        let number = 1 + ways.schedule.dice.below(2) as u16;
        let ready = self.channels.get(&number).is_some_and(|channel| {
            channel.is_open() && channel.confirms && channel.unanswered.len() < UNANSWERED_MAX
        });
        if !ready || ways.schedule.dice.chance(700) {
            return;
        }
        for _ in 0..=ways.schedule.dice.below(4) {
            let dice = &mut ways.schedule.dice;
            let exchange = match dice.below(12) {
                0..4 => Exchange::Default,
                4..7 => Exchange::Direct,
                7 => Exchange::Fanout,
                8 => Exchange::Front,
                9 => Exchange::Headers,
                _ => Exchange::Topic,
            };
            let Some(key) = dice.pick(keys(exchange)) else { continue };
            let len = if dice.chance(20) { 4_000 + dice.below(20_000) } else { 12 + dice.below(200) };
            self.publish(number, exchange, key, len, ways);
        }
        if ways.season == Season::Busy && ways.schedule.dice.chance(3) {
            self.close_channel(number, ways);
        }
    }

    fn act_consumer(&mut self, base: Base, ways: &mut Ways<'_>) {
        if ways.season != Season::Busy {
            return self.settle_all(ways);
        }
        if ways.schedule.dice.chance(3) {
            return self.close_channel(1, ways);
        }
        if ways.schedule.dice.chance(5) {
            self.cancel(ways);
        }
        if Base::SINGLE.contains(&base) && self.requeue_when_full(base, ways) {
            return;
        }
        let Some(channel) = self.channels.get(&1).filter(|channel| channel.is_open()) else { return };
        let tags: Vec<u64> = channel.held.keys().copied().collect();
        let most = 1 + ways.schedule.dice.below(8);
        for _ in 0..most.min(tags.len()) {
            let Some(tag) = ways.schedule.dice.pick(&tags) else { break };
            if !self.channels.get(&1).is_some_and(|channel| channel.held.contains_key(&tag)) {
                continue;
            }
            let (how, multiple) = match ways.schedule.dice.below(100) {
                0..6 => (Settling::Requeue, false),
                6 => (Settling::Requeue, true),
                7 => (Settling::Drop, false),
                8..20 => (Settling::Ack, true),
                _ => (Settling::Ack, false),
            };
            self.settle(1, tag, how, multiple, ways);
        }
    }

    /// Ends the consumer, and makes another in a while; what was delivered stays held.
    fn cancel(&mut self, ways: &mut Ways<'_>) {
        let again = ways.schedule.now + ways.schedule.dice.millis(50, 1_000);
        let Some(channel) = self.channels.get_mut(&1).filter(|channel| channel.is_open()) else { return };
        if let Some(tag) = channel.consumers.keys().next().cloned()
            && channel.requests.is_empty()
        {
            channel.requests.push_back(Request::Cancel(tag));
            self.again_at = Some(again);
        }
    }

    /// Gives some back while all of the prefetch is held: then nothing newer may come before them.
    fn requeue_when_full(&mut self, base: Base, ways: &mut Ways<'_>) -> bool {
        let alone = ways.alone.contains(&base);
        let Some(channel) = self.channels.get_mut(&1).filter(|channel| channel.is_open()) else {
            return false;
        };
        let Some((tag, consumer)) = channel.consumers.iter_mut().next() else { return false };
        let own = |holding: &Holding| holding.consumer.as_ref() == Some(tag);
        let held: Vec<u64> =
            channel.held.iter().filter(|(_, holding)| own(holding)).map(|(tag, _)| *tag).collect();
        if held.len() < usize::from(consumer.prefetch) {
            // wait until it is full, mostly
            return ways.schedule.dice.chance(300);
        }
        if !ways.schedule.dice.chance(300) {
            return false;
        }
        let Some(at) = (!held.is_empty()).then(|| ways.schedule.dice.below(held.len())) else { return false };
        let multiple = ways.schedule.dice.chance(500);
        // after a wrong verdict one message may be held under two tags, of which the home knows the newer one
        // alone
        let known = channel.held.values().filter(|holding| {
            let delivered = ways.oracle.deliveries.get(&(holding.message, holding.base));
            delivered.is_some_and(|delivered| delivered.fate == Fate::Held)
        });
        let certain =
            known.map(|holding| holding.message).collect::<BTreeSet<_>>().len() == channel.held.len();
        if alone && certain {
            // with all before it, those that it took by another consumer of this channel included
            let count = if multiple { at + 1 } else { 1 };
            consumer.expects_redelivered = Some((ways.schedule.now, count));
        }
        self.settle(1, held[at], Settling::Requeue, multiple, ways);
        true
    }

    /// Acknowledges all that is held.
    pub(crate) fn settle_all(&mut self, ways: &mut Ways<'_>) {
        let numbers: Vec<u16> = self.channels.keys().copied().collect();
        for number in numbers {
            let last = self.channels.get(&number).filter(|channel| channel.is_open());
            let Some(tag) = last.and_then(|channel| channel.held.keys().next_back().copied()) else {
                continue;
            };
            self.settle(number, tag, Settling::Ack, true, ways);
        }
    }

    /// Leaves now and then, in order: whoever comes next gets the queue.
    fn act_owner(&mut self, ways: &mut Ways<'_>) {
        let idle =
            self.channels.get(&1).is_some_and(|channel| channel.is_open() && channel.requests.is_empty());
        if idle && ways.season == Season::Busy && ways.schedule.dice.chance(30) {
            self.say(0, ConnectionClose { reply_code: 200, ..Default::default() });
            self.phase = Phase::Leaving;
        }
    }

    fn act_admin(&mut self, index: usize, ways: &mut Ways<'_>) {
        let Some(channel) = self.channels.get(&1).filter(|channel| channel.is_open()) else { return };
        let (idle, held) = (channel.requests.is_empty(), channel.held.keys().copied().collect::<Vec<_>>());
        for tag in held {
            let requeue = ways.season == Season::Busy && ways.schedule.dice.chance(300);
            let how = if requeue { Settling::Requeue } else { Settling::Ack };
            self.settle(1, tag, how, false, ways);
        }
        if !idle || ways.season != Season::Busy {
            return;
        }
        let dice = &mut ways.schedule.dice;
        let place = dice.pick(&passing(index));
        let next: Vec<Request> = match (dice.below(100), place) {
            (0..45, Some((exchange, key, base))) => vec![Request::Bind(exchange, key, base)],
            (45..75, Some((exchange, key, base))) => vec![Request::Unbind(exchange, key, base)],
            (75..86, _) => vec![Request::Get { base: Base::GOTTEN, no_ack: false, consumer: 0 }],
            (86..95, _) => vec![Request::Get { base: Base::GRABBED, no_ack: true, consumer: 0 }],
            (95, _) if index == 0 => vec![
                Request::Delete(Base::DELETED, RemovalNumber::default()),
                Request::DeclareQueue(Base::DELETED),
            ],
            (95, _) => {
                let base = dice.pick(&[Base::DELETED, Base::GOTTEN]).unwrap_or(Base::DELETED);
                vec![Request::Purge(base, RemovalNumber::default())]
            }
            (96, _) if index == 0 => vec![
                Request::DeclareExchange(Exchange::Passing),
                Request::Bind(Exchange::Passing, "p", Base::SHARED[0]),
                Request::DeleteExchange(Exchange::Passing),
            ],
            (97, _) => vec![Request::DeclareQueue(Base::GRABBED)],
            _ => vec![Request::DeclareQueue(Base::GOTTEN)],
        };
        if let Some(channel) = self.channels.get_mut(&1) {
            channel.requests.extend(next);
        }
    }
}

/// A closed channel is opened again after a moment.
fn due(since: Instant, now: Instant) -> bool {
    now.since(since) >= std::time::Duration::from_millis(300)
}
