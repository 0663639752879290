//! What a queue with rules remembers of a message, besides the message.

use leveret_model::{Instant, MessageRule};

/// What a message keeps while it is delivered and not settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) deadline: Instant,
    pub(super) level: u8,
    /// How often it came back.
    pub(super) returns: u32,
}

impl Kept {
    pub(super) const PLAIN: Self = Self { deadline: Instant::FAR, level: 0, returns: 0 };

    /// As another home is told of it.
    pub(super) fn rule(&self, now: Instant) -> MessageRule {
        let left = (self.deadline < Instant::FAR).then(|| self.deadline.since(now));
        MessageRule { left, level: self.level, returns: self.returns }
    }

    pub(super) fn of(rule: MessageRule, now: Instant) -> Self {
        let deadline = rule.left.map_or(Instant::FAR, |left| now + left);
        Self { deadline, level: rule.level, returns: rule.returns }
    }
}
