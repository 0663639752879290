//! Direct reply-to (RabbitMQ's extension): a channel consumes from `amq.rabbitmq.reply-to` without acks, names
//! that queue as `reply_to` of its requests, and the host's address for the channel goes out in its place.
//!
//! Invariant: the channel's consumers have one of replies exactly while the host has an address for the
//! channel.

use alloc::vec::Vec;

use leveret_model::{ConsumerNumber, Name, ReplyCode};
use leveret_wire::ContentHeader;
use leveret_wire::method::{BasicCancelOk, BasicConsume, BasicConsumeOk};

use super::consumers::{Consumer, ReplyConsumer};
use super::{Assembly, Channel};
use crate::exception::{Exception, MethodId};
use crate::host::Host;
use crate::turn::Turn;

/// What is to be changed about a message before the host gets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rewrites {
    /// It has further routing keys.
    pub(super) copies: bool,
    /// Its `reply_to` is the queue that stands for this channel.
    pub(super) reply_to: bool,
}

impl Rewrites {
    /// Anything?
    pub(super) fn any(self) -> bool {
        self.copies || self.reply_to
    }

    /// Changes a message that has its content header.
    pub(super) fn apply(self, message: &mut Assembly, replies: Option<&ReplyConsumer>) {
        if self.copies {
            message.take_copies();
        }
        if let (true, Some(replies)) = (self.reply_to, replies) {
            message.map_header(|header| with_reply_to(header, &replies.address));
        }
    }
}

/// The same content header with another `reply_to`.
fn with_reply_to(header: Vec<u8>, address: &Name) -> Vec<u8> {
    let Ok(ContentHeader { body_size, properties, .. }) = ContentHeader::decode(&header) else {
        return header;
    };
    let mut basic = properties.to_basic();
    basic.reply_to = Some(address.as_bytes());
    let mut out = Vec::with_capacity(header.len() + address.len());
    basic.encode_payload(body_size, &mut out);
    out
}

impl<C> Channel<C> {
    /// `basic.consume` of the queue that stands for this channel. Needs no answer of the broker.
    pub(super) fn consume_replies<H: Host<Channel = C>>(
        &mut self,
        turn: &mut Turn<'_, H>,
        id: MethodId,
        m: &BasicConsume<'_>,
    ) -> Result<(), Exception> {
        let (number, tag) = self.draw_consumer(id, m.consumer_tag)?;
        let refuse = |text: &str| Err(Exception::new(ReplyCode::PreconditionFailed, id, text));
        // RabbitMQ: one for each channel, and what it misses is gone
        if self.consumers.replies().is_some() {
            return refuse("reply consumer already set");
        }
        if !m.no_ack {
            return refuse("reply consumer cannot acknowledge");
        }
        let address = turn
            .host
            .open_reply_address(self.key, number)
            .map_err(|refusal| Exception::refused(refusal, id))?;
        if !m.no_wait {
            turn.shared.send(self.key.number, &BasicConsumeOk { consumer_tag: tag.as_bytes() });
        }
        self.consumers.add(Consumer { number, tag, no_ack: true, ack_timeout: None });
        self.consumers.set_replies(Some(ReplyConsumer { number, address }));
        Ok(())
    }

    /// `basic.cancel` of the consumer of replies; false if it is another consumer.
    pub(super) fn cancel_replies<H: Host<Channel = C>>(
        &mut self,
        turn: &mut Turn<'_, H>,
        number: ConsumerNumber,
        no_wait: bool,
    ) -> bool {
        if self.consumers.replies().is_none_or(|replies| replies.number != number) {
            return false;
        }
        // a later consume has another address (RabbitMQ)
        self.consumers.set_replies(None);
        turn.host.close_reply_address(self.key);
        if let (Some(consumer), false) = (self.consumers.remove(number), no_wait) {
            let ok = BasicCancelOk { consumer_tag: consumer.tag.as_bytes() };
            turn.shared.send(self.key.number, &ok);
        }
        true
    }
}
