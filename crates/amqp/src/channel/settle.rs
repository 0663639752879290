//! What a client does with deliveries (ack, nack, reject, recover), and the methods that set a channel's mode.

use alloc::boxed::Box;
use alloc::format;

use leveret_model::{DeliveryTag, ReplyCode, Settlement};
use leveret_wire::method::{
    BasicAck, BasicNack, BasicQos, BasicQosOk, BasicRecoverOk, BasicReject, ConfirmSelect, ConfirmSelectOk,
};

use super::Channel;
use super::confirms::Confirms;
use crate::exception::{Exception, MethodId};
use crate::host::Host;
use crate::surface::as_rabbitmq_refuses;
use crate::turn::Turn;

const ACK: MethodId = MethodId { class: 60, method: 80 };
const REJECT: MethodId = MethodId { class: 60, method: 90 };
const NACK: MethodId = MethodId { class: 60, method: 120 };

impl<C> Channel<C> {
    /// hot.
    pub(super) fn on_ack<H: Host<Channel = C>>(
        &mut self,
        turn: &mut Turn<'_, H>,
        ack: BasicAck,
    ) -> Result<(), Exception> {
        self.settle(turn, ACK, DeliveryTag(ack.delivery_tag), ack.multiple, Settlement::Ack)
    }

    /// hot.
    pub(super) fn on_nack<H: Host<Channel = C>>(
        &mut self,
        turn: &mut Turn<'_, H>,
        nack: BasicNack,
    ) -> Result<(), Exception> {
        let how = if nack.requeue { Settlement::Requeue } else { Settlement::Reject };
        self.settle(turn, NACK, DeliveryTag(nack.delivery_tag), nack.multiple, how)
    }

    /// hot.
    pub(super) fn on_reject<H: Host<Channel = C>>(
        &mut self,
        turn: &mut Turn<'_, H>,
        reject: BasicReject,
    ) -> Result<(), Exception> {
        let how = if reject.requeue { Settlement::Requeue } else { Settlement::Reject };
        self.settle(turn, REJECT, DeliveryTag(reject.delivery_tag), false, how)
    }

    /// Tag 0 with multiple is all that is held (AMQP 0-9-1 §1.8.3.13). A tag that is not held is 406, with
    /// multiple too (RabbitMQ: collect_acks), and nothing is settled then. hot.
    fn settle<H: Host<Channel = C>>(
        &mut self,
        turn: &mut Turn<'_, H>,
        method: MethodId,
        tag: DeliveryTag,
        multiple: bool,
        how: Settlement,
    ) -> Result<(), Exception> {
        if multiple {
            let last = if tag.0 == 0 { DeliveryTag(u64::MAX) } else { tag };
            if tag.0 != 0 && !self.unacked.contains(tag) {
                return Err(unknown_tag(method, tag));
            }
            if self.tx.is_some() {
                while let Some((tag, held)) = self.unacked.take_first_tagged(last) {
                    self.keep_settlement(method, tag, held, how)?;
                }
                return Ok(());
            }
            while let Some(held) = self.unacked.take_first_through(last) {
                turn.host.settle(self.key, held, how);
            }
            return Ok(());
        }
        let held = self.unacked.take(tag).ok_or_else(|| unknown_tag(method, tag))?;
        if self.tx.is_some() {
            return self.keep_settlement(method, tag, held, how);
        }
        turn.host.settle(self.key, held, how);
        Ok(())
    }

    /// Everything held goes back. Without requeue it would have to be delivered again on this very channel,
    /// which RabbitMQ refuses too.
    pub(super) fn on_recover<H: Host<Channel = C>>(
        &mut self,
        turn: &mut Turn<'_, H>,
        method: MethodId,
        requeue: bool,
        answered: bool,
    ) -> Result<(), Exception> {
        if !requeue {
            return Err(as_rabbitmq_refuses(method, "requeue=false"));
        }
        while let Some(held) = self.unacked.take_first() {
            turn.host.settle(self.key, held, Settlement::Requeue);
        }
        if answered {
            turn.shared.send(self.key.number, &BasicRecoverOk);
        }
        Ok(())
    }

    /// The limit of each consumer that starts from now on, or with `global` the one that all of them share
    /// (RabbitMQ: consumer prefetch; channel prefetch). Both hold, in whatever order they are set.
    pub(super) fn on_qos<H>(
        &mut self,
        turn: &mut Turn<'_, H>,
        method: MethodId,
        qos: BasicQos,
    ) -> Result<(), Exception> {
        if qos.prefetch_size != 0 {
            let text = format!("prefetch_size!=0 ({})", qos.prefetch_size);
            return Err(as_rabbitmq_refuses(method, &text));
        }
        if qos.global {
            self.set_channel_prefetch(qos.prefetch_count);
        } else {
            self.prefetch = qos.prefetch_count;
        }
        turn.shared.send(self.key.number, &BasicQosOk);
        Ok(())
    }

    /// A second time changes nothing.
    pub(super) fn on_confirm_select<H>(
        &mut self,
        turn: &mut Turn<'_, H>,
        method: MethodId,
        select: ConfirmSelect,
    ) -> Result<(), Exception> {
        if self.tx.is_some() {
            let text = "cannot switch from tx to confirm mode";
            return Err(Exception::new(ReplyCode::PreconditionFailed, method, text));
        }
        self.confirms.get_or_insert_with(Box::<Confirms>::default);
        if !select.no_wait {
            turn.shared.send(self.key.number, &ConfirmSelectOk);
        }
        Ok(())
    }
}

fn unknown_tag(method: MethodId, tag: DeliveryTag) -> Exception {
    Exception::new(ReplyCode::PreconditionFailed, method, format!("unknown delivery tag {}", tag.0))
}
