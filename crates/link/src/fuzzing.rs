//! What the fuzz targets of the link do with any bytes: read them as a stranger's handshake, as frames, as a
//! batch.
//!
//! A broken promise panics, and nothing else does. `tests/corpus.rs` replays the seeds without a fuzzer.

use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};
use leveret_model::{Boot, Incarnation, Instant, Name, NodeId, ShardId, limits};

use crate::Batch;
use crate::frame::{self, Frame};
use crate::handshake::{Capabilities, Handshake, Hello, Outcome, PROTOCOL, Purpose, Secret};
use crate::record::Record;

/// A stranger dials, or answers our dial: it knows no secret, so no bytes whatsoever may open a link. The first
/// byte says which of both and in pieces of what size the others come.
pub fn hello(bytes: &[u8]) {
    let Some((&how, said)) = bytes.split_first() else { return };
    let me = Hello {
        protocol: PROTOCOL,
        group: Name::new("g"),
        node: NodeId(1),
        incarnation: Incarnation(1),
        boot: Boot(1),
        shards: 1,
        name: Name::new("n"),
        address: Name::new("127.0.0.1:1"),
        purpose: Purpose::Control,
        capabilities: Capabilities::own(),
    };
    let secret = Secret::shared(&[7; 64]).expect("long enough");
    let start = if how & 1 == 0 { Handshake::acceptor } else { Handshake::dialer };
    let mut handshake = start(secret, me, [9; 32], &[], Instant::ZERO);
    let piece = usize::from(how >> 1).max(1);
    let (mut consumed, mut written) = (0, handshake.take_output().len());
    for piece in said.chunks(piece) {
        let (taken, outcome) = handshake.on_bytes(piece);
        written += handshake.take_output().len();
        consumed += taken;
        assert!(written <= limits::LINK_HANDSHAKE_BYTES_MAX, "more was written than a handshake is long");
        match outcome {
            Outcome::More => assert_eq!(taken, piece.len(), "bytes were left though more are wanted"),
            Outcome::Refused(_) => return,
            Outcome::Open(_) => panic!("a link was opened without the secret"),
        }
    }
    assert!(consumed <= limits::LINK_HANDSHAKE_BYTES_MAX, "more was read than a handshake is long");
}

/// A peer's frames, one behind the other. The fuzzer cannot guess checksums: the bytes are tried as they are,
/// and as the payload of a frame with a right one.
pub fn frame(bytes: &[u8]) {
    frames(bytes);
    let control = frame::encode_control(bytes).expect("shorter than a frame may be");
    match frame::decode(&mut BytesMut::from(&control[..])) {
        Ok(Some(Frame::Control(payload))) => assert_eq!(payload, bytes),
        other => panic!("a control frame was read as {other:?}"),
    }
    let mut records = control.to_vec();
    records[8] = 2;
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&records[..4]), &records[8..]);
    records[4..8].copy_from_slice(&checksum.to_le_bytes());
    frames(&records);
}

fn frames(bytes: &[u8]) {
    let mut received = BytesMut::from(bytes);
    loop {
        let before = received.len();
        let missing = frame::missing(&received);
        match frame::decode(&mut received) {
            Ok(Some(_)) => {
                assert_eq!(missing, Ok(0), "a frame is there only when it is whole");
                assert!(received.len() < before, "a frame that took nothing");
            }
            Ok(None) => {
                assert!(missing.is_ok_and(|bytes| bytes > 0), "nothing is missing, and there is no frame");
                assert_eq!(received.len(), before, "bytes of half a frame were taken");
                return;
            }
            Err(_) => return,
        }
    }
}

/// The records of a peer's batch. What can be read is written again as the same records, and survives a split.
/// Records of a later version are read past and never written.
pub fn batch(bytes: &[u8]) {
    let Ok(mut batch) = Batch::parse(&Bytes::copy_from_slice(bytes)) else { return };
    let Ok(mut records) = batch.iter().collect::<Result<Vec<_>, _>>() else { return };
    assert_eq!(records.len(), batch.records() as usize);
    records.retain(|record| !matches!(record, Record::Unknown { .. }));
    let mut again = Batch::new();
    for record in &records {
        again.push(record);
    }
    let own = ShardId(0);
    let mut written = Vec::new();
    frame::encode_records(own, own, again, &mut written).expect("no longer than what was read");
    let mut received: BytesMut = written.iter().flat_map(|chunk| chunk.iter().copied()).collect();
    let Ok(Some(Frame::Records { batch: reread, .. })) = frame::decode(&mut received) else {
        panic!("what was written is no frame of records")
    };
    let reread: Vec<_> = reread.iter().map(|record| record.expect("what was written can be read")).collect();
    assert_eq!(reread, records);
    drop(records);
    let (whole, mut half) = (batch.cost(), batch.cost());
    half.records /= 2;
    let front = batch.split_to(half);
    assert_eq!(
        (front.cost().records + batch.cost().records, front.cost().bytes + batch.cost().bytes),
        (whole.records, whole.bytes),
        "a split loses nothing"
    );
}
