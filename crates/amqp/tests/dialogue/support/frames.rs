//! Frames and what is in them, as bytes.

use leveret_model::{Arguments, RoutingKey, Value};
use leveret_wire::content::write_address;
use leveret_wire::frame::{FRAME_END, write_head, write_header_frame};
use leveret_wire::method::*;
use leveret_wire::{BasicProperties, FrameKind, Method, client, encode_arguments};

pub(crate) fn all_capabilities() -> [&'static str; 3] {
    ["authentication_failure_close", "connection.blocked", "consumer_cancel_notify"]
}

pub(crate) fn client_properties(capabilities: &[&str]) -> Vec<u8> {
    let key = |key: &str| RoutingKey::new(key.as_bytes());
    let text = |text: &str| Value::LongString(text.as_bytes().into());
    let mut table = Vec::new();
    let properties = Arguments(vec![
        (key("product"), text("dialogue")),
        (key("connection_name"), text("one")),
        client::capabilities(capabilities),
    ]);
    encode_arguments(&properties, &mut table);
    table
}

pub(crate) fn arguments(entries: &[(&str, Value)]) -> Vec<u8> {
    let entries = entries.iter().map(|(k, v)| (RoutingKey::new(k.as_bytes()), v.clone())).collect();
    let mut table = Vec::new();
    encode_arguments(&Arguments(entries), &mut table);
    table
}

pub(crate) fn frame<'m>(channel: u16, method: impl Into<Method<'m>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    method.into().encode_frame(channel, &mut bytes);
    bytes
}

pub(crate) fn raw_frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(channel.to_be_bytes());
    bytes.extend((payload.len() as u32).to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes.push(FRAME_END);
    bytes
}

pub(crate) fn header_payload(body_len: usize) -> Vec<u8> {
    let mut payload = Vec::new();
    let properties = BasicProperties { content_type: Some(b"text/plain"), ..Default::default() };
    properties.encode_payload(body_len as u64, &mut payload);
    payload
}

pub(crate) fn address(exchange: &str, key: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_address(&mut bytes, exchange.as_bytes(), key.as_bytes());
    bytes
}

pub(crate) fn header_frame(channel: u16, body_len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_header_frame(&mut bytes, channel, &header_payload(body_len));
    bytes
}

pub(crate) fn body_frame(channel: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_head(&mut bytes, FrameKind::Body, channel, body.len() as u32);
    bytes.extend_from_slice(body);
    bytes.push(FRAME_END);
    bytes
}

/// Frames of a message; the body in frames of at most 100,000 bytes.
pub(crate) fn publish_frames(
    channel: u16,
    exchange: &str,
    key: &str,
    mandatory: bool,
    body: &[u8],
) -> Vec<u8> {
    let method = BasicPublish {
        exchange: exchange.as_bytes(),
        routing_key: key.as_bytes(),
        mandatory,
        ..Default::default()
    };
    let mut bytes = frame(channel, method);
    bytes.extend(header_frame(channel, body.len()));
    for piece in body.chunks(100_000) {
        bytes.extend(body_frame(channel, piece));
    }
    bytes
}
