//! What requests read of a door's table: immutable, replaced as a whole, shared by all threads.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use compact_str::CompactString;
use leveret_model::{Boot, Instant};

use crate::claims::Claims;
use crate::hold::ServiceGate;
use crate::name::{InstanceName, ServiceName};
use crate::slot::Slot;

/// The table at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// In the order of their names.
    pub services: Vec<Arc<ServiceView>>,
    /// T8.
    pub claims: Claims,
    /// The door's own link is down: a request that is not idempotent gets a fresh connection (T3).
    pub link_down: bool,
}

/// A service at one moment.
#[derive(Debug)]
pub struct ServiceView {
    /// Its name.
    pub name: ServiceName,
    /// Counts and bounds that outlive this view.
    pub gate: Arc<ServiceGate>,
    /// Instances that may get requests, in the order of their names.
    pub candidates: Vec<Candidate>,
    /// Some instance has a route, so cookies are looked at.
    pub has_routes: bool,
}

/// An instance that may get requests.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its name.
    pub instance: InstanceName,
    /// Which start of it.
    pub boot: Boot,
    /// Where it listens.
    pub address: SocketAddr,
    /// Shared by everybody who sends requests there.
    pub slot: Arc<Slot>,
    /// Takes only requests of its own sessions (T2).
    pub sessions_only: bool,
    /// Suffix of its sessions' ids.
    pub route: Option<CompactString>,
    /// Its share at full warmth.
    pub weight: u32,
    /// Requests at a time; 0: no bound.
    pub max_inflight: u32,
    /// For T9.
    pub keep_alive_ms: u32,
    /// Since when it is ready.
    pub ready_since: Instant,
    /// Time to the full weight.
    pub warm_up: Duration,
}

impl Snapshot {
    /// The service that answers a request (T8). `host` is in lower case and without a port.
    #[must_use]
    pub fn route(&self, host: &str, path: &str) -> Option<&Arc<ServiceView>> {
        self.service(self.claims.lookup(host, path)?)
    }

    /// A service by its name.
    #[must_use]
    pub fn service(&self, name: &ServiceName) -> Option<&Arc<ServiceView>> {
        self.services.binary_search_by(|view| view.name.cmp(name)).ok().map(|at| &self.services[at])
    }
}
