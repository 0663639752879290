//! Bounds of what goes between shards and nodes, and of what waits for them.

use core::time::Duration;

use super::{NODES_MAX, SHARDS_MAX};

/// Records between two shards that may be unprocessed. At the bound the rest waits at the sender.
pub const FORWARD_RECORDS_MAX: u32 = 16_384;
/// Queues of one publish in one record; those of a wider fan-out come in several, each with the message: a
/// record of the largest message must fit a frame ([`LINK_FRAME_BYTES_MAX`](super::LINK_FRAME_BYTES_MAX)), and
/// 36 KiB of queues are many beside one message.
pub const PUBLISH_TARGETS_MAX: usize = 1_024;
/// Bytes of records between two shards that may be unprocessed.
pub const FORWARD_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Deliveries to a consumer on another shard or node that its socket has not taken yet, messages.
pub const CONSUMER_WINDOW_MESSAGES: u32 = 2_048;
/// The same in bytes.
pub const CONSUMER_WINDOW_BYTES: u64 = 1024 * 1024;
/// Consumers, or held deliveries, that one record of a resubscription names; the rest follows in others, so
/// that however much is held it moves under credit and fits the frames of a link. Small, so that many a cut in
/// the simulator sends several.
pub const RESUBSCRIBE_PIECE_MAX: usize = 64;
/// Bytes of a queue that moves that may wait at an outbox: the rest stays where it is until those are gone, so
/// that a long queue is not held twice.
pub const MOVE_BYTES_AHEAD: u64 = 2 * 1024 * 1024;
/// Bytes of one piece of a queue that moves. Queues that move to one shard take turns by pieces, so that a
/// short one waits for a piece of each other and not for the longest of them.
pub const MOVE_PIECE_BYTES: u64 = 128 * 1024;
/// Bytes of copies that may be on their way to one shard, of all queues that move there. A quarter of what may
/// be unprocessed there, so that other records wait for the rest of a window at most, and enough for 1 GB/s
/// at a round trip of 2 ms.
pub const COPY_WINDOW_BYTES: u64 = 2 * 1024 * 1024;
/// Messages of a queue that moves that may be left to send when it freezes. Above it another round copies them
/// while the queue serves.
pub const FREEZE_MESSAGES_MAX: u64 = 1_000;
/// The same in bytes: some milliseconds of a link.
pub const FREEZE_BYTES_MAX: u64 = 1024 * 1024;
/// Rounds in which a queue is copied. Each copies what changed in the one before, so a queue whose changes are
/// slower than the link is done after a few; one that is faster would never be, and freezes after these.
pub const COPY_ROUNDS_MAX: u32 = 8;
/// Messages of a frozen queue that one turn looks at, and that one record lists. What is copied takes no bytes
/// any more but some time at both homes, in which neither does anything else.
pub const LISTED_MESSAGES_MAX: u32 = 16_384;
/// Runs of messages that one record lists.
pub const LISTED_RUNS_MAX: usize = 512;
/// Publishes of one lane that the home has not answered, messages. At the bound its publishers are not read.
pub const LANE_MESSAGES_MAX: usize = 10_000;
/// The same in bytes.
pub const LANE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Lanes into one queue: twice what the shards of a full cluster have. At the bound the one unused for longest
/// that owes nothing is forgotten: half of them belong to nodes that are gone, and newcomers are members, so no
/// publisher at work loses its lane.
pub const LANES_PER_QUEUE_MAX: usize = 2 * NODES_MAX * SHARDS_MAX as usize;
/// Time from a publish's arrival to its answer, whichever waits it meets (R4). Then nack, or dropped and
/// counted. One behind an operation of its channel waits with that, and has only what is left of this then.
/// Time that an operation may wait for a lease to say what is not there. Then 405 (`refusals::no_view`).
pub const PUBLISH_WAIT: Duration = Duration::from_secs(2);
/// Time after the end of a node in which publishes to its durable queues wait, each for [`PUBLISH_WAIT`]: a
/// start on its disk takes so long at most. Then they go to no queue, as to one that is not there.
pub const HOME_BACK_WAIT: Duration = Duration::from_secs(10);
/// Time that an operation may wait for the control machine or for a home elsewhere. Then it is refused with
/// 405, which closes its channel alone (`refusals::no_answer`).
pub const OPERATION_WAIT: Duration = Duration::from_secs(8);
/// How often a question is asked again whose home had no lease, within the time of its client.
pub const ASK_AGAIN_EVERY: Duration = Duration::from_millis(100);
