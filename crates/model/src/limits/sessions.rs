//! Bounds of sessions and of the RESP connections that use them.

use core::time::Duration;

// ---- RESP connections -------------------------------------------------------------------------------------

/// Databases of a vhost (Redis: `databases 16`). A higher number is `-ERR DB index is out of range`.
pub const SESSION_DATABASES: u8 = 16;
/// Arguments of one command: enough to set every attribute of a session and remove as many. More is `-ERR
/// Protocol error: invalid multibulk length`, and the connection ends. (Redis: 1,048,576.)
pub const RESP_ARGUMENTS_MAX: usize = 4_096;
/// Arguments before the login (Redis 7.0: 10). More is `-ERR Protocol error: unauthenticated multibulk
/// length`, and the end.
pub const RESP_ARGUMENTS_MAX_BEFORE_LOGIN: usize = 10;
/// Largest argument before the login, bytes (Redis 7.0: 16,384). More is `-ERR Protocol error:
/// unauthenticated bulk length`.
pub const RESP_ARGUMENT_BYTES_MAX_BEFORE_LOGIN: usize = 16 * 1024;
/// Largest `session_bytes_max`, bytes, and so the largest argument of any command; longer is refused at its
/// length with `-ERR Protocol error: invalid bulk length`, and the connection ends.
pub const SESSION_BYTES_CEILING: usize = 16 * 1024 * 1024;
/// Bytes of all arguments of one command, so that a thousand of the largest cannot be gathered. More ends the
/// connection as a bulk length does.
pub const RESP_COMMAND_BYTES_MAX: usize = 2 * SESSION_BYTES_CEILING;
/// Longest line, bytes: an inline command (Redis: 64 KiB), or the digits of a count or length. More is `-ERR
/// Protocol error: too big inline request` (`… mbulk count string`, `… bulk count string`), and the
/// connection ends.
pub const RESP_LINE_BYTES_MAX: usize = 4 * 1024;
/// Commands of a connection that are under way. At the bound it is not read until the oldest is answered.
pub const RESP_UNDER_WAY_MAX: usize = 128;
/// Answers of a connection that are ready and wait for an earlier one, bytes. At the bound it is not read.
pub const RESP_ANSWERS_WAITING_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of one answer (many values at once). More is refused instead.
pub const RESP_ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Commands of one transaction. More is refused, and so is its EXEC.
pub const RESP_BLOCK_COMMANDS_MAX: usize = 64;
/// Bytes of arguments of one transaction's commands. More is refused, and so is its EXEC.
pub const RESP_BLOCK_BYTES_MAX: usize = 2 * SESSION_BYTES_CEILING;
/// Bytes of a client's name; the rest of a longer one is refused like a bad character.
pub const RESP_CLIENT_NAME_BYTES_MAX: usize = 255;

// ---- sessions ---------------------------------------------------------------------------------------------

/// Longest key of a session, bytes. A command on a longer one is refused.
pub const SESSION_KEY_BYTES_MAX: usize = 512;
/// Attributes of one session. A command that would leave more is refused.
pub const SESSION_ATTRIBUTES_MAX: usize = 1_024;
/// Longest name of an attribute, bytes: its length is one byte in records.
pub const SESSION_ATTRIBUTE_NAME_BYTES_MAX: usize = 255;
/// Names of removed attributes that a session keeps, so that a removal is known to who asks for changes, and
/// wins when two sides of a cut join. Past it the earliest removals are known by their version alone.
pub const SESSION_REMOVED_MAX: usize = 1_024;
/// Longest id of a commit or rename, bytes. A longer one is refused.
pub const SESSION_COMMIT_ID_BYTES_MAX: usize = 128;
/// Gone entries of a shard's buckets. At the bound the oldest that every member has goes, else the oldest.
pub const SESSION_GONE_MAX: usize = 1_000_000;
/// How long a gone entry waits for a member that does not acknowledge it. Past it the member has no say on
/// return.
pub const SESSION_GONE_TIME_MAX: Duration = Duration::from_secs(24 * 3_600);
/// How often an entry that a member still owes is looked at again.
pub const SESSION_GONE_RECHECK: Duration = Duration::from_secs(10);
/// Gone entries that are looked at for one that every member has, when room is needed.
pub const SESSION_GONE_LOOK_MAX: usize = 64;
/// Sessions that expire, and gone entries that end, in one turn. The others wait for the next; no answer
/// waits for that.
pub const SESSION_EXPIRE_PER_TURN: usize = 1_024;
/// Age at which a session that was never used again may be evicted.
pub const SESSION_UNUSED_AGE: Duration = Duration::from_secs(60);
/// Places that one birth looks at for a session to evict.
pub const SESSION_EVICTION_LOOK_MAX: usize = 64;
/// Percent of `session_memory` up to which commits of sessions that are there go on.
pub const SESSION_MEMORY_COMMIT_PERCENT: u64 = 110;
/// List entries of a shard, of the whole cluster: 64 B each. At the bound a birth is refused with `-OOM`.
pub const SESSION_LIST_MAX: usize = 4_000_000;
/// Keys that connections have read since they went (rule `reader`), of a shard. At the bound the oldest is
/// forgotten: its late write is dropped.
pub const SESSION_READERS_MAX: usize = 16_384;
/// Slots that one step of SCAN walks.
pub const SESSION_WALK_SLOTS: u16 = 256;
/// Keys that one step of SCAN gives at most, beyond what it asked for: one slot is never cut.
pub const SESSION_WALK_KEYS_MAX: usize = 10_000;
/// Ids of writes that a session's home and copies keep with their answers. At the bound a forwarded write is
/// refused with `-TRYAGAIN`.
pub const SESSION_WRITES_KEPT: usize = 64;
/// How long they are kept: longer than any request is repeated.
pub const SESSION_WRITES_TIME: Duration = Duration::from_secs(10);
/// Time that a request may take, whatever it waits for. Then `-TRYAGAIN`; most clients give up at 5 s.
pub const SESSION_REQUEST_WAIT: Duration = Duration::from_secs(4);
/// Requests of a shard that wait. At the bound new ones are refused with `-TRYAGAIN`.
pub const SESSION_REQUESTS_WAITING_MAX: usize = 65_536;
/// How often touches go to copies, and by how much deadlines grow when a home is lost.
pub const SESSION_TOUCH_INTERVAL: Duration = Duration::from_secs(1);
/// Machines that share the buckets of a node, on its shards: the same on every node, so that nodes with
/// different shards agree on which machine keeps a bucket. A node with more shards than this has some without
/// sessions.
pub const SESSION_PARTS: u8 = 16;
/// How often a shard notes its figures for `INFO`, at most.
pub const SESSION_FIGURES_EVERY: Duration = Duration::from_millis(100);
/// Milliseconds by which the wall clock may move against the node's own before commands follow it.
pub const SESSION_WALL_CLOCK_PLAY_MS: u64 = 10;
/// Bytes that RESP connections of a shard keep: commands that are not whole, answers that their clients do not
/// read. Above it the connection that keeps most is closed.
pub const SESSION_CLIENTS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How often the wall clock is read for commands that speak of it.
pub const SESSION_WALL_CLOCK_EVERY: Duration = Duration::from_secs(1);
/// Shortest `session_gone_for`: shorter than this, requests that end late would bring sessions back.
pub const SESSION_GONE_FOR_MIN: Duration = Duration::from_secs(10);
/// Longest `session_gone_for`.
pub const SESSION_GONE_FOR_MAX: Duration = Duration::from_secs(3_600);
/// Sessions of a bucket that one page of `leveret session ls` has at most.
pub const SESSION_LIST_PAGE: usize = 2_000;
/// Rows that a node gives of one bucket to `leveret session ls`: some 100 bytes each.
pub const SESSION_SURVEY_ROWS_MAX: usize = 256;
/// Questions of operators about sessions that a shard has under way, its own and other nodes': each of them is
/// over after [`SESSION_REQUEST_WAIT`]. At the bound one is told that nobody could say.
pub const SESSION_SURVEYS_MAX: usize = 64;
/// How long `leveret session ls`, `show` and `kill` wait for each answer: as long as a request may take, and
/// a little.
pub const SESSION_ADMIN_WAIT: Duration = Duration::from_secs(8);
/// Set in the part of a record whose bytes are a question between nodes about all keys, or its answer.
pub const SESSION_QUESTION: u8 = 0x80;
/// Renames of a shard that are ended without their clients: each takes two keys of up to 512 bytes, and half a
/// minute at most.
pub const SESSION_RENAMES_ALONE_MAX: usize = 1_024;
/// Connections of a shard that are told of expired sessions, and patterns of a node that others are told of:
/// application servers attach once each, and each pattern has up to 512 bytes.
pub const SESSION_ATTACHED_MAX: usize = 64;
/// Sessions of a part that a leaving node gives away at once: each is at rest for a few ms meanwhile.
pub const SESSION_MOVES_AT_ONCE: usize = 512;
/// A session that was given away and did not arrive is given away again after this, perhaps to another node.
pub const SESSION_MOVE_AGAIN: Duration = Duration::from_millis(500);
/// A session that moved to where it is used stays there so long at least.
pub const SESSION_MOVE_REST: Duration = Duration::from_secs(1);
/// Sessions of a part that are remembered as just moved; beyond it none moves to where it is used.
pub const SESSION_MOVES_NOTED_MAX: usize = 4_096;
/// A leaving node looks so often whether something is at home with it still.
pub const SESSION_LEAVE_LOOK: Duration = Duration::from_millis(20);
/// What a leaving node has to hand its sessions over; what is here then stays, and is said.
pub const SESSION_LEAVE_WITHIN: Duration = Duration::from_secs(10);
