//! What the fuzz targets of sessions do with any bytes: read them as records of a peer, and as the image of the
//! last node.
//!
//! A broken promise panics, and nothing else does. `tests/corpus.rs` replays the seeds without a fuzzer.

use alloc::vec::Vec;

use leveret_model::{Boot, Instant, NodeId, Seed, ShardId};

use crate::effects::Effects;
use crate::fields::Take;
use crate::image::{IMAGE_HEAD_BYTES, Image, head, sealed};
use crate::record::{self, take};
use crate::rules::Rules;
use crate::sessions::{Config, Sessions};
use crate::stamp::Home;
use crate::time::Clock;

fn machine() -> Sessions {
    Sessions::new(Config {
        own: Home { node: NodeId(1), boot: Boot(1) },
        shards: 1,
        shard: ShardId(0),
        memory_max: 1 << 20,
        value_bytes_max: 1 << 16,
        gone_for_ms: 300_000,
        rules: Rules::default(),
        copies: 1,
        seed: Seed(1),
    })
}

const CLOCK: Clock = Clock { now: Instant::from_nanos(10_000_000_000), unix_origin_ms: 1_000_000 };

/// Records of a peer: what is read is written again as the same, and a machine takes whatever comes.
pub fn records(bytes: &[u8]) {
    let mut rest = Take::new(bytes);
    while let Ok(Some((bucket, record))) = take(&mut rest) {
        let mut written = Vec::new();
        record::put(&mut written, bucket, &record);
        let again = take(&mut Take::new(&written)).expect("what was written can be read");
        assert_eq!(again, Some((bucket, record)));
    }
    let (mut sessions, mut effects) = (machine(), Effects::default());
    let peer = Home { node: NodeId(2), boot: Boot(7) };
    sessions.on_link(CLOCK, peer, &mut effects);
    let _ = sessions.on_records(CLOCK, peer, bytes, &mut effects);
    sessions.on_time(CLOCK, &mut effects);
}

/// A file as it is, and its records with checksums that fit: what is taken of it is written again, and read.
pub fn image(bytes: &[u8]) {
    take_all(bytes);
    let (count, records) = sealed(bytes.get(IMAGE_HEAD_BYTES..).unwrap_or(bytes));
    let mut file = head(2_000_000, NodeId(3), count).to_vec();
    file.extend_from_slice(&records);
    take_all(&file);
}

fn take_all(bytes: &[u8]) {
    let Ok(image) = Image::read(bytes) else { return };
    let mut sessions = machine();
    let taken = sessions.take_image(CLOCK, &image).expect("it was read");
    assert!(taken as u64 <= image.count());
    let mut records = Vec::new();
    let count = sessions.append_image(CLOCK, &mut records);
    let mut file = head(CLOCK.unix_ms(), NodeId(1), count).to_vec();
    file.extend_from_slice(&records);
    let again = Image::read(&file).expect("what was written can be read");
    assert_eq!(again.count(), count);
}
