//! Bounds of one turn: what is read, dispatched and written, of a shard and of its threads.

// ---- turns ------------------------------------------------------------------------------------------------

/// Bytes that one socket may be read for in one turn.
pub const TURN_READ_BYTES_MAX: usize = 256 * 1024;
/// Bytes that all sockets of a shard may be read for in one turn; the others come first in the next one. So a
/// crowd of publishers neither holds up who is served behind it, nor passes a memory bound by more than this in
/// each shard.
pub const SHARD_TURN_READ_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Bytes that all sockets of a shard may be written in one turn, in equal parts; the rest goes on in the next.
pub const TURN_WRITE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A socket is written so much in a turn at least, bytes.
pub const TURN_WRITE_BYTES_EACH_MIN: usize = 16 * 1024;
/// Messages that one queue may dispatch in one turn; the rest goes on in the next.
pub const TURN_DISPATCH_MAX: usize = 4_096;

// ---- shards -----------------------------------------------------------------------------------------------

/// Messages that all queues of a shard together may dispatch in one turn. The other queues go on in the next,
/// first.
pub const SHARD_DISPATCH_MAX: usize = 32_768;
/// The same in bytes of bodies, about: many consumers of a long queue of large messages must not hold up the
/// others.
pub const SHARD_DISPATCH_BYTES_MAX: u64 = 1024 * 1024;
/// Requests to queues that their shard has not heard of yet, and lanes to such queues. At the bound the oldest
/// is forgotten: its asker's own bound ends it, with 405 or a nack. The oldest, for that one ends first anyway,
/// and those of queues that never come would keep others out for ever. They come from members alone, and wait
/// for no longer than a change of the directory takes from one shard to another, so newcomers push out only
/// those that asked in the same few milliseconds.
pub const EARLY_RECORDS_MAX: usize = 4_096;
/// Purges for other nodes whose answers a shard remembers, to say them again over a new link. At the bound the
/// oldest is forgotten; one that is asked again behind so many others finds what is there then.
pub const PURGES_KEPT: usize = 4_096;
/// Queues that a shard remembers after they were deleted, to tell late records from early ones. At the bound
/// the oldest is forgotten: a record for it that is later still waits like an early one, and its sender hears
/// of the end from the directory.
pub const DROPPED_QUEUES_KEPT: usize = 1_024;
