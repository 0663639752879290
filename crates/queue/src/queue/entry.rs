//! A message as a queue keeps it.

use crate::MessageRef;

/// A message of a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) message: MessageRef,
    pub(super) body_bytes: u32,
}
