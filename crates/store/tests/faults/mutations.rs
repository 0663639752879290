//! Somebody, or something, changes bytes of a directory: what is read back is exact, or what is missing is
//! reported, or the directory is refused with a reason. It is never silent, and never a panic.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use leveret_model::{Seed, SplitMix};
use leveret_store::FileName;
use leveret_store::simdisk::{DiskFaults, SimDisk};

use crate::found::{Found, difference, read_all, recover};
use crate::world::{World, terms};

/// A change to a file.
#[derive(Clone, Debug)]
enum Mutation {
    Flip {
        file: FileName,
        at: usize,
        bit: u8,
    },
    Truncate {
        file: FileName,
        at: usize,
    },
    Zero {
        file: FileName,
        from: usize,
        to: usize,
    },
    /// A part of the file is written over another part.
    Duplicate {
        file: FileName,
        from: usize,
        to: usize,
        bytes: usize,
    },
    /// Two blocks change places.
    Swap {
        file: FileName,
        one: usize,
        other: usize,
    },
    /// Two files change places.
    SwapFiles {
        one: FileName,
        other: FileName,
    },
    Remove {
        file: FileName,
    },
}

const BLOCK_BYTES: usize = 4096;

impl Mutation {
    fn draw(random: &mut SplitMix, disk: &SimDisk) -> Self {
        let files: Vec<(FileName, usize)> =
            disk.files().map(|(name, bytes)| (name.clone(), bytes.len())).filter(|file| file.1 > 0).collect();
        let below = |random: &mut SplitMix, bound: usize| random.below(bound as u64) as usize;
        let (file, bytes) = files[below(random, files.len())].clone();
        let at = below(random, bytes);
        let block = |at: usize| at / BLOCK_BYTES * BLOCK_BYTES;
        match random.below(20) {
            0..8 => Self::Flip { file, at, bit: random.below(8) as u8 },
            8..11 => Self::Truncate { file, at: if at % 2 == 0 { at } else { block(at) } },
            11..14 => {
                let from = if at % 2 == 0 { at } else { block(at) };
                Self::Zero { file, from, to: (from + 1 + below(random, 3 * BLOCK_BYTES)).min(bytes) }
            }
            14..16 => {
                let (from, to) = (block(at), block(below(random, bytes)));
                Self::Duplicate { file, from, to, bytes: BLOCK_BYTES.min(bytes - from.max(to)) }
            }
            16..18 => Self::Swap { file, one: block(at), other: block(below(random, bytes)) },
            18 => Self::SwapFiles { one: file, other: files[below(random, files.len())].0.clone() },
            _ => Self::Remove { file },
        }
    }

    fn apply(&self, disk: &mut SimDisk) {
        let bytes = |file: &FileName, disk: &SimDisk| {
            disk.files().find(|(name, _)| *name == file).map(|(_, bytes)| bytes.to_vec()).unwrap_or_default()
        };
        match self {
            Self::Flip { file, at, bit } => {
                let mut bytes = bytes(file, disk);
                bytes[*at] ^= 1 << bit;
                disk.put(file.clone(), bytes);
            }
            Self::Truncate { file, at } => {
                let mut bytes = bytes(file, disk);
                bytes.truncate(*at);
                disk.put(file.clone(), bytes);
            }
            Self::Zero { file, from, to } => {
                let mut bytes = bytes(file, disk);
                bytes[*from..*to].fill(0);
                disk.put(file.clone(), bytes);
            }
            Self::Duplicate { file, from, to, bytes: count } => {
                let mut bytes = bytes(file, disk);
                bytes.copy_within(*from..*from + *count, *to);
                disk.put(file.clone(), bytes);
            }
            Self::Swap { file, one, other } => {
                let mut bytes = bytes(file, disk);
                let count = BLOCK_BYTES.min(bytes.len() - one.max(other));
                for at in 0..count {
                    bytes.swap(one + at, other + at);
                }
                disk.put(file.clone(), bytes);
            }
            Self::SwapFiles { one, other } => {
                let (first, second) = (bytes(one, disk), bytes(other, disk));
                disk.put(one.clone(), second);
                disk.put(other.clone(), first);
            }
            Self::Remove { file } => disk.take(file),
        }
    }
}

impl fmt::Display for Mutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// A directory in which everything was synced: cleanly stopped, or killed.
fn directory(seed: u64) -> World {
    let random = SplitMix::new(Seed(seed + 1_000_000));
    let mut world = World::new(random, (seed, None), 64 * 1024 * 1024, DiskFaults::default());
    for _ in 0..1 + seed % 2 {
        assert!(world.start().expect("a sound disk"));
        world.live().expect("a sound disk");
        world.stop().expect("a sound disk");
    }
    assert!(world.start().expect("a sound disk"));
    world.live().expect("a sound disk");
    if seed.is_multiple_of(3) {
        world.close().expect("a sound disk");
    } else {
        // until the log is idle for long enough to be sealed
        for _ in 0..2_000 {
            world.now = world.now + Duration::from_millis(5);
            world.turn().expect("a sound disk");
            world.work(3).expect("a sound disk");
        }
    }
    world
}

/// What came of one mutation; an error is a change that nobody was told of.
fn judge(world: &World, disk: &mut SimDisk, seed: u64) -> Result<&'static str, String> {
    let recovered = match recover(disk, terms(seed), true, None, None) {
        Some(Ok(recovered)) => recovered,
        Some(Err(refusal)) => {
            assert!(!refusal.to_string().is_empty());
            return Ok("refused");
        }
        None => return Err("it did not end".to_owned()),
    };
    let found = read_all(disk, recovered);
    match difference(&world.current, &found, &world.ever, true) {
        // where the end of the log is gone to the last byte, it is as if the node had been killed before
        Some(_) if earlier_state(world, &found) => Ok("cut"),
        Some(what) => Err(format!("{what}; reports {:?}", found.reports)),
        None if found.reports.is_empty() => Ok("exact"),
        None => Ok("reported"),
    }
}

/// True if that is what was there after an earlier turn of the last life, which was not cleanly stopped.
fn earlier_state(world: &World, found: &Found) -> bool {
    let mut state = world.base.clone();
    let mut turns = world.turns.iter();
    !world.closed
        && loop {
            if difference(&state, found, &world.ever, true).is_none() {
                break true;
            }
            let Some((_, deeds)) = turns.next() else { break false };
            deeds.iter().for_each(|deed| state.apply(deed));
        }
}

/// How often each came of it: exact, reported, refused, cut to an earlier turn.
pub(crate) fn run(directories: std::ops::Range<u64>, mutations: u64) -> [u64; 4] {
    let mut outcomes = [0; 4];
    for seed in directories {
        let world = directory(seed);
        let mut sound = world.disk.clone();
        assert_eq!(judge(&world, &mut sound, seed), Ok("exact"), "directory {seed} before any mutation");
        let mut random = SplitMix::new(Seed(seed));
        for number in 0..mutations {
            let mut disk = world.disk.clone();
            let mutation = Mutation::draw(&mut random, &disk);
            mutation.apply(&mut disk);
            let outcome = catch_unwind(AssertUnwindSafe(|| judge(&world, &mut disk, seed)));
            match outcome {
                Ok(Ok(outcome)) => {
                    let at = ["exact", "reported", "refused", "cut"].iter().position(|name| *name == outcome);
                    outcomes[at.expect("one of four")] += 1;
                }
                Ok(Err(what)) => panic!("directory {seed}, mutation {number}, {mutation}: {what}"),
                Err(_) => panic!("directory {seed}, mutation {number}, {mutation}: a panic"),
            }
        }
    }
    outcomes
}
