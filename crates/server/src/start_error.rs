//! Why a node does not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use leveret_link::handshake::SecretTooShort;

/// Why a node does not start: one line that names what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is not free, or not ours.
    #[error(
        "cannot listen for {what} on {address}: {error}; choose another with {flag} (port 0 lets the system choose)"
    )]
    Listen {
        /// For whom.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// Which option sets it.
        flag: &'static str,
        /// What the system says.
        error: io::Error,
    },
    /// Another process uses the data directory.
    #[error(
        "the data directory {0} is in use by another leveret{1}; stop it, or choose another with --data-dir"
    )]
    InUse(PathBuf, String),
    /// The data directory cannot be used.
    #[error("the data directory {path} cannot be used: {error}; choose another with --data-dir")]
    DataDir {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Who this node is cannot be read.
    #[error(
        "{path} says who this node is and cannot be used: {why}; put it back from a copy made after the last start, or start as a new member with another --data-dir"
    )]
    Identity {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// What the store of the data directory holds cannot be read.
    #[error("the store in {0}")]
    Store(String),
    /// The queues of the data directory are another group's.
    #[error(
        "the data directory {path} belongs to the group '{of}', not to '{group}': start it with --group {of}, or choose another with --data-dir"
    )]
    OtherGroup {
        /// Which directory.
        path: PathBuf,
        /// Its group.
        of: String,
        /// The node's.
        group: String,
    },
    /// The names under which the node would register itself.
    #[error("--dns-update: {0}")]
    Registration(String),
    /// The cluster port would be open to strangers.
    #[error(
        "--cluster-listen {0} is not a loopback address, and there is no secret: give all nodes the same --secret-file"
    )]
    NoSecret(SocketAddr),
    /// The secret is too short to be one.
    #[error("the secret file: {0}")]
    Secret(#[from] SecretTooShort),
    /// A thread ended.
    #[error("the node ended before it was ready; its log says why")]
    Ended,
    /// The system gives no threads or descriptors.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}
