//! A message as it is published again after its death: with the address of the dead letter exchange, its deaths
//! in its headers, and without `expiration`.

use alloc::vec::Vec;

use leveret_model::{Arguments, Body, Message, RoutingKey, SHORT_STRING_BYTES_MAX, Terms, Value};
use leveret_queue::Cause;
use leveret_wire::content::{split_address, write_address};
use leveret_wire::{BasicProperties, ContentHeader, Table, encode_arguments};

use super::deaths::{Death, PastDeaths, record};
use super::outlet::Source;

/// A dead letter but for its body.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) address: Vec<u8>,
    pub(super) header: Vec<u8>,
    pub(super) terms: Terms,
    /// It is routed by all of these; its receivers see the first one.
    pub(super) keys: Vec<RoutingKey>,
    pub(super) deaths: PastDeaths,
}

impl Letter {
    /// Of a message that died at that time (seconds since 1970).
    pub(super) fn new(message: &Message<'_>, source: &Source, cause: Cause, at_s: u64) -> Self {
        let (exchange, key) = split_address(message.address).unwrap_or_default();
        // headers were checked when they came
        let header = ContentHeader::decode(message.header).ok();
        let basic = header.map(|header| header.properties.to_basic()).unwrap_or_default();
        let mut headers = basic.headers.and_then(|table| table.to_arguments().ok()).unwrap_or_default();
        let mut keys = Vec::from([RoutingKey::new(key)]);
        if !message.terms.are_copies_spent() {
            keys.extend(copies(&headers));
        }
        let expiration_ms = message.terms.expiration_ms();
        let death = Death { queue: &source.queue, cause, at_s, exchange, keys: &keys, expiration_ms };
        let deaths = record(&mut headers, message.terms.is_dead_letter(), &death);
        if let Some(key) = &source.target.routing_key {
            keys = Vec::from([key.clone()]);
        }
        let mut address = Vec::new();
        write_address(&mut address, source.target.exchange.as_bytes(), &keys[0]);
        let terms = message.terms.of_dead_letter(source.target.routing_key.is_some());
        let header = written(basic, &headers, message.body);
        Self { address, header, terms, keys, deaths }
    }
}

fn written(basic: BasicProperties<'_>, headers: &Arguments, body: Body<'_>) -> Vec<u8> {
    let (mut table, mut out) = (Vec::new(), Vec::new());
    encode_arguments(headers, &mut table);
    let basic = BasicProperties { headers: Some(Table(&table)), expiration: None, ..basic };
    basic.encode_payload(body.len() as u64, &mut out);
    out
}

/// The keys of the header CC (RabbitMQ: sender-selected distribution); BCC left the headers as it came.
fn copies(headers: &Arguments) -> impl Iterator<Item = RoutingKey> {
    let items = match headers.get("CC") {
        Some(Value::Array(items)) => &items[..],
        _ => &[],
    };
    let short = |item: &&Value| item.as_bytes().is_some_and(|key| key.len() <= SHORT_STRING_BYTES_MAX);
    items.iter().filter(short).filter_map(Value::as_bytes).map(RoutingKey::new)
}
