//! Bounds of what an operator may configure.

use core::time::Duration;

/// Shards of a node that may be asked for. More is refused at start.
pub const SHARDS_MAX: u8 = 64;
/// Shards of a node that nobody configured: each keeps a table of its own, so memory stays bounded on large
/// machines.
pub const SHARDS_DEFAULT_MAX: u8 = 16;
/// Smallest memory bound that may be set, bytes: a few bodies of [`BODY_BYTES_MAX`](super::BODY_BYTES_MAX) must
/// fit. Less is refused at start.
pub const MEMORY_BYTES_MIN: u64 = 64 * 1024 * 1024;
/// Longest secret of a group, bytes. More is a wrong file; refused at start.
pub const SECRET_BYTES_MAX: usize = 4_096;
/// What is read of a secret file, bytes: the longest secret and the line ends that an editor leaves. A larger
/// file, or a device that never ends, is a wrong one; refused at start.
pub const SECRET_FILE_BYTES_MAX: usize = SECRET_BYTES_MAX + 16;
/// What is read of a configuration file, bytes: a thousand times what all options take. A larger one is refused
/// at start.
pub const CONFIG_FILE_BYTES_MAX: usize = 1024 * 1024;
/// How long a configuration or secret that comes through a pipe is waited for. One that has not ended then is
/// refused.
pub const CONFIG_FILE_WAIT: Duration = Duration::from_secs(10);
/// Port for the links between nodes where none is given (RabbitMQ's, so firewalls know it).
pub const CLUSTER_PORT: u16 = 25_672;
/// Bytes of a group's secret, 256 bits. Less is refused at start: an acceptor shows a code made with it to
/// whoever dials.
pub const LINK_SECRET_BYTES_MIN: usize = 32;
