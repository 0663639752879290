//! A delivery on its way to a client of this shard.

use leveret_amqp::NotTaken;
use leveret_amqp::host::Delivery;
use leveret_model::{ConsumerKey, Held, Message, Paused, Position, QueueHandle, Settlement};
use leveret_queue::Delivered;

use super::windows::Egress;
use crate::clients::Connections;
use crate::queues::{Credit, FromElsewhere, LocalConsumers, Queues};

/// Deliveries of queues here, at the end of a turn.
#[derive(Debug)]
pub(crate) struct Deliveries<'a> {
    pub(crate) connections: &'a mut Connections,
    pub(crate) egress: &'a mut Egress,
    /// Output of a connection above which it gets no deliveries.
    pub(crate) output_high: usize,
}

impl LocalConsumers for Deliveries<'_> {
    /// hot.
    #[inline(always)]
    fn deliver(
        &mut self,
        queue: QueueHandle,
        consumer: &ConsumerKey,
        position: Position,
        redelivered: bool,
        message: &Message<'_>,
    ) -> Delivered {
        let key = consumer.channel.connection;
        let Some(connection) = self.connections.get_mut(key) else { return Delivered::Gone };
        if connection.output().len() >= self.output_high {
            self.egress.windows[key.slot as usize].parked.push((queue, *consumer));
            return Delivered::Paused(Paused::Output);
        }
        let held = Held { queue, position, consumer: consumer.number };
        let delivery = Delivery { held, redelivered, message: *message };
        match connection.offer(consumer.channel, &delivery) {
            Ok(()) => {
                self.connections.touch(key);
                Delivered::Taken
            }
            Err(NotTaken::Paused) => {
                self.egress.windows[key.slot as usize].pauses = true;
                Delivered::Paused(Paused::Unacked)
            }
            Err(NotTaken::Vanished) => Delivered::Gone,
        }
    }
}

impl Egress {
    /// A home elsewhere gives a message to a consumer of this shard. hot.
    ///
    /// A channel knows a consumer from the home's answer to the subscription up to its answer to the cancel. So
    /// a delivery is not taken in three cases: its channel is gone, its consumer was cancelled from here, or
    /// the queue lost a merge before it answered (then the consumer is the winner's). It goes back to the home;
    /// of a consumer without acks the home does not know it any more, and it is lost as on RabbitMQ.
    pub(crate) fn on_deliver(
        &mut self,
        delivery: FromElsewhere<'_>,
        connections: &mut Connections,
        queues: &mut Queues,
    ) {
        let FromElsewhere { channel, consumer, position, redelivered, message, .. } = delivery;
        let Some((handle, known)) = queues.note_delivery(&delivery) else { return };
        let held = Held { queue: handle, position, consumer };
        let taken = known
            && connections.get_mut(channel.connection).is_some_and(|connection| {
                connection.deliver(channel, &Delivery { held, redelivered, message }).is_ok()
            });
        if !taken {
            return queues.settle(channel, held, Settlement::Requeue);
        }
        connections.touch(channel.connection);
        let bytes = message.weight_bytes() as u64;
        let credit = &mut self.windows[channel.connection.slot as usize].credit;
        match credit.last_mut() {
            Some(last) if last.channel == channel && last.consumer == consumer => {
                last.messages += 1;
                last.bytes += bytes;
            }
            _ => credit.push(Credit { queue: handle, channel, consumer, messages: 1, bytes }),
        }
    }
}
