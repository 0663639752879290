//! Who published a message, and what becomes of each copy of it.

use leveret_model::{ChannelKey, PublishNumber, Stored};
use leveret_queue::MessageRef;

/// Counts one answer that is owed for one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DeadLetterSend(pub(super) u64);

/// Who published a message and is to hear what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Publisher {
    /// A client's channel in confirm mode: the publish has this number there.
    Channel(ChannelKey, PublishNumber),
    /// A queue of this shard that a message died in.
    DeadLetter(DeadLetterSend),
}

/// What became of a message for one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OneAppended {
    /// The queue has it, and nothing is left to do.
    Done,
    /// The queue has it, or has refused it (`None`); `Queues::finish_one` says what is left to do.
    NotDone(Option<Stored>),
    /// The queue is elsewhere, or takes nothing any more.
    NotHere,
}

/// What became of a publish to queues that routing found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    /// Each queue has it, and each that must has it stored; or there was none left to take it.
    Stored,
    /// So many homes, or their store, owe an answer ([`Answered`]).
    Owed(u32),
    /// A lane is full; nothing was appended.
    NoRoom,
}

/// A publish that is on its way to another shard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owed {
    /// The message, held until the home has it.
    pub(super) message: MessageRef,
    /// Who is to hear; nobody without confirms, or once it was counted as given up.
    pub(super) publisher: Option<Publisher>,
    /// Several homes owe an answer for this publish (`ingress/owed.rs`).
    pub(super) shared: bool,
    pub(super) given_up: bool,
}

/// A home, the store or the clock answered for one copy of a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) publisher: Option<Publisher>,
    /// Several homes owe an answer for this publish.
    pub(crate) shared: bool,
    /// The queue has it, stored if it must be; or the queue was deleted, and it counts as not matched.
    pub(crate) stored: bool,
}
