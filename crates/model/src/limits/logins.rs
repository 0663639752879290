//! Bounds of logins and password hashes.

use core::time::Duration;

/// Passwords that wait to be hashed. Those of clients that are still there are fewer than
/// [`HANDSHAKES_MAX`](super::HANDSHAKES_MAX), at 10 ms each; the others cost nothing when they are reached.
/// What comes beyond them is not hashed, and the handshake's time ends its connection.
pub const PASSWORD_JOBS_MAX: usize = 4 * super::HANDSHAKES_MAX;
/// Memory of one argon2id hash, KiB (OWASP: 19 MiB with two passes).
pub const PASSWORD_HASH_KIB: u32 = 19 * 1024;
/// Passes of one argon2id hash.
pub const PASSWORD_HASH_PASSES: u32 = 2;
/// Hashes that a node computes at the same time, so that logins take 40 MiB and two cores at most; the others
/// wait. The memory of each goes back to the system when it is done (see
/// [`MALLOC_OWN_MAPPING_BYTES`](super::MALLOC_OWN_MAPPING_BYTES)).
pub const PASSWORD_HASHES_AT_ONCE: usize = 2;
/// Memory that a foreign argon2 hash may ask for, KiB. More is refused where the hash is taken over.
pub const PASSWORD_HASH_KIB_MAX: u32 = 256 * 1024;
/// Passes that a foreign argon2 hash may ask for.
pub const PASSWORD_HASH_PASSES_MAX: u32 = 16;
/// How long a password that was right costs a MAC instead of a hash.
pub const LOGIN_CACHE_TIME: Duration = Duration::from_secs(600);
/// Passwords of a shard that are remembered so. At the bound the oldest goes, whose time ends first: its next
/// login costs a hash again. Only right passwords come in, so no stranger can push others out.
pub const LOGIN_CACHE_ENTRIES_MAX: usize = 10_000;
/// Memory of one compiled permission pattern, bytes. More is refused where it is set.
pub const PERMISSION_PATTERN_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a file with a password; more is an error that names it.
pub const PASSWORD_FILE_BYTES_MAX: usize = 4_098;
