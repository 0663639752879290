//! What a home keeps for its dead letters: where they go, and how many went.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use leveret_model::definition::QueueDefinition;
use leveret_model::settings::DeadLetterTarget;
use leveret_model::{Name, Position, QueueId};
use leveret_queue::{Cause, Departure, MessageRef};

/// Where messages die, and where they go then: one value, which stands until another takes its place.
#[derive(Debug)]
pub(crate) struct Source {
    pub(super) vhost: Name,
    pub(super) queue: Name,
    pub(super) target: DeadLetterTarget,
}

/// What a home keeps for its dead letters.
#[derive(Debug, Default)]
pub(crate) struct Outlet {
    /// `None` drops what dies.
    source: Option<Arc<Source>>,
    counts: DeadLettered,
}

/// Messages of a queue that became dead letters, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct DeadLettered {
    pub expired: u64,
    pub over_length: u64,
    pub rejected: u64,
    pub returned_too_often: u64,
}

impl Outlet {
    /// As the queue's arguments say; `None` for a queue that drops what dies.
    pub(in crate::queues) fn of(definition: &QueueDefinition) -> Option<Box<Self>> {
        let mut outlet = None;
        Self::set(&mut outlet, definition, definition.arguments.settings().dead_letter_target());
        outlet
    }

    /// From now on dead letters go there. Those that died before go where they were to go then.
    pub(in crate::queues) fn set(
        outlet: &mut Option<Box<Self>>,
        queue: &QueueDefinition,
        target: Option<DeadLetterTarget>,
    ) {
        let source = target
            .map(|target| Arc::new(Source { vhost: queue.vhost.clone(), queue: queue.name.clone(), target }));
        if source.is_some() || outlet.is_some() {
            outlet.get_or_insert_default().source = source;
        }
    }

    /// How many went.
    pub(in crate::queues) fn counts(&self) -> DeadLettered {
        self.counts
    }

    /// A message becomes a dead letter if it died of something that makes one.
    fn take(&mut self, queue: QueueId, departure: Departure, at_s: u64) -> Option<Dead> {
        let source = Arc::clone(self.source.as_ref()?);
        let count = match departure.cause {
            Cause::Expired => &mut self.counts.expired,
            Cause::MaxLength => &mut self.counts.over_length,
            Cause::Rejected => &mut self.counts.rejected,
            Cause::DeliveryLimit => &mut self.counts.returned_too_often,
            Cause::Refused => return None,
        };
        *count += 1;
        let Departure { message, cause, .. } = departure;
        Some(Dead {
            queue,
            source,
            message,
            cause,
            at_s,
            number: 0,
            reached: Vec::new(),
            owed: 0,
            again: false,
            stored_at: None,
        })
    }
}

/// A message that died.
#[derive(Debug)]
pub(in crate::queues) struct Dead {
    pub(in crate::queues) queue: QueueId,
    pub(super) source: Arc<Source>,
    /// The source's reference.
    pub(in crate::queues) message: MessageRef,
    pub(super) cause: Cause,
    /// Seconds since 1970.
    pub(super) at_s: u64,
    /// Which one of those that are sent; drawn anew each time.
    pub(super) number: u64,
    /// Queues that have it, or will say so.
    pub(super) reached: Vec<QueueId>,
    /// Answers that are owed.
    pub(super) owed: u32,
    /// One of them was that the queue is not there any more: it is to be routed again.
    pub(super) again: bool,
    /// Its place in its source, which has it on the disk until this letter is done.
    pub(in crate::queues) stored_at: Option<Position>,
}

/// A message leaves a queue here otherwise than by an acknowledgement: `None` if it is dropped.
pub(in crate::queues) fn bury(
    outlet: Option<&mut Box<Outlet>>,
    (queue, departure): (QueueId, Departure),
    at_s: u64,
) -> Option<Dead> {
    outlet.and_then(|outlet| outlet.take(queue, departure, at_s))
}
