//! Any bytes as a resolver's query.

use hickory_proto::op::Message;
use hickory_proto::rr::LowerName;
use leveret_model::limits::DNS_ANSWERS_MAX;
use leveret_services::ServiceName;

use super::zone::{Said, Zone};
use crate::config::DnsConfig;

/// A query, as hickory reads it. An answer is about the name that was asked for, within its bound, and can be
/// sent.
pub fn dns_query(bytes: &[u8]) {
    let Ok(message) = Message::from_vec(bytes) else { return };
    let origin = hickory_proto::rr::Name::from_ascii("door.internal.").expect("a name");
    let listen = ([127, 0, 0, 1], 53).into();
    let mut zone =
        Zone::new(&DnsConfig { listen, zone: origin, fallback: Some(([127, 0, 0, 1], 80).into()) });
    let shop = ServiceName::new("shop").expect("a name");
    for host in 1..=100 {
        zone.add(&shop, ([10, 0, 0, host], 80).into());
    }
    for query in &message.queries {
        let name = LowerName::from(query.name().clone());
        let Said::Records { answers, additional } = zone.say(&name, query.query_type(), 7) else { continue };
        assert!(answers.len() <= DNS_ANSWERS_MAX, "{} answers", answers.len());
        assert!(answers.iter().all(|answer| LowerName::from(answer.name.clone()) == name));
        let mut reply = Message::response(message.metadata.id, message.metadata.op_code);
        reply.answers = answers;
        reply.additionals = additional;
        reply.to_vec().expect("it can be written");
    }
}
