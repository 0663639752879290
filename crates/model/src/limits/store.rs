//! Bounds of the store: its files, its memory, what it gathers and what it answers.

use core::time::Duration;

use super::BODY_BYTES_MAX;

// ---- the log ----------------------------------------------------------------------------------------------

/// A segment of the log, bytes. A batch that is larger gets a segment of its own size.
pub const LOG_SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// Full log segments that are left alone: what is acknowledged while it lies in them is never written again.
pub const LOG_SEALED_KEPT: usize = 1;
/// Used log segments that wait to be used again; more are removed. Their blocks are written already, so syncing
/// them needs no journal.
pub const LOG_SPARES_MAX: usize = 1;
/// A batch takes turns until it has so many bytes; one turn more may overshoot. The rest goes with the next
/// sync.
pub const LOG_BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of turns that wait to be written from which the shards hand over no more until some are.
pub const LOG_PENDING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Where batches begin, bytes: no block that was synced is written again.
pub const LOG_ALIGN_BYTES: usize = 4096;
/// Milliseconds that acknowledgements wait for a sync which something else needs. After that they get one of
/// their own.
pub const LAZY_SYNC_MS: u64 = 100;

// ---- records ----------------------------------------------------------------------------------------------

/// What describes a record, its body apart, bytes: enough for a message to all queues that one publish may
/// reach.
pub const FRAME_META_BYTES_MAX: usize = 1024 * 1024;
/// The body of a record, bytes: a message of the largest size with address and header, or any definition.
pub const FRAME_BODY_BYTES_MAX: usize = 2 * BODY_BYTES_MAX as usize;
/// A stamp or key of a register or mark, bytes.
pub const STORE_KEY_BYTES_MAX: usize = 4096;
/// Places of a queue that a start after a crash leaves out: as many as one life can have given to messages that
/// were not stored, 12 days at a million a second. 16 million crashes use them up.
pub const STORE_PLACES_SKIPPED: u64 = 1 << 40;

// ---- segments ---------------------------------------------------------------------------------------------

/// A segment file, bytes; one with a larger message is larger.
pub const STORE_SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// An extent of one queue in a segment, bytes: what a first read may have to look through. One message may be
/// larger.
pub const EXTENT_BYTES_MAX: u32 = 1024 * 1024;
/// Positions from the first to the last of an extent: each takes a bit of memory once one of them was
/// acknowledged.
pub const EXTENT_SPAN_MAX: u64 = 64 * 1024;
/// Positions that a queue may skip within what it has in one log segment: each takes 4 bytes there.
pub const LOG_RUN_GAP_MAX: u64 = 16;
/// Bytes that are read at once when messages are copied into a segment.
pub const MOVE_WINDOW_BYTES: u32 = 1024 * 1024;
/// Sparse files that are copied together at once.
pub const COMPACTED_FILES_MAX: usize = 4;

// ---- reads ------------------------------------------------------------------------------------------------

/// Bytes that one read of messages takes from the disk, unless its first message is larger.
pub const READ_WINDOW_BYTES: u32 = 256 * 1024;
/// Reads of messages that may be under way at once; more wait their turn.
pub const READS_UNDER_WAY_MAX: usize = 16;
/// Bodies that a queue whose messages are on the disk alone reads ahead of its consumers, bytes. It asks for
/// more when half of them are given away.
pub const READ_AHEAD_BYTES: u64 = 1024 * 1024;
/// What was read for a queue stays for so long, whatever else wants room: who waits for it takes it, or asks
/// again ([`ASK_AGAIN_EVERY`](super::ASK_AGAIN_EVERY)) and takes it then.
pub const READ_KEPT_FOR: Duration = Duration::from_millis(250);
/// Bodies at the front of such a queue that stay, bytes; one message at least.
pub const READ_KEPT_BYTES: u64 = 64 * 1024;
/// The same as `READ_AHEAD_BYTES` in messages.
pub const READ_AHEAD_MESSAGES: usize = 4_096;
/// Places between two messages that one read brings: what lies between them is read too, and in vain.
pub const PAGED_GAP_MAX: u64 = 16;
/// Bytes that recovery reads at once.
pub const RECOVERY_WINDOW_BYTES: u32 = 1024 * 1024;

// ---- room -------------------------------------------------------------------------------------------------

/// Room that is given up when the disk is full, so that acknowledgements and recovery go on, bytes.
pub const BALLAST_BYTES: u64 = 64 * 1024 * 1024;
/// With fewer free bytes on the disk publishers wait: as much as two more log segments, in which
/// acknowledgements go on.
pub const DISK_LOW_BYTES: u64 = 2 * LOG_SEGMENT_BYTES;
/// A file of the store is at most this part of its disk, so that a small disk has some of each kind.
pub const DISK_FILE_PART: u64 = 8;
/// Files are not made smaller than this for a small disk, bytes.
pub const DISK_FILE_BYTES_MIN: u64 = 1024 * 1024;
/// Above the low mark of the disk by so much, percent, publishers go on again.
pub const DISK_EASY_PERCENT: u64 = 10;
/// Reports of damage, unknown things and repairs that are kept word by word; the rest is counted.
pub const STORE_REPORTS_MAX: usize = 1_000;

// ---- the disk's driver ------------------------------------------------------------------------------------

/// Files of the store that are held open; at the bound all are closed and opened again as they are needed.
pub const STORE_FILES_OPEN_MAX: usize = 64;
/// Turns and requests that wait for the log thread. At the bound a shard waits for it, holding no more than
/// its turn.
pub const LOG_INPUTS_MAX: usize = 4_096;
/// How often the log thread looks how much room the disk has.
pub const DISK_ROOM_EVERY: Duration = Duration::from_secs(1);
