//! What clients write, for those who play one: the demo, the simulator, tests.

use alloc::vec::Vec;

use leveret_model::{Arguments, RoutingKey, Value};

use crate::content::write_body_frames;
use crate::frame::write_header_frame;
use crate::method::BasicPublish;
use crate::properties::BasicProperties;
use crate::spec::EncodeMethod as _;

/// The entry of connection.start-ok's client properties that says what the client can take (RabbitMQ:
/// capabilities).
#[must_use]
pub fn capabilities(names: &[&str]) -> (RoutingKey, Value) {
    let able = |name: &&str| (RoutingKey::new(name.as_bytes()), Value::Bool(true));
    let table = Arguments(names.iter().map(able).collect());
    (RoutingKey::new(b"capabilities"), Value::Table(table))
}

/// Appends all frames of a message: the method, the content header, the body in frames of at most `frame_max`
/// bytes.
pub fn write_publish(
    out: &mut Vec<u8>,
    channel: u16,
    publish: &BasicPublish<'_>,
    properties: &BasicProperties<'_>,
    body: &[u8],
    frame_max: u32,
) {
    publish.encode_frame(channel, out);
    let mut header = Vec::new();
    properties.encode_payload(body.len() as u64, &mut header);
    write_header_frame(out, channel, &header);
    write_body_frames(out, channel, body, frame_max);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{FrameKind, decode_frame};

    #[test]
    fn a_message_is_a_method_a_header_and_a_body_in_frames() {
        let (mut out, mut at, mut kinds) = (Vec::new(), 0, Vec::new());
        let publish = BasicPublish { routing_key: b"q", ..Default::default() };
        write_publish(&mut out, 1, &publish, &BasicProperties::default(), &[7; 10_000], 4_096);
        while let Some(frame) = decode_frame(&out[at..], 4_096).expect("our own frames") {
            at += frame.wire_len();
            kinds.push(frame.head.kind);
        }
        let body = FrameKind::Body;
        assert_eq!(kinds, [FrameKind::Method, FrameKind::Header, body, body, body]);
    }
}
