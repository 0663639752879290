//! Operations that wait: for a lease, for the control machine, for a home elsewhere.
//!
//! Invariant: each is answered once, by what it waits for, by the end of its queue, or by the clock; a `basic.get` whose
//! client is gone meanwhile stays until its answer comes, because that may bring a message, which must go back.

use alloc::vec::Vec;

use leveret_amqp::host::Operation;
use leveret_link::record::RemoteConsumer;
use leveret_model::directory::{FromShard, Reply};
use leveret_model::{
    ChannelKey, ConsumerNumber, Held, Instant, Message, NodeId, OwnedMessage, Position, QueueHandle, Refusal,
    ReplyCode, RequestId, Settlement, limits, refusals,
};

use crate::answers::OwnedAnswer;
use crate::broker::Broker;
use crate::commands::Question;
use crate::places::{Entry, Place};

/// An operation under way.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) channel: ChannelKey,
    pub(crate) operation: Operation,
    stage: Stage,
    since: Instant,
    /// Its client is gone, or was told that it took too long.
    abandoned: bool,
}

/// What an operation waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// A lease, to say that something is not there.
    Lease,
    /// The control machine.
    Control,
    /// The home of a queue: elsewhere, or here and about to be dropped.
    Home(QueueHandle, Question),
}

impl Pending {
    pub(crate) fn new(channel: ChannelKey, operation: Operation, now: Instant) -> Self {
        Self { channel, operation, stage: Stage::Control, since: now, abandoned: false }
    }

    fn patience_ends(&self) -> Instant {
        self.since + if self.stage == Stage::Lease { limits::PUBLISH_WAIT } else { limits::OPERATION_WAIT }
    }

    /// It stays for the answer alone.
    fn abandon(&self) -> Self {
        Self { operation: self.operation.clone(), abandoned: true, ..*self }
    }

    /// It is answered by a queue, never by "not found"; and somebody waits for that.
    fn creates_queue(&self) -> bool {
        !self.abandoned && matches!(self.operation, Operation::QueueDeclare { passive: false, .. })
    }

    /// A home may have given it a message that it will not know of.
    fn may_hold_message(&self) -> bool {
        matches!(self.stage, Stage::Home(_, Question::Get { no_ack: false }))
    }
}

fn is_not_found(answer: &OwnedAnswer) -> bool {
    matches!(answer, OwnedAnswer::Refused(refusal) if refusal.code == ReplyCode::NotFound)
}

impl Broker {
    pub(crate) fn answer(&mut self, pending: &Pending, answer: OwnedAnswer) {
        if !pending.abandoned {
            self.answers.push_back((pending.channel, answer));
        } else if let OwnedAnswer::Got { held, no_ack: false, .. } = answer {
            self.settle(pending.channel, held, Settlement::Requeue);
        }
    }

    pub(crate) fn refuse_request(&mut self, pending: &Pending, refusal: Refusal) {
        self.answer(pending, OwnedAnswer::Refused(refusal));
    }

    pub(crate) fn wait(&mut self, request: RequestId, mut pending: Pending, stage: Stage) {
        pending.stage = stage;
        self.wake_at(pending.patience_ends());
        self.pending.insert(request, pending);
    }

    /// The control machine answered.
    pub(crate) fn on_reply(&mut self, request: RequestId, reply: Reply) {
        let Some(pending) = self.pending.remove(&request) else { return };
        match reply {
            Reply::Done => self.answer(&pending, OwnedAnswer::Done),
            Reply::Deleted { messages } => {
                let deletes_queue = matches!(pending.operation, Operation::QueueDelete { .. });
                let answer = if deletes_queue { OwnedAnswer::Messages(messages) } else { OwnedAnswer::Done };
                self.answer(&pending, answer);
            }
            Reply::Queue { created: true, .. } => {
                self.answer(&pending, OwnedAnswer::Queue { messages: 0, consumers: 0 });
            }
            Reply::Queue { record, .. } => {
                // the counts are the home's, unless it was dropped meanwhile: then the declare creates it after all
                if self.table.queue_by_id(record.id).is_none() {
                    return self.begin_again(pending);
                }
                let handle = self.place(record.id, record.home);
                self.ask(request, pending, handle, Question::Inspect);
            }
            Reply::Refused(refusal) => self.refuse_request(&pending, refusal),
        }
    }

    /// A home elsewhere answered; `answer` sees what it was asked.
    pub(crate) fn on_home_answer(
        &mut self,
        request: RequestId,
        answer: impl FnOnce(Question, QueueHandle) -> OwnedAnswer,
    ) {
        let Some(Stage::Home(handle, question)) = self.pending.get(&request).map(|pending| pending.stage)
        else {
            return;
        };
        let Some(pending) = self.pending.remove(&request) else { return };
        let answer = answer(question, handle);
        if pending.creates_queue() && is_not_found(&answer) {
            return self.declare_again(request, pending, handle);
        }
        let channel = pending.channel;
        match question {
            Question::Subscribe { consumer, terms } => {
                if !matches!(answer, OwnedAnswer::Done) {
                    self.subscribed.remove(channel, consumer);
                } else if let Some(Entry { place: Place::Away(away), .. }) = self.places.get_mut(handle) {
                    let known = RemoteConsumer { channel, number: consumer, terms };
                    away.consumers.insert((channel, consumer), known);
                }
            }
            Question::Unsubscribe { consumer } => self.forget_consumer(channel, consumer),
            Question::Get { .. } | Question::Purge | Question::Inspect => {}
        }
        self.answer(&pending, answer);
    }

    /// The queue that was declared was deleted before its home was asked, as the home says. Once the map says so too, the
    /// control machine is asked again; until then it would only name the same home.
    fn declare_again(&mut self, request: RequestId, pending: Pending, handle: QueueHandle) {
        let known = self.places.get(handle).and_then(|entry| self.table.queue_by_id(entry.id));
        match known {
            Some(_) => self.wait(request, pending, Stage::Home(handle, Question::Inspect)),
            None => self.begin_again(pending),
        }
    }

    /// Under another id, so that what the old one may still bring finds nobody; within the time of the first.
    fn begin_again(&mut self, pending: Pending) {
        let request = self.draw_request();
        self.start(request, pending);
    }

    /// A home elsewhere gave a message.
    pub(crate) fn on_got(
        &mut self,
        request: RequestId,
        position: Position,
        redelivered: bool,
        remaining: u64,
        record: &Message<'_>,
    ) {
        let Some(pending) = self.pending.get(&request) else { return };
        let (channel, consumer) = (pending.channel, ConsumerNumber::OF_GET);
        if let Stage::Home(handle, _) = pending.stage
            && let Some(Entry { id, place: Place::Away(away) }) = self.places.get(handle)
            && redelivered
        {
            self.outboxes.at(away.outbox).note_given(*id, channel, consumer, position);
        }
        let message = OwnedMessage::from(record);
        self.on_home_answer(request, |question, queue| {
            let no_ack = matches!(question, Question::Get { no_ack: true });
            let held = Held { queue, position, consumer };
            OwnedAnswer::Got { held, no_ack, message, redelivered, remaining }
        });
    }

    /// The home has ended a consumer.
    fn forget_consumer(&mut self, channel: ChannelKey, consumer: ConsumerNumber) {
        if let Some(handle) = self.subscribed.remove(channel, consumer)
            && let Some(Entry { place: Place::Away(away), .. }) = self.places.get_mut(handle)
        {
            away.consumers.remove(&(channel, consumer));
        }
    }

    /// A new link to a node: what waits for a home there is asked again, under the same ids.
    pub(crate) fn repeat_requests(&mut self, node: NodeId) {
        for (request, handle, question) in self.waiting_at(node) {
            let Some(pending) = self.pending.get(&request) else { continue };
            self.send(request, pending.channel, question, handle);
        }
    }

    /// The link to a node is gone: nothing comes any more to consumers that are being cancelled, and the home hears of them
    /// on the next one. What gets that nobody waits for may have got is not named there, and goes back by that.
    pub(crate) fn end_waits_for_link(&mut self, node: NodeId) {
        for (request, _, question) in self.waiting_at(node) {
            if let Question::Unsubscribe { .. } = question {
                self.on_home_answer(request, |_, _| OwnedAnswer::Done);
            } else if self.pending.get(&request).is_some_and(|pending| pending.abandoned) {
                self.pending.remove(&request);
            }
        }
    }

    fn waiting_at(&self, node: NodeId) -> Vec<(RequestId, QueueHandle, Question)> {
        let at_node = |handle: QueueHandle| match self.places.get(handle).map(|entry| &entry.place) {
            Some(Place::Away(away)) => away.home.node == node,
            Some(Place::Home(_)) | None => false,
        };
        let waiting = self.pending.iter().filter_map(|(request, pending)| match pending.stage {
            Stage::Home(handle, question) => Some((*request, handle, question)),
            Stage::Lease | Stage::Control => None,
        });
        waiting.filter(|(_, handle, _)| at_node(*handle)).collect()
    }

    /// A channel is gone: nobody waits any more.
    pub(crate) fn forget_requests_of(&mut self, channel: ChannelKey) {
        let control = &mut self.control;
        self.pending.retain(|&request, pending| {
            if pending.channel != channel {
                return true;
            }
            if pending.stage == Stage::Control {
                control.push(FromShard::Forget { request });
            }
            pending.abandoned = true;
            pending.may_hold_message()
        });
    }

    /// The queue is gone, or has lost its name, to a rival or since its home is Down: what waits for it asks the map again.
    /// There the name is a rival's that won a merge (R3), or free, or nobody's whom it could ask.
    ///
    /// A home that goes on may yet answer: what it gave goes back to it, and a consumer that it took ends there. It may have
    /// purged as well: then two queues are empty that had the name, and the client is told of the one that has it.
    pub(crate) fn end_requests_of(&mut self, ended: QueueHandle, goes_on: bool) {
        let asks = |(request, pending): (&RequestId, &Pending)| match pending.stage {
            Stage::Home(handle, question) if handle == ended => Some((*request, question)),
            Stage::Home(..) | Stage::Lease | Stage::Control => None,
        };
        let over: Vec<(RequestId, Question)> = self.pending.iter().filter_map(asks).collect();
        for (request, question) in over {
            let Some(pending) = self.pending.remove(&request) else { continue };
            if goes_on && pending.may_hold_message() && self.is_linked(ended) {
                self.pending.insert(request, pending.abandon());
            }
            if pending.abandoned {
                continue;
            }
            match question {
                Question::Unsubscribe { .. } => {
                    self.answer(&pending, OwnedAnswer::Done);
                    continue;
                }
                Question::Subscribe { consumer, .. } => self.end_consumer(pending.channel, consumer),
                Question::Get { .. } | Question::Purge | Question::Inspect => {}
            }
            self.begin_again(pending);
        }
    }

    /// What was asked of the queue's home may be answered.
    fn is_linked(&mut self, queue: QueueHandle) -> bool {
        match self.places.get(queue).map(|entry| &entry.place) {
            Some(Place::Away(away)) => self.outboxes.at(away.outbox).up,
            Some(Place::Home(_)) | None => false,
        }
    }

    /// A lease is there: what waited for one goes on.
    pub(crate) fn go_on_with_lookups(&mut self) {
        let waiting: Vec<RequestId> = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.stage == Stage::Lease)
            .map(|(request, _)| *request)
            .collect();
        for request in waiting {
            if let Some(pending) = self.pending.remove(&request) {
                self.start(request, pending);
            }
        }
    }

    /// Ends operations that waited too long; true answers are not known, so it is an error (P7).
    pub(crate) fn expire_requests(&mut self) {
        let mut over = Vec::new();
        let mut next = Instant::FAR;
        for (request, pending) in self.pending.iter().filter(|(_, pending)| !pending.abandoned) {
            let due = pending.patience_ends();
            if due <= self.now {
                over.push(*request);
            } else {
                next = next.min(due);
            }
        }
        for request in over {
            let Some(mut pending) = self.pending.remove(&request) else { continue };
            if let Stage::Home(_, Question::Subscribe { consumer, .. }) = pending.stage {
                self.end_consumer(pending.channel, consumer);
            }
            if pending.stage == Stage::Control {
                self.control.push(FromShard::Forget { request });
            }
            let refusal = match pending.stage {
                Stage::Lease => refusals::no_view(None),
                Stage::Control | Stage::Home(..) => refusals::no_answer(),
            };
            self.refuse_request(&pending, refusal);
            if pending.may_hold_message() {
                pending.abandoned = true;
                self.pending.insert(request, pending);
            }
        }
        self.wake_at(next);
    }
}
