//! An operation begins: what it comes to is looked up, asked, or sent to the control machine.

use leveret_amqp::host::Operation;
use leveret_model::directory::{Command, FromShard};
use leveret_model::{
    ChannelKey, ConnectionAddress, ConsumerNumber, Name, QueueHandle, Refusal, RequestId, refusals,
};

use super::actions::{Action, check_lock_of};
use super::answers::OwnedAnswer;
use super::pending::{Pending, Stage};
use super::{Requests, Rooms};
use crate::clients::no_vhost;
use crate::queues::{Asked, Asker, Question};

impl Requests {
    /// A client wants something; the answer is given out by [`Requests::pop_answer`].
    pub(crate) fn begin(&mut self, channel: ChannelKey, operation: Operation, rooms: &mut Rooms<'_>) {
        let request = self.draw();
        self.start(request, Pending::new(channel, operation, rooms.view.now()), rooms);
    }

    /// Begins or begins again.
    pub(super) fn start(&mut self, request: RequestId, pending: Pending, rooms: &mut Rooms<'_>) {
        if let Err(refusal) = rooms.may(pending.channel.connection, &pending.operation) {
            return self.refuse(&pending, refusal, rooms);
        }
        match rooms.action_of(self.own, &pending.operation, pending.channel.connection) {
            Ok(Action::Command(command)) => self.command(request, pending, command),
            Ok(Action::FindExchange(name)) => self.find_exchange(request, pending, &name, rooms),
            Ok(Action::Ask(name, question)) => self.find_queue(request, pending, &name, question, rooms),
            Ok(Action::Cancel(consumer)) => self.cancel(request, pending, consumer, rooms),
            Err(refusal) => self.refuse(&pending, refusal, rooms),
        }
    }

    fn command(&mut self, request: RequestId, pending: Pending, command: Command) {
        self.control.push(FromShard::Command { request, command });
        self.wait(request, pending, Stage::Control);
    }

    fn find_exchange(&mut self, request: RequestId, pending: Pending, name: &Name, rooms: &mut Rooms<'_>) {
        let Some(vhost) = rooms.clients.get(pending.channel.connection).vhost else {
            return self.refuse(&pending, no_vhost(), rooms);
        };
        if rooms.view.table.exchange(vhost, name.as_bytes()).is_some() {
            return self.answer(&pending, OwnedAnswer::Done, rooms);
        }
        let refusal = refusals::no_exchange(name, &rooms.view.vhost_name(vhost));
        self.missing(request, pending, refusal, rooms);
    }

    fn find_queue(
        &mut self,
        request: RequestId,
        pending: Pending,
        name: &Name,
        question: Question,
        rooms: &mut Rooms<'_>,
    ) {
        let connection = pending.channel.connection;
        let Some(vhost) = rooms.clients.get(connection).vhost else {
            return self.refuse(&pending, no_vhost(), rooms);
        };
        let Some(queue) = rooms.view.table.queue(vhost, name.as_bytes()) else {
            let refusal = refusals::no_queue(name, &rooms.view.vhost_name(vhost));
            return self.missing(request, pending, refusal, rooms);
        };
        let definition = &queue.record.definition;
        if queue.masked && definition.exclusive.is_some() {
            // it is gone with its node
            let refusal = refusals::no_queue(name, &definition.vhost);
            return self.missing(request, pending, refusal, rooms);
        }
        if queue.masked {
            let refusal = rooms.view.home_down(&queue.record);
            return self.refuse(&pending, refusal, rooms);
        }
        let client = ConnectionAddress { at: self.own, connection };
        if let Err(refusal) = check_lock_of(client, definition) {
            return self.refuse(&pending, refusal, rooms);
        }
        if let Question::Subscribe { .. } = question
            && let Some(refusal) = rooms.egress.subscribed.no_room(connection)
        {
            return self.refuse(&pending, refusal, rooms);
        }
        let handle = rooms.queues.enter_at(queue.record.id, queue.record.home);
        self.ask(request, pending, handle, question, rooms);
    }

    /// Something is not in the map: true only under the lease (R4).
    fn missing(&mut self, request: RequestId, pending: Pending, refusal: Refusal, rooms: &mut Rooms<'_>) {
        if rooms.view.has_lease() {
            self.refuse(&pending, refusal, rooms);
        } else {
            self.wait(request, pending, Stage::Lease);
        }
    }

    /// The client wants no more deliveries. A home elsewhere has some under way: they come before its answer,
    /// and still go to the consumer.
    pub(super) fn cancel(
        &mut self,
        request: RequestId,
        pending: Pending,
        consumer: ConsumerNumber,
        rooms: &mut Rooms<'_>,
    ) {
        let asker = self.asker(request, pending.channel);
        if let Some(handle) = rooms.egress.subscribed.get(pending.channel, consumer)
            && rooms.queues.ask_to_unsubscribe(handle, asker, consumer)
        {
            return self.wait(request, pending, Stage::Home(handle, Question::Unsubscribe { consumer }));
        }
        rooms.egress.end_consumer(pending.channel, consumer, rooms.queues);
        self.answer(&pending, OwnedAnswer::Done, rooms);
    }

    /// Asks the queue: here at once, elsewhere by a record.
    pub(super) fn ask(
        &mut self,
        request: RequestId,
        pending: Pending,
        handle: QueueHandle,
        question: Question,
        rooms: &mut Rooms<'_>,
    ) {
        let asker = self.asker(request, pending.channel);
        // a consumer of a queue elsewhere is known before its first delivery, which may come before the answer
        let subscribes = |rooms: &mut Rooms<'_>| {
            if let Question::Subscribe { consumer, .. } = question {
                rooms.egress.subscribed.insert(pending.channel, consumer, handle);
            }
        };
        match rooms.queues.ask(handle, asker, question, rooms.view) {
            Asked::Answered(answer) => {
                let no_ack = matches!(question, Question::Get { no_ack: true });
                let answer = OwnedAnswer::of_home(answer, handle, no_ack);
                if matches!(answer, OwnedAnswer::Done) {
                    subscribes(rooms);
                }
                self.answer(&pending, answer, rooms);
            }
            Asked::Waits { elsewhere } => {
                if elsewhere {
                    subscribes(rooms);
                }
                self.wait(request, pending, Stage::Home(handle, question));
            }
        }
    }

    pub(super) fn asker(&self, request: RequestId, channel: ChannelKey) -> Asker {
        Asker { at: self.own, channel, request }
    }
}
