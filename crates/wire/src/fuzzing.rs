//! What the fuzz targets and the replay of their corpus do with any bytes: read them, and check what was read.
//!
//! Read first: `fuzz/fuzz_targets/`, and `tests/corpus.rs`. Each function panics on a broken promise, and only
//! then.

use alloc::vec::Vec;

use leveret_model::limits::TABLE_DEPTH_MAX;

use crate::content::{decode_ack, decode_publish, split_address, write_address};
use crate::field::{FieldValue, Table, encode_arguments};
use crate::frame::{Frame, FrameKind, ProtocolHeader, decode_frame};
use crate::method::Method;
use crate::properties::ContentHeader;

/// Reads a stream of frames, and looks into each.
pub fn frame(bytes: &[u8]) {
    let header = ProtocolHeader::decode(bytes);
    assert!(header.is_some() || bytes.len() < ProtocolHeader::BYTES, "eight bytes are enough to tell");
    let mut rest = bytes;
    while let Ok(Some(frame)) = decode_frame(rest, 0) {
        let len = frame.wire_len();
        assert_eq!(decode_frame(&rest[..len - 1], 0), Ok(None), "a frame is there only when it is whole");
        assert_eq!(
            decode_frame(&rest[..len], len as u32 - 8),
            decode_frame(rest, 0),
            "the limit is inclusive"
        );
        look_into(frame);
        rest = &rest[len..];
    }
}

fn look_into(frame: Frame<'_>) {
    match frame.head.kind {
        FrameKind::Method => method(frame.payload),
        FrameKind::Header => header(frame.payload),
        FrameKind::Body | FrameKind::Heartbeat => {}
    }
}

/// What is read and written is read again as the same.
fn method(payload: &[u8]) {
    let decoded = Method::decode(payload);
    let publish = decode_publish(payload);
    let Ok(method) = decoded else {
        assert!(publish.is_none());
        return;
    };
    let mut again = Vec::new();
    method.encode_payload(&mut again);
    assert_eq!(Method::decode(&again), Ok(method));
    match (method, publish) {
        (Method::BasicPublish(slow), Some(fast)) => {
            assert_eq!((slow.exchange, slow.routing_key), (fast.exchange, fast.routing_key));
            assert_eq!((slow.mandatory, slow.immediate), (fast.mandatory, fast.immediate));
        }
        (Method::BasicPublish(_), None) | (_, Some(_)) => panic!("the two ways to read a publish differ"),
        (Method::QueueDeclare(declare), None) => table(declare.arguments.0),
        (Method::ConnectionStartOk(start), None) => table(start.client_properties.0),
        _ => {}
    }
}

/// Reads the bytes as what may follow a frame's head: a content header, a method, a settlement.
pub fn content(payload: &[u8]) {
    header(payload);
    method(payload);
    if let Some(ack) = decode_ack(payload) {
        assert_eq!(Method::decode(payload), Ok(Method::BasicAck(ack)), "the two ways to read an ack differ");
    }
    let address = split_address(payload);
    if let Some((exchange, routing_key)) = address {
        let mut again = Vec::new();
        write_address(&mut again, exchange, routing_key);
        assert_eq!(again, payload);
    }
}

fn header(payload: &[u8]) {
    let Ok(header) = ContentHeader::decode(payload) else { return };
    assert_eq!(ContentHeader::body_size(payload), Some(header.body_size));
    let basic = header.properties.to_basic();
    if header.properties.validate().is_err() {
        return;
    }
    let mut again = Vec::new();
    basic.encode_payload(header.body_size, &mut again);
    let reread = ContentHeader::validate(&again).expect("what was written is valid");
    assert_eq!(reread.properties, header.properties, "flags and values, byte by byte");
    if let Some(headers) = basic.headers {
        table(headers.0);
    }
}

/// Reads the bytes of a table. A valid one can be iterated, kept and written; an invalid one is refused
/// everywhere.
pub fn table(bytes: &[u8]) {
    let table = Table(bytes);
    let verdict = table.validate();
    let mut entries = 0;
    let walked = look_around(table, 1, &mut entries);
    let Ok(arguments) = table.to_arguments() else {
        assert!(verdict.is_err(), "validate accepts what cannot be kept");
        return;
    };
    assert_eq!(verdict, Ok(()));
    assert!(walked && entries <= bytes.len(), "an entry takes a byte at least");
    // compared as bytes, since a NaN is not equal to itself; the first pass settles U on s and L on l
    let mut written = Vec::new();
    encode_arguments(&arguments, &mut written);
    assert_eq!(written.len(), bytes.len());
    let mut again = Vec::new();
    encode_arguments(&Table(&written).to_arguments().expect("what was written is valid"), &mut again);
    assert_eq!(written, again);
}

/// A second, simpler walk: true if there is no error and no level is too deep.
fn look_around(table: Table<'_>, depth: usize, entries: &mut usize) -> bool {
    depth <= TABLE_DEPTH_MAX
        && table.iter().all(|entry| entry.is_ok_and(|(_, value)| look_at(value, depth, entries)))
}

fn look_at(value: FieldValue<'_>, depth: usize, entries: &mut usize) -> bool {
    *entries += 1;
    match value {
        FieldValue::Table(inner) => look_around(inner, depth + 1, entries),
        FieldValue::Array(inner) => {
            depth < TABLE_DEPTH_MAX
                && inner.iter().all(|value| value.is_ok_and(|value| look_at(value, depth + 1, entries)))
        }
        _ => true,
    }
}
