//! Is the consumer of replies with this address there? Its shard alone knows.

use alloc::format;

use leveret_amqp::host::Operation;
use leveret_link::record::Record;
use leveret_model::{DIRECT_REPLY_TO, Name, NodeId, Refusal, ReplyAddress, ReplyCode, RequestId, refusals};

use super::answers::OwnedAnswer;
use super::pending::{Pending, Stage};
use super::{Requests, Rooms};
use crate::queues::Queues;

impl Requests {
    /// Begins to answer an operation on such an address.
    pub(super) fn find_reply_address(
        &mut self,
        request: RequestId,
        pending: Pending,
        name: &Name,
        rooms: &mut Rooms<'_>,
    ) {
        if name.as_bytes() == DIRECT_REPLY_TO {
            // stands for each channel's own (RabbitMQ: declare_fast_reply_to)
            return self.answer_reply_address(&pending, true, rooms);
        }
        let Some(address) = ReplyAddress::from_name(name.as_bytes()) else {
            return self.answer_reply_address(&pending, false, rooms);
        };
        match rooms.replies.knows(address, rooms.view) {
            Some(found) => self.answer_reply_address(&pending, found, rooms),
            None => {
                ask(request, address, rooms.queues);
                self.wait(request, pending, Stage::ReplyAddress(address));
            }
        }
    }

    /// The shard of the address answered.
    pub(crate) fn on_reply_address(&mut self, request: RequestId, found: bool, rooms: &mut Rooms<'_>) {
        let waits = |pending: &mut Pending| matches!(pending.stage, Stage::ReplyAddress(_));
        if self.pending.get_mut(&request).is_some_and(waits)
            && let Some(pending) = self.pending.remove(&request)
        {
            self.answer_reply_address(&pending, found, rooms);
        }
    }

    /// A new link to a node: what waits for an answer of it is asked again.
    pub(super) fn repeat_reply_questions(&self, node: NodeId, queues: &mut Queues) {
        for (request, pending) in &self.pending {
            if let Stage::ReplyAddress(address) = pending.stage
                && address.at.node == node
            {
                ask(*request, address, queues);
            }
        }
    }

    fn answer_reply_address(&mut self, pending: &Pending, found: bool, rooms: &mut Rooms<'_>) {
        let vhost = &rooms.clients.get(pending.channel.connection).vhost_name;
        let answer = match &pending.operation {
            Operation::QueueDeclarePassive { .. } if found => {
                OwnedAnswer::Queue { messages: 0, consumers: 1 }
            }
            Operation::Consume { queue, .. } if found => {
                let text =
                    format!("only creator channel may consume from queue '{queue}' in vhost '{vhost}'");
                OwnedAnswer::Refused(Refusal::new(ReplyCode::PreconditionFailed, text))
            }
            Operation::QueueDeclarePassive { name: queue } | Operation::Consume { queue, .. } => {
                OwnedAnswer::Refused(refusals::no_queue(queue, vhost))
            }
            // no other operation finds an address
            _ => return,
        };
        self.answer(pending, answer, rooms);
    }
}

fn ask(request: RequestId, address: ReplyAddress, queues: &mut Queues) {
    queues.peers().push(address.at, &Record::FindReplyAddress { request, to: address.secret });
}

/// The operation is on such an address, or on the queue that stands for one.
pub(super) fn reply_address_of(operation: &Operation) -> Option<Name> {
    let (Operation::QueueDeclarePassive { name } | Operation::Consume { queue: name, .. }) = operation else {
        return None;
    };
    ReplyAddress::is_meant(name.as_bytes()).then(|| name.clone())
}
