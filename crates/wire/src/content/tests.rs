//! The shortcuts against the plain way: the same bytes.

use std::vec;
use std::vec::Vec;

use proptest::collection::vec as vec_of;
use proptest::prelude::*;

use super::*;
use crate::frame::{decode_frame, write_header_frame};
use crate::method::{BasicDeliver, BasicPublish, Method};
use crate::spec::EncodeMethod;

fn short() -> impl Strategy<Value = Vec<u8>> {
    vec_of(any::<u8>(), 0..=255)
}

/// The body in these frames, each of which keeps to `frame_max`.
fn body_of(mut bytes: &[u8], channel: u16, frame_max: u32) -> Vec<u8> {
    let mut body = vec![];
    while !bytes.is_empty() {
        let frame = decode_frame(bytes, frame_max).unwrap().unwrap();
        assert_eq!((frame.head.kind, frame.head.channel), (FrameKind::Body, channel));
        assert!(!frame.payload.is_empty() && frame.wire_len() <= frame_max as usize);
        body.extend_from_slice(frame.payload);
        bytes = &bytes[frame.wire_len()..];
    }
    body
}

proptest! {
    #[test]
    fn a_publish_read_the_short_way_is_the_same(
        exchange in short(), routing_key in short(), mandatory in any::<bool>(), immediate in any::<bool>(),
    ) {
        let (exchange, routing_key) = (&exchange[..], &routing_key[..]);
        let mut payload = vec![];
        BasicPublish { exchange, routing_key, mandatory, immediate }.encode_payload(&mut payload);
        let mut address = vec![];
        write_address(&mut address, exchange, routing_key);
        let fields = PublishFields { address: &address, exchange, routing_key, mandatory, immediate };
        prop_assert_eq!(decode_publish(&payload), Some(fields));
        prop_assert_eq!(split_address(&address), Some((exchange, routing_key)));
        // cut anywhere, or with a byte too much, it is left to Method::decode, which refuses it
        for end in 0..payload.len() {
            prop_assert_eq!(decode_publish(&payload[..end]), None);
        }
        payload.push(0);
        prop_assert_eq!(decode_publish(&payload), None);
        prop_assert!(Method::decode(&payload).is_err());
    }

    #[test]
    fn an_ack_read_the_short_way_is_the_same(delivery_tag in any::<u64>(), multiple in any::<bool>(), other in vec_of(any::<u8>(), 0..30)) {
        let ack = BasicAck { delivery_tag, multiple };
        let mut payload = vec![];
        ack.encode_payload(&mut payload);
        prop_assert_eq!(decode_ack(&payload), Some(ack));
        for end in 0..payload.len() {
            prop_assert_eq!(decode_ack(&payload[..end]), None);
        }
        prop_assert_eq!(decode_ack(&other), match Method::decode(&other) {
            Ok(Method::BasicAck(ack)) => Some(ack),
            _ => None,
        });
        payload[3] = 120;
        prop_assert_eq!(decode_ack(&payload), None);
    }

    #[test]
    fn a_deliver_written_the_short_way_is_the_same(
        tag in short(), exchange in short(), routing_key in short(),
        delivery_tag in any::<u64>(), redelivered in any::<bool>(), channel in any::<u16>(), header in short(),
    ) {
        let mut plain = vec![];
        let deliver = BasicDeliver { consumer_tag: &tag, delivery_tag, redelivered, exchange: &exchange, routing_key: &routing_key };
        deliver.encode_frame(channel, &mut plain);
        write_header_frame(&mut plain, channel, &header);
        let mut address = vec![];
        write_address(&mut address, &exchange, &routing_key);
        let mut hot = vec![];
        write_deliver(&mut hot, channel, &tag, delivery_tag, redelivered, &address, &header);
        prop_assert_eq!(hot, plain);
    }

    #[test]
    fn a_body_is_the_same_bytes_flat_or_in_slices(
        pieces in vec_of(0_usize..20_000, 0..6), frame_max in prop_oneof![4_096_u32..40_000, 9_u32..100], channel in any::<u16>(),
    ) {
        let body: Vec<u8> = (0..pieces.iter().sum()).map(|n: usize| (n % 251) as u8).collect();
        let mut whole = Bytes::from(body.clone());
        let chunks: Vec<Bytes> = pieces.iter().map(|&len| whole.split_to(len)).collect();
        let mut flat = vec![];
        write_body_frames(&mut flat, channel, &body, frame_max);
        prop_assert_eq!(body_of(&flat, channel, frame_max), body);
        let mut output = Output::new();
        write_body_frames_shared(&mut output, channel, &chunks, frame_max);
        prop_assert_eq!(output.len(), flat.len());
        prop_assert_eq!(output.iter().collect::<Vec<_>>().concat(), flat);
    }
}

#[test]
fn an_empty_body_takes_no_frame() {
    let mut out = vec![];
    write_body_frames(&mut out, 1, b"", 4_096);
    let mut output = Output::new();
    write_body_frames_shared(&mut output, 1, &[Bytes::new()], 4_096);
    assert!(out.is_empty() && output.is_empty());
}

#[test]
fn large_slices_are_counted_and_small_ones_copied() {
    let large = Bytes::from(vec![1; SLICE_BYTES_MIN]);
    let mut output = Output::new();
    write_body_frames_shared(&mut output, 1, &[large.clone(), Bytes::from_static(b"tail")], 131_072);
    let chunks: Vec<&[u8]> = output.iter().collect();
    assert_eq!(chunks.len(), 3, "head | the slice | the tail and the end octet");
    assert_eq!(chunks[1].as_ptr(), large.as_ptr());
    assert_eq!(chunks[2], b"tail\xCE");
}

#[test]
fn other_methods_are_no_publish() {
    assert_eq!(decode_publish(&[0, 60, 0, 60, 0, 0, 0, 0, 0]), None);
}
