//! The registry that a node writes itself: its own records in a zone, by RFC 2136 with TSIG, at the primary.
//!
//! Read `records` first. Invariants: what is not this node's is never touched, but for the records of a node
//! that the cluster has forgotten; a record counts as there when the primary shows it, whatever it said to the
//! update; nothing here decides who is a member.

use std::net::{IpAddr, SocketAddr};

use hickory_proto::rr::{Name, Record, RecordType};
use leveret_model::{NodeId, limits};
use tokio::time::timeout;
use tracing::info;

use super::driver::{Answer, Registry};
use super::records::{self, Change, Names};
use super::verdict::{self, Asked};

use crate::clock;
use crate::dns::{Found, Resolver, addresses_in, ask, exchange_tcp, exchange_udp, in_words, srv};
use crate::node_config::DnsUpdate;

/// The driver.
pub(super) struct Registrar {
    config: DnsUpdate,
    node: NodeId,
    names: Names,
    resolver: Resolver,
    /// Where the node listens.
    cluster: SocketAddr,
    clients: Vec<SocketAddr>,
    /// Clients are let in.
    ready: bool,
    /// Records that the primary has shown: they are only looked for now.
    shown: Vec<Record>,
    /// The primary that the SOA record named; asked for again after a failure.
    learned: Option<SocketAddr>,
}

/// What a node registers.
pub(super) struct Own<'a> {
    pub(super) node: NodeId,
    pub(super) name: &'a str,
    pub(super) group: &'a str,
    pub(super) cluster: SocketAddr,
    pub(super) clients: &'a [SocketAddr],
}

impl Registrar {
    /// # Errors
    /// A name that cannot be, in words.
    pub(super) fn new(config: DnsUpdate, server: Option<SocketAddr>, own: &Own<'_>) -> Result<Self, String> {
        let names = Names::new(&config.zone, own.group, config.client_name.as_deref(), own.name, own.node)?;
        if !names.zone.zone_of(&names.clients) {
            return Err(format!("the client name {} lies outside of the zone {}", names.clients, names.zone));
        }
        Ok(Self {
            node: own.node,
            names,
            resolver: Resolver::new(server),
            cluster: own.cluster,
            clients: own.clients.to_vec(),
            ready: false,
            shown: Vec::new(),
            learned: None,
            config,
        })
    }

    async fn primary(&mut self) -> Result<SocketAddr, String> {
        if let Some(primary) = self.config.primary.or(self.learned) {
            return Ok(primary);
        }
        let primary = self.resolver.primary(&self.names.zone).await?;
        self.learned = Some(primary);
        Ok(primary)
    }

    /// Addresses under which a listener is reached. One that listens on every address is reached by that from
    /// which packets to the name server leave.
    fn addresses(&self, listener: SocketAddr, primary: SocketAddr) -> Result<Vec<SocketAddr>, String> {
        let ips = match (&*self.config.addresses, listener.ip()) {
            ([], ip) if ip.is_unspecified() => vec![own_address(primary)?],
            ([], ip) => vec![ip],
            (given, _) => given.to_vec(),
        };
        Ok(ips.into_iter().map(|ip| SocketAddr::new(ip, listener.port())).collect())
    }

    /// Addresses under which clients reach this node, each once. One that others can use leaves out those of
    /// this machine alone.
    fn client_addresses(&self, primary: SocketAddr) -> Result<Vec<IpAddr>, String> {
        let mut ips = Vec::new();
        for &listener in &self.clients {
            ips.extend(self.addresses(listener, primary)?.iter().map(SocketAddr::ip));
        }
        if ips.iter().any(|ip| !ip.is_loopback()) {
            ips.retain(|ip| !ip.is_loopback());
        }
        ips.sort_unstable();
        ips.dedup();
        Ok(ips)
    }

    fn own_records(&self, primary: SocketAddr) -> Result<Vec<Record>, String> {
        let cluster = self.addresses(self.cluster, primary)?;
        let mut records = records::of_node(&self.names, &cluster, self.config.ttl_s);
        if self.ready {
            let clients = self.client_addresses(primary)?;
            records.extend(records::of_clients(&self.names, &clients, self.config.ttl_s));
        }
        Ok(records)
    }

    async fn register_all(&mut self) -> Result<(), String> {
        let primary = self.primary().await?;
        let records = self.own_records(primary)?;
        if self.shown.is_empty() {
            self.remove_former(primary, &records).await?;
        }
        let (mut put, mut put_again) = (0, 0);
        for record in records {
            let known = self.shown.contains(&record);
            if known {
                if is_there(primary, &record).await? {
                    continue;
                }
                let (name, kind) = (&record.name, record.record_type());
                info!(%name, %kind, "a record of this node is gone from the zone: it is registered again");
            }
            self.send(primary, &record, Change::Put).await?;
            if !is_there(primary, &record).await? {
                return Err(format!(
                    "{primary} says NOERROR and does not show {} {} afterwards: it is no primary, or a CNAME has the name",
                    record.name,
                    record.record_type()
                ));
            }
            put += 1;
            if known {
                put_again += 1;
            } else {
                self.shown.push(record);
            }
        }
        let (zone, clients) = (&self.names.zone, self.ready);
        if put_again > 0 {
            info!(%zone, clients, records = put_again, "registered in DNS again");
        } else if put > 0 {
            info!(%zone, clients, name = %self.names.node, "registered in DNS");
        }
        Ok(())
    }

    /// Takes away what an earlier start of this node left that was killed and had another address, port or
    /// name.
    async fn remove_former(&self, primary: SocketAddr, own: &[Record]) -> Result<(), String> {
        let (neighbours, former) =
            self.neighbours(primary, |target| records::is_name_of(target, self.node)).await?;
        let now: Vec<IpAddr> = own.iter().filter_map(|record| record.data.ip_addr()).collect();
        for record in &former {
            let Some(service) = srv(record) else { continue };
            for address in target_addresses(primary, &[], &service.target).await? {
                if !neighbours.contains(&address) && !now.contains(&address) {
                    self.remove(primary, &records::address_record(&self.names.clients, address, 0)).await?;
                }
                if service.target != self.names.node || !now.contains(&address) {
                    self.remove(primary, &records::address_record(&service.target, address, 0)).await?;
                }
            }
            if !own.iter().any(|own| own.data == record.data) {
                self.remove(primary, record).await?;
            }
        }
        Ok(())
    }

    /// Takes back what was or may have been written, clients first. An update that was not answered may still
    /// be applied later, so it is looked for once more.
    async fn withdraw_all(&mut self) -> Result<(), String> {
        let primary = self.primary().await?;
        self.ready = true;
        let mut records = self.own_records(primary)?;
        records.extend(std::mem::take(&mut self.shown));
        records.reverse();
        let mut wrong = Ok(());
        let (neighbours, _) = self.neighbours(primary, |target| *target == self.names.node).await?;
        for record in &records {
            let shared = record.name == self.names.clients
                && record.data.ip_addr().is_some_and(|address| neighbours.contains(&address));
            if shared {
                // another node of this machine is reached there
                continue;
            }
            if let Err(error) = self.remove(primary, record).await {
                wrong = Err(error);
            }
        }
        wrong
    }

    async fn remove(&self, primary: SocketAddr, record: &Record) -> Result<(), String> {
        if !is_there(primary, record).await? {
            return Ok(());
        }
        self.send(primary, record, Change::Remove).await?;
        match is_there(primary, record).await? {
            false => Ok(()),
            true => Err(format!(
                "{primary} says NOERROR and still shows {} {}",
                record.name,
                record.record_type()
            )),
        }
    }

    /// Addresses of the nodes that are registered, without those whose name is one to leave out; and these.
    async fn neighbours(
        &self,
        primary: SocketAddr,
        left_out: impl Fn(&Name) -> bool,
    ) -> Result<(Vec<IpAddr>, Vec<Record>), String> {
        let found = ask(primary, &self.names.service, RecordType::SRV, false).await?;
        let Found::Records(services, rest) = found else { return Ok((Vec::new(), Vec::new())) };
        let is_left_out = |record: &Record| srv(record).is_some_and(|service| left_out(&service.target));
        let (out, others): (Vec<Record>, Vec<Record>) = services.into_iter().partition(is_left_out);
        let mut addresses = Vec::new();
        for service in others.iter().filter_map(srv).take(limits::SEEDS_MAX) {
            addresses.extend(target_addresses(primary, &rest, &service.target).await?);
        }
        Ok((addresses, out))
    }

    /// What a node left that the cluster has forgotten: its service record, its addresses, and these under the
    /// clients' name unless a node that is registered has them too.
    async fn remove_node(&mut self, node: NodeId) -> Result<(), String> {
        let primary = self.primary().await?;
        let (alive, dead) = self.neighbours(primary, |target| records::is_name_of(target, node)).await?;
        for record in &dead {
            let Some(service) = srv(record) else { continue };
            for address in target_addresses(primary, &[], &service.target).await? {
                if !alive.contains(&address) {
                    self.remove(primary, &records::address_record(&self.names.clients, address, 0)).await?;
                }
                self.remove(primary, &records::address_record(&service.target, address, 0)).await?;
            }
            self.remove(primary, record).await?;
        }
        Ok(())
    }

    async fn send(&self, primary: SocketAddr, record: &Record, change: Change) -> Result<(), String> {
        let mut message = records::update(&self.names.zone, record, change);
        let signed_at = clock::unix_ms() / 1_000;
        let wrong = |error| format!("the update cannot be signed: {error}");
        let verifier = message.finalize(self.config.key.signer(), signed_at).map_err(wrong)?;
        let verifier = verifier.ok_or("the update cannot be signed")?;
        let bytes = message.to_vec().map_err(|error| format!("the update cannot be written: {error}"))?;
        // over a connection no reply is lost; a server without TCP gets a datagram
        let reply = match exchange_tcp(primary, &bytes).await {
            Ok(reply) => Ok(reply),
            Err(_) => exchange_udp(primary, &bytes).await,
        };
        let reply = reply.map_err(|error| {
            format!("{primary} does not take the update: {}; is it the primary of {}, and up? (Knot 3.5 does not answer for a frozen zone)", in_words(&error), self.names.zone)
        })?;
        let (zone, key) = (self.names.zone.to_ascii(), self.config.key.signer().signer_name().to_ascii());
        let asked = Asked { zone: &zone, key: &key, signed_at };
        verdict::of_reply(&reply, verifier, asked)
            .map_err(|why| format!("{primary} {why} ({} {})", record.name, record.record_type()))
    }

    async fn find(&mut self) -> Result<Vec<String>, String> {
        // the primary knows first; a resolver may answer from its cache, also that there is nothing
        let primary = self.primary().await;
        let (own, found) = match primary {
            Ok(primary) => {
                let own = self.addresses(self.cluster, primary).unwrap_or_default();
                (own, self.services_at(primary).await)
            }
            Err(error) => (Vec::new(), Err(error)),
        };
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                self.learned = None;
                let service = self.names.service.clone();
                self.resolver.services(&service).await.map_err(|_| error)?
            }
        };
        Ok(found
            .into_iter()
            .filter(|address| !own.contains(address))
            .map(|address| address.to_string())
            .collect())
    }

    async fn services_at(&self, primary: SocketAddr) -> Result<Vec<SocketAddr>, String> {
        let (services, rest) = match ask(primary, &self.names.service, RecordType::SRV, false).await? {
            Found::Records(services, rest) => (services, rest),
            // nobody is registered, and that is an answer
            Found::Nothing(_) => return Ok(Vec::new()),
        };
        let mut found = Vec::new();
        for service in services.iter().filter_map(srv).take(limits::SEEDS_MAX) {
            let addresses = target_addresses(primary, &rest, &service.target).await?;
            found.extend(addresses.into_iter().map(|ip| SocketAddr::new(ip, service.port)));
        }
        Ok(found)
    }
}

impl Registry for Registrar {
    fn what(&self) -> String {
        format!("dns-update of {}", self.names.zone)
    }

    fn seeds(&mut self) -> Answer<'_, Vec<String>> {
        Box::pin(self.find())
    }

    fn register(&mut self, ready: bool) -> Answer<'_, bool> {
        Box::pin(async move {
            self.ready |= ready;
            let done = timeout(limits::REGISTER_WAIT, self.register_all()).await;
            let done = done.unwrap_or_else(|_| Err("no answer in time".to_owned()));
            if done.is_err() {
                // the zone may have moved
                self.learned = None;
            }
            done.map(|()| true)
        })
    }

    fn withdraw(&mut self) -> Answer<'_, ()> {
        Box::pin(self.withdraw_all())
    }

    fn forget(&mut self, node: NodeId) -> Answer<'_, ()> {
        Box::pin(self.remove_node(node))
    }
}

/// Addresses of a service's target: those that came with the service record, else by questions of their own.
async fn target_addresses(
    primary: SocketAddr,
    rest: &[Record],
    target: &Name,
) -> Result<Vec<IpAddr>, String> {
    let mut addresses = addresses_in(rest, target);
    if addresses.is_empty() {
        for kind in [RecordType::A, RecordType::AAAA] {
            if let Found::Records(records, _) = ask(primary, target, kind, false).await? {
                addresses.extend(records.iter().filter_map(|record| record.data.ip_addr()));
            }
        }
    }
    Ok(addresses)
}

/// The primary shows a record of this value; its time to live may be that of a neighbour.
async fn is_there(primary: SocketAddr, record: &Record) -> Result<bool, String> {
    match ask(primary, &record.name, record.record_type(), false).await? {
        Found::Records(records, _) => {
            Ok(records.iter().any(|found| found.data == record.data && found.name == record.name))
        }
        Found::Nothing(_) => Ok(false),
    }
}

/// The address that packets to the name server leave from. Nothing is sent.
fn own_address(server: SocketAddr) -> Result<IpAddr, String> {
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = std::net::UdpSocket::bind(any).and_then(|socket| {
        socket.connect(server)?;
        socket.local_addr()
    });
    socket
        .map(|address| address.ip())
        .map_err(|error| format!("no way to {server}: {error}; see --dns-address"))
}
