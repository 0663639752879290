//! One operation under way, and what it waits for.

use leveret_amqp::host::Operation;
use leveret_model::{ChannelKey, Instant, QueueHandle, ReplyAddress, ReplyCode, limits};

use super::answers::OwnedAnswer;
use crate::queues::Question;

/// An operation under way.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) channel: ChannelKey,
    pub(super) operation: Operation,
    pub(super) stage: Stage,
    since: Instant,
    /// The home has no lease: it is asked again then.
    pub(super) ask_again_at: Option<Instant>,
    /// Its client is gone, or was told that it took too long.
    pub(super) abandoned: bool,
}

/// What an operation waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// A lease, to say that something is not there.
    Lease,
    /// The control machine.
    Control,
    /// The home of a queue: elsewhere, or here and about to be dropped.
    Home(QueueHandle, Question),
    /// The shard of a consumer of replies.
    ReplyAddress(ReplyAddress),
}

impl Pending {
    pub(super) fn new(channel: ChannelKey, operation: Operation, now: Instant) -> Self {
        Self { channel, operation, stage: Stage::Control, since: now, ask_again_at: None, abandoned: false }
    }

    /// It waits for a lease, of this node or of the home's.
    pub(super) fn wants_lease(&self) -> bool {
        self.stage == Stage::Lease || self.ask_again_at.is_some()
    }

    /// When its client is refused.
    pub(super) fn expires_at(&self) -> Instant {
        self.since + if self.wants_lease() { limits::PUBLISH_WAIT } else { limits::OPERATION_WAIT }
    }

    /// It stays for the answer alone.
    pub(super) fn abandon(&self) -> Self {
        Self { operation: self.operation.clone(), abandoned: true, ..*self }
    }

    /// It is answered by a queue, never by "not found"; and somebody waits for that.
    pub(super) fn creates_queue(&self) -> bool {
        let declares =
            matches!(self.operation, Operation::QueueDeclare(_) | Operation::QueueDeclareServerNamed(_));
        !self.abandoned && declares
    }

    /// A home may have given it a message that it will not know of.
    pub(super) fn may_hold_message(&self) -> bool {
        matches!(self.stage, Stage::Home(_, Question::Get { no_ack: false }))
    }
}

pub(super) fn is_not_found(answer: &OwnedAnswer) -> bool {
    matches!(answer, OwnedAnswer::Refused(refusal) if refusal.code == ReplyCode::NotFound)
}
