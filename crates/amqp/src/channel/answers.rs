//! Answers of the broker to operations, turned into `-ok` methods or exceptions.

use leveret_model::ReplyCode;
use leveret_wire::method::{
    BasicCancelOk, BasicConsumeOk, BasicGetEmpty, ExchangeBindOk, ExchangeDeclareOk, ExchangeDeleteOk,
    ExchangeUnbindOk, QueueBindOk, QueueDeclareOk, QueueDeleteOk, QueuePurgeOk, QueueUnbindOk,
};

use super::consumers::Consumer;
use super::operations::{Pending, Reply};
use super::{Channel, Wait};
use crate::exception::Exception;
use crate::host::Answer;
use crate::turn::Shared;

impl<C> Channel<C> {
    /// The answer to the operation under way; `None` if there is none.
    pub(crate) fn on_answer(
        &mut self,
        shared: &mut Shared,
        answer: Answer<'_>,
    ) -> Option<Result<(), Exception>> {
        match core::mem::replace(&mut self.wait, Wait::Nothing) {
            Wait::Answer(pending) => {
                if pending.is_get() {
                    shared.gets.end();
                }
                Some(self.reply(shared, *pending, answer))
            }
            other => {
                self.wait = other;
                None
            }
        }
    }

    fn reply(&mut self, shared: &mut Shared, pending: Pending, answer: Answer<'_>) -> Result<(), Exception> {
        let channel = self.key.number;
        match (pending.reply, answer) {
            (_, Answer::Refused(refusal)) => return Err(Exception::refused(refusal, pending.method)),
            (Reply::Quiet, Answer::Done | Answer::Messages(_)) => {}
            (Reply::ExchangeDeclareOk, Answer::Done) => shared.send(channel, &ExchangeDeclareOk),
            (Reply::ExchangeDeleteOk, Answer::Done) => shared.send(channel, &ExchangeDeleteOk),
            (Reply::ExchangeBindOk, Answer::Done) => shared.send(channel, &ExchangeBindOk),
            (Reply::ExchangeUnbindOk, Answer::Done) => shared.send(channel, &ExchangeUnbindOk),
            (Reply::QueueBindOk, Answer::Done) => shared.send(channel, &QueueBindOk),
            (Reply::QueueUnbindOk, Answer::Done) => shared.send(channel, &QueueUnbindOk),
            (Reply::QueueDeclareOk { name, no_wait }, Answer::Queue { messages, consumers }) => {
                if !no_wait {
                    let (message_count, consumer_count) = (count(messages), consumers);
                    let ok = QueueDeclareOk { queue: name.as_bytes(), message_count, consumer_count };
                    shared.send(channel, &ok);
                }
                self.last_queue = name;
            }
            (Reply::QueueDeleteOk, Answer::Messages(messages)) => {
                shared.send(channel, &QueueDeleteOk { message_count: count(messages) });
                pending.ended_consumers.iter().for_each(|tag| self.send_cancel(shared, tag));
            }
            (Reply::QueuePurgeOk, Answer::Messages(messages)) => {
                shared.send(channel, &QueuePurgeOk { message_count: count(messages) });
            }
            (Reply::ConsumeOk { number, tag, no_ack, no_wait, ack_timeout }, Answer::Done) => {
                if !no_wait {
                    shared.send(channel, &BasicConsumeOk { consumer_tag: tag.as_bytes() });
                }
                self.consumers.add(Consumer { number, tag, no_ack, ack_timeout });
            }
            (Reply::CancelOk { number, tag, no_wait }, Answer::Done) => {
                self.consumers.remove(number);
                self.note_consumer_left();
                if !no_wait {
                    shared.send(channel, &BasicCancelOk { consumer_tag: tag.as_bytes() });
                }
            }
            (Reply::Got { no_ack }, Answer::Got { held, message, redelivered, remaining }) => {
                let held = (!no_ack).then_some(held);
                self.send_got(shared, held, &message, redelivered, remaining);
            }
            (Reply::Got { .. }, Answer::Empty) => shared.send(channel, &BasicGetEmpty),
            // the broker answered something else than it was asked: our bug, and the client cannot go on
            _ => {
                let text = "the answer does not fit the request";
                return Err(Exception::new(ReplyCode::InternalError, pending.method, text));
            }
        }
        Ok(())
    }
}

/// Counts on the wire have 32 bits.
fn count(messages: u64) -> u32 {
    u32::try_from(messages).unwrap_or(u32::MAX)
}
