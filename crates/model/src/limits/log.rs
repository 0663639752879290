//! Bounds of the log and of what it says about peers and clients.

use core::time::Duration;

use super::{NODES_MAX, SEEDS_MAX};

// ---- strangers --------------------------------------------------------------------------------------------

/// Log lines about strangers (half-open connections dropped, links refused) that may come at once, of each
/// kind. The others are counted, and the next line says how many there were.
pub const LOG_LINES_AT_ONCE: u32 = 20;
/// Then one line each.
pub const LOG_LINE_EVERY: Duration = Duration::from_secs(1);
/// A peer that was turned away is told of again after so long, if it still comes; with how often it did.
pub const PEER_LINE_AGAIN: Duration = Duration::from_secs(60);
/// Peers that were turned away, each with the reason, that a node remembers. At the bound all are forgotten,
/// and told of once more: however many come, the lines of all of them have the bound of [`LOG_LINES_AT_ONCE`].
pub const PEER_LINES_MAX: usize = 256;
/// A control link that ends so soon may be one of two dials that crossed: people hear of it if by then there is
/// no other.
pub const LINK_SETTLES: Duration = Duration::from_secs(1);
/// The control thread woke so much later than it wanted to: the node stood still, which its peers may take for
/// its end, and its log says so.
pub const STOOD_STILL: Duration = Duration::from_secs(1);
/// From one line about the node's memory to the next: what changes faster is told when it has come to rest.
pub const MEMORY_SAID_EVERY: Duration = Duration::from_secs(5);
/// From one line about the room on the disk to the next, while that swings.
pub const DISK_SAID_EVERY: Duration = Duration::from_secs(60);
/// From one line about clients that wait to be accepted to the next, while handshakes are at their bound.
pub const FULL_SAID_EVERY: Duration = Duration::from_secs(10);
/// A client whose socket took nothing for so long, with output waiting, does not read: that is said once, and
/// shown.
pub const UNREAD_AFTER: Duration = Duration::from_secs(5);
/// Descriptors for which the process has room from its start, in 512 KiB of the kernel's memory. With more,
/// each time that their number doubles, the first shard waits for the kernel.
pub const DESCRIPTORS_READY: u64 = 65_536;
/// Pause after a socket could not be accepted, for want of descriptors: the others wait in the kernel's queue.
pub const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Names that a line for people lists: queues that are away, nodes that were joined. Of others it says how
/// many.
pub const NAMES_SAID: usize = 20;
/// Addresses of which a node remembers that it said that it does not dial them. At the bound all are forgotten,
/// and said once more: twice as many as are known at a time, so that those are said once.
pub const UNDIALLED_MAX: usize = 2 * (SEEDS_MAX + NODES_MAX);

// ---- the log ----------------------------------------------------------------------------------------------

/// Log lines that wait for whoever reads them, bytes. Others are dropped and counted, and a line says how many.
pub const LOG_BYTES_MAX: usize = 128 * 1024;
/// From one write of log lines to the next; lines that come meanwhile are written together. A node that is
/// killed loses them.
pub const LOG_WRITE_EVERY: Duration = Duration::from_millis(10);
/// A node that ends waits so long for its last lines to be read.
pub const LOG_FLUSH_WAIT: Duration = Duration::from_secs(1);
/// Queues of other types that a shard has warned of, to warn of each once. Past it none is warned of any more:
/// by then the log has said enough.
pub const SUBSTITUTED_QUEUES_KNOWN: usize = 1_000;
