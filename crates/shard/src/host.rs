//! `amqp::Host` for one connection of the shard.

use core::time::Duration;

use leveret_amqp::host::{Host, Operation, Publish, Published, VhostOpening};
use leveret_model::{
    ChannelKey, ChannelNumber, ConnectionKey, ConsumerNumber, Held, Name, QueueHandle, Refusal, ReplyCode,
    RoutingKey, Settlement,
};

use crate::ingress::{ChannelState, Routing};
use crate::machines::Machines;

/// The broker as one connection of the shard sees it: every machine of the shard but the connections.
#[derive(Debug)]
pub(crate) struct Broker<'a> {
    pub(crate) machines: &'a mut Machines,
    pub(crate) connection: ConnectionKey,
}

impl Host for Broker<'_> {
    type Channel = ChannelState;

    fn login(&mut self, mechanism: &str, response: &[u8]) {
        let Machines { view, clients, .. } = &mut *self.machines;
        clients.login(self.connection, mechanism, response, view.now());
    }

    fn open_vhost(&mut self, vhost: &Name) -> Result<VhostOpening, Refusal> {
        let Machines { view, clients, .. } = &mut *self.machines;
        clients.open_vhost(self.connection, vhost, view)
    }

    /// hot. Inlined into its two callers, for a publish is a dozen words that a call would lay down in memory.
    #[inline(always)]
    fn publish(
        &mut self,
        channel: ChannelKey,
        state: &mut ChannelState,
        publish: Publish<'_>,
    ) -> Result<Published, Refusal> {
        let Machines { view, clients, queues, ingress, throttled, replies, .. } = &mut *self.machines;
        ingress.publish(channel, state, &publish, Routing { view, clients, queues, throttled, replies })
    }

    fn publish_copies(
        &mut self,
        channel: ChannelKey,
        publish: Publish<'_>,
        keys: &[RoutingKey],
    ) -> Result<Published, Refusal> {
        let Machines { view, clients, queues, ingress, throttled, replies, .. } = &mut *self.machines;
        let routing = Routing { view, clients, queues, throttled, replies };
        ingress.publish_copies(channel, &publish, keys, routing)
    }

    fn may_publish(&mut self, _: ChannelKey, exchange: &[u8]) -> Result<(), Refusal> {
        let Machines { view, clients, .. } = &mut *self.machines;
        crate::ingress::may_publish(self.connection, exchange, view, clients)
    }

    fn queue_type_substituted(&mut self, queue: &Name, kind: &'static str) {
        self.machines.clients.note_substituted(self.connection, queue, kind);
    }

    fn ack_timeout(&self, queue: QueueHandle) -> Option<Duration> {
        let id = self.machines.queues.id(queue)?;
        let queue = self.machines.view.table.queue_by_id(id)?;
        queue.record.definition.arguments.settings().consumer_timeout
    }

    fn draw_queue_name(&mut self) -> Name {
        self.machines.requests.draw_queue_name()
    }

    fn open_reply_address(&mut self, channel: ChannelKey, consumer: ConsumerNumber) -> Result<Name, Refusal> {
        self.machines.replies.open(channel, consumer)
    }

    fn close_reply_address(&mut self, channel: ChannelKey) {
        self.machines.replies.close(channel);
    }

    fn request(&mut self, channel: ChannelKey, operation: Operation) {
        let (requests, mut rooms) = self.machines.requests();
        requests.begin(channel, operation, &mut rooms);
    }

    /// hot.
    fn settle(&mut self, channel: ChannelKey, held: Held, how: Settlement) {
        self.machines.queues.settle(channel, held, how);
    }

    fn channel_refused(&mut self, channel: ChannelNumber, code: ReplyCode, text: &Name) {
        self.machines.clients.note_refused(self.connection, channel, code, text);
    }

    /// The channel's consumers end; the connection gives back what it held right after this.
    fn channel_closed(&mut self, channel: ChannelKey, consumers: &[ConsumerNumber]) {
        let Machines { queues, egress, requests, replies, .. } = &mut *self.machines;
        replies.close(channel);
        requests.forget_channel(channel);
        for number in consumers {
            egress.end_consumer(channel, *number, queues);
        }
    }

    fn connection_closed(&mut self) -> bool {
        let Machines { clients, queues, .. } = &mut *self.machines;
        clients.note_over(self.connection);
        queues.end_exclusive(self.connection);
        self.machines.delete_over();
        self.machines.requests.ends_queues_of(self.connection)
    }
}
