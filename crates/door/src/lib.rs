//! The front door: an HTTP/1.1 proxy whose members are the application servers that announce themselves.
//!
//! Read first: `docs/formats/services.md`. One thread, [`control`], keeps the table of services and the link
//! to the broker; the others serve requests ([`worker`], [`proxy`]), each with a runtime and a pool of its
//! own. They share what [`shared`] holds: a snapshot of the table that is replaced as a whole, and the slots
//! that count requests. Invariant: a request passes the slot of its instance before the first byte is sent
//! there, and leaves it after the last byte came back; so an acknowledged drain is true.

mod admin;
mod clock;
mod control;
mod proxy;
mod shared;
mod status;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use leveret_bus::{Brokers, Bus, BusConfig};
use leveret_services::{Claim, DoorName, Network, ServiceName};

pub use admin::{AdminError, ask as ask_admin};
pub use control::probe;
pub use status::{InstanceStatus, LinkStatus, ServiceStatus, Status};

use shared::Shared;

/// What the operator decided.
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
    /// Threads that serve requests.
    pub threads: usize,
    /// Longest time to a response's head.
    pub response_timeout: Duration,
}

/// A door that serves.
#[derive(Debug)]
pub struct Door {
    shared: Arc<Shared>,
    listen: SocketAddr,
    admin: SocketAddr,
    threads: Vec<JoinHandle<()>>,
}

impl Door {
    /// Opens the listeners and starts the threads.
    ///
    /// # Errors
    /// An address that cannot be bound, or a thread that cannot be started.
    pub fn start(config: DoorConfig) -> io::Result<Self> {
        Self::start_on(config, leveret_bus::start)
    }

    /// The same with a link of the caller's own making: it is called once, on the control thread, inside its
    /// runtime.
    ///
    /// # Errors As [`Door::start`].
    pub fn start_on(
        mut config: DoorConfig,
        link: impl FnOnce(BusConfig) -> Bus + Send + 'static,
    ) -> io::Result<Self> {
        // All listeners of a port must exist before the first connection, or it would be dealt to one that is
        // closed again.
        let first = worker::listener(config.listen)?;
        config.listen = first.local_addr()?;
        let mut listeners = vec![first];
        for _ in 1..config.threads.max(1) {
            listeners.push(worker::listener(config.listen)?);
        }
        let admin = std::net::TcpListener::bind(config.admin)?;
        admin.set_nonblocking(true)?;
        config.admin = admin.local_addr()?;
        let (listen, admin_address) = (config.listen, config.admin);
        let shared = Arc::new(Shared::new(config));
        let mut threads = Vec::new();
        for (number, listener) in listeners.into_iter().enumerate() {
            let shared = Arc::clone(&shared);
            let name = format!("door-{number}");
            threads.push(
                std::thread::Builder::new()
                    .name(name)
                    .spawn(move || worker::run(&shared, listener, number))?,
            );
        }
        let for_control = Arc::clone(&shared);
        let control = std::thread::Builder::new().name("door-control".to_owned());
        threads.push(control.spawn(move || control::run(&for_control, admin, link))?);
        Ok(Self { shared, listen, admin: admin_address, threads })
    }

    /// Where clients connect.
    #[must_use]
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Where `door status` asks.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Takes no more connections, finishes the requests that it has, and ends; 30 s at most.
    pub fn stop(self) {
        self.shared.stop();
        for thread in self.threads {
            // A thread that panicked has said so; the others still end.
            let _ = thread.join();
        }
    }
}
