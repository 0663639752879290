//! Records from other shards, each to the part that knows what to do.

use leveret_link::credit::{Cost, Overgrant};
use leveret_link::record::Record;
use leveret_link::{Batch, Damage};
use leveret_model::{Boot, Refusal, ShardAddress};

use crate::answers::OwnedAnswer;
use crate::commands::Question;
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
}

impl Shard {
    /// A batch from another shard.
    ///
    /// # Errors
    /// The batch is damaged: the link must end.
    pub fn on_batch(&mut self, from: ShardAddress, boot: Boot, batch: &Batch) -> Result<(), BatchError> {
        for record in batch {
            self.on_record(from, boot, record?)?;
        }
        if let Some(outbox) = self.broker.outboxes.to(from) {
            outbox.processed(batch.cost());
        }
        self.hand_out_results();
        Ok(())
    }

    /// hot.
    #[inline]
    fn on_record(&mut self, from: ShardAddress, boot: Boot, record: Record<'_>) -> Result<(), Overgrant> {
        let broker = &mut self.broker;
        match record {
            Record::Publish { message, targets } => broker.on_publish(from, boot, &message, targets),
            Record::Deliver { queue, channel, consumer, position, redelivered, message } => {
                let to = (queue, channel, consumer);
                broker.on_deliver(&mut self.connections, to, position, redelivered, message);
            }
            Record::Stored { queue, through } => broker.on_stored(queue, through),
            Record::Settle { queue, channel, consumer, position, how } => {
                broker.on_settle(from, queue, (channel, consumer), position, how);
            }
            Record::Credit { queue, channel, consumer, messages, bytes } => {
                broker.on_credit(from, queue, (channel, consumer), messages, bytes);
            }
            Record::Grant { records, bytes } => {
                if let Some(outbox) = broker.outboxes.to(from) {
                    outbox.granted(Cost { records, bytes })?;
                }
            }
            record => {
                self.on_rare_record(from, record);
                // a consumer must be known to its channel before its first delivery, which may be the next record
                self.hand_out_results();
            }
        }
        Ok(())
    }

    #[inline(never)]
    fn on_rare_record(&mut self, from: ShardAddress, record: Record<'_>) {
        let broker = &mut self.broker;
        match record {
            Record::Gap { queue, after } => broker.on_gap(queue, after),
            Record::Gone { queue } => broker.on_gone(queue),
            Record::Throttle { queue, on } => broker.on_throttle(queue, on),
            Record::Subscribe { request, queue, consumer } => {
                broker.on_subscribe(from, request, queue, consumer);
            }
            Record::Unsubscribe { request, queue, channel, consumer } => {
                broker.on_unsubscribe(from, request, queue, channel, consumer);
            }
            Record::Cancelled { queue, channel, consumer } => broker.on_cancelled(queue, channel, consumer),
            Record::Resubscribe { queue, consumers, held } => {
                broker.on_resubscribe(from, queue, &consumers, &held);
            }
            Record::ResubscribeEnd => broker.on_resubscribe_end(from),
            Record::Get { request, queue, channel, no_ack } => {
                broker.on_get(from, request, queue, channel, no_ack);
            }
            Record::Purge { request, queue } => broker.on_purge(from, request, queue),
            Record::Inspect { request, queue } => broker.on_inspect(from, request, queue),
            Record::Got { request, position, redelivered, remaining, message } => {
                broker.on_got(request, position, redelivered, remaining, &message);
            }
            Record::Empty { request } => broker.on_home_answer(request, |_, _| OwnedAnswer::Empty),
            Record::Counts { request, messages, consumers } => {
                broker.on_home_answer(request, |question, _| match question {
                    Question::Purge => OwnedAnswer::Messages(messages),
                    // who asked something else refuses an answer that does not fit
                    Question::Inspect
                    | Question::Subscribe { .. }
                    | Question::Unsubscribe { .. }
                    | Question::Get { .. } => OwnedAnswer::Queue { messages, consumers },
                });
            }
            Record::Done { request } => broker.on_home_answer(request, |_, _| OwnedAnswer::Done),
            Record::Refused { request, code, text } => {
                broker.on_home_answer(request, |_, _| OwnedAnswer::Refused(Refusal { code, text }));
            }
            Record::Publish { .. }
            | Record::Deliver { .. }
            | Record::Stored { .. }
            | Record::Settle { .. }
            | Record::Credit { .. }
            | Record::Grant { .. } => {}
        }
    }
}
