//! When the log writes and syncs, and what it does not write twice.

use std::time::Duration;

use leveret_model::{Instant, Position, QueueId, Seed, SplitMix, Ulid};
use leveret_store::simdisk::{DiskFaults, SimDisk};
use leveret_store::{
    DiskAction, DiskOp, Effect, Effects, Lane, MachineTime, Mark, MessageTerms, Recovery, RecoveryTerms,
    Store, StoreConfig, StoreId, Turn, TurnBody,
};

const QUEUE: QueueId = QueueId { generation: 0, ulid: Ulid(7) };
const CONFIG: StoreConfig = StoreConfig {
    log_segment_bytes: 64 * 1024,
    segment_bytes: 64 * 1024,
    disk_low_bytes: 0,
    ballast_bytes: 0,
};

struct Rig {
    disk: SimDisk,
    store: Store,
    now: Instant,
    /// Operations that were not executed yet.
    ops: Vec<DiskOp>,
    synced: Mark,
    position: u64,
}

impl Rig {
    fn new() -> Self {
        let mut disk = SimDisk::new(Seed(1), 1 << 30, DiskFaults::default());
        let terms = RecoveryTerms {
            store: Some(StoreId(1)),
            seed: Seed(1),
            log_segment_bytes: CONFIG.log_segment_bytes,
        };
        let mut recovery = Recovery::new(terms, false);
        let mut ops = Vec::new();
        let recovered = 'recovered: loop {
            recovery.take_ops(&mut ops);
            for op in ops.drain(..) {
                if let Some(outcome) = recovery.advance(&disk.execute(&op)) {
                    break 'recovered outcome.expect("an empty directory");
                }
            }
        };
        let now = Instant::from_nanos(1);
        let store = Store::open(recovered, CONFIG, SplitMix::new(Seed(2)), MachineTime::default(), now);
        let mut rig = Self { disk, store, now, ops: Vec::new(), synced: Mark(0), position: 0 };
        let mut turn = Turn::new();
        turn.queue_created(QUEUE, b"");
        rig.append(turn);
        rig.settle();
        rig
    }

    fn append(&mut self, turn: Turn) -> Mark {
        self.store.append(turn.seal(), self.now)
    }

    fn message(&mut self, turn: &mut Turn) -> u64 {
        self.position += 1;
        let targets = [(QUEUE, Position(self.position))];
        turn.message(&MessageTerms::default(), &targets, b"", b"", TurnBody::Flat(&[7; 1000]));
        self.position
    }

    /// One turn of the store.
    fn turn(&mut self) {
        let mut effects = Effects::default();
        self.store.end_turn(self.now, &mut effects);
        self.ops.append(&mut effects.ops);
        for effect in effects.out {
            match effect {
                Effect::Synced(mark) => self.synced = mark,
                Effect::Fatal { what } => panic!("{what}"),
                _ => {}
            }
        }
    }

    fn execute(&mut self) {
        for op in std::mem::take(&mut self.ops) {
            let done = self.disk.execute(&op);
            self.store.on_done(&done);
        }
    }

    /// Turns until nothing is to be done at this moment.
    fn settle(&mut self) {
        loop {
            self.turn();
            if self.ops.is_empty() {
                return;
            }
            self.execute();
        }
    }

    fn log_syncs(&self) -> usize {
        let is_sync = |op: &&DiskOp| op.lane == Lane::Log && matches!(op.action, DiskAction::Sync { .. });
        self.ops.iter().filter(is_sync).count()
    }
}

#[test]
fn an_idle_log_syncs_at_once_and_a_busy_one_gathers() {
    let mut rig = Rig::new();
    let before = rig.store.counters().batches;
    let mut turn = Turn::new();
    rig.message(&mut turn);
    let first = rig.append(turn);
    rig.turn();
    assert_eq!(rig.log_syncs(), 1, "at once");
    let mut last = first;
    for _ in 0..20 {
        let mut turn = Turn::new();
        rig.message(&mut turn);
        last = rig.append(turn);
        rig.turn();
    }
    assert_eq!(rig.log_syncs(), 1, "the first sync runs");
    rig.execute();
    rig.turn();
    assert_eq!((rig.synced, rig.log_syncs()), (first, 1));
    rig.execute();
    rig.turn();
    assert_eq!(rig.synced, last);
    assert_eq!(rig.store.counters().batches - before, 2, "twenty turns went together");
}

#[test]
fn acknowledgements_alone_wait_for_another_sync_but_not_for_long() {
    let mut rig = Rig::new();
    let mut turn = Turn::new();
    let position = rig.message(&mut turn);
    rig.append(turn);
    rig.settle();
    let mut turn = Turn::new();
    turn.acked(QUEUE, Position(position));
    let mark = rig.append(turn);
    rig.turn();
    assert_eq!(rig.log_syncs(), 0);
    let deadline = rig.store.deadline().expect("they do not wait for ever");
    assert!(deadline <= rig.now + Duration::from_millis(100));
    rig.now = deadline;
    rig.settle();
    assert_eq!(rig.synced, mark);
}

#[test]
fn the_last_batch_of_an_idle_log_gets_a_seal_once() {
    let mut rig = Rig::new();
    rig.now = rig.now + Duration::from_secs(1);
    rig.settle();
    rig.now = rig.now + Duration::from_secs(1);
    rig.settle();
    let batches = rig.store.counters().batches;
    rig.now = rig.now + Duration::from_secs(1);
    rig.settle();
    assert_eq!(rig.store.counters().batches, batches);
    assert_eq!(rig.store.deadline(), None, "nothing is to be done");
}

#[test]
fn what_is_acknowledged_before_its_segment_is_due_is_never_written_twice() {
    let mut rig = Rig::new();
    for _ in 0..400 {
        let mut turn = Turn::new();
        let position = rig.message(&mut turn);
        turn.acked_range(QUEUE, Position(0), Position(position.saturating_sub(10)));
        rig.append(turn);
        rig.settle();
    }
    let counters = rig.store.counters();
    assert!(counters.snapshots > 3, "many segments became due: {counters:?}");
    assert_eq!(counters.moved_messages, 0, "{counters:?}");
    let (log, segments) = rig.store.bytes_on_disk();
    assert!(
        log <= 5 * CONFIG.log_segment_bytes && segments == 0,
        "{log} bytes of log, {segments} of segments"
    );
}

#[test]
fn a_backlog_is_written_twice_at_most_and_its_files_go_with_it() {
    let mut rig = Rig::new();
    for _ in 0..600 {
        let mut turn = Turn::new();
        rig.message(&mut turn);
        rig.append(turn);
        rig.settle();
    }
    let counters = rig.store.counters();
    assert!(counters.moved_messages > 300 && counters.moved_messages <= 600, "{counters:?}");
    assert_eq!(counters.compacted_messages, 0, "a backlog that nobody reads is not sparse: {counters:?}");
    let (_, segments) = rig.store.bytes_on_disk();
    let live = counters.moved_messages * 1_100;
    assert!(segments <= 2 * live + 2 * CONFIG.segment_bytes, "{segments} bytes for {live}");
    let mut turn = Turn::new();
    turn.acked_range(QUEUE, Position(0), Position(u64::MAX));
    rig.append(turn);
    rig.now = rig.now + Duration::from_millis(100);
    rig.settle();
    assert_eq!(rig.store.bytes_on_disk().1, 0);
}
