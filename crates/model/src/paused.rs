//! Why a publisher or a delivery waits.

/// The reason, for which ARCHITECTURE ("What waits, and for what") has the end and what an operator sees of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paused {
    /// A connection is not read while its login is checked or its vhost opened.
    Login,
    /// A connection is not read because its channels keep as much as they may behind an operation or a held
    /// publish.
    Deferred,
    /// A connection is not read, or a consumer gets nothing, because the client does not read its output.
    Output,
    /// A connection is not read because it wants to end, and its channels are not done.
    Leaving,
    /// A publisher is not read because a queue that it published to is long, and memory tight.
    LongQueue,
    /// Publishers are not read because memory is full.
    MemoryFull,
    /// Publishers are not read because the disk is nearly full.
    DiskLow,
    /// A consumer gets nothing because its channel has as many unacked messages as it may, or because its
    /// client stopped the flow of the channel.
    Unacked,
    /// A consumer elsewhere gets nothing until its shard has said over a new link what it holds.
    Link,
}
