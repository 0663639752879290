//! Memory bounds of a node, of its clients and of its tables.

use core::time::Duration;

use super::BODY_BYTES_MAX;

// ---- memory -----------------------------------------------------------------------------------------------

/// Memory for messages of a node above which publishers wait, bytes, unless set. Everything else goes on.
pub const MEMORY_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Share of the memory bound at which publishers go on again, percent; those of long queues still wait.
pub const MEMORY_RESUME_PERCENT: u64 = 95;
/// Share of the memory bound above which memory is tight, percent: publishers of long queues wait, all others
/// go on. What lies between here and the bound is for what is under way already, and for them.
pub const MEMORY_TIGHT_PERCENT: u64 = 80;
/// What lies between is so much at least, bytes: a small bound needs room for large bodies that are under way
/// too.
pub const MEMORY_TIGHT_GAP_BYTES: u64 = 2 * BODY_BYTES_MAX;
/// Memory is not tight any more when it is so far below that, percent of the memory bound.
pub const MEMORY_EASY_PERCENT: u64 = 5;
/// Body bytes in a queue from which it is long while memory is tight. It is short again at half of that.
pub const LONG_QUEUE_BYTES: u64 = 1024 * 1024;
/// Body bytes of a queue that consumers hold from which it is long too: more than [`LONG_QUEUE_BYTES`], for a
/// large prefetch is no flood.
pub const LONG_QUEUE_UNACKED_BYTES: u64 = 16 * 1024 * 1024;
/// Messages from which a queue is long, those that consumers hold included.
pub const LONG_QUEUE_MESSAGES: u64 = 10_000;
/// What a connection may publish while it waits for memory, bytes: it is read a little for the sake of its
/// acks, and what lies between them comes in. More is 320.
pub const PUBLISHED_WHILE_WAITING_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// What receive blocks may hold beyond the large bodies that lie in queues, as a share of the memory bound,
/// percent. More, and those bodies, messages that are begun and output are copied out of them. This, and what a
/// socket was just read for, come on top of [`MEMORY_BYTES_MAX`].
pub const MEMORY_WASTE_PERCENT: u64 = 12;
/// Share of what is not tight above which bytes of stored messages are paged out, percent: before anybody
/// waits.
pub const MEMORY_PAGE_PERCENT: u64 = 75;
/// Until so much of it is in use, percent.
pub const MEMORY_PAGED_PERCENT: u64 = 60;
/// Bytes that a shard pages out in one turn, so that clients do not wait for the rest; some milliseconds of it.
pub const PAGE_OUT_BYTES_PER_TURN: u64 = 16 * 1024 * 1024;
/// Time after all was paged out that could be, before the queues are looked through again; what the store has
/// meanwhile may go at once.
pub const PAGE_EVERY: Duration = Duration::from_millis(5);
/// How often messages that consumers hold, and those that came back, are looked through for some to page out.
pub const PAGE_LOOSE_EVERY: Duration = Duration::from_millis(100);
/// Bytes of bodies that a shard copies out of receive blocks in one turn.
pub const OWN_BYTES_MAX: usize = 1024 * 1024;
/// Share of the memory bound for what connections keep at their clients' will, percent: messages that are begun
/// and not ended, output that is not read. Past it those that keep most for longest are closed with 320.
pub const MEMORY_CLIENTS_PERCENT: u64 = 25;
/// It is so much at least, bytes: large bodies must fit under a small bound too.
pub const MEMORY_CLIENTS_BYTES_MIN: u64 = 2 * BODY_BYTES_MAX;
/// Of that share, percent: above it outputs are kept short ([`OUTPUT_BYTES_CROWDED`]), so that a crowd of slow
/// consumers is served more slowly before anybody is closed.
pub const MEMORY_CROWDED_PERCENT: u64 = 50;
/// They may be long again below this, percent of that share.
pub const MEMORY_ROOMY_PERCENT: u64 = 40;
/// A shard that closes some goes on until it keeps no more than this, percent of its part of the share.
pub const MEMORY_EVICT_PERCENT: u64 = 90;
/// Like [`OUTPUT_BYTES_HIGH`](super::OUTPUT_BYTES_HIGH) while connections keep much, bytes.
pub const OUTPUT_BYTES_CROWDED: usize = 64 * 1024;
/// A connection with more output than this is not reading, bytes: it is closed without a word where it would be
/// told else.
pub const OUTPUT_UNREAD_BYTES: usize = 16 * 1024;
/// What a connection keeps up to here does not age, bytes: it is nobody's burden.
pub const KEPT_BYTES_FREE: u64 = 1024;
/// Share of the memory bound above which memory is short although all publishers wait, percent.
pub const MEMORY_OVER_PERCENT: u64 = 110;
/// Like [`PUBLISHED_WHILE_WAITING_BYTES_MAX`] then, bytes: a crowd that is read for its acks must not take the
/// memory.
pub const PUBLISHED_WHILE_OVER_BYTES_MAX: u64 = 64 * 1024;
/// Connections whose slices of receive blocks are looked at so in one turn.
pub const OWN_CONNECTIONS_MAX: usize = 256;
/// Queues that share one copy of a message, a power of two. A slot counts its owners and the stores that still
/// read it in 16 bits each; reads and letters add a few owners.
pub const MESSAGE_OWNERS_MAX: usize = 32 * 1024;
/// A block of the message arena, bytes.
pub const ARENA_BLOCK_BYTES: usize = 256 * 1024;
/// Values of the deduplication header that one queue may ask to remember (`x-cache-size`), about 60 bytes each.
/// More is 406 at declare.
pub const DEDUPLICATION_ENTRIES_MAX: usize = 1_000_000;
/// The same of all queues of a shard, 120 MB. At the bound a queue forgets its own oldest for each new one:
/// other queues keep theirs.
pub const DEDUPLICATION_ENTRIES_PER_SHARD_MAX: usize = 2_000_000;
/// Entries of a queue's tables whose memory is kept when they are empty again. What is larger is given back.
pub const TABLE_KEEP_ENTRIES: usize = 16 * 1024;
/// Empty blocks that an arena keeps for reuse, beside an eighth of those in use. More go back to the allocator,
/// and from there to the system ([`RELEASE_AFTER`]).
pub const ARENA_SPARE_BLOCKS: usize = 4;

// ---- the allocator ----------------------------------------------------------------------------------------

/// Memory of one block from which on glibc maps it alone, and unmaps it when it is freed, bytes: far above the
/// blocks that come and go often, far below what a password takes. Left to itself the bound follows the largest
/// block ever freed.
pub const MALLOC_OWN_MAPPING_BYTES: i32 = 4 * 1024 * 1024;
/// Free memory at the end of a heap that glibc keeps, bytes; more goes back to the system.
pub const MALLOC_KEPT_BYTES: i32 = 2 * 1024 * 1024;

// ---- back to the system -----------------------------------------------------------------------------------

/// Memory that must be given up, of what was in use, before the allocator is asked to give it back, bytes: less
/// is soon taken again.
pub const RELEASE_BYTES_MIN: u64 = 16 * 1024 * 1024;
/// The same as a share of the most that was in use, percent: a backlog that breathes is left alone.
pub const RELEASE_PERCENT_MIN: u64 = 25;
/// Time from there to the request: more may be given up, or taken again. It is also the shortest time between
/// two.
pub const RELEASE_AFTER: Duration = Duration::from_secs(3);
