//! The records of a zone, as the table of services is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use hickory_proto::rr::rdata::{SOA, SRV};
use hickory_proto::rr::{LowerName, Name, RData, Record, RecordType};
use leveret_model::limits::{DNS_ANSWERS_MAX, DNS_TTL};
use leveret_services::ServiceName;

use crate::config::DnsConfig;

/// HAProxy rounds an SRV weight up to a 256th of it, and 0 gets nothing (`server-template`).
const SRV_WEIGHT: u16 = 256;

/// A zone at one moment.
#[derive(Debug)]
pub(super) struct Zone {
    origin: Name,
    fallback: Option<SocketAddr>,
    serial: u32,
    /// Instances, by service: a service without one is there all the same.
    services: BTreeMap<String, BTreeSet<SocketAddr>>,
}

/// What a zone says to a question.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    /// These records; none of that type if it is empty.
    Records {
        answers: Vec<Record>,
        /// Addresses of targets.
        additional: Vec<Record>,
    },
    NoSuchName,
    /// Not of this zone.
    NotOurs,
}

impl Zone {
    pub(super) fn new(config: &DnsConfig) -> Self {
        Self { origin: config.zone.clone(), fallback: config.fallback, serial: 0, services: BTreeMap::new() }
    }

    pub(super) fn set_serial(&mut self, serial: u32) {
        self.serial = serial;
    }

    /// The service has a name, with or without an instance.
    pub(super) fn add_service(&mut self, service: &ServiceName) {
        self.services.entry(service.to_string()).or_default();
    }

    pub(super) fn add(&mut self, service: &ServiceName, address: SocketAddr) {
        self.services.entry(service.to_string()).or_default().insert(address);
    }

    /// Answers a question; `turn` rotates what is more than one.
    pub(super) fn say(&self, name: &LowerName, kind: RecordType, turn: usize) -> Said {
        if !LowerName::from(&self.origin).zone_of(name) {
            return Said::NotOurs;
        }
        let labels = self.labels(name);
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        match labels.as_slice() {
            [] if kind == RecordType::SOA => {
                Said::Records { answers: vec![self.soa()], additional: Vec::new() }
            }
            [] | ["_tcp", _] => nothing(),
            [service] => match self.addresses(service) {
                Some(addresses) => self.of_addresses(name, kind, &addresses, turn),
                None => Said::NoSuchName,
            },
            ["_http", "_tcp", service] => match self.addresses(service) {
                Some(addresses) if kind == RecordType::SRV => {
                    self.of_targets(name, service, &addresses, turn)
                }
                Some(_) => nothing(),
                None => Said::NoSuchName,
            },
            [target, service] => {
                let all = self.addresses(service).unwrap_or_default();
                match all.into_iter().find(|address| label(*address) == *target) {
                    Some(address) => self.of_addresses(name, kind, &[address], turn),
                    None => Said::NoSuchName,
                }
            }
            _ => Said::NoSuchName,
        }
    }

    /// Labels in front of the zone's own.
    fn labels(&self, name: &LowerName) -> Vec<String> {
        let name = Name::from(name.clone());
        let own = usize::from(name.num_labels()) - usize::from(self.origin.num_labels());
        name.iter().take(own).map(|label| String::from_utf8_lossy(label).into_owned()).collect()
    }

    /// Instances of a service, or the fallback; `None` if nobody knows the service.
    fn addresses(&self, service: &str) -> Option<Vec<SocketAddr>> {
        let fallback = || self.fallback.into_iter().collect();
        match self.services.get(service) {
            Some(addresses) if !addresses.is_empty() => Some(addresses.iter().copied().collect()),
            Some(_) => Some(fallback()),
            // A door that has just started knows no service, and a proxy would keep the NXDOMAIN.
            None if self.fallback.is_some() && ServiceName::new(service).is_ok() => Some(fallback()),
            None => None,
        }
    }

    fn of_addresses(
        &self,
        name: &LowerName,
        kind: RecordType,
        addresses: &[SocketAddr],
        turn: usize,
    ) -> Said {
        let owner = Name::from(name.clone());
        let mut unique: Vec<SocketAddr> = addresses.to_vec();
        unique.dedup_by_key(|address| address.ip());
        let records = unique.iter().map(|address| address_record(&owner, *address));
        let mut answers: Vec<Record> = records.filter(|record| record.record_type() == kind).collect();
        rotate(&mut answers, turn);
        Said::Records { answers, additional: Vec::new() }
    }

    fn of_targets(&self, name: &LowerName, service: &str, addresses: &[SocketAddr], turn: usize) -> Said {
        let mut addresses = addresses.to_vec();
        rotate(&mut addresses, turn);
        let owner = Name::from(name.clone());
        let mut said = (Vec::new(), Vec::new());
        for address in addresses {
            // Both labels are made of a-z, 0-9 and -; a zone so long that they do not fit has no records.
            let target = Name::from_ascii(format!("{}.{service}", label(address)))
                .and_then(|target| target.append_domain(&self.origin));
            let Ok(target) = target else { continue };
            let srv = SRV::new(0, SRV_WEIGHT, address.port(), target.clone());
            said.0.push(Record::from_rdata(owner.clone(), ttl(), RData::SRV(srv)));
            said.1.push(address_record(&target, address));
        }
        Said::Records { answers: said.0, additional: said.1 }
    }

    /// Tells resolvers how long they may remember that there is nothing.
    pub(super) fn soa(&self) -> Record {
        let soa = SOA::new(
            self.origin.clone(),
            self.origin.clone(),
            self.serial,
            // Nobody transfers this zone; a day each.
            86_400,
            86_400,
            86_400,
            ttl(),
        );
        Record::from_rdata(self.origin.clone(), ttl(), RData::SOA(soa))
    }
}

fn nothing() -> Said {
    Said::Records { answers: Vec::new(), additional: Vec::new() }
}

fn ttl() -> u32 {
    u32::try_from(DNS_TTL.as_secs()).unwrap_or(1)
}

fn address_record(owner: &Name, address: SocketAddr) -> Record {
    let data = match address {
        SocketAddr::V4(address) => RData::A((*address.ip()).into()),
        SocketAddr::V6(address) => RData::AAAA((*address.ip()).into()),
    };
    Record::from_rdata(owner.clone(), ttl(), data)
}

/// The name of an address under its service.
fn label(address: SocketAddr) -> String {
    format!("ip-{}", address.ip().to_string().replace(['.', ':'], "-"))
}

/// Starts elsewhere each time, so that a resolver that takes the first record takes each in turn.
fn rotate<T>(all: &mut Vec<T>, turn: usize) {
    if !all.is_empty() {
        let by = turn % all.len();
        all.rotate_left(by);
        all.truncate(DNS_ANSWERS_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(fallback: Option<&str>, addresses: &[&str]) -> Zone {
        let config = DnsConfig {
            listen: ([127, 0, 0, 1], 0).into(),
            zone: Name::from_ascii("door.internal.").expect("a name"),
            fallback: fallback.map(|address| address.parse().expect("an address")),
        };
        let mut zone = Zone::new(&config);
        for address in addresses {
            zone.add(&ServiceName::new("shop").expect("a name"), address.parse().expect("an address"));
        }
        zone
    }

    fn ask(zone: &Zone, name: &str, kind: RecordType, turn: usize) -> Vec<String> {
        match zone.say(&LowerName::from(Name::from_ascii(name).expect("a name")), kind, turn) {
            Said::Records { answers, .. } => answers.iter().map(|record| record.data.to_string()).collect(),
            other => vec![format!("{other:?}")],
        }
    }

    #[test]
    fn a_service_has_its_addresses_in_turn() {
        let zone = zone(None, &["10.0.0.1:80", "10.0.0.1:81", "10.0.0.2:80"]);
        let name = "shop.door.internal.";
        assert_eq!(ask(&zone, name, RecordType::A, 0), ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(ask(&zone, name, RecordType::A, 1), ["10.0.0.2", "10.0.0.1"]);
        assert!(ask(&zone, name, RecordType::AAAA, 0).is_empty(), "no such record, and no error");
        assert_eq!(ask(&zone, "none.door.internal.", RecordType::A, 0), ["NoSuchName"]);
        assert_eq!(ask(&zone, "shop.example.org.", RecordType::A, 0), ["NotOurs"]);
    }

    #[test]
    fn ports_are_in_srv_records_and_their_targets_have_addresses() {
        let zone = zone(None, &["10.0.0.1:80", "[fc00::1]:81"]);
        let srv = ask(&zone, "_http._tcp.shop.door.internal.", RecordType::SRV, 0);
        assert_eq!(
            srv,
            ["0 256 80 ip-10-0-0-1.shop.door.internal.", "0 256 81 ip-fc00--1.shop.door.internal.",]
        );
        assert_eq!(ask(&zone, "ip-10-0-0-1.shop.door.internal.", RecordType::A, 0), ["10.0.0.1"]);
        assert_eq!(ask(&zone, "ip-fc00--1.shop.door.internal.", RecordType::AAAA, 0), ["fc00::1"]);
        assert_eq!(ask(&zone, "ip-10-0-0-9.shop.door.internal.", RecordType::A, 0), ["NoSuchName"]);
    }

    #[test]
    fn without_an_instance_the_fallback_answers_for_every_service() {
        let zone = zone(Some("10.0.0.9:8080"), &[]);
        assert_eq!(ask(&zone, "shop.door.internal.", RecordType::A, 0), ["10.0.0.9"]);
        let srv = ask(&zone, "_http._tcp.shop.door.internal.", RecordType::SRV, 0);
        assert_eq!(srv, ["0 256 8080 ip-10-0-0-9.shop.door.internal."]);
    }

    #[test]
    fn a_reply_has_a_bounded_number_of_records() {
        let addresses: Vec<String> = (0..200).map(|last| format!("10.0.0.{last}:80")).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let zone = zone(None, &addresses);
        assert_eq!(ask(&zone, "shop.door.internal.", RecordType::A, 7).len(), DNS_ANSWERS_MAX);
    }
}
