//! What the operator decided.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use leveret_bus::Brokers;
use leveret_services::{Claim, DoorName, Network, ServiceName};

/// A door's settings.
#[derive(Clone, Debug)]
pub struct DoorConfig {
    /// Its name among doors.
    pub name: DoorName,
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where `door status` asks; loopback.
    pub admin: SocketAddr,
    /// Where instances announce themselves.
    pub brokers: Brokers,
    /// Networks that instances may be in; empty: the local ones.
    pub allow: Vec<Network>,
    /// T8: only these hold, if there are any.
    pub claims: Vec<(ServiceName, Claim)>,
    /// Networks of clients whose `X-Forwarded-*` are kept.
    pub trust: Vec<Network>,
    /// Cookies whose suffix is a route.
    pub cookies: Vec<String>,
    /// HAProxies that follow the door's table.
    pub haproxy: Vec<HaproxyConfig>,
    /// Threads that serve requests.
    pub threads: usize,
    /// Longest time to a response's head.
    pub response_timeout: Duration,
}

/// A backend of an HAProxy, and the service whose instances are its servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HaproxyConfig {
    /// The stats socket, at level admin.
    pub socket: PathBuf,
    /// The backend.
    pub backend: String,
    /// The service.
    pub service: ServiceName,
}
