//! The DNS responder: ready instances as A, AAAA and SRV records of a zone, for proxies that ask name servers.
//!
//! Read first: [`zone`], which makes the records; [`answer`] serves them. A resolver may use a record until its
//! ttl is over, so an instance keeps its place, and a drain waits, for that time and two seconds more.

mod answer;
pub(crate) mod fuzzing;
mod zone;

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use hickory_server::Server;
use leveret_model::limits::{
    DNS_DRAIN_GRACE, DNS_TCP_ANSWER_BYTES_MAX, DNS_TCP_TIMEOUT, DNS_TTL, DRIVER_EVERY, DRIVER_STOPPING_EVERY,
};
use leveret_services::ServiceName;

use self::answer::Handler;
use self::zone::Zone;
use crate::config::DnsConfig;
use crate::driver::{Mode, Places};
use crate::shared::{Shared, stopped};

/// The sockets of a responder.
#[derive(Debug)]
pub(crate) struct DnsSockets {
    udp: UdpSocket,
    tcp: std::net::TcpListener,
}

impl DnsSockets {
    /// UDP and TCP on one port.
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        // A free port of UDP may be taken in TCP: the kernel is asked again.
        let mut tries = 0;
        loop {
            let udp = UdpSocket::bind(address)?;
            match std::net::TcpListener::bind(udp.local_addr()?) {
                Ok(tcp) => {
                    udp.set_nonblocking(true)?;
                    tcp.set_nonblocking(true)?;
                    return Ok(Self { udp, tcp });
                }
                Err(error) if address.port() != 0 || tries == FREE_PORT_TRIES => return Err(error),
                Err(_) => tries += 1,
            }
        }
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }
}

const FREE_PORT_TRIES: u32 = 16;

/// Serves until the door ends.
pub(crate) async fn serve(config: DnsConfig, sockets: DnsSockets, shared: Arc<Shared>) {
    let records = Arc::new(ArcSwap::from_pointee(Zone::new(&config)));
    let server = tokio::net::UdpSocket::from_std(sockets.udp).and_then(|udp| {
        let mut server = Server::new(Handler::new(Arc::clone(&records)));
        server.register_socket(udp);
        server.register_listener(
            tokio::net::TcpListener::from_std(sockets.tcp)?,
            DNS_TCP_TIMEOUT,
            DNS_TCP_ANSWER_BYTES_MAX,
        );
        Ok(server)
    });
    let mut server = match server {
        Ok(server) => server,
        Err(error) => return tracing::error!(%error, "the DNS responder cannot run"),
    };
    let stop = stopped(shared.stopping());
    tokio::pin!(stop);
    let mut versions = shared.versions.subscribe();
    let mut follower = Follower { config, places: BTreeMap::new(), gone: BTreeMap::new(), serial: 0 };
    loop {
        if *versions.borrow_and_update() > 0 {
            records.store(Arc::new(follower.follow(&shared)));
        }
        let pause = if follower.gone.is_empty() { DRIVER_EVERY } else { DRIVER_STOPPING_EVERY };
        tokio::select! {
            _ = versions.changed() => {}
            () = tokio::time::sleep(pause) => {}
            () = &mut stop => break,
        }
    }
    // Its sockets close, whatever it says.
    let _ = server.shutdown_gracefully().await;
}

/// Keeps places at the instances that resolvers know.
struct Follower {
    config: DnsConfig,
    places: BTreeMap<ServiceName, Places>,
    /// Instances without a record, and since when.
    gone: BTreeMap<(ServiceName, String), Instant>,
    serial: u32,
}

impl Follower {
    /// The zone of now.
    fn follow(&mut self, shared: &Arc<Shared>) -> Zone {
        let snapshot = shared.snapshot.load();
        for view in &snapshot.services {
            self.places
                .entry(view.name.clone())
                .or_insert_with(|| Places::new(view.name.clone(), Arc::clone(shared)));
        }
        self.serial = self.serial.wrapping_add(1);
        let mut zone = Zone::new(&self.config);
        zone.set_serial(self.serial);
        let mut gone = BTreeMap::new();
        for (service, places) in &mut self.places {
            places.enter_new(|candidate| format!("{} {:x}", candidate.instance, candidate.boot.0));
            for wanted in places.wanted() {
                match wanted.mode {
                    Mode::Serve { address, .. } => zone.add(service, address),
                    // A resolver knows no sessions: one that drains for its sessions has no record.
                    Mode::Sessions => {}
                    Mode::Stop => {
                        let key = (service.clone(), wanted.name);
                        let since = self.gone.get(&key).copied().unwrap_or_else(Instant::now);
                        gone.insert(key, since);
                    }
                }
            }
            zone.add_service(service);
            let over: Duration = DNS_TTL + DNS_DRAIN_GRACE;
            places.leave_drained(|name| {
                gone.get(&(service.clone(), name.to_owned())).is_some_and(|since| since.elapsed() >= over)
            });
        }
        // A service that the table has forgotten, and nobody has a place at.
        self.places.retain(|service, places| places.len() > 0 || snapshot.service(service).is_some());
        gone.retain(|_, since| since.elapsed() < DNS_TTL + DNS_DRAIN_GRACE);
        self.gone = gone;
        zone
    }
}
