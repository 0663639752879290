//! A message as a queue keeps it, and as another home of the queue gets it.

use leveret_model::{MessageRule, MessageState, Position};

use crate::MessageRef;

/// A message of a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) message: MessageRef,
    pub(super) body_bytes: u32,
}

/// A message of a queue that moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueEntry {
    /// Its place.
    pub position: Position,
    /// The message; the reference is the queue's.
    pub message: MessageRef,
    /// Of its body.
    pub body_bytes: u32,
    /// Whether somebody has it, or had it.
    pub state: MessageState,
    /// What the queue's rules have made of it, in a queue with rules.
    pub rule: Option<MessageRule>,
}

/// An entry that does not fit what was restored before: the sender is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message at place {0:?} does not follow the one before")]
pub struct OutOfPlace(pub Position);
