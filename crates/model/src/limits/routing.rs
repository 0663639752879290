//! Bounds of routing and of what the directory holds.

/// Steps of one topic walk. A key that needs more is matched by brute force over the patterns, which is linear.
pub const TOPIC_STEPS_MAX: usize = 10_000;
/// `#` words in one binding key (RabbitMQ 4.3.5 has the same cap). More is 406 at the bind.
pub const TOPIC_HASHES_MAX: usize = 2;
/// Exchanges that one message may pass from exchange to exchange.
pub const EXCHANGE_HOPS_MAX: usize = 1_000;
/// Queues of a cluster. More is 406 at declare.
pub const QUEUES_MAX: usize = 1_000_000;
/// Bindings of a cluster. More is 406 at bind.
pub const BINDINGS_MAX: usize = 2_000_000;
/// Exchanges, bindings between them and policies of a cluster, once for each node that wrote them, those that
/// were deleted included (about 1 KiB each on every node). A new one more is 406 at declare and bind, and
/// refused to an operator.
pub const REGISTERS_MAX: usize = 200_000;
/// Arguments of all exchanges, queues and bindings of a cluster, bytes; each node keeps them a few times. With
/// more, what is new and has arguments is 406 at declare and bind.
pub const DEFINITION_ARGUMENT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Entries of a header table up to which a name is looked for from front to back. Of more, the entries are
/// sorted once for each message and binding table, so that a large table in a binding costs no product of the
/// two.
pub const ENTRIES_LOOKED_THROUGH_MAX: usize = 32;
