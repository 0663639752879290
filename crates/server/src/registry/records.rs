//! What a node says of itself in a zone, and the updates that put it there and take it away.
//!
//! ```text
//!   web1-5672-0123456789ab.ZONE.  A     10.0.0.1               this node's name, nobody else's
//!   _leveret._tcp.ZONE.           SRV   0 256 25672 web1-…     one record of each node of the group
//!   mq.ZONE.                      A     10.0.0.1               one record of each node that takes clients
//! ```
//! Invariants: a record is added and deleted by its value, never a whole set, and without prerequisites, so
//! that each message may be lost, doubled or late; a record's deletion stands before its addition, because BIND
//! works through a message in order and refuses the 101st record of a name, and so that a new time to live
//! holds (Knot keeps that of a record which is there already).

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr as _;

use hickory_proto::op::{Message, OpCode, Query};
use hickory_proto::rr::rdata::{A, AAAA, SRV};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use leveret_model::NodeId;

/// HAProxy makes its weight of SRV weights: weight/256 rounded up, and 0 is drained.
const SRV_WEIGHT: u16 = 256;
/// A label is of 63 bytes at most: the name for people, a hyphen, and digits of the id.
const LABEL_BYTES_OF_NAME: usize = 40;

/// The names of a group in its zone.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) zone: Name,
    /// SRV records, one of each node.
    pub(super) service: Name,
    /// Where clients connect.
    pub(super) clients: Name,
    /// This node's own.
    pub(super) node: Name,
}

impl Names {
    /// # Errors
    /// Which name is too long or no name, in words.
    pub(super) fn new(
        zone: &str,
        group: &str,
        clients: Option<&str>,
        node_name: &str,
        node: NodeId,
    ) -> Result<Self, String> {
        let absolute = |text: &str| {
            let mut name = Name::from_str(text).map_err(|error| format!("{text} is no DNS name: {error}"))?;
            name.set_fqdn(true);
            Ok::<Name, String>(name)
        };
        let zone = absolute(zone)?;
        let within = |text: &str| {
            let name = Name::from_str(text).and_then(|name| name.append_domain(&zone));
            name.map_err(|error| format!("{text}.{zone} is no DNS name: {error}"))
        };
        let own_clients = if group == "leveret" { "mq".to_owned() } else { format!("mq-{group}") };
        Ok(Self {
            service: within(&format!("_{group}._tcp"))?,
            clients: clients.map_or_else(|| within(&own_clients), absolute)?,
            node: within(&format!("{}-{}", label(node_name), digits(node)))?,
            zone,
        })
    }
}

/// A name for people as the beginning of a label: BIND refuses an address record whose name has an underscore.
fn label(name: &str) -> String {
    let plain = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    let label: String = plain.take(LABEL_BYTES_OF_NAME).collect();
    let label = label.trim_matches('-');
    if label.is_empty() { "node".to_owned() } else { label.to_owned() }
}

/// Enough of a node's id for the nodes of one zone.
fn digits(node: NodeId) -> String {
    format!("{:012x}", node.0 >> 80)
}

/// The name is that of this node, whatever people called it.
pub(super) fn is_name_of(name: &Name, node: NodeId) -> bool {
    let label = name.iter().next().unwrap_or_default();
    label.ends_with(format!("-{}", digits(node)).as_bytes())
}

/// Records of a node: its addresses, then the service, so that nobody finds a service without an address.
pub(super) fn of_node(names: &Names, cluster: &[SocketAddr], ttl: u32) -> Vec<Record> {
    let mut records: Vec<Record> =
        cluster.iter().map(|address| address_record(&names.node, address.ip(), ttl)).collect();
    if let Some(first) = cluster.first() {
        let service = SRV::new(0, SRV_WEIGHT, first.port(), names.node.clone());
        records.push(Record::from_rdata(names.service.clone(), ttl, RData::SRV(service)));
    }
    records
}

/// What leads clients to this node.
pub(super) fn of_clients(names: &Names, addresses: &[IpAddr], ttl: u32) -> Vec<Record> {
    addresses.iter().map(|&address| address_record(&names.clients, address, ttl)).collect()
}

pub(super) fn address_record(name: &Name, address: IpAddr, ttl: u32) -> Record {
    let data = match address {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    };
    Record::from_rdata(name.clone(), ttl, data)
}

/// What is to become of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Put,
    Remove,
}

/// An update of one record (RFC 2136 §2.5): one message each, so that one that is refused hides no other.
pub(super) fn update(zone: &Name, record: &Record, change: Change) -> Message {
    let mut message = Message::query();
    message.metadata.op_code = OpCode::Update;
    message.metadata.recursion_desired = false;
    message.add_query(Query::query(zone.clone(), RecordType::SOA));
    // §2.5.4: delete by value, with class NONE and time to live 0
    let mut gone = record.clone();
    gone.dns_class = DNSClass::NONE;
    gone.ttl = 0;
    message.add_authority(gone);
    if change == Change::Put {
        message.add_authority(record.clone());
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);

    fn names(group: &str, clients: Option<&str>, name: &str) -> Names {
        Names::new("cloud.test", group, clients, name, NODE).unwrap()
    }

    #[test]
    fn groups_of_one_zone_have_names_of_their_own() {
        let [one, other] = ["leveret", "shop"].map(|group| names(group, None, "Web_1:5672"));
        assert_eq!(one.service.to_ascii(), "_leveret._tcp.cloud.test.");
        assert_eq!(other.service.to_ascii(), "_shop._tcp.cloud.test.");
        assert_eq!(
            [&one, &other].map(|names| names.clients.to_ascii()),
            ["mq.cloud.test.", "mq-shop.cloud.test."]
        );
        assert_eq!(one.node.to_ascii(), "web-1-5672-0123456789ab.cloud.test.");
        assert_eq!(names("leveret", Some("amqp.cloud.test"), "n").clients.to_ascii(), "amqp.cloud.test.");
    }

    #[test]
    fn the_label_of_a_node_is_a_host_name_however_it_is_called() {
        for (name, label) in
            [("", "node"), ("___", "node"), ("-a-", "a"), ("é@b", "b"), (&*"x".repeat(200), &*"x".repeat(40))]
        {
            assert_eq!(super::label(name), label);
        }
        let own = names("leveret", None, "web1").node;
        assert!(is_name_of(&own, NODE) && !is_name_of(&own, NodeId(1)));
        assert!(is_name_of(&names("leveret", None, "another").node, NODE), "the node was renamed");
    }

    #[test]
    fn an_update_deletes_by_value_before_it_adds_and_never_a_set() {
        let names = names("leveret", None, "n");
        for record in of_node(&names, &["10.0.0.1:7".parse().unwrap(), "[fd00::1]:7".parse().unwrap()], 5) {
            let put = update(&names.zone, &record, Change::Put);
            let classes: Vec<DNSClass> = put.authorities.iter().map(|record| record.dns_class).collect();
            assert_eq!(classes, [DNSClass::NONE, DNSClass::IN]);
            assert!(put.authorities.iter().all(|each| each.data == record.data && each.name == record.name));
            assert!(put.answers.is_empty(), "no prerequisites");
            let remove = update(&names.zone, &record, Change::Remove);
            assert_eq!(remove.authorities.len(), 1);
            assert_eq!((remove.authorities[0].dns_class, remove.authorities[0].ttl), (DNSClass::NONE, 0));
        }
    }
}
