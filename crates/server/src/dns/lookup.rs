//! Names to addresses: every server in turn until one answers, A and AAAA each on its own.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::rdata::SRV;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use leveret_model::limits;
use tokio::time::timeout;

use super::exchange::question;
use super::system::{Settings, System};

/// Looks names up, always anew: a cached answer would hide a node for its time to live.
#[derive(Debug)]
pub(crate) struct Resolver {
    system: System,
    /// Asked instead of the system's servers.
    server: Option<SocketAddr>,
}

/// What the servers say of a name and a type.
#[derive(Debug)]
pub(crate) enum Found {
    /// These records of the type; the others of the reply may help.
    Records(Vec<Record>, Vec<Record>),
    /// The name has none, or does not exist.
    Nothing(&'static str),
}

/// Asks one server for records.
///
/// # Errors
/// It does not answer, or refuses: in words.
pub(crate) async fn ask(
    server: SocketAddr,
    name: &Name,
    kind: RecordType,
    recurse: bool,
) -> Result<Found, String> {
    let mut query = Message::query();
    query.metadata.recursion_desired = recurse;
    query.add_query(Query::query(name.clone(), kind));
    let reply = question(server, &query).await.map_err(|error| format!("{server}: {error}"))?;
    match reply.metadata.response_code {
        ResponseCode::NoError => {
            // an alias comes with what it leads to, so owners differ
            let (records, mut rest): (Vec<Record>, Vec<Record>) =
                reply.answers.into_iter().partition(|record| record.record_type() == kind);
            rest.extend(reply.additionals);
            let aliased = rest.iter().any(|record| record.record_type() == RecordType::CNAME);
            if records.is_empty() && !aliased {
                return Ok(Found::Nothing("no such records"));
            }
            Ok(Found::Records(records, rest))
        }
        ResponseCode::NXDomain => Ok(Found::Nothing("no such name")),
        code => Err(format!("{server}: {code}")),
    }
}

impl Resolver {
    pub(crate) fn new(server: Option<SocketAddr>) -> Self {
        Self { system: System::new(), server }
    }

    fn settings(&mut self) -> Result<Settings, String> {
        match self.server {
            Some(server) => Ok(Settings::of_server(server)),
            None => self.system.settings(),
        }
    }

    /// Addresses of a name: of `/etc/hosts` if it has the name, else of its A and AAAA records. What comes
    /// first is waited for, the other type only a little longer.
    ///
    /// # Errors
    /// There are none, or nobody can say: in words, each type apart.
    pub(crate) async fn addresses(&mut self, name: &Name) -> Result<Vec<IpAddr>, String> {
        if self.server.is_none() {
            let hosts = self.system.hosts(name);
            if !hosts.is_empty() {
                return Ok(hosts);
            }
        }
        let settings = self.settings()?;
        let mut v4 = pin!(of_type(&settings, name, RecordType::A));
        let mut v6 = pin!(of_type(&settings, name, RecordType::AAAA));
        // whoever has addresses ends the wait for the other, after a moment
        let (v4, v6) = tokio::select! {
            v4 = &mut v4 => {
                let rest = if has_addresses(&v4) { limits::DNS_OTHER_TYPE_WAIT } else { limits::LOOK_UP_WAIT };
                let v6 = timeout(rest, v6).await.unwrap_or_else(|_| Err("no answer".to_owned()));
                (v4, v6)
            }
            v6 = &mut v6 => {
                let rest = if has_addresses(&v6) { limits::DNS_OTHER_TYPE_WAIT } else { limits::LOOK_UP_WAIT };
                let v4 = timeout(rest, v4).await.unwrap_or_else(|_| Err("no answer".to_owned()));
                (v4, v6)
            }
        };
        let mut addresses = v4.clone().unwrap_or_default();
        addresses.extend(v6.clone().unwrap_or_default());
        if !addresses.is_empty() {
            return Ok(addresses);
        }
        let said = |of: Result<Vec<IpAddr>, String>| of.err().unwrap_or_else(|| "no such records".to_owned());
        Err(format!("A: {}; AAAA: {}", said(v4), said(v6)))
    }

    /// Where the SRV records of a name lead.
    ///
    /// # Errors
    /// There are none, none of their targets has an address, or nobody can say.
    pub(crate) async fn services(&mut self, name: &Name) -> Result<Vec<SocketAddr>, String> {
        let settings = self.settings()?;
        let (records, rest) = match of_servers(&settings, name, RecordType::SRV).await? {
            Found::Records(records, rest) => (records, rest),
            Found::Nothing(why) => return Err(why.to_owned()),
        };
        let (mut found, mut why) = (Vec::new(), "no such records".to_owned());
        for service in records.iter().filter_map(srv).take(limits::SEEDS_MAX) {
            let given = addresses_in(&rest, &service.target);
            let addresses = if given.is_empty() { self.addresses(&service.target).await } else { Ok(given) };
            match addresses {
                Ok(addresses) => {
                    found.extend(addresses.into_iter().map(|ip| SocketAddr::new(ip, service.port)));
                }
                Err(error) => why = format!("{}: {error}", service.target),
            }
        }
        if found.is_empty() { Err(why) } else { Ok(found) }
    }

    /// The server that a zone's SOA record names as its primary, with the port of the server that was asked
    /// if that was given.
    ///
    /// # Errors
    /// There is no SOA record, or its server has no address.
    pub(crate) async fn primary(&mut self, zone: &Name) -> Result<SocketAddr, String> {
        let settings = self.settings()?;
        let port = self.server.map_or(53, |server| server.port());
        let found = of_servers(&settings, zone, RecordType::SOA).await;
        let records = match found.map_err(|error| format!("the SOA record of {zone}: {error}"))? {
            Found::Records(records, _) => records,
            Found::Nothing(why) => return Err(format!("the SOA record of {zone}: {why}")),
        };
        let primary = records.iter().find_map(|record| match &record.data {
            RData::SOA(soa) => Some(soa.mname.clone()),
            _ => None,
        });
        let primary =
            primary.ok_or_else(|| format!("{zone} is not the top of a zone: it has no SOA record"))?;
        let addresses = self.addresses(&primary).await;
        let addresses = addresses.map_err(|error| format!("the primary of {zone}, {primary}: {error}"))?;
        let address =
            addresses.first().ok_or_else(|| format!("the primary of {zone}, {primary}: no address"))?;
        Ok(SocketAddr::new(*address, port))
    }
}

fn has_addresses(found: &Result<Vec<IpAddr>, String>) -> bool {
    found.as_ref().is_ok_and(|addresses| !addresses.is_empty())
}

/// Addresses of one type, under the first name of the search list that has some.
async fn of_type(settings: &Settings, name: &Name, kind: RecordType) -> Result<Vec<IpAddr>, String> {
    let mut why = "no such name".to_owned();
    for candidate in settings.candidates(name) {
        let mut asked = candidate;
        // a server that does not follow aliases leaves that to whoever asks
        for _ in 0..limits::DNS_ALIASES_MAX {
            let (records, rest) = match of_servers(settings, &asked, kind).await? {
                Found::Records(records, rest) => (records, rest),
                Found::Nothing(nothing) => {
                    nothing.clone_into(&mut why);
                    break;
                }
            };
            let addresses: Vec<IpAddr> = records.iter().filter_map(|record| record.data.ip_addr()).collect();
            if !addresses.is_empty() {
                return Ok(addresses);
            }
            let alias = rest.iter().find_map(|record| match &record.data {
                RData::CNAME(target) if record.name == asked => Some(target.0.clone()),
                _ => None,
            });
            match alias {
                Some(target) => asked = target,
                None => break,
            }
            "its alias leads nowhere".clone_into(&mut why);
        }
    }
    Err(why)
}

/// The first server that answers; a refusal or a failure is no answer.
async fn of_servers(settings: &Settings, name: &Name, kind: RecordType) -> Result<Found, String> {
    let mut why = "no name server is configured".to_owned();
    // every server has its turn before one has its second: a datagram may be lost, a server dead
    let turns = (0..limits::DNS_ROUNDS).flat_map(|_| &settings.servers);
    for &server in turns {
        match ask(server, name, kind, true).await {
            Ok(found) => return Ok(found),
            Err(error) => why = error,
        }
    }
    Err(why)
}

pub(crate) fn srv(record: &Record) -> Option<&SRV> {
    match &record.data {
        RData::SRV(service) => Some(service),
        _ => None,
    }
}

/// Addresses of a name among records.
pub(crate) fn addresses_in(records: &[Record], name: &Name) -> Vec<IpAddr> {
    records.iter().filter(|record| record.name == *name).filter_map(|record| record.data.ip_addr()).collect()
}
