//! Operations that wait: for a lease, for the control machine, for a home elsewhere.
//!
//! Invariant: each is answered once, by what it waits for, by the end of its queue, or by the clock; a
//! `basic.get` whose client is gone meanwhile stays until its answer comes, because that may bring a message,
//! which must go back.

use alloc::vec::Vec;

use leveret_amqp::host::Operation;
use leveret_link::record::RemoteConsumer;
use leveret_model::directory::{FromShard, Reply};
use leveret_model::{
    ChannelKey, ConsumerNumber, Held, Instant, Message, NodeId, OwnedMessage, Position, QueueHandle, Refusal,
    RequestId, Settlement, limits, refusals,
};

use super::answers::OwnedAnswer;
use super::pending::{Pending, Stage, is_not_found};
use super::{Requests, Rooms};
use crate::queues::{Question, Queues};

impl Requests {
    pub(super) fn answer(&mut self, pending: &Pending, answer: OwnedAnswer, rooms: &mut Rooms<'_>) {
        if !pending.abandoned {
            self.answers.push_back((pending.channel, answer));
        } else if let OwnedAnswer::Got { held, no_ack: false, .. } = answer {
            rooms.queues.settle(pending.channel, held, Settlement::Requeue);
        }
    }

    pub(super) fn refuse(&mut self, pending: &Pending, refusal: Refusal, rooms: &mut Rooms<'_>) {
        self.answer(pending, OwnedAnswer::Refused(refusal), rooms);
    }

    pub(super) fn wait(&mut self, request: RequestId, mut pending: Pending, stage: Stage) {
        pending.stage = stage;
        self.due = self.due.min(pending.expires_at());
        self.pending.insert(request, pending);
    }

    /// The control machine answered.
    pub(crate) fn on_reply(&mut self, request: RequestId, reply: Reply, rooms: &mut Rooms<'_>) {
        let Some(pending) = self.pending.remove(&request) else { return };
        match reply {
            Reply::Done => self.answer(&pending, OwnedAnswer::Done, rooms),
            Reply::Deleted { messages } => {
                let deletes_queue = matches!(pending.operation, Operation::QueueDelete { .. });
                let answer = if deletes_queue { OwnedAnswer::Messages(messages) } else { OwnedAnswer::Done };
                self.answer(&pending, answer, rooms);
            }
            Reply::Queue { created: true, .. } => {
                self.answer(&pending, OwnedAnswer::Queue { messages: 0, consumers: 0 }, rooms);
            }
            Reply::Queue { record, .. } => {
                // the counts are the home's, unless it was dropped meanwhile: then the declare creates it after
                // all
                if rooms.view.table.queue_by_id(record.id).is_none() {
                    return self.begin_again(pending, rooms);
                }
                let handle = rooms.queues.enter_at(record.id, record.home);
                self.ask(request, pending, handle, Question::Inspect, rooms);
            }
            Reply::Refused(refusal) => self.refuse(&pending, refusal, rooms),
        }
    }

    /// A home elsewhere answered; `answer` sees what it was asked.
    pub(crate) fn on_home_answer(
        &mut self,
        request: RequestId,
        rooms: &mut Rooms<'_>,
        answer: impl FnOnce(Question, QueueHandle) -> OwnedAnswer,
    ) {
        let Some(Stage::Home(handle, question)) = self.pending.get(&request).map(|pending| pending.stage)
        else {
            return;
        };
        let Some(pending) = self.pending.remove(&request) else { return };
        let answer = answer(question, handle);
        if pending.creates_queue() && is_not_found(&answer) {
            return self.declare_again(request, pending, handle, rooms);
        }
        let channel = pending.channel;
        match question {
            Question::Subscribe { consumer, terms } => {
                if matches!(answer, OwnedAnswer::Done) {
                    rooms.queues.note_consumer(handle, RemoteConsumer { channel, number: consumer, terms });
                } else {
                    rooms.egress.subscribed.remove(channel, consumer);
                }
            }
            Question::Unsubscribe { consumer } => {
                if let Some(handle) = rooms.egress.subscribed.remove(channel, consumer) {
                    rooms.queues.forget_consumer(handle, channel, consumer);
                }
            }
            Question::Get { .. } | Question::Purge | Question::Inspect => {}
        }
        self.answer(&pending, answer, rooms);
    }

    /// The home's node has no lease: it is asked again in a moment.
    pub(crate) fn on_not_now(&mut self, request: RequestId, now: Instant) {
        let Some(pending) = self.pending.get_mut(&request) else { return };
        let again = now + limits::ASK_AGAIN_EVERY;
        pending.ask_again_at = Some(again);
        self.due = self.due.min(again).min(pending.expires_at());
    }

    /// The queue that was declared was deleted before its home was asked, as the home says. Once the map says
    /// so too, the control machine is asked again; until then it would only name the same home.
    fn declare_again(
        &mut self,
        request: RequestId,
        pending: Pending,
        handle: QueueHandle,
        rooms: &mut Rooms<'_>,
    ) {
        let known = rooms.queues.id(handle).and_then(|id| rooms.view.table.queue_by_id(id));
        match known {
            Some(_) => self.wait(request, pending, Stage::Home(handle, Question::Inspect)),
            None => self.begin_again(pending, rooms),
        }
    }

    /// Under another id, so that what the old one may still bring finds nobody; within the time of the first.
    fn begin_again(&mut self, mut pending: Pending, rooms: &mut Rooms<'_>) {
        pending.ask_again_at = None;
        let request = self.draw();
        self.start(request, pending, rooms);
    }

    /// A home elsewhere gave a message.
    pub(crate) fn on_got(
        &mut self,
        request: RequestId,
        (position, redelivered, remaining): (Position, bool, u64),
        message: &Message<'_>,
        rooms: &mut Rooms<'_>,
    ) {
        let Some(pending) = self.pending.get(&request) else { return };
        if redelivered && let Stage::Home(handle, _) = pending.stage {
            rooms.queues.note_got(handle, pending.channel, position);
        }
        let message = OwnedMessage::from(message);
        self.on_home_answer(request, rooms, |question, queue| {
            let no_ack = matches!(question, Question::Get { no_ack: true });
            let held = Held { queue, position, consumer: ConsumerNumber::OF_GET };
            OwnedAnswer::Got { held, no_ack, message, redelivered, remaining }
        });
    }

    /// A new link to a node: what waits for a home there is asked again, under the same ids.
    pub(crate) fn repeat(&self, node: NodeId, queues: &mut Queues) {
        for (request, handle, question) in self.waiting_at(node, queues) {
            let Some(pending) = self.pending.get(&request) else { continue };
            queues.send_question(handle, self.asker(request, pending.channel), question);
        }
        self.repeat_reply_questions(node, queues);
    }

    /// A queue has another home: what was asked of the old one, and not answered, was not done.
    pub(crate) fn ask_again(&mut self, queue: QueueHandle, rooms: &mut Rooms<'_>) {
        let asks = |(request, pending): (&RequestId, &Pending)| match pending.stage {
            Stage::Home(handle, question) if handle == queue => Some((*request, question)),
            Stage::Home(..) | Stage::Lease | Stage::Control | Stage::ReplyAddress(_) => None,
        };
        let waiting: Vec<(RequestId, Question)> = self.pending.iter().filter_map(asks).collect();
        for (request, question) in waiting {
            let Some(mut pending) = self.pending.remove(&request) else { continue };
            if !pending.abandoned {
                pending.ask_again_at = None;
                match question {
                    Question::Unsubscribe { consumer } => self.cancel(request, pending, consumer, rooms),
                    _ => self.ask(request, pending, queue, question, rooms),
                }
            }
        }
    }

    /// The link to a node is gone: nothing comes any more to consumers that are being cancelled, and the home
    /// hears of them on the next one. What gets that nobody waits for may have got is not named there, and goes
    /// back by that.
    pub(crate) fn end_waits_for_link(&mut self, node: NodeId, rooms: &mut Rooms<'_>) {
        for (request, _, question) in self.waiting_at(node, rooms.queues) {
            if let Question::Unsubscribe { .. } = question {
                self.on_home_answer(request, rooms, |_, _| OwnedAnswer::Done);
            } else if self.pending.get(&request).is_some_and(|pending| pending.abandoned) {
                self.pending.remove(&request);
            }
        }
    }

    fn waiting_at(&self, node: NodeId, queues: &Queues) -> Vec<(RequestId, QueueHandle, Question)> {
        let waiting = self.pending.iter().filter_map(|(request, pending)| match pending.stage {
            Stage::Home(handle, question) => Some((*request, handle, question)),
            Stage::Lease | Stage::Control | Stage::ReplyAddress(_) => None,
        });
        waiting.filter(|(_, handle, _)| queues.is_at_node(*handle, node)).collect()
    }

    /// A channel is gone: nobody waits any more.
    pub(crate) fn forget_channel(&mut self, channel: ChannelKey) {
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

    /// The queue is gone, or has lost its name, to a rival or since its home is Down: what waits for it asks
    /// the map again. There the name is a rival's that won a merge (R3), or free, or nobody's whom it could
    /// ask.
    ///
    /// A home that goes on may yet answer: what it gave goes back to it, and a consumer that it took ends
    /// there. It may have purged as well: then two queues are empty that had the name, and the client is told
    /// of the one that has it.
    pub(crate) fn end_queue(&mut self, ended: QueueHandle, goes_on: bool, rooms: &mut Rooms<'_>) {
        let asks = |(request, pending): (&RequestId, &Pending)| match pending.stage {
            Stage::Home(handle, question) if handle == ended => Some((*request, question)),
            Stage::Home(..) | Stage::Lease | Stage::Control | Stage::ReplyAddress(_) => None,
        };
        let over: Vec<(RequestId, Question)> = self.pending.iter().filter_map(asks).collect();
        for (request, question) in over {
            let Some(pending) = self.pending.remove(&request) else { continue };
            if goes_on && pending.may_hold_message() && rooms.queues.is_linked(ended) {
                self.pending.insert(request, pending.abandon());
            }
            if pending.abandoned {
                continue;
            }
            match question {
                Question::Unsubscribe { .. } => {
                    self.answer(&pending, OwnedAnswer::Done, rooms);
                    continue;
                }
                Question::Subscribe { consumer, .. } => {
                    rooms.egress.end_consumer(pending.channel, consumer, rooms.queues);
                }
                Question::Get { .. } | Question::Purge | Question::Inspect => {}
            }
            self.begin_again(pending, rooms);
        }
    }

    /// A lease is there: what waited for one goes on.
    pub(crate) fn on_lease(&mut self, rooms: &mut Rooms<'_>) {
        let waits = |pending: &Pending| pending.stage == Stage::Lease;
        let waiting: Vec<RequestId> =
            self.pending.iter().filter(|(_, pending)| waits(pending)).map(|(request, _)| *request).collect();
        for request in waiting {
            if let Some(pending) = self.pending.remove(&request) {
                self.start(request, pending, rooms);
            }
        }
    }

    /// Ends operations that waited too long; true answers are not known, so it is an error (P7). Asks homes
    /// again that had no lease.
    pub(crate) fn expire(&mut self, rooms: &mut Rooms<'_>) {
        let now = rooms.view.now();
        if now < self.due {
            return;
        }
        let (mut over, mut again) = (Vec::new(), Vec::new());
        let mut next = Instant::FAR;
        for (request, pending) in self.pending.iter_mut().filter(|(_, pending)| !pending.abandoned) {
            let expires_at = pending.expires_at();
            if expires_at <= now {
                over.push(*request);
                continue;
            }
            next = next.min(expires_at);
            match (&mut pending.ask_again_at, pending.stage) {
                (Some(at), Stage::Home(handle, question)) if *at <= now => {
                    *at = now + limits::ASK_AGAIN_EVERY;
                    again.push((*request, pending.channel, handle, question));
                    next = next.min(*at);
                }
                (Some(at), _) => next = next.min(*at),
                (None, _) => {}
            }
        }
        self.due = next;
        for (request, channel, handle, question) in again {
            rooms.queues.send_question(handle, self.asker(request, channel), question);
        }
        for request in over {
            self.give_up(request, rooms);
        }
    }

    fn give_up(&mut self, request: RequestId, rooms: &mut Rooms<'_>) {
        let Some(mut pending) = self.pending.remove(&request) else { return };
        if let Stage::Home(_, Question::Subscribe { consumer, .. }) = pending.stage {
            rooms.egress.end_consumer(pending.channel, consumer, rooms.queues);
        }
        if pending.stage == Stage::Control {
            self.control.push(FromShard::Forget { request });
        }
        let refusal = if pending.wants_lease() { refusals::no_view(None) } else { refusals::no_answer() };
        self.refuse(&pending, refusal, rooms);
        if pending.may_hold_message() {
            pending.abandoned = true;
            self.pending.insert(request, pending);
        }
    }
}
