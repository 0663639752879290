//! Every bound of the broker, with its unit, its reason, and what happens when it is met.
//!
//! A buffer, table, loop or wait without a line here is a defect. Those of the cluster are in `limits/cluster.rs`.

mod cluster;

use core::time::Duration;

pub use cluster::*;

// ---- AMQP connections -------------------------------------------------------------------------------------------

/// `frame_max` that the broker offers, bytes (RabbitMQ's default). Larger frames end the connection with 501.
pub const FRAME_BYTES_MAX: u32 = 131_072;
/// The smallest `frame_max` that a client may ask for, bytes (AMQP 0-9-1 §4.2.3). Old clients send just that.
pub const FRAME_BYTES_MIN: u32 = 4_096;
/// A frame may exceed `frame_max` by its own 8 bytes of head and end (RabbitMQ's fudge).
pub const FRAME_OVERHEAD_BYTES: u32 = 8;
/// Highest channel number that the broker offers (RabbitMQ's default). More is 530.
pub const CHANNEL_MAX: u16 = 2_047;
/// Heartbeat that the broker offers, seconds (RabbitMQ's default). Twice that without a byte drops the socket.
pub const HEARTBEAT_S: u16 = 60;
/// Moments in half a heartbeat interval at which connections are looked at. Those of one moment share a wake-up of their
/// thread, a sixteenth of all of them if they came evenly.
pub const HEARTBEAT_SLOTS: u32 = 16;
/// Connections whose timers a shard looks at in a turn. The others, which may be all that were made at once, have the next
/// turns: sockets are read and written between.
pub const TIMERS_PER_TURN_MAX: usize = 64;
/// Time from accept to connection.open-ok (RabbitMQ: handshake_timeout). Past it the socket is dropped.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections of a node, over all its shards, that have not finished their handshake. At the bound the oldest is dropped.
pub const HANDSHAKES_MAX: usize = 1_000;
/// Bytes kept for a connection that is not logged in. More is a drop.
pub const HANDSHAKE_BYTES_MAX: usize = 16 * 1024;
/// Connections of a shard: file descriptors and memory. Past it a new socket is closed at once.
pub const CONNECTIONS_MAX: usize = 65_536;
/// Largest message body, bytes (RabbitMQ: max_message_size). More is 406 at the content header, as RabbitMQ.
pub const BODY_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Messages that a connection has begun and not finished, bytes, over all channels. More is 501.
pub const BODIES_UNFINISHED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Nesting of field tables. More is 502; the decoder counts, it does not recurse.
pub const TABLE_DEPTH_MAX: usize = 16;
/// Entries of one field table, all levels together. More is 502.
pub const TABLE_ENTRIES_MAX: usize = 1_000;
/// Bytes of frames that a channel keeps while an operation is pending. At the bound the connection is not read.
pub const DEFERRED_BYTES_MAX: usize = 256 * 1024;
/// Bodies from here on travel as counted slices of the receive block, bytes. Below, a copy is cheaper than the count.
pub const SLICE_BYTES_MIN: usize = 4 * 1024;
/// Output of a connection above which it gets no deliveries, bytes. Consumers wait; replies still pass.
pub const OUTPUT_BYTES_HIGH: usize = 512 * 1024;
/// Output of a connection above which it is not read, bytes: a client that asks and never reads the answers.
pub const OUTPUT_BYTES_STOP: usize = 2 * 1024 * 1024;
/// Bytes of an output that are written and still lie in front of what is waiting. Past it what waits is moved down
/// (once more than half of the buffer is spent, so the moves cost no more than the writes did).
pub const OUTPUT_SPENT_BYTES_MAX: usize = 32 * 1024;
/// `basic.get` under way at once, over all channels of a connection. Each may bring a message of [`BODY_BYTES_MAX`] behind an
/// output that was short of [`OUTPUT_BYTES_STOP`] when it was asked for, and thousands of channels can ask. At the bound the
/// others wait for their turn.
pub const GETS_AT_ONCE_MAX: usize = 4;
/// Time in which a client without heartbeats has to take some of the output that waits for it, or to say something. Past it
/// the socket is dropped: the system of a frozen process answers for it, so nothing else would ever end that. Long, for who
/// switches heartbeats off works for minutes without a look at the socket (RabbitMQ: consumer_timeout is as long, and without
/// heartbeats there is no other bound).
pub const OUTPUT_STUCK_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// Consumers of one channel. More is 530: not allowed.
pub const CONSUMERS_PER_CHANNEL_MAX: usize = 10_000;
/// Consumers of one connection, over all of its channels. More is 530: not allowed.
pub const CONSUMERS_PER_CONNECTION_MAX: usize = 20_000;
/// Consumers of all connections of a shard, 200 MB. More is 506: the client is to try another node.
pub const CONSUMERS_PER_SHARD_MAX: usize = 500_000;
/// What a consumer takes in its channel, its shard and its queue, bytes; measured with 600,000 of one queue.
pub const CONSUMER_BYTES: usize = 400;
/// Unacknowledged messages of one consumer without a prefetch limit: what its queue's home grants, which knows nothing of the
/// channel's other consumers. At the bound its deliveries pause, no error. (RabbitMQ has no bound.)
pub const UNACKED_PER_CONSUMER_MAX: usize = 20_000;
/// Unacknowledged messages of one channel, of all its consumers and gets. At the bound deliveries to its consumers pause, no
/// error, until there is room for one to each; what the windows of consumers elsewhere let through by then still comes
/// ([`CONSUMER_WINDOW_MESSAGES`] each). A `basic.get` or `basic.consume` that wants acks is 406 then, which closes the channel
/// and gives all of it back: the get would wait for the channel's own acks, which come behind it, and consumers that come and
/// go would each bring a window. (RabbitMQ has no bound.)
pub const UNACKED_PER_CHANNEL_MAX: usize = 100_000;
/// How long a refused login is held when the client cannot take a close frame (RabbitMQ holds about 3 s; shorter frees the slot).
pub const LOGIN_REFUSED_HOLD: Duration = Duration::from_secs(1);
/// Time after connection.close within which close-ok must come, and within which the last words of a connection that is over
/// must be taken. Past it the socket is dropped.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client's connection.close waits for what it said before on its channels; then that is dropped.
pub const LEAVE_WAIT: Duration = Duration::from_secs(5);

// ---- turns ------------------------------------------------------------------------------------------------------

/// Bytes that one socket may be read for in one turn.
pub const TURN_READ_BYTES_MAX: usize = 256 * 1024;
/// Bytes that all sockets of a shard may be read for in one turn; the others come first in the next one. So a crowd of
/// publishers neither holds up who is served behind it, nor passes a memory bound by more than this in each shard.
pub const SHARD_TURN_READ_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Bytes that all sockets of a shard may be written in one turn, in equal parts; the rest goes on in the next.
pub const TURN_WRITE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A socket is written so much in a turn at least, bytes.
pub const TURN_WRITE_BYTES_EACH_MIN: usize = 16 * 1024;
/// Messages that one queue may dispatch in one turn; the rest goes on in the next.
pub const TURN_DISPATCH_MAX: usize = 4_096;

// ---- routing and the directory ----------------------------------------------------------------------------------

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
/// Exchanges and bindings between them in a cluster, once for each node that wrote them, those that were deleted included
/// (about 1 KiB each on every node). A new one more is 406 at declare and bind.
pub const REGISTERS_MAX: usize = 200_000;
/// Arguments of all exchanges, queues and bindings of a cluster, bytes; each node keeps them a few times. With more, what is
/// new and has arguments is 406 at declare and bind.
pub const DEFINITION_ARGUMENT_BYTES_MAX: usize = 64 * 1024 * 1024;

// ---- memory -----------------------------------------------------------------------------------------------------

/// Memory for messages of a node above which publishers wait, bytes, unless set. Everything else goes on.
pub const MEMORY_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Share of the memory bound at which publishers go on again, percent; those of long queues still wait.
pub const MEMORY_RESUME_PERCENT: u64 = 95;
/// Share of the memory bound above which memory is tight, percent: publishers of long queues wait, all others go on. What
/// lies between here and the bound is for what is under way already, and for them.
pub const MEMORY_TIGHT_PERCENT: u64 = 80;
/// What lies between is so much at least, bytes: a small bound needs room for large bodies that are under way too.
pub const MEMORY_TIGHT_GAP_BYTES: u64 = 2 * BODY_BYTES_MAX;
/// Memory is not tight any more when it is so far below that, percent of the memory bound.
pub const MEMORY_EASY_PERCENT: u64 = 5;
/// Body bytes in a queue from which it is long while memory is tight. It is short again at half of that.
pub const LONG_QUEUE_BYTES: u64 = 1024 * 1024;
/// Body bytes of a queue that consumers hold from which it is long too: more than [`LONG_QUEUE_BYTES`], for a large
/// prefetch is no flood.
pub const LONG_QUEUE_UNACKED_BYTES: u64 = 16 * 1024 * 1024;
/// Messages from which a queue is long, those that consumers hold included.
pub const LONG_QUEUE_MESSAGES: u64 = 10_000;
/// What a connection may publish while it waits for memory, bytes: it is read a little for the sake of its acks, and what
/// lies between them comes in. More is 320.
pub const PUBLISHED_WHILE_WAITING_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// What receive blocks may hold beyond the large bodies that lie in queues, as a share of the memory bound, percent. More,
/// and those bodies, messages that are begun and output are copied out of them. This, and what a socket was just read for,
/// come on top of [`MEMORY_BYTES_MAX`].
pub const MEMORY_WASTE_PERCENT: u64 = 12;
/// Bytes of bodies that a shard copies out of receive blocks in one turn.
pub const OWN_BYTES_MAX: usize = 1024 * 1024;
/// Share of the memory bound for what connections keep at their clients' will, percent: messages that are begun and not
/// ended, output that is not read. Past it those that keep most for longest are closed with 320.
pub const MEMORY_CLIENTS_PERCENT: u64 = 25;
/// It is so much at least, bytes: large bodies must fit under a small bound too.
pub const MEMORY_CLIENTS_BYTES_MIN: u64 = 2 * BODY_BYTES_MAX;
/// Of that share, percent: above it outputs are kept short ([`OUTPUT_BYTES_CROWDED`]), so that a crowd of slow consumers is
/// served more slowly before anybody is closed.
pub const MEMORY_CROWDED_PERCENT: u64 = 50;
/// They may be long again below this, percent of that share.
pub const MEMORY_ROOMY_PERCENT: u64 = 40;
/// A shard that closes some goes on until it keeps no more than this, percent of its part of the share.
pub const MEMORY_EVICT_PERCENT: u64 = 90;
/// Like [`OUTPUT_BYTES_HIGH`] while connections keep much, bytes.
pub const OUTPUT_BYTES_CROWDED: usize = 64 * 1024;
/// A connection with more output than this is not reading, bytes: it is closed without a word where it would be told else.
pub const OUTPUT_UNREAD_BYTES: usize = 16 * 1024;
/// What a connection keeps up to here does not age, bytes: it is nobody's burden.
pub const KEPT_BYTES_FREE: u64 = 1024;
/// Share of the memory bound above which memory is short although all publishers wait, percent.
pub const MEMORY_OVER_PERCENT: u64 = 110;
/// Like [`PUBLISHED_WHILE_WAITING_BYTES_MAX`] then, bytes: a crowd that is read for its acks must not take the memory.
pub const PUBLISHED_WHILE_OVER_BYTES_MAX: u64 = 64 * 1024;
/// Connections whose slices of receive blocks are looked at so in one turn.
pub const OWN_CONNECTIONS_MAX: usize = 256;
/// A block of the message arena, bytes.
pub const ARENA_BLOCK_BYTES: usize = 256 * 1024;
/// Entries of a queue's tables whose memory is kept when they are empty again. What is larger is given back.
pub const TABLE_KEEP_ENTRIES: usize = 16 * 1024;
/// Empty blocks that an arena keeps for reuse, beside an eighth of those in use. More go back to the allocator,
/// which may keep them for what is allocated next: after a purge the process stays as large as it was, as a rule.
pub const ARENA_SPARE_BLOCKS: usize = 4;

// ---- forwards ---------------------------------------------------------------------------------------------------

/// Records between two shards that may be unprocessed. At the bound the rest waits at the sender.
pub const FORWARD_RECORDS_MAX: u32 = 16_384;
/// Queues of one publish in one record; those of a wider fan-out come in several, each with the message: a record of the
/// largest message must fit a frame ([`LINK_FRAME_BYTES_MAX`]), and 36 KiB of queues are many beside one message.
pub const PUBLISH_TARGETS_MAX: usize = 1_024;
/// Bytes of records between two shards that may be unprocessed.
pub const FORWARD_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Deliveries to a consumer on another shard or node that its socket has not taken yet, messages.
pub const CONSUMER_WINDOW_MESSAGES: u32 = 2_048;
/// The same in bytes.
pub const CONSUMER_WINDOW_BYTES: u64 = 1024 * 1024;
/// Consumers, or held deliveries, that one record of a resubscription names; the rest follows in others, so that however much
/// is held it moves under credit and fits the frames of a link. Small, so that many a cut in the simulator sends several.
pub const RESUBSCRIBE_PIECE_MAX: usize = 64;
/// Publishes of one lane that the home has not answered, messages. At the bound its publishers are not read.
pub const LANE_MESSAGES_MAX: usize = 10_000;
/// The same in bytes.
pub const LANE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Lanes into one queue: twice what the shards of a full cluster have. At the bound the one unused for longest is forgotten.
pub const LANES_PER_QUEUE_MAX: usize = 2 * NODES_MAX * SHARDS_MAX as usize;
/// Time from a publish's arrival to its answer, whichever waits it meets (R4). Then nack, or dropped and counted. One behind an
/// operation of its channel waits with that, and has only what is left of this then. Time that an operation may wait for a
/// lease to say what is not there. Then 405 (`refusals::no_view`).
pub const PUBLISH_WAIT: Duration = Duration::from_secs(2);
/// Time that an operation may wait for the control machine or for a home elsewhere. Then it is refused with 405, which closes
/// its channel alone (`refusals::no_answer`).
pub const OPERATION_WAIT: Duration = Duration::from_secs(8);

// ---- AMQP connections, continued --------------------------------------------------------------------------------

/// Largest frame before connection.tune-ok, bytes (RabbitMQ 4.1: initial_frame_max, for long tokens). More is a drop.
pub const FIRST_FRAME_BYTES_MAX: u32 = 8_192;
/// Small pieces of a large body are gathered up to this before they become one chunk, bytes.
pub const GATHER_BYTES: usize = 64 * 1024;
/// Bytes of frames that all channels of a connection keep deferred. At the bound the connection is not read.
pub const DEFERRED_PER_CONNECTION_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Bytes of whole messages that a connection holds because they cannot be routed now. At the bound it is not read.
pub const HELD_PUBLISH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Names that a client gives to itself are kept for people up to this, bytes; the rest is cut.
pub const SHOWN_NAME_BYTES_MAX: usize = 255;
/// Numbers of confirms for which a channel keeps room when none is owed; what a burst took beyond them is given back.
pub const CONFIRMS_KEEP: usize = 64;
/// Deliveries that were settled out of order and may stay as holes of a channel's table; of more, no more than are held.
pub const UNACKED_HOLES_FREE: usize = 64;

// ---- configuration ----------------------------------------------------------------------------------------------

/// Shards of a node that may be asked for. More is refused at start.
pub const SHARDS_MAX: u8 = 64;
/// Shards of a node that nobody configured: each keeps a table of its own, so memory stays bounded on large machines.
pub const SHARDS_DEFAULT_MAX: u8 = 16;
/// Smallest memory bound that may be set, bytes: a few bodies of [`BODY_BYTES_MAX`] must fit. Less is refused at start.
pub const MEMORY_BYTES_MIN: u64 = 64 * 1024 * 1024;
/// Longest secret of a group, bytes. More is a wrong file; refused at start.
pub const SECRET_BYTES_MAX: usize = 4_096;
/// What is read of a secret file, bytes: the longest secret and the line ends that an editor leaves. A larger file, or a
/// device that never ends, is a wrong one; refused at start.
pub const SECRET_FILE_BYTES_MAX: usize = SECRET_BYTES_MAX + 16;
/// What is read of a configuration file, bytes: a thousand times what all options take. A larger one is refused at start.
pub const CONFIG_FILE_BYTES_MAX: usize = 1024 * 1024;
/// How long a configuration or secret that comes through a pipe is waited for. One that has not ended then is refused.
pub const CONFIG_FILE_WAIT: Duration = Duration::from_secs(10);
/// Port for the links between nodes where none is given (RabbitMQ's, so firewalls know it).
pub const CLUSTER_PORT: u16 = 25_672;
/// Bytes of a group's secret, 256 bits. Less is refused at start: an acceptor shows a code made with it to whoever dials.
pub const LINK_SECRET_BYTES_MIN: usize = 32;

// ---- the allocator ----------------------------------------------------------------------------------------------

/// Memory of one block from which on glibc maps it alone, and unmaps it when it is freed, bytes: far above the blocks that
/// come and go often, far below what a password takes. Left to itself the bound follows the largest block ever freed.
pub const MALLOC_OWN_MAPPING_BYTES: i32 = 4 * 1024 * 1024;
/// Free memory at the end of a heap that glibc keeps, bytes; more goes back to the system.
pub const MALLOC_KEPT_BYTES: i32 = 2 * 1024 * 1024;

// ---- logins -----------------------------------------------------------------------------------------------------

/// Passwords that wait to be hashed, at 20 ms each: more would not be reached within [`HANDSHAKE_TIMEOUT`]. What comes
/// beyond them is not hashed, and that time ends its connection.
pub const PASSWORD_JOBS_MAX: usize = 1_024;
/// Memory of one argon2id hash, KiB (OWASP: 19 MiB with two passes).
pub const PASSWORD_HASH_KIB: u32 = 19 * 1024;
/// Passes of one argon2id hash.
pub const PASSWORD_HASH_PASSES: u32 = 2;
/// Hashes that a node computes at the same time, so that logins take 40 MiB and two cores at most; the others wait. The
/// memory of each goes back to the system when it is done (see [`MALLOC_OWN_MAPPING_BYTES`]).
pub const PASSWORD_HASHES_AT_ONCE: usize = 2;
/// Memory that a foreign argon2 hash may ask for, KiB. More is refused where the hash is taken over.
pub const PASSWORD_HASH_KIB_MAX: u32 = 256 * 1024;
/// Passes that a foreign argon2 hash may ask for.
pub const PASSWORD_HASH_PASSES_MAX: u32 = 16;
/// How long a password that was right costs a MAC instead of a hash.
pub const LOGIN_CACHE_TIME: Duration = Duration::from_secs(600);
/// Passwords of a shard that are remembered so. At the bound the oldest goes.
pub const LOGIN_CACHE_ENTRIES_MAX: usize = 10_000;
/// Memory of one compiled permission pattern, bytes. More is refused where it is set.
pub const PERMISSION_PATTERN_BYTES_MAX: usize = 1024 * 1024;

// ---- shards -----------------------------------------------------------------------------------------------------

/// Messages that all queues of a shard together may dispatch in one turn. The other queues go on in the next, first.
pub const SHARD_DISPATCH_MAX: usize = 32_768;
/// The same in bytes of bodies, about: many consumers of a long queue of large messages must not hold up the others.
pub const SHARD_DISPATCH_BYTES_MAX: u64 = 1024 * 1024;
/// Requests to queues that their shard has not heard of yet, and lanes to such queues. At the bound the oldest is
/// forgotten: its asker's own bound ends it.
pub const EARLY_RECORDS_MAX: usize = 4_096;
/// Purges for other nodes whose answers a shard remembers, to say them again over a new link. At the bound the oldest is
/// forgotten; one that is asked again behind so many others finds what is there then.
pub const PURGES_KEPT: usize = 4_096;
/// Queues that a shard remembers after they were deleted, to tell late records from early ones.
pub const DROPPED_QUEUES_KEPT: usize = 1_024;

// ---- strangers --------------------------------------------------------------------------------------------------

/// Log lines about strangers (half-open connections dropped, links refused) that may come at once, of each kind. The
/// others are counted, and the next line says how many there were.
pub const COMPLAINTS_AT_ONCE: u32 = 20;
/// Then one line each.
pub const COMPLAINT_EVERY: Duration = Duration::from_secs(1);
/// A peer that was turned away is told of again after so long, if it still comes; with how often it did.
pub const GRUDGE_AGAIN: Duration = Duration::from_secs(60);
/// Peers that were turned away, each with the reason, that a node remembers. At the bound all are forgotten, and told of once
/// more.
pub const GRUDGES_MAX: usize = 256;
/// A control link that ends so soon may be one of two dials that crossed: people hear of it if by then there is no other.
pub const LINK_SETTLES: Duration = Duration::from_secs(1);
/// The control thread woke so much later than it wanted to: the node stood still, which its peers may take for its end, and its
/// log says so.
pub const STOOD_STILL: Duration = Duration::from_secs(1);
/// From one line about the node's memory to the next: what changes faster is told when it has come to rest.
pub const MEMORY_SAID_EVERY: Duration = Duration::from_secs(5);
/// A client whose socket took nothing for so long, with output waiting, does not read: that is said once, and shown.
pub const UNREAD_AFTER: Duration = Duration::from_secs(5);
/// Descriptors for which the process has room from its start, in 512 KiB of the kernel's memory. With more, each time that
/// their number doubles, the first shard waits for the kernel.
pub const DESCRIPTORS_READY: u64 = 65_536;
/// Pause after a socket could not be accepted, for want of descriptors: the others wait in the kernel's queue.
pub const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Names that a line for people lists: queues that are away, nodes that were joined. Of others it says how many.
pub const NAMES_SAID: usize = 20;
/// Addresses of which a node remembers that it said that it does not dial them. At the bound all are forgotten, and said
/// once more.
pub const UNDIALLED_MAX: usize = 2 * (SEEDS_MAX + NODES_MAX);

// ---- the log ----------------------------------------------------------------------------------------------------

/// Log lines that wait for whoever reads them, bytes. Others are dropped and counted, and a line says how many.
pub const LOG_BYTES_MAX: usize = 128 * 1024;
/// From one write of log lines to the next; lines that come meanwhile are written together. A node that is killed loses
/// them.
pub const LOG_WRITE_EVERY: Duration = Duration::from_millis(10);
/// A node that ends waits so long for its last lines to be read.
pub const LOG_FLUSH_WAIT: Duration = Duration::from_secs(1);

// ---- threads ----------------------------------------------------------------------------------------------------

/// Readiness events that a shard takes from the kernel in one turn. The others come with the next.
pub const SHARD_EVENTS_MAX: usize = 1_024;
/// The same for the control thread, which has few sockets.
pub const CONTROL_EVENTS_MAX: usize = 256;
/// Pieces of mail from the shards that the control thread takes before it looks at links and timers again: well below
/// [`HEARD_WITHIN`] of work, so that a flood of commands never makes a node look Down. The rest waits its turn.
pub const CONTROL_MAIL_PER_TURN_MAX: usize = 256;
/// Sockets accepted in one turn, so that a storm of them leaves room for pings, and for who is served already. The others
/// wait in the kernel's queue.
pub const ACCEPTS_PER_TURN_MAX: usize = 64;
/// Connections that the kernel keeps for a listener until they are accepted. More are not answered, and try again.
pub const LISTEN_BACKLOG: i32 = 1_024;
/// How long a stopping shard waits for its clients to take the close. Then their sockets are dropped.
pub const STOP_GRACE: Duration = Duration::from_millis(500);
/// How often a connection that waits for memory and holds deliveries is read a little, for its acks make room.
pub const TRICKLE_EVERY: Duration = Duration::from_millis(100);
/// Bytes that it is read for then.
pub const TRICKLE_BYTES: usize = 16 * 1024;
/// A block that sockets of clients are read into, bytes: bodies stay in it as slices.
pub const RECEIVE_BLOCK_BYTES: usize = 256 * 1024;
/// A socket is not read into less room than this, bytes: a new block costs less than many short reads.
pub const RECEIVE_ROOM_BYTES_MIN: usize = 64 * 1024;
/// Room for one read from a link, bytes.
pub const LINK_READ_BYTES: usize = 256 * 1024;
/// Blocks that are looked at in each turn, and with each one that joins them, for what nobody holds any more. The others have
/// their turn later.
pub const BLOCKS_LOOKED_AT: usize = 32;
/// Slices that one write to a client gathers; the rest has the next one. The kernel's bound is 1,024.
pub const WRITE_SLICES_MAX: usize = 64;
/// How often a DNS name with seeds is looked up. Its time to live is not waited for: a node that comes is found soon.
pub const LOOK_UP_EVERY: Duration = Duration::from_secs(1);
/// A look-up that takes longer has failed. A newcomer that nobody answers waits for the first one before it serves alone.
pub const LOOK_UP_WAIT: Duration = Duration::from_secs(4);
/// Longest request line on the admin socket, bytes. More is a drop.
pub const ADMIN_REQUEST_BYTES_MAX: usize = 256;
/// Admin connections at once: they cost a descriptor and a thread each. More wait until one ends.
pub const ADMIN_CONNECTIONS_MAX: usize = 16;
/// Time for an asker to ask and to take each part of the answer, and for a machine to tell its part. Then the connection
/// ends, or the answer says who is silent.
pub const ADMIN_WAIT: Duration = Duration::from_secs(2);
/// Queues that a machine tells the admin socket of in one turn.
pub const STATUS_PAGE_QUEUES: usize = 2_000;
/// Renamed queues that `status` warns of. Of more, the latest.
pub const RENAMED_WARNINGS_MAX: usize = 100;
/// `status` waits so long for the answer of a node. It answers from memory, part by part, and names a part that is silent;
/// longer means that it hangs, which is then said.
pub const STATUS_ANSWER_WAIT: Duration = Duration::from_secs(15);
/// What `status` reads of an answer, bytes: a million queues of 200 bytes each. More is an error.
pub const STATUS_ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;
