//! A message out: `basic.deliver` and `basic.get-ok`, and the end of a consumer.

use alloc::format;

use leveret_model::{Body, ConsumerNumber, DeliveryTag, Held, Message, Name, PublishNumber, ReplyCode};
use leveret_wire::content::split_address;
use leveret_wire::frame::write_header_frame;
use leveret_wire::method::{BasicAck, BasicCancel, BasicGetOk, BasicNack, BasicReturn};
use leveret_wire::{write_body_frames, write_body_frames_shared, write_deliver};

use super::confirms::Confirm;
use super::pause::pause;
use super::{Channel, Wait};
use crate::connection::NotTaken;
use crate::host::Delivery;
use crate::turn::Shared;

impl<C> Channel<C> {
    /// Writes a delivery and remembers it unless the consumer wants no acks. Beyond what a channel may hold its
    /// consumers pause, and what was only offered is not taken. hot.
    pub(crate) fn deliver<const OFFERED: bool>(
        &mut self,
        shared: &mut Shared,
        delivery: &Delivery<'_>,
    ) -> Result<(), NotTaken> {
        let Some(consumer) = self.consumers.get(delivery.held.consumer) else {
            return Err(NotTaken::Vanished);
        };
        let tag = self.last_tag + 1;
        if let Some(gate) = &mut self.gate
            && !gate.passes(consumer.no_ack, &self.unacked, self.tx.as_deref())
        {
            let no_ack = consumer.no_ack;
            return self.deliver_later::<OFFERED>(shared, delivery, no_ack);
        }
        if !consumer.no_ack {
            if self.unacked.len() >= shared.config.unacked_per_channel_max {
                pause(&mut self.paused, self.key.number, shared);
                if OFFERED {
                    return Err(NotTaken::Paused);
                }
            }
            self.unacked.hold(DeliveryTag(tag), delivery.held);
        }
        self.last_tag = tag;
        let message = &delivery.message;
        write_deliver(
            shared.output.bytes(),
            self.key.number.0,
            consumer.tag.as_bytes(),
            self.last_tag,
            delivery.redelivered,
            message.address,
            message.header,
        );
        self.send_body(shared, message.body);
        Ok(())
    }

    /// Writes the answer to `basic.get`.
    pub(super) fn send_got(
        &mut self,
        shared: &mut Shared,
        held: Option<Held>,
        message: &Message<'_>,
        redelivered: bool,
        remaining: u64,
    ) {
        self.last_tag += 1;
        if let Some(held) = held {
            self.unacked.hold(DeliveryTag(self.last_tag), held);
            self.count_get();
        }
        let (exchange, routing_key) = split_address(message.address).unwrap_or_default();
        let method = BasicGetOk {
            delivery_tag: self.last_tag,
            redelivered,
            exchange,
            routing_key,
            message_count: u32::try_from(remaining).unwrap_or(u32::MAX),
        };
        shared.send(self.key.number, &method);
        self.send_content(shared, message);
    }

    /// basic.return with the whole content (AMQP 0-9-1 §1.8.3, basic.return).
    pub(super) fn send_return(
        &self,
        shared: &mut Shared,
        exchange: &[u8],
        routing_key: &[u8],
        message: &Message<'_>,
    ) {
        let code = ReplyCode::NoRoute;
        let method = BasicReturn {
            reply_code: code.code(),
            reply_text: code.text().as_bytes(),
            exchange,
            routing_key,
        };
        shared.send(self.key.number, &method);
        self.send_content(shared, message);
    }

    /// Content header and body frames.
    pub(super) fn send_content(&self, shared: &mut Shared, message: &Message<'_>) {
        write_header_frame(shared.output.bytes(), self.key.number.0, message.header);
        self.send_body(shared, message.body);
    }

    /// hot.
    #[inline]
    fn send_body(&self, shared: &mut Shared, body: Body<'_>) {
        let number = self.key.number.0;
        match body {
            Body::Flat(bytes) => {
                write_body_frames(shared.output.bytes(), number, bytes, shared.frame_max);
            }
            Body::Chunks(chunks) => {
                write_body_frames_shared(&mut shared.output, number, chunks, shared.frame_max);
            }
        }
    }

    /// The consumer ended at the server; the client is told if it can take it (RabbitMQ: consumer cancel
    /// notify).
    pub(crate) fn cancel_consumer(&mut self, shared: &mut Shared, number: ConsumerNumber) {
        if matches!(&self.wait, Wait::Answer(pending) if pending.ends_consumer() == Some(number)) {
            // the client ends it too: cancel-ok, which follows, is all that it waits for
            return;
        }
        let Some(consumer) = self.consumers.remove(number) else { return };
        self.note_consumer_left();
        match &mut self.wait {
            Wait::Answer(pending) if pending.precedes_cancel() => pending.ended_consumers.push(consumer.tag),
            _ => self.send_cancel(shared, &consumer.tag),
        }
    }

    pub(super) fn send_cancel(&self, shared: &mut Shared, tag: &Name) {
        if shared.client.capabilities.consumer_cancel_notify {
            let method = BasicCancel { consumer_tag: tag.as_bytes(), no_wait: true };
            shared.send(self.key.number, &method);
        }
    }

    /// The answer that was owed for a publish. hot.
    /// True if a commit waited for it and ends.
    pub(crate) fn on_settled(&mut self, shared: &mut Shared, number: PublishNumber, ok: bool) -> bool {
        if let Some(confirms) = &mut self.confirms {
            confirms.on_settled(number, ok);
            self.confirms_are_due(shared);
            return false;
        }
        self.on_commit_settled(number, ok)
    }

    /// At the end of the turn the confirms go out. hot.
    pub(super) fn confirms_are_due(&mut self, shared: &mut Shared) {
        if !self.confirms_due {
            self.confirms_due = true;
            shared.confirms_due.push(self.key.number);
        }
    }

    /// Tells the client which of its publishes are settled. hot.
    pub(crate) fn flush_confirms(&mut self, shared: &mut Shared) {
        let Some(confirms) = &mut self.confirms else { return };
        let channel = self.key.number;
        confirms.flush(|Confirm { number, multiple, ok }| {
            let delivery_tag = number.0;
            if ok {
                shared.send(channel, &BasicAck { delivery_tag, multiple });
            } else {
                shared.send(channel, &BasicNack { delivery_tag, multiple, requeue: false });
            }
        });
    }

    /// The end of the turn, for a channel on `Shared::confirms_due`. hot.
    pub(crate) fn end_turn(&mut self, shared: &mut Shared) {
        self.confirms_due = false;
        self.flush_confirms(shared);
    }

    /// A tag that the server draws: unique in the channel by the number, in the node by the rest.
    pub(super) fn server_tag(&self, number: ConsumerNumber) -> alloc::string::String {
        let connection = self.key.connection;
        format!(
            "amq.ctag-{:x}-{:x}-{:x}-{:x}-{:x}",
            connection.slot, connection.generation, self.key.number.0, self.key.generation, number.0
        )
    }
}
