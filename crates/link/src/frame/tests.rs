use std::vec;

use leveret_model::{Body, Message, RequestId};
use proptest::prelude::*;

use super::*;
use crate::batch::tests::{built, joined, publish, record};
use crate::record::Record;

/// A frame to be.
#[derive(Clone, Debug, PartialEq)]
enum Sent {
    Control(Vec<u8>),
    Records(ShardId, ShardId, Vec<Record<'static>>),
}

impl Sent {
    fn records(&self) -> &[Record<'static>] {
        if let Self::Records(_, _, records) = self { records } else { &[] }
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    let control = prop::collection::vec(any::<u8>(), 0..100).prop_map(Sent::Control);
    let records = (any::<(u8, u8)>(), prop::collection::vec(record(), 0..6))
        .prop_map(|((from, to), records)| Sent::Records(ShardId(from), ShardId(to), records));
    prop_oneof![control, records]
}

fn some_records() -> Batch {
    let mut batch = Batch::new();
    batch.push(&Record::Done { request: RequestId(5) });
    let body = [Bytes::from(vec![1; 5_000]), Bytes::from(vec![2; 5_000])];
    let parts = Message::new(b"\0\x01q", b"h", Body::Chunks(&body));
    batch.push_publish(publish(1), parts);
    batch.push(&Record::Done { request: RequestId(6) });
    batch
}

/// A control frame, a records frame, a control frame.
fn some_frames() -> Vec<u8> {
    let mut out = vec![encode_control(b"ping").unwrap()];
    encode_records(ShardId(1), ShardId(2), some_records(), &mut out).unwrap();
    out.push(encode_control(b"ping").unwrap());
    out.concat()
}

#[test]
fn frames_come_out_in_order_however_the_bytes_arrive() {
    let bytes = some_frames();
    for step in [1, 7, 4_096, bytes.len()] {
        let mut received = BytesMut::new();
        let mut frames = Vec::new();
        for piece in bytes.chunks(step) {
            received.extend_from_slice(piece);
            while let Some(frame) = decode(&mut received).unwrap() {
                frames.push(frame);
            }
            assert!(missing(&received).unwrap() > 0, "a complete frame was left");
        }
        assert!(received.is_empty());
        let [Frame::Control(first), Frame::Records { from, to, batch }, Frame::Control(last)] = &frames[..]
        else {
            panic!("three frames")
        };
        assert_eq!((&first[..], &last[..]), (&b"ping"[..], &b"ping"[..]));
        assert_eq!((*from, *to, batch.records()), (ShardId(1), ShardId(2), 3));
        let records: Vec<_> = batch.iter().collect::<Result<_, _>>().unwrap();
        let Record::Publish { message, .. } = &records[1] else { panic!("a publish") };
        let Body::Chunks(chunks) = &message.body else { panic!("beside") };
        assert_eq!(chunks.concat(), [vec![1; 5_000], vec![2; 5_000]].concat());
    }
}

/// All frames that come out before the link ends, and whether it ended.
fn decoded(bytes: &[u8]) -> (Vec<Frame>, bool) {
    let mut received = BytesMut::from(bytes);
    let mut frames = Vec::new();
    loop {
        match decode(&mut received) {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => return (frames, false),
            Err(_) => return (frames, true),
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_is_never_a_frame_and_spares_the_frames_before_it() {
    let bytes = some_frames();
    let first = encode_control(b"ping").unwrap().len();
    for at in 0..8 * bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at / 8] ^= 1 << (at % 8);
        let (frames, ended) = decoded(&damaged);
        let before = match at / 8 {
            byte if byte < first => 0,
            byte if byte < bytes.len() - first => 1,
            _ => 2,
        };
        assert_eq!(frames.len(), before, "bit {at}");
        let starts = [0, first, bytes.len() - first];
        let in_a_length = starts.iter().any(|start| (*start..start + 4).contains(&(at / 8)));
        assert!(ended || in_a_length, "bit {at}: only a longer length waits for more");
    }
}

#[test]
fn an_impossible_length_is_refused_from_four_bytes() {
    for len in [0u32, 3, limits::LINK_FRAME_BYTES_MAX as u32, u32::MAX] {
        let mut received = BytesMut::from(&len.to_le_bytes()[..]);
        assert_eq!(decode(&mut received).unwrap_err(), FrameError::Length(len));
    }
}

#[test]
fn a_kind_of_a_later_version_ends_the_link() {
    let head = head(9, ShardId(0), ShardId(0), &[]).unwrap();
    assert_eq!(decode(&mut BytesMut::from(&head[..])).unwrap_err(), FrameError::Kind(9));
}

#[test]
fn the_largest_message_fits_in_a_frame() {
    let header = vec![0; limits::FRAME_BYTES_MAX as usize];
    let body = [Bytes::from(vec![0; limits::BODY_BYTES_MAX as usize])];
    let parts = Message::new(&[1; 512], &header, Body::Chunks(&body));
    let mut batch = Batch::new();
    batch.push_publish(publish(1), parts);
    while batch.add_target(publish(1)) {}
    let mut out = Vec::new();
    let bytes = encode_records(ShardId(0), ShardId(0), batch, &mut out).unwrap();
    assert_eq!(bytes, out.iter().map(Bytes::len).sum::<usize>());
    let mut batch = Batch::new();
    let parts = Message { body: Body::Chunks(&[body[0].clone(), body[0].clone()]), ..parts };
    batch.push_publish(publish(1), parts);
    let refused = encode_records(ShardId(0), ShardId(0), batch, &mut out);
    assert!(matches!(refused, Err(FrameError::TooLarge(_))));
}

proptest! {
    #[test]
    fn frames_come_out_as_they_went_in_wherever_the_bytes_are_cut(
        sent in prop::collection::vec(sent(), 0..6),
        cuts in prop::collection::vec(1..300usize, 1..20),
    ) {
        let mut out = Vec::new();
        for frame in &sent {
            match frame {
                Sent::Control(payload) => out.push(encode_control(payload).unwrap()),
                Sent::Records(from, to, records) => {
                    let before = out.iter().map(Bytes::len).sum::<usize>();
                    let bytes = encode_records(*from, *to, built(records), &mut out).unwrap();
                    prop_assert_eq!(out.iter().map(Bytes::len).sum::<usize>(), before + bytes);
                }
            }
        }
        let (mut bytes, mut cuts) = (&out.concat()[..], cuts.iter().cycle());
        let (mut received, mut came) = (BytesMut::new(), Vec::new());
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(bytes.len().min(*cuts.next().unwrap()));
            received.extend_from_slice(piece);
            bytes = rest;
            while let Some(frame) = decode(&mut received).unwrap() {
                came.push(match frame {
                    Frame::Control(payload) => Sent::Control(payload.to_vec()),
                    Frame::Records { from, to, batch } => {
                        let records = batch.iter().collect::<Result<Vec<_>, _>>().unwrap();
                        // a link joins the slices of a body
                        let same = Sent::Records(from, to, sent[came.len()].records().to_vec());
                        let joined: Vec<_> = sent[came.len()].records().iter().cloned().map(joined).collect();
                        prop_assert_eq!(records, joined);
                        same
                    }
                });
            }
        }
        prop_assert!(received.is_empty());
        prop_assert_eq!(came, sent);
    }

    #[test]
    fn any_bytes_are_frames_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut received = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = decode(&mut received) {}
    }

    #[test]
    fn any_payload_under_a_true_checksum_is_a_frame_or_an_error(
        kind in 0..4u8,
        payload in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let head = head(kind, ShardId(0), ShardId(1), &[&payload]).unwrap();
        let mut received = BytesMut::from(&[&head[..], &payload].concat()[..]);
        if let Ok(Some(Frame::Records { batch, .. })) = decode(&mut received) {
            batch.iter().for_each(drop);
        }
    }
}
