//! Clients, as requests see them.

use std::net::{IpAddr, SocketAddr};

use crate::config::DoorConfig;

/// Who is at the other end of a client's connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(super) address: IpAddr,
    pub(super) trusted: bool,
    pub(super) tls: bool,
}

impl Client {
    pub(crate) fn new(config: &DoorConfig, peer: SocketAddr, tls: bool) -> Self {
        let address = peer.ip();
        Self { address, trusted: config.trust.iter().any(|network| network.contains(address)), tls }
    }

    /// What it says of those before it counts.
    pub(crate) fn is_trusted(&self) -> bool {
        self.trusted
    }
}
