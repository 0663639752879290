//! Bounds of dead letters on their way.

/// Dead letters that a shard sends in one turn; the others wait for the next, in their order. Each is written
/// anew and routed, which takes a few microseconds, and a queue may lose a million messages at once.
pub const DEAD_LETTERS_PER_TURN_MAX: usize = 1_024;
/// Dead letters of one queue that wait because a target is away, or because the node has no lease, messages. At
/// the bound the oldest goes to the targets that are there, and is dropped if none is: a target that never
/// comes back must not hold up the others for ever, and RabbitMQ does so with the first one.
pub const DEAD_LETTERS_HELD_MAX: usize = 10_000;
/// The same in bytes of address, header and body.
pub const DEAD_LETTERS_HELD_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Pairs of queue and reason in one `x-death`. A message that has died in more ways is dropped at its next
/// death, as in a cycle: each entry takes about 100 bytes of a header that must fit a frame.
pub const DEATHS_MAX: usize = 256;
