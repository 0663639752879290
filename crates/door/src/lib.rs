//! The front door: an HTTP proxy whose members are the application servers that announce themselves.
//!
//! Read first: `docs/formats/services.md`. One thread, [`control`], keeps the table of services and the link
//! to the broker; the others serve requests ([`worker`], [`proxy`]), each with a runtime and a pool of its
//! own. They share what [`shared`] holds: a snapshot of the table that is replaced as a whole, and the slots
//! that count requests. Invariant: a request passes the slot of its instance before the first byte is sent
//! there, and leaves it after the last byte came back; so an acknowledged drain is true.

mod admin;
mod clock;
mod config;
mod control;
mod dns;
mod driver;
pub mod fuzzing;
mod haproxy;
mod httpd;
mod inbound;
mod metrics;
mod predecessors;
mod proxy;
mod question;
mod shared;
mod status;
mod tls;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use leveret_bus::{Bus, BusConfig};

pub use admin::{AdminError, ask as ask_admin};
pub use config::{
    Affinity, CertificateConfig, DnsConfig, DoorConfig, HaproxyConfig, HttpdConfig, Timeouts, TlsConfig,
};
pub use control::probe;
pub use hickory_proto::rr::Name as ZoneName;
pub use status::{InstanceStatus, LinkStatus, ServiceStatus, Status};

use control::Parts;
use dns::DnsSockets;
use shared::Shared;
use tls::Keyring;
use worker::Listeners;

/// A door that serves.
#[derive(Debug)]
pub struct Door {
    shared: Arc<Shared>,
    listen: SocketAddr,
    tls_listen: Option<SocketAddr>,
    dns_listen: Option<SocketAddr>,
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
        let keyring = match &config.tls {
            Some(tls) => Some(Keyring::open(tls.certificates.clone()).map_err(io::Error::other)?),
            None => None,
        };
        let listeners = listeners(&mut config, keyring.as_ref())?;
        // Shared as the others are, so that a second door can take over before this one ends.
        let admin = worker::listener(config.admin)?;
        config.admin = admin.local_addr()?;
        let dns = match config.dns.as_mut() {
            Some(dns) => {
                let sockets = DnsSockets::open(dns.listen)?;
                dns.listen = sockets.address()?;
                Some(sockets)
            }
            None => None,
        };
        let dns_listen = config.dns.as_ref().map(|dns| dns.listen);
        let (listen, tls_listen, admin_address) =
            (config.listen, config.tls.as_ref().map(|tls| tls.listen), config.admin);
        let shared = Arc::new(Shared::new(config));
        let mut threads = Vec::new();
        for (number, listeners) in listeners.into_iter().enumerate() {
            let shared = Arc::clone(&shared);
            let name = format!("door-{number}");
            threads.push(
                std::thread::Builder::new()
                    .name(name)
                    .spawn(move || worker::run(&shared, listeners, number))?,
            );
        }
        let for_control = Arc::clone(&shared);
        let control = std::thread::Builder::new().name("door-control".to_owned());
        threads.push(control.spawn(move || control::run(&for_control, admin, Parts { keyring, dns }, link))?);
        Ok(Self { shared, listen, tls_listen, dns_listen, admin: admin_address, threads })
    }

    /// Where clients connect.
    #[must_use]
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Where clients connect with TLS.
    #[must_use]
    pub fn tls_listen(&self) -> Option<SocketAddr> {
        self.tls_listen
    }

    /// Where resolvers ask.
    #[must_use]
    pub fn dns_listen(&self) -> Option<SocketAddr> {
        self.dns_listen
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

/// The listeners of every thread. All of a port must exist before the first connection, or it would be dealt to
/// one that is closed again.
fn listeners(config: &mut DoorConfig, keyring: Option<&Arc<Keyring>>) -> io::Result<Vec<Listeners>> {
    let threads = config.threads.max(1);
    let inherited = config.sockets.clone();
    let plain = on_every_thread(&mut config.listen, threads, inherited.first())?;
    let Some((keyring, tls)) = keyring.zip(config.tls.as_mut()) else {
        return Ok(plain.into_iter().map(|plain| Listeners { plain, tls: None }).collect());
    };
    let acceptor = tokio_rustls::TlsAcceptor::from(keyring.server_config().map_err(io::Error::other)?);
    let tls = on_every_thread(&mut tls.listen, threads, inherited.get(1))?;
    let both = plain.into_iter().zip(tls);
    Ok(both.map(|(plain, tls)| Listeners { plain, tls: Some((tls, acceptor.clone())) }).collect())
}

/// Listeners on one address, and what the address is. One that was opened for the door is shared by all
/// threads: it has one queue, which stays when the door ends.
fn on_every_thread(
    address: &mut SocketAddr,
    threads: usize,
    inherited: Option<&Arc<std::net::TcpListener>>,
) -> io::Result<Vec<std::net::TcpListener>> {
    if let Some(listener) = inherited {
        listener.set_nonblocking(true)?;
        *address = listener.local_addr()?;
        return (0..threads).map(|_| listener.try_clone()).collect();
    }
    let first = worker::listener(*address)?;
    *address = first.local_addr()?;
    let mut all = vec![first];
    for _ in 1..threads {
        all.push(worker::listener(*address)?);
    }
    Ok(all)
}
