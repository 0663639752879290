//! Records from other shards, each to the part that knows what to do.

use leveret_link::credit::{Cost, Overgrant};
use leveret_link::record::Record;
use leveret_link::{Batch, Damage};
use leveret_model::{Boot, Refusal, RequestId, ShardAddress};

use crate::machines::Machines;
use crate::queues::{Asker, FromElsewhere, Question};
use crate::requests::OwnedAnswer;
use crate::shard::Shard;

/// Why a batch from another shard is not believed: the link ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// A record cannot be read.
    #[error("damaged record: {0}")]
    Damaged(#[from] Damage),
    /// It counts credit otherwise than we do.
    #[error(transparent)]
    Overgrant(#[from] Overgrant),
    /// A record of a session cannot be read.
    #[error("damaged record of a session: {0}")]
    Session(#[from] leveret_sessions::Damage),
}

impl Shard {
    /// A batch from another shard.
    ///
    /// # Errors
    /// The batch is damaged: the link must end.
    pub fn on_batch(&mut self, from: ShardAddress, boot: Boot, batch: &Batch) -> Result<(), BatchError> {
        self.enter(|shard| {
            let mut records = batch.iter();
            loop {
                if let Some(publish) = records.next_publish() {
                    let (message, targets) = publish?;
                    shard.machines.queues.on_publish(from, boot, &message, targets);
                    continue;
                }
                let Some(record) = records.next() else { break };
                shard.on_record(from, boot, record?)?;
            }
            if let Some(outbox) = shard.machines.queues.peers().to(from) {
                outbox.processed(batch.cost());
            }
            shard.tell_new_homes();
            Ok(())
        })
    }

    /// hot.
    #[inline]
    fn on_record(&mut self, from: ShardAddress, boot: Boot, record: Record<'_>) -> Result<(), BatchError> {
        let Machines { queues, egress, .. } = &mut self.machines;
        match record {
            Record::Deliver { queue, channel, consumer, position, redelivered, message } => {
                let delivery = FromElsewhere { queue, channel, consumer, position, redelivered, message };
                egress.on_deliver(delivery, &mut self.connections, queues);
            }
            Record::Stored { queue, through } => queues.on_stored(queue, through),
            Record::Settle { queue, channel, consumer, position, how } => {
                queues.on_settle(from, queue, (channel, consumer), position, how);
            }
            Record::Credit { queue, channel, consumer, messages, bytes } => {
                queues.on_credit(from, queue, (channel, consumer), messages, bytes);
            }
            Record::Grant { records, bytes } => {
                if let Some(outbox) = queues.peers().to(from) {
                    outbox.granted(Cost { records, bytes })?;
                }
                if self.machines.replies.take_held() {
                    self.machines.ingress.retry();
                }
            }
            Record::Reply { to, message } => self.deliver_reply(to, message),
            Record::Sessions { part, records } => self.on_session_records(from, boot, part, records)?,
            Record::Unknown { kind } => queues.peers().note_unknown(from, kind),
            record => {
                // a consumer must be known to its channel before its first delivery, which may be the next
                // record
                self.enter(|shard| shard.machines.on_rare_record(from, record));
            }
        }
        Ok(())
    }
}

impl Machines {
    #[inline(never)]
    fn on_rare_record(&mut self, from: ShardAddress, record: Record<'_>) {
        match record {
            Record::Gap { queue, after } => self.queues.on_gap(queue, after),
            Record::Gone { queue } => self.queues.on_gone(queue),
            Record::PublishRefused { queue, sequence } => self.queues.on_publish_refused(queue, sequence),
            Record::Throttle { queue, on } => self.queues.on_throttle(queue, on),
            Record::Cancelled { queue, channel, consumer } => {
                self.queues.on_cancelled(queue, channel, consumer);
            }
            Record::Resubscribe { queue, consumers, held } => {
                self.queues.on_resubscribe(from, queue, &consumers, &held);
            }
            Record::FindReplyAddress { request, to } => {
                let found = self.replies.consumer(to).is_some();
                self.queues.peers().push(from, &Record::ReplyAddressFound { request, found });
            }
            Record::ResubscribeEnd => self.queues.on_resubscribe_end(from),
            Record::ResubscribeQueueEnd { queue } => self.queues.on_resubscribe_queue_end(from, queue),
            Record::MoveMessage { queue, attempt, position, state, rule, message } => {
                self.queues.on_move_message(from, (queue, attempt), (position, state, rule), &message);
            }
            Record::CopyMessage { queue, attempt, position, rule, message } => {
                self.queues.on_copy_message(from, (queue, attempt), (position, rule), &message);
            }
            Record::Move { queue, attempt, part } => self.queues.on_move_part(from, queue, attempt, part),
            Record::Unsubscribe { request: None, queue, channel, consumer } => {
                self.queues.on_unsubscribe(from, queue, channel, consumer);
            }
            record => match question(from, &record) {
                Some((asker, queue, question)) => {
                    self.queues.on_question(asker, queue, question, &self.view);
                }
                None => self.on_home_answer(record),
            },
        }
    }

    /// A home elsewhere answered.
    fn on_home_answer(&mut self, record: Record<'_>) {
        let now = self.view.now();
        let (requests, mut rooms) = self.requests();
        let rooms = &mut rooms;
        let mut answer = |request: RequestId, answer: OwnedAnswer| {
            requests.on_home_answer(request, rooms, |_, _| answer);
        };
        match record {
            Record::Empty { request } => answer(request, OwnedAnswer::Empty),
            Record::Done { request } => answer(request, OwnedAnswer::Done),
            Record::Refused { request, code, text } => {
                answer(request, OwnedAnswer::Refused(Refusal { code, text }));
            }
            Record::Got { request, position, redelivered, remaining, message } => {
                requests.on_got(request, (position, redelivered, remaining), &message, rooms);
            }
            Record::Counts { request, messages, consumers } => {
                requests.on_home_answer(request, rooms, |question, _| match question {
                    Question::Purge => OwnedAnswer::Messages(messages),
                    // who asked something else refuses an answer that does not fit
                    Question::Inspect
                    | Question::Subscribe { .. }
                    | Question::Unsubscribe { .. }
                    | Question::Get { .. } => OwnedAnswer::Queue { messages, consumers },
                });
            }
            Record::NotNow { request } => requests.on_not_now(request, now),
            Record::ReplyAddressFound { request, found } => requests.on_reply_address(request, found, rooms),
            // every other kind has its door above
            _ => {}
        }
    }
}

/// The question that a record asks, of which queue.
fn question(from: ShardAddress, record: &Record<'_>) -> Option<(Asker, leveret_model::QueueId, Question)> {
    let no_channel = leveret_model::ChannelKey::default();
    let (channel, request, queue, question) = match *record {
        Record::Subscribe { request, queue, consumer } => {
            let question = Question::Subscribe { consumer: consumer.number, terms: consumer.terms };
            (consumer.channel, request, queue, question)
        }
        Record::Unsubscribe { request: Some(request), queue, channel, consumer } => {
            (channel, request, queue, Question::Unsubscribe { consumer })
        }
        Record::Get { request, queue, channel, no_ack } => {
            (channel, request, queue, Question::Get { no_ack })
        }
        Record::Purge { request, queue } => (no_channel, request, queue, Question::Purge),
        Record::Inspect { request, queue } => (no_channel, request, queue, Question::Inspect),
        _ => return None,
    };
    Some((Asker { at: from, channel, request }, queue, question))
}
