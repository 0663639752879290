//! A log that is cut at any byte: what is read is what was there after some turn, and never less than what a
//! shorter cut leaves; or what is missing is reported, or the directory refused with a reason.

use std::time::Duration;

use leveret_model::{QueueId, Seed, SplitMix, Ulid};
use leveret_store::FileName;
use leveret_store::simdisk::{DiskFaults, SimDisk};

use crate::found::{difference, read_all, recover};
use crate::model::{Content, Deed};
use crate::world::{World, terms};

/// Turns of the log; each is a batch, which begins at a block of its own.
const TURNS: usize = 6;

/// A directory with a log of some turns, all of them synced, which was not stopped cleanly.
fn small_log(seed: u64) -> World {
    let random = SplitMix::new(Seed(seed + 3_000_000));
    let mut world = World::new(random, (seed, None), 64 * 1024 * 1024, DiskFaults::default());
    assert!(world.start().expect("a sound disk"));
    for number in 0..TURNS {
        let deeds = turn(&mut world, number as u64);
        world.hand_over(deeds);
        for _ in 0..40 {
            world.now = world.now + Duration::from_millis(1);
            world.turn().expect("a sound disk");
            world.work(3).expect("a sound disk");
        }
    }
    world
}

/// A message into one queue or two, and now and then an acknowledgement, a definition or a mark.
fn turn(world: &mut World, number: u64) -> Vec<Deed> {
    let queue = |ulid| QueueId { generation: 0, ulid: Ulid(ulid) };
    let created = |ulid| Deed::Created { queue: queue(ulid), definition: vec![ulid as u8; 20] };
    if number == 0 {
        return vec![created(1), created(2)];
    }
    let content = Content { number, bytes: (number * 37 % 160) as usize };
    let targets: Vec<(QueueId, u64)> =
        (1..=1 + u128::from(number % 2)).map(|at| (queue(at), number)).collect();
    world.ever.extend(targets.iter().map(|target| (*target, content)));
    let mut deeds = vec![Deed::Message { targets, content }];
    deeds.extend(match number % 5 {
        0 => Some(Deed::Acked { queue: queue(1), first: number - 3, last: number - 2 }),
        1 => Some(Deed::Deliveries { queue: queue(1), position: number, count: 2 }),
        2 => Some(Deed::Register { kind: 1, key: vec![b'k'], value: Some(number.to_le_bytes().to_vec()) }),
        3 => Some(Deed::Mark { queue: None, key: vec![b'm'], value: number.to_le_bytes().to_vec() }),
        _ => None,
    });
    deeds
}

/// After how many turns it looked so; `None` if it never did.
fn turns_in(world: &World, disk: &mut SimDisk, seed: u64) -> Result<usize, String> {
    let recovered = match recover(disk, terms(seed), true, None, None) {
        Some(Ok(recovered)) => recovered,
        Some(Err(refusal)) => return Err(refusal.to_string()),
        None => panic!("it did not end"),
    };
    let found = read_all(disk, recovered);
    let mut state = world.base.clone();
    for (count, (_, deeds)) in world.turns.iter().enumerate() {
        if difference(&state, &found, &world.ever, false).is_none() {
            return Ok(count);
        }
        deeds.iter().for_each(|deed| state.apply(deed));
    }
    match difference(&state, &found, &world.ever, false) {
        None => Ok(world.turns.len()),
        Some(_) if !found.reports.is_empty() => Err(found.reports[0].to_string()),
        Some(what) => panic!("no prefix, and no report: {what}"),
    }
}

/// How many cuts there were, and how many of them were reported or refused.
pub(crate) fn run(seed: u64) -> (usize, usize) {
    let world = small_log(seed);
    let logs: Vec<(FileName, Vec<u8>)> = world
        .disk
        .files()
        .filter(|(name, _)| matches!(name, FileName::Log(_)))
        .map(|(name, bytes)| (name.clone(), bytes.to_vec()))
        .collect();
    // behind what was written there are zeros; the next log has its head alone
    let end = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let (name, bytes) = logs.iter().max_by_key(|(_, bytes)| end(bytes)).expect("a log").clone();
    let written = end(&bytes);
    assert!((TURNS * 4_096..bytes.len()).contains(&written), "a log of {written} bytes");
    let (mut least, mut told) = (0, 0);
    let mut disk = world.disk.clone();
    for length in 0..=written {
        disk.put(name.clone(), bytes[..length].to_vec());
        match turns_in(&world, &mut disk, seed) {
            Ok(turns) => {
                assert!(turns >= least, "{turns} turns in {length} bytes, {least} in fewer");
                least = turns;
            }
            Err(said) => {
                assert!(!said.is_empty());
                told += 1;
            }
        }
    }
    assert_eq!(least, world.turns.len(), "the whole log has all turns");
    (written, told)
}
