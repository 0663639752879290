//! One opening of a channel, as its client sees it: what it waits for, consumes and holds.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use leveret_model::{Instant, NodeId};
use leveret_wire::method::ChannelClose;
use leveret_wire::{ContentHeader, FrameKind, Method};

use crate::body;
use crate::event::HostId;
use crate::invariants::stored_first;
use crate::message_id::MessageId;
use crate::oracle::{Answer, Fate};
use crate::request::Request;
use crate::topology::Base;
use crate::world::Ways;

/// After longer, others may have consumed meanwhile.
const EXPECTED_WITHIN: Duration = Duration::from_secs(1);

/// AMQP 0-9-1: class queue.
const CLASS_QUEUE: u16 = 50;

/// A message on its way in.
#[derive(Debug)]
pub(crate) enum Coming {
    Delivery { consumer: String, tag: u64, redelivered: bool },
    Got { tag: u64, redelivered: bool },
    Return,
}

#[derive(Debug)]
struct Content {
    what: Coming,
    left: u64,
    body: Vec<u8>,
}

/// A consumer that the client believes in.
#[derive(Clone, Debug)]
pub(crate) struct Consumer {
    pub(crate) id: u32,
    /// The queue's full name.
    pub(crate) queue: String,
    pub(crate) base: Base,
    pub(crate) prefetch: u16,
    pub(crate) no_ack: bool,
    /// So many messages were requeued while all of the prefetch was held and nobody else consumes: as many that
    /// come next must be redelivered.
    pub(crate) expects_redelivered: Option<(Instant, usize)>,
}

/// A message that is not settled.
#[derive(Clone, Debug)]
pub(crate) struct Holding {
    pub(crate) message: MessageId,
    pub(crate) base: Base,
    /// `None` for a message taken by `basic.get`.
    pub(crate) consumer: Option<String>,
    /// Who took it, as the oracle knows it.
    pub(crate) taker: u32,
}

impl Holding {
    /// It must come again.
    pub(crate) fn give_back(self, ways: &mut Ways<'_>) {
        ways.oracle.fate(self.message, self.base, Fate::Returned(ways.schedule.now));
        if Base::SINGLE.contains(&self.base) {
            ways.oracle.order.gave_back(self.taker, self.message, ways.alone.contains(&self.base));
        }
    }
}

/// How far a channel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChannelPhase {
    Opening,
    Open,
    /// Waits for close-ok.
    Closing,
    Closed(Instant),
}

/// An opening of a channel.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) publisher: u32,
    /// Where its client is connected.
    pub(crate) at: (NodeId, HostId),
    pub(crate) phase: ChannelPhase,
    pub(crate) confirms: bool,
    pub(crate) requests: VecDeque<Request>,
    /// When the first of `requests` was sent.
    pub(crate) asked_at: Option<Instant>,
    pub(crate) numbers: u64,
    pub(crate) unanswered: BTreeMap<u64, MessageId>,
    pub(crate) consumers: BTreeMap<String, Consumer>,
    pub(crate) held: BTreeMap<u64, Holding>,
    content: Option<Content>,
    /// Consumers that ended with it, until its node is known to know.
    pub(crate) leaving: Vec<u32>,
}

/// How a delivery ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settling {
    Ack,
    Requeue,
    Drop,
}

impl Channel {
    pub(crate) fn new(publisher: u32, at: (NodeId, HostId), requests: VecDeque<Request>) -> Self {
        Self {
            publisher,
            at,
            phase: ChannelPhase::Opening,
            confirms: false,
            requests,
            asked_at: None,
            numbers: 0,
            unanswered: BTreeMap::new(),
            consumers: BTreeMap::new(),
            held: BTreeMap::new(),
            content: None,
            leaving: Vec::new(),
        }
    }

    /// A message begins.
    pub(crate) fn coming(&mut self, what: Coming) {
        self.content = Some(Content { what, left: u64::MAX, body: Vec::new() });
    }

    /// A header or a piece of a body.
    pub(crate) fn on_content(&mut self, kind: FrameKind, payload: &[u8], ways: &mut Ways<'_>) {
        let Some(content) = self.content.as_mut() else { return };
        if kind == FrameKind::Header {
            content.left = ContentHeader::body_size(payload).unwrap_or(0);
        } else {
            content.body.extend_from_slice(payload);
            content.left = content.left.saturating_sub(payload.len() as u64);
        }
        if content.left == 0
            && let Some(content) = self.content.take()
            && self.phase == ChannelPhase::Open
        {
            self.on_message(content, ways);
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.phase == ChannelPhase::Open
    }

    /// The channel is gone: what was not answered is unknown, what was held must come again.
    pub(crate) fn end(&mut self, ways: &mut Ways<'_>) {
        for id in std::mem::take(&mut self.unanswered).into_values() {
            ways.oracle.answered(id, Answer::Unknown);
        }
        for consumer in self.consumers.values() {
            ways.oracle.order.goes(consumer.id);
        }
        for holding in std::mem::take(&mut self.held).into_values() {
            holding.give_back(ways);
        }
        let asked = self.requests.front().filter(|_| self.asked_at.is_some()).and_then(Request::taker);
        for taker in self.consumers.values().map(|consumer| consumer.id).chain(asked) {
            ways.oracle.losses.ended(ways.schedule.now, taker, false);
            self.leaving.push(taker);
        }
        self.consumers.clear();
        self.requests.clear();
        self.asked_at = None;
        self.content = None;
    }

    /// The server closes the channel, for a method of class queue if that was refused.
    pub(crate) fn on_close(&mut self, close: &ChannelClose<'_>, ways: &mut Ways<'_>) {
        let asked = self.requests.front().filter(|_| self.asked_at.is_some());
        if let Some(request) = asked
            && close.class_id == CLASS_QUEUE
        {
            request.refused((close.reply_code, close.reply_text), ways);
        }
        self.end(ways);
    }

    /// The server ended a consumer.
    pub(crate) fn on_cancel(&mut self, tag: &str, ways: &mut Ways<'_>) {
        if let Some(consumer) = self.consumers.remove(tag) {
            ways.oracle.losses.ended(ways.schedule.now, consumer.id, false);
            ways.oracle.order.goes(consumer.id);
        }
    }

    pub(crate) fn on_confirm(&mut self, number: u64, multiple: bool, answer: Answer, ways: &mut Ways<'_>) {
        let now = ways.schedule.now;
        let from = if multiple { 0 } else { number };
        let answered: Vec<u64> = self.unanswered.range(from..=number).map(|(number, _)| *number).collect();
        if answered.is_empty() && !multiple {
            let text = format!("publish {number} of channel opening {} was answered twice", self.publisher);
            ways.oracle.violation(now, "liveness", text);
        }
        for number in answered {
            if let Some(id) = self.unanswered.remove(&number) {
                ways.oracle.answered(id, answer);
                if let Answer::Confirmed(now) = answer {
                    stored_first::check(now, ways.oracle, id);
                }
            }
        }
    }

    /// The answer to the first request.
    pub(crate) fn on_answer(&mut self, answer: &Method<'_>, ways: &mut Ways<'_>) {
        if self.asked_at.take().is_none() {
            return;
        }
        if let Some(request) = self.requests.pop_front() {
            request.answered(self, answer, ways);
        }
    }

    fn on_message(&mut self, content: Content, ways: &mut Ways<'_>) {
        let now = ways.schedule.now;
        let Some(id) = body::read(&content.body) else {
            return ways.oracle.violation(now, "no_phantom", "a body that nobody made".into());
        };
        let checksum = body::checksum(&content.body);
        match content.what {
            Coming::Return => {
                if let Some(sent) = ways.oracle.message_mut(id) {
                    sent.returned = true;
                }
            }
            Coming::Delivery { consumer, tag, redelivered } => {
                let Some(known) = self.consumers.get_mut(&consumer) else {
                    let text = format!("{id:?} came for the consumer {consumer}, which had ended");
                    return ways.oracle.violation(now, "no_phantom", text);
                };
                let (consumer_id, base, no_ack) = (known.id, known.base, known.no_ack);
                if let Some((since, count)) = known.expects_redelivered.take()
                    && now.since(since) < EXPECTED_WITHIN
                {
                    known.expects_redelivered = Some((since, count - 1)).filter(|(_, left)| *left > 0);
                    if !redelivered {
                        let text =
                            format!("{id:?} of {base:?} overtook a message that was requeued before it");
                        ways.oracle.violation(now, "order", text);
                    }
                }
                ways.trace.say(now, || {
                    format!("{consumer} gets {id:?} of {base:?}, tag {tag}, again {redelivered}")
                });
                ways.trace.event(now, 21, &[u64::from(id.publisher), id.number, u64::from(redelivered)]);
                ways.oracle.delivered(now, (id, base, checksum), consumer_id, redelivered, no_ack);
                if !no_ack {
                    let holding = Holding { message: id, base, consumer: Some(consumer), taker: consumer_id };
                    self.held.insert(tag, holding);
                    ways.oracle.buffers.holds(now, self.held.len(), self.consumers.len());
                }
            }
            Coming::Got { tag, redelivered } => {
                self.asked_at = None;
                let Some(Request::Get { base, no_ack, consumer: taker }) = self.requests.pop_front() else {
                    return;
                };
                ways.oracle.consumes(now, taker, base, false);
                ways.oracle.losses.ended(now, taker, true);
                ways.oracle.delivered(now, (id, base, checksum), taker, redelivered, no_ack);
                if !no_ack {
                    self.held.insert(tag, Holding { message: id, base, consumer: None, taker });
                }
            }
        }
    }
}
