//! The port that other nodes come in by, and what keeps it from being asked in vain.

use leveret_model::Instant;
use mio::net::TcpListener;

use crate::log_limits::LogLimit;

/// Where other nodes come in.
pub(super) struct ClusterPort {
    pub(super) listener: TcpListener,
    /// Another node may be there.
    pub(super) called: bool,
    /// When the listener is asked again after it failed.
    pub(super) accept_at: Instant,
    /// Lines about sockets that could not be accepted.
    pub(super) complaints: LogLimit,
}

impl ClusterPort {
    /// Nobody is at it yet.
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, called: false, accept_at: Instant::FAR, complaints: LogLimit::default() }
    }
}
