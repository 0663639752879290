//! What is asked of a queue and answered at once: subscribe, get, purge, inspect.
//!
//! A client here and a shard elsewhere ask by the same [`Question`]; the queue answers by the same
//! [`HomeAnswer`]. For a queue elsewhere the question becomes a record, and its answer comes as one.

use leveret_link::record::{Record, RemoteConsumer};
use leveret_model::{
    ChannelKey, ConsumerKey, ConsumerNumber, NodeId, Position, QueueHandle, QueueId, Refusal, ReplyCode,
    ShardAddress, refusals,
};

use leveret_queue::WaitsForDisk;

use super::Queues;
use super::delivery::FromElsewhere;
use super::moving::Leaving;
use super::places::Place;
use super::question::{Asked, Asker, GotMessage, HomeAnswer, Question};
use crate::view::ClusterView;

impl Queues {
    /// A client of this shard asks. The home may be elsewhere.
    pub(crate) fn ask(
        &mut self,
        handle: QueueHandle,
        asker: Asker,
        question: Question,
        view: &ClusterView,
    ) -> Asked {
        match self.places.get(handle).map(|entry| &entry.place) {
            Some(Place::Home(home)) if !home.closed => {
                match self.ask_home(handle, asker, question, view).unwrap_or(HomeAnswer::Empty) {
                    HomeAnswer::NotYet => Asked::Waits { elsewhere: false },
                    answer => Asked::Answered(answer),
                }
            }
            // its end, which is near, is the answer
            Some(Place::Home(_)) => Asked::Waits { elsewhere: false },
            Some(Place::Away(_)) | None => {
                self.send_question(handle, asker, question);
                Asked::Waits { elsewhere: true }
            }
        }
    }

    /// The record that asks a home elsewhere; also repeats it.
    pub(crate) fn send_question(&mut self, handle: QueueHandle, asker: Asker, question: Question) {
        let Some((queue, away)) = self.places.away(handle) else { return };
        if away.leaving.is_some() {
            // asked once it has its home
            return;
        }
        self.peers.at(away.outbox).push(&question.to_record(asker.request, queue, asker.channel));
    }

    /// A client of this shard wants no more deliveries. True if the home answers: it is elsewhere, with
    /// deliveries under way that come before its answer. Without a link none comes, and what was on the old one
    /// goes back at the next.
    pub(crate) fn ask_to_unsubscribe(
        &mut self,
        handle: QueueHandle,
        asker: Asker,
        consumer: ConsumerNumber,
    ) -> bool {
        let linked = self.is_linked(handle);
        if linked {
            self.send_question(handle, asker, Question::Unsubscribe { consumer });
        }
        linked
    }

    /// The home is elsewhere, and what it is asked may be answered.
    pub(crate) fn is_linked(&mut self, handle: QueueHandle) -> bool {
        let Some((_, away)) = self.places.away(handle) else { return false };
        self.peers.is_up(away.outbox)
    }

    /// The home is elsewhere, on this node of the cluster.
    pub(crate) fn is_at_node(&self, handle: QueueHandle, node: NodeId) -> bool {
        match self.places.get(handle).map(|entry| &entry.place) {
            Some(Place::Away(away)) => away.leaving.is_none() && away.home.node == node,
            Some(Place::Home(_)) | None => false,
        }
    }

    /// A home elsewhere sent a delivery: the shard's handle of the queue, and whether its consumer is one of
    /// this shard. hot.
    pub(crate) fn note_delivery(&mut self, delivery: &FromElsewhere<'_>) -> Option<(QueueHandle, bool)> {
        let FromElsewhere { queue, channel, consumer, position, redelivered, .. } = *delivery;
        let (handle, away) = self.places.away_of(queue)?;
        if redelivered {
            self.peers.at(away.outbox).note_given(queue, channel, consumer, position);
        }
        Some((handle, away.consumers.contains_key(&(channel, consumer))))
    }

    /// A home elsewhere gave a message to `basic.get` that it had given before.
    pub(crate) fn note_got(&mut self, handle: QueueHandle, channel: ChannelKey, position: Position) {
        if let Some((queue, away)) = self.places.away(handle) {
            self.peers.at(away.outbox).note_given(queue, channel, ConsumerNumber::OF_GET, position);
        }
    }

    /// A home elsewhere has taken a consumer of this shard.
    pub(crate) fn note_consumer(&mut self, handle: QueueHandle, consumer: RemoteConsumer) {
        if let Some((_, away)) = self.places.away(handle) {
            away.consumers.insert((consumer.channel, consumer.number), consumer);
        }
    }

    /// A home elsewhere has ended a consumer of this shard.
    pub(crate) fn forget_consumer(
        &mut self,
        handle: QueueHandle,
        channel: ChannelKey,
        consumer: ConsumerNumber,
    ) {
        if let Some((_, away)) = self.places.away(handle) {
            away.consumers.remove(&(channel, consumer));
        }
    }

    /// The queue answers, whoever asks.
    fn ask_home(
        &mut self,
        handle: QueueHandle,
        asker: Asker,
        question: Question,
        view: &ClusterView,
    ) -> Option<HomeAnswer> {
        let bounds = self.bounds;
        #[cfg(feature = "planted")]
        self.lose_a_got(handle, &question);
        let mut home = self.home(handle)?;
        let id = home.id;
        Some(match question {
            Question::Subscribe { consumer, terms } => {
                let consumer = RemoteConsumer { channel: asker.channel, number: consumer, terms };
                match home.subscribe(asker.at, consumer, &bounds) {
                    Ok(()) => HomeAnswer::Done,
                    Err(_) => HomeAnswer::Refused(in_exclusive_use(view, id)),
                }
            }
            Question::Unsubscribe { consumer } => {
                home.unsubscribe(&ConsumerKey { at: asker.at, channel: asker.channel, number: consumer });
                HomeAnswer::Done
            }
            Question::Get { no_ack } => match home.get(asker.at, asker.channel, no_ack) {
                Ok(Some(got)) => HomeAnswer::Got(got),
                Ok(None) => HomeAnswer::Empty,
                Err(WaitsForDisk) => {
                    drop(home);
                    self.read_for_get(handle, id, asker.at == self.own);
                    HomeAnswer::NotYet
                }
            },
            Question::Purge => HomeAnswer::Purged(home.purge()),
            Question::Inspect => {
                home.on_use();
                let (messages, consumers) = home.counts();
                HomeAnswer::Counts(messages, consumers)
            }
        })
    }

    /// A shard elsewhere asks. What is asked of a closed queue is answered by its end; what is asked of an
    /// unknown one waits for it (`early.rs`).
    pub(crate) fn on_question(
        &mut self,
        asker: Asker,
        queue: QueueId,
        question: Question,
        view: &ClusterView,
    ) {
        let Some(home) = self.home_of(queue) else { return self.question_not_here(asker, queue, question) };
        let (handle, closed) = (home.handle, home.home.closed);
        drop(home);
        if closed {
            return;
        }
        if question == Question::Purge {
            return self.on_purge(asker, handle, view);
        }
        if let Some(answer) = self.ask_home(handle, asker, question, view) {
            self.answer_shard(asker, answer);
        }
    }

    /// A purge is not to be done twice, nor after its client was refused. Without a lease this node may have
    /// stood still, and the record may be of long ago; so the asker asks again for as long as its client waits.
    fn on_purge(&mut self, asker: Asker, handle: QueueHandle, view: &ClusterView) {
        let is_peer = asker.at.node != self.own.node;
        if let Some(messages) = self.purges.answered(asker.at, asker.request) {
            return self.answer_shard(asker, HomeAnswer::Purged(messages));
        }
        if is_peer && !view.has_lease() {
            return self.peers.push(asker.at, &Record::NotNow { request: asker.request });
        }
        let Some(mut home) = self.home(handle) else { return };
        let messages = home.purge();
        drop(home);
        if is_peer {
            self.purges.note(asker.at, asker.request, messages);
        }
        self.answer_shard(asker, HomeAnswer::Purged(messages));
    }

    /// A shard elsewhere wants a consumer to end, and waits for nothing.
    pub(crate) fn on_unsubscribe(
        &mut self,
        at: ShardAddress,
        queue: QueueId,
        channel: ChannelKey,
        consumer: ConsumerNumber,
    ) {
        if let Some(mut home) = self.home_of(queue) {
            home.unsubscribe(&ConsumerKey { at, channel, number: consumer });
        } else if let Some(mut frozen) = self.frozen(queue, Leaving::is_fencing) {
            frozen.unsubscribe(&ConsumerKey { at, channel, number: consumer });
        } else {
            self.early.forget_consumer(at, channel, consumer);
        }
    }

    pub(super) fn answer_shard(&mut self, asker: Asker, answer: HomeAnswer) {
        let request = asker.request;
        match answer {
            HomeAnswer::Done => self.peers.push(asker.at, &Record::Done { request }),
            HomeAnswer::Empty => self.peers.push(asker.at, &Record::Empty { request }),
            HomeAnswer::NotYet => self.peers.push(asker.at, &Record::NotNow { request }),
            HomeAnswer::Got(GotMessage { position, redelivered, remaining, message }) => {
                let message = message.borrow();
                self.peers
                    .push(asker.at, &Record::Got { request, position, redelivered, remaining, message });
            }
            HomeAnswer::Counts(messages, consumers) => {
                self.peers.push(asker.at, &Record::Counts { request, messages, consumers });
            }
            HomeAnswer::Purged(messages) => {
                self.peers.push(asker.at, &Record::Counts { request, messages, consumers: 0 });
            }
            HomeAnswer::Refused(Refusal { code, text }) => {
                self.peers.push(asker.at, &Record::Refused { request, code, text });
            }
        }
    }

    /// A question to a queue that is not at home here.
    fn question_not_here(&mut self, asker: Asker, queue: QueueId, question: Question) {
        if self.frozen(queue, |_| true).is_some() {
            return self.peers.push(asker.at, &Record::NotNow { request: asker.request });
        }
        if let Question::Unsubscribe { consumer } = question {
            self.early.forget_consumer(asker.at, asker.channel, consumer);
            return self.answer_shard(asker, HomeAnswer::Done);
        }
        if self.early.was_dropped(queue) {
            let text = "the queue was deleted meanwhile";
            let refusal = Refusal::new(ReplyCode::NotFound, text);
            return self.answer_shard(asker, HomeAnswer::Refused(refusal));
        }
        // one that is elsewhere by our map: the asker hears of that from the directory too
        if self.places.handle(queue).is_none() {
            self.early.keep_question(asker, queue, question);
        }
    }
}

/// Exclusive, or wants to be and is not alone.
fn in_exclusive_use(view: &ClusterView, id: QueueId) -> Refusal {
    let known = view.table.queue_by_id(id).map(|queue| &queue.record.definition);
    let (name, vhost) = known.map(|record| (&*record.name, &*record.vhost)).unwrap_or_default();
    refusals::exclusive_use(name, vhost)
}
