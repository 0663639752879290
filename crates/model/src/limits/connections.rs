//! Bounds of an AMQP connection, its channels and its consumers.

use core::time::Duration;

// ---- AMQP connections -------------------------------------------------------------------------------------

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
/// Moments in half a heartbeat interval at which connections are looked at. Those of one moment share a wake-up
/// of their thread, a sixteenth of all of them if they came evenly.
pub const HEARTBEAT_SLOTS: u32 = 16;
/// Connections whose timers a shard looks at in a turn. The others, which may be all that were made at once,
/// have the next turns: sockets are read and written between.
pub const TIMERS_PER_TURN_MAX: usize = 64;
/// Time from accept to connection.open-ok (RabbitMQ: handshake_timeout). Past it the socket is dropped.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections of a node, over all its shards, that have not finished their handshake. At the bound no more are
/// accepted: they wait in the kernel's queue ([`LISTEN_BACKLOG`](super::LISTEN_BACKLOG)), and those that took
/// long are dropped for them.
pub const HANDSHAKES_MAX: usize = 1_000;
/// Handshakes left at which more are accepted again at once: a shard need not wake the first one for each that
/// ends.
pub const HANDSHAKES_RESUME: usize = 950;
/// A handshake is undisturbed for so long, however many clients wait: its four answers over a slow link (0.6 s
/// for each round trip by satellite). Older ones are dropped while others wait, unless their password is being
/// checked. Short enough that a client at the end of the kernel's queue is reached within [`HANDSHAKE_TIMEOUT`]
/// if all before it stall.
pub const HANDSHAKE_UNDISTURBED: Duration = Duration::from_secs(3);
/// Bytes kept for a connection that is not logged in. More is a drop.
pub const HANDSHAKE_BYTES_MAX: usize = 16 * 1024;
/// Connections of a shard: file descriptors and memory. Past it a new socket is closed at once.
pub const CONNECTIONS_MAX: usize = 65_536;
/// Largest message body, bytes (RabbitMQ: max_message_size). More is 406 at the content header, as RabbitMQ.
pub const BODY_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Messages that a connection has begun and not finished, bytes, over all channels: twelve of the largest at
/// once. More is 506, which blames nobody: each message is within its bound. They cannot wait, for the frames
/// that end the others come behind theirs. What is begun counts as memory that clients keep
/// ([`MEMORY_CLIENTS_PERCENT`](super::MEMORY_CLIENTS_PERCENT)), and ends with 320 before that if all clients
/// together have too much.
pub const BODIES_UNFINISHED_BYTES_MAX: usize = 12 * BODY_BYTES_MAX as usize;
/// Bytes of uncommitted and of begun messages of a connection, above which a publish in a transaction is 406.
/// Far below `BODIES_UNFINISHED_BYTES_MAX`, so that the largest message can be begun beside a full transaction.
pub const TRANSACTION_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Publishes and settlements of one transaction. More is 406.
pub const TRANSACTION_OPERATIONS_MAX: usize = 100_000;
/// Nesting of field tables. More is 406: such a table is well formed (RabbitMQ has no bound but the frame). The
/// number of entries has no bound of its own either: an entry takes a byte of its frame at least.
pub const TABLE_DEPTH_MAX: usize = 128;
/// Levels of a field table that are checked without a call for the levels below them. What clients send is
/// flatter.
pub const TABLE_LEVELS_AT_ONCE: usize = 16;
/// Bytes of frames that a channel keeps while an operation is pending. At the bound the connection is not read.
pub const DEFERRED_BYTES_MAX: usize = 256 * 1024;
/// Bodies from here on travel as counted slices of the receive block, bytes. Below, a copy is cheaper than the
/// count.
pub const SLICE_BYTES_MIN: usize = 4 * 1024;
/// Output of a connection above which it gets no deliveries, bytes. Consumers wait; replies still pass.
pub const OUTPUT_BYTES_HIGH: usize = 512 * 1024;
/// Output of a connection above which it is not read, bytes: a client that asks and never reads the answers.
pub const OUTPUT_BYTES_STOP: usize = 2 * 1024 * 1024;
/// Bytes of an output that are written and still lie in front of what is waiting. Past it what waits is moved
/// down (once more than half of the buffer is spent, so the moves cost no more than the writes did).
pub const OUTPUT_SPENT_BYTES_MAX: usize = 32 * 1024;
/// `basic.get` under way at once, over all channels of a connection. Each may bring a message of
/// [`BODY_BYTES_MAX`] behind an output that was short of [`OUTPUT_BYTES_STOP`] when it was asked for, and
/// thousands of channels can ask. At the bound the others wait for their turn.
pub const GETS_AT_ONCE_MAX: usize = 4;
/// Time in which a client without heartbeats has to take some of the output that waits for it, or to say
/// something. Past it the socket is dropped: the system of a frozen process answers for it, so nothing else
/// would ever end that. Long, for who switches heartbeats off works for minutes without a look at the socket
/// (RabbitMQ: consumer_timeout is as long, and without heartbeats there is no other bound).
pub const OUTPUT_STUCK_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// Output of a connection, and what waits for the flow of its channel, above which a reply by direct reply-to
/// is dropped, bytes: replies have no queue to wait in (RabbitMQ: at most once). Room for the largest message
/// over [`OUTPUT_BYTES_STOP`].
pub const REPLIES_UNREAD_BYTES_MAX: usize = OUTPUT_BYTES_STOP + BODY_BYTES_MAX as usize;
/// Records that wait for one other shard, bytes, above which publishers of replies for it are held: twice what
/// may be unprocessed.
pub const REPLIES_WAITING_BYTES_MAX: u64 = 2 * super::FORWARD_BYTES_MAX;
/// Consumers of replies of a shard, at most one for each channel. More is 506: the client is to try another
/// node.
pub const REPLY_CONSUMERS_PER_SHARD_MAX: usize = 500_000;
/// Consumers of one channel. More is 530: not allowed.
pub const CONSUMERS_PER_CHANNEL_MAX: usize = 10_000;
/// Consumers of one connection, over all of its channels. More is 530: not allowed.
pub const CONSUMERS_PER_CONNECTION_MAX: usize = 20_000;
/// Consumers of all connections of a shard, 200 MB. More is 506: the client is to try another node.
pub const CONSUMERS_PER_SHARD_MAX: usize = 500_000;
/// What a consumer takes in its channel, its shard and its queue, bytes; measured with 600,000 of one queue.
pub const CONSUMER_BYTES: usize = 400;
/// Unacknowledged messages of one channel, of all its consumers and gets: about 160 MB for the channel's table
/// of them. A prefetch of 0 is no limit, so this is what bounds a client that takes all and acknowledges
/// nothing; their bodies count as messages in queues. At the bound deliveries to the channel's consumers pause
/// until there is room for one to each, the log says so once and `status` shows it; what the windows of
/// consumers elsewhere let through by then still comes
/// ([`CONSUMER_WINDOW_MESSAGES`](super::CONSUMER_WINDOW_MESSAGES) each). A `basic.get` or `basic.consume` that
/// wants acks is 406 then, which closes the channel and gives all of it back: the get would wait for the
/// channel's own acks, which come behind it, and consumers that come and go would each bring a window.
/// (RabbitMQ has no bound.)
pub const UNACKED_PER_CHANNEL_MAX: usize = 4_000_000;
/// Notes of a channel on when it held which delivery tag: with one look a minute the last half hour to the
/// minute. Of more every second one is forgotten.
pub const ACK_AGE_NOTES_MAX: usize = 32;
/// Longest time between two looks at how long a connection's clients hold their deliveries (RabbitMQ:
/// channel_tick_interval). It is shorter under a `consumer_timeout` of less than 16 of them.
pub const ACK_AGE_LOOK: Duration = Duration::from_secs(60);
/// How long a client may hold a delivery unless `consumer_timeout` says otherwise (RabbitMQ: 30 minutes).
pub const CONSUMER_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// How long a refused login is held when the client cannot take a close frame (RabbitMQ holds about 3 s;
/// shorter frees the slot).
pub const LOGIN_REFUSED_HOLD: Duration = Duration::from_secs(1);
/// Time after connection.close within which close-ok must come, and within which the last words of a connection
/// that is over must be taken. Past it the socket is dropped.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client's connection.close waits for what it said before on its channels; then that is dropped.
pub const LEAVE_WAIT: Duration = Duration::from_secs(5);

// ---- AMQP connections, continued --------------------------------------------------------------------------

/// Largest frame before connection.tune-ok, bytes (RabbitMQ 4.1: initial_frame_max, for long tokens). More is a
/// drop.
pub const FIRST_FRAME_BYTES_MAX: u32 = 8_192;
/// Small pieces of a large body are gathered up to this before they become one chunk, bytes.
pub const GATHER_BYTES: usize = 64 * 1024;
/// Bytes of frames that all channels of a connection keep deferred. At the bound the connection is not read.
pub const DEFERRED_PER_CONNECTION_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Bytes of whole messages that a connection holds because they cannot be routed now. At the bound it is not
/// read.
pub const HELD_PUBLISH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Names that a client gives to itself are kept for people up to this, bytes; the rest is cut.
pub const SHOWN_NAME_BYTES_MAX: usize = 255;
/// Numbers of confirms for which a channel keeps room when none is owed; what a burst took beyond them is given
/// back.
pub const CONFIRMS_KEEP: usize = 64;
/// Deliveries that were settled out of order and may stay as holes of a channel's table; of more, no more than
/// are held.
pub const UNACKED_HOLES_FREE: usize = 64;
/// Addresses at which a node lets clients in. More is refused at the start.
pub const LISTENERS_MAX: usize = 16;
/// Networks of proxies whose PROXY header is believed. More is refused at the start.
pub const PROXY_NETWORKS_MAX: usize = 64;
/// A PROXY header with all that a proxy adds to it (version 2: certificates), bytes. More is a drop.
pub const PROXY_HEADER_BYTES_MAX: usize = 4 * 1024;
