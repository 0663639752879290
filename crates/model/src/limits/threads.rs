//! Bounds of the threads: sockets, mail, the admin socket, DNS look-ups.

use core::time::Duration;

/// Readiness events that a shard takes from the kernel in one turn. The others come with the next.
pub const SHARD_EVENTS_MAX: usize = 1_024;
/// The same for the control thread, which has few sockets.
pub const CONTROL_EVENTS_MAX: usize = 256;
/// Pieces of mail from the shards that the control thread takes before it looks at links and timers again: well
/// below [`HEARD_WITHIN`](super::HEARD_WITHIN) of work, so that a flood of commands never makes a node look
/// Down. The rest waits its turn.
pub const CONTROL_MAIL_PER_TURN_MAX: usize = 256;
/// Sockets accepted in one turn, so that a storm of them leaves room for pings, and for who is served already.
/// The others wait in the kernel's queue.
pub const ACCEPTS_PER_TURN_MAX: usize = 64;
/// Connections that the kernel keeps for a listener until they are accepted. More are not answered, and their
/// systems try again for a minute or longer. No more than handshakes may be under way: those at its end wait
/// for all before them.
pub const LISTEN_BACKLOG: i32 = super::HANDSHAKES_MAX as i32;
/// How long a stopping shard waits for its clients to take the close. Then their sockets are dropped.
pub const STOP_GRACE: Duration = Duration::from_millis(500);
/// Span over which the busy share of an event loop is counted, at least; at most twice that.
pub const BUSY_SPAN: Duration = Duration::from_secs(5);
/// Time between the ends of two clients of a node that leaves, at most: few clients need no whole
/// `--leave-window`.
pub const LEAVE_CLIENT_GAP_MAX: Duration = Duration::from_millis(20);
/// Askers at the admin socket that may wait for the end of a leave, so that there is room for others. One more
/// is refused.
pub const LEAVE_WAITERS_MAX: usize = ADMIN_CONNECTIONS_MAX / 2;
/// How often whoever waits for the end of a leave is told what is left.
pub const LEAVE_TOLD_EVERY: Duration = Duration::from_millis(500);
/// Time that a node that has left has to tell those who wait how it ended. Then its process ends.
pub const LEAVE_TOLD_WAIT: Duration = Duration::from_secs(1);
/// Time for the answer to who wants to take a leave back: its records and its listening sockets may have to go
/// first.
pub const CANCEL_LEAVE_WAIT: Duration = Duration::from_secs(8);
/// Time that a node has to hand over what clients declared while they were closed. Few do.
pub const LEAVE_REST_WITHIN: Duration = Duration::from_secs(10);
/// Time that the first shard has to close the listening sockets. Then the leave goes on.
pub const STOP_ACCEPTING_WAIT: Duration = Duration::from_secs(1);
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
/// Blocks that are looked at in each turn, and with each one that joins them, for what nobody holds any more.
/// The others have their turn later.
pub const BLOCKS_LOOKED_AT: usize = 32;
/// Slices that one write to a client gathers; the rest has the next one. The kernel's bound is 1,024.
pub const WRITE_SLICES_MAX: usize = 64;
/// How often a DNS name with seeds is looked up. Its time to live is not waited for: a node that comes is found
/// soon.
pub const LOOK_UP_EVERY: Duration = Duration::from_secs(1);
/// A look-up that takes longer has failed. A newcomer that nobody answers waits for the first one before it
/// serves alone.
pub const LOOK_UP_WAIT: Duration = Duration::from_secs(4);
/// How often a node looks whether it is still registered: a name server that was put back from a backup has
/// lost it.
pub const REGISTER_EVERY: Duration = Duration::from_secs(20);
/// A registration that failed is tried again after this, and up to [`REGISTER_JITTER`] more.
pub const REGISTER_AGAIN: Duration = Duration::from_secs(1);
/// What is added to either at random, so that nodes that failed together do not try together.
pub const REGISTER_JITTER: Duration = Duration::from_millis(500);
/// All of a registration, whose records take a few exchanges each. Past it it has failed.
pub const REGISTER_WAIT: Duration = Duration::from_secs(10);
/// A node that stops waits so long for its registries to forget it. Past it its records are left, and that is
/// logged.
pub const WITHDRAW_WAIT: Duration = Duration::from_secs(3);
/// A registry that fails is logged once in this time.
pub const REGISTRY_LINE_EVERY: Duration = Duration::from_secs(60);
/// Clocks of a node and of its name server may differ by so many seconds (RFC 8945 §10 recommends it).
pub const TSIG_FUDGE_S: u16 = 300;
/// Shortest secret of a key for updates, bytes. Less can be guessed, and is refused at start.
pub const TSIG_SECRET_BYTES_MIN: usize = 16;
/// What a name server may send in one datagram, bytes: more may be cut up on its way (DNS flag day 2020). The
/// rest comes over TCP.
pub const DNS_UDP_BYTES: u16 = 1_232;
/// A datagram that is not answered for so long is lost.
pub const DNS_UDP_WAIT: Duration = Duration::from_secs(1);
/// How often the list of name servers is gone through before a look-up has failed.
pub const DNS_ROUNDS: usize = 2;
/// Time for a connection to a name server, a message and its reply.
pub const DNS_TCP_WAIT: Duration = Duration::from_secs(3);
/// Addresses of one family are there: those of the other may take so much longer. Else they come with the next
/// look-up.
pub const DNS_OTHER_TYPE_WAIT: Duration = Duration::from_millis(500);
/// Aliases that are followed, one behind the other. Past it the name leads nowhere.
pub const DNS_ALIASES_MAX: usize = 8;
/// `/etc/resolv.conf`, `/etc/hosts`, key and seed files, bytes. A larger one is not read.
pub const DNS_FILE_BYTES_MAX: u64 = 1 << 20;
/// The identity file of a data directory, bytes. A longer one is damaged.
pub const IDENTITY_BYTES_MAX: u64 = 4_096;
/// Longest request line on the admin socket, bytes: a policy whose name, pattern and strings are as long as
/// they may be, escaped. More is a drop.
pub const ADMIN_REQUEST_BYTES_MAX: usize = 16 * 1024;
/// Admin connections at once: they cost a descriptor and a thread each. More wait until one ends.
pub const ADMIN_CONNECTIONS_MAX: usize = 16;
/// Time for an asker to ask and to take each part of the answer, and for a machine to tell its part. Then the
/// connection ends, or the answer says who is silent.
pub const ADMIN_WAIT: Duration = Duration::from_secs(2);
/// Time for a command of an operator, which every node is to act on: a command of a client has
/// [`PUBLISH_WAIT`](super::PUBLISH_WAIT) for the view and [`ECHO_WAIT`](super::ECHO_WAIT) for a node that is
/// silent, and a little.
pub const OPERATOR_WAIT: Duration = Duration::from_secs(6);
/// Entries of its tables of queues and connections that a machine looks at for the admin socket in one turn.
pub const STATUS_PAGE_ENTRIES: usize = 2_000;
/// Renamed queues that `status` warns of. Of more, the latest.
pub const RENAMED_WARNINGS_MAX: usize = 100;
/// `status` waits so long for the answer of a node. It answers from memory, part by part, and names a part that
/// is silent; longer means that it hangs, which is then said.
pub const STATUS_ANSWER_WAIT: Duration = Duration::from_secs(15);
/// What `status` reads of an answer, bytes: a million queues of 200 bytes each. More is an error.
pub const STATUS_ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;
