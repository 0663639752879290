//! A client that holds a delivery for too long (RabbitMQ: delivery acknowledgement timeout). Read first:
//! `ages.rs`.

use alloc::format;
use core::time::Duration;

use leveret_model::{DeliveryTag, Instant, ReplyCode};

use super::Channel;
use crate::exception::{Exception, MethodId};
use crate::host::Host;

impl<C> Channel<C> {
    /// Whether the oldest delivery is held for longer than it may be: by what its consumer asked for, else by
    /// its queue, else by the server. `None` is no bound, and so is zero.
    pub(crate) fn check_ack_timeout<H: Host<Channel = C>>(
        &mut self,
        now: Instant,
        of_server: Option<Duration>,
        host: &H,
    ) -> Result<(), Exception> {
        let last = DeliveryTag(self.last_tag);
        let Some((held, age)) = self.unacked.oldest(now, last) else { return Ok(()) };
        let of_consumer = self.consumers.get(held.consumer).and_then(|consumer| consumer.ack_timeout);
        let timeout = of_consumer.or_else(|| host.ack_timeout(held.queue)).or(of_server);
        let Some(timeout) = timeout.filter(|timeout| !timeout.is_zero() && age >= *timeout) else {
            return Ok(());
        };
        // RabbitMQ: rabbit_channel:evaluate_consumer_timeout1/2
        let text = format!(
            "delivery acknowledgement on channel {} timed out. Timeout value used: {} ms. This timeout value can be \
             configured, see consumers doc guide to learn more",
            self.key.number.0,
            timeout.as_millis()
        );
        Err(Exception::new(ReplyCode::PreconditionFailed, MethodId::NONE, text))
    }
}
