//! One store on a disk that fails: random turns, reads and spills, crashes at any point, and what must hold
//! after each.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use leveret_model::{Instant, Position, QueueId, Seed, SplitMix};
use leveret_store::simdisk::{DiskFaults, SimDisk};
use leveret_store::{
    DiskOp, Effect, Effects, Lane, MachineTime, Mark, Planted, ReadId, ReadRequest, RecoveryTerms, Refusal,
    Report, SpillId, Store, StoreConfig, StoreId,
};

use crate::coverage::Coverage;
use crate::found::{Found, difference, is_unknown, read_all, recover};
use crate::model::{Content, Deed, Model};

pub(crate) const STORE: StoreId = StoreId(0x1234_5678);
pub(crate) const CONFIG: StoreConfig = StoreConfig {
    log_segment_bytes: 64 * 1024,
    segment_bytes: 48 * 1024,
    disk_low_bytes: 300 * 1024,
    ballast_bytes: 64 * 1024,
};

pub(crate) fn terms(seed: u64) -> RecoveryTerms {
    RecoveryTerms { store: Some(STORE), seed: Seed(seed), log_segment_bytes: CONFIG.log_segment_bytes }
}

pub(crate) const MACHINE: MachineTime = MachineTime { boot_id: [3; 16], boot_ms: 1000, wall_ms: 5000 };

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) random: SplitMix,
    pub(crate) disk: SimDisk,
    pub(crate) store: Option<Store>,
    pub(crate) lanes: [VecDeque<DiskOp>; 3],
    pub(crate) now: Instant,
    /// The state when the store was opened, and all turns since.
    pub(crate) base: Model,
    pub(crate) turns: Vec<(Mark, Vec<Deed>)>,
    pub(crate) synced: Mark,
    /// All turns applied.
    pub(crate) current: Model,
    /// Every message that was ever appended or spilled, by place.
    pub(crate) ever: BTreeMap<(QueueId, u64), Content>,
    pub(crate) spilled: BTreeMap<QueueId, BTreeMap<u64, Content>>,
    pub(crate) spilling: BTreeMap<SpillId, (QueueId, Vec<(u64, Content)>)>,
    pub(crate) next_position: BTreeMap<QueueId, u64>,
    pub(crate) reads: BTreeMap<ReadId, ReadRequest>,
    pub(crate) numbers: u64,
    pub(crate) low: bool,
    pub(crate) closed: bool,
    pub(crate) fatal: bool,
    pub(crate) planted: Option<Planted>,
    pub(crate) faults: DiskFaults,
    pub(crate) rots: bool,
    /// Damage that may explain anything.
    pub(crate) unknown: bool,
    pub(crate) damaged: Vec<(QueueId, Position, Position)>,
    /// A lane that is hardly served.
    pub(crate) slow_lane: usize,
    pub(crate) coverage: Coverage,
}

pub(crate) type Verdict = Result<(), String>;

/// Runs a seed; an error is a promise that was broken.
pub(crate) fn run(seed: u64, planted: Option<Planted>) -> Result<Coverage, String> {
    let mut random = SplitMix::new(Seed(seed));
    let mut faults = DiskFaults::default();
    let mut capacity = 64 * 1024 * 1024;
    match seed % 4 {
        2 => {
            faults.failing = [0, 300, 900][random.below(3) as usize];
            capacity = 900 * 1024;
        }
        3 => {
            faults.rotting = 40;
            faults.unreadable = 400;
        }
        _ => {}
    }
    let mut world = World::new(random, (seed, planted), capacity, faults);
    let lives = 3 + world.random.below(5);
    for _ in 0..lives {
        if !world.start()? {
            return Ok(world.coverage);
        }
        world.live()?;
        world.stop()?;
    }
    world.faults = DiskFaults::default();
    if world.start()? {
        world.empty()?;
    }
    world.coverage.full += world.disk.counts[3];
    Ok(world.coverage)
}

impl World {
    pub(crate) fn new(
        mut random: SplitMix,
        (seed, planted): (u64, Option<Planted>),
        capacity: u64,
        faults: DiskFaults,
    ) -> Self {
        Self {
            seed,
            disk: SimDisk::new(Seed(random.next_u64()), capacity, faults),
            store: None,
            lanes: Default::default(),
            now: Instant::from_nanos(1_000_000_000),
            base: Model::default(),
            turns: Vec::new(),
            synced: Mark(0),
            current: Model::default(),
            ever: BTreeMap::new(),
            spilled: BTreeMap::new(),
            spilling: BTreeMap::new(),
            next_position: BTreeMap::new(),
            reads: BTreeMap::new(),
            numbers: 0,
            low: false,
            closed: false,
            fatal: false,
            planted,
            faults,
            rots: faults.rotting > 0,
            unknown: false,
            damaged: Vec::new(),
            slow_lane: 0,
            coverage: Coverage::default(),
            random,
        }
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.random.below(100) < percent
    }

    /// Recovers and opens; false if the directory is refused, which only damage may bring about.
    pub(crate) fn start(&mut self) -> Result<bool, String> {
        // a start may be cut off as well
        if self.chance(20) {
            let steps = self.random.below(8) as usize;
            let _ = recover(&mut self.disk, terms(self.seed), false, self.planted, Some(steps));
            self.disk.cut_power();
        }
        // no sector goes bad between the look and the start: they are to see the same
        self.disk.set_faults(DiskFaults { unreadable: 0, ..self.faults });
        let found = match self.inspect() {
            Ok(found) => found,
            Err(refusal) if self.rots => {
                self.coverage.refused += 1;
                return if format!("{refusal}").is_empty() {
                    Err("a refusal without words".into())
                } else {
                    Ok(false)
                };
            }
            Err(refusal) => return Err(format!("refused without damage: {refusal}")),
        };
        self.judge(&found)?;
        let failed = self.disk.counts[0];
        let recovered = match recover(&mut self.disk, terms(self.seed), false, self.planted, None) {
            Some(Ok(recovered)) => recovered,
            _ if self.disk.counts[0] > failed => {
                self.disk.cut_power();
                return self.start();
            }
            _ => return Err("what can be looked at cannot be opened".into()),
        };
        let nonces = SplitMix::new(Seed(self.random.next_u64()));
        let mut store = Store::open(recovered, CONFIG, nonces, MACHINE, self.now);
        if let Some(bug) = self.planted {
            store.plant(bug);
        }
        self.store = Some(store);
        self.disk.set_faults(self.faults);
        self.base = found.model;
        for ((queue, position), message) in &found.messages {
            let content = self.ever[&(*queue, *position)];
            let queue = self.base.queues.entry(*queue).or_default();
            queue.messages.insert(*position, (content, message.deliveries));
        }
        self.current = self.base.clone();
        self.turns.clear();
        self.synced = Mark(0);
        self.next_position = self.current.queues.iter().map(|(id, queue)| (*id, queue.last + 1)).collect();
        (self.low, self.closed, self.fatal) = (false, false, false);
        self.slow_lane = self.random.below(6) as usize;
        self.unknown = found.reports.iter().any(|report| is_unknown(report, self.rots));
        self.damaged.clear();
        Ok(true)
    }

    /// What the directory contains, as somebody sees it who only looks.
    fn inspect(&mut self) -> Result<Found, Refusal> {
        match recover(&mut self.disk, terms(self.seed), true, self.planted, None) {
            Some(Ok(recovered)) => Ok(read_all(&mut self.disk, recovered)),
            Some(Err(refusal)) => Err(refusal),
            None => unreachable!("it was not cut off"),
        }
    }

    /// The state is that after some turn which was not synced yet when the crash came, or after the last that
    /// was.
    fn judge(&mut self, found: &Found) -> Verdict {
        for report in &found.reports {
            match report {
                Report::Torn { .. } => self.coverage.torn += 1,
                Report::Unfinished(_) => {}
                damage if !self.rots => return Err(format!("damage on a sound disk: {damage}")),
                _ => self.coverage.damaged += 1,
            }
        }
        let mut state = self.base.clone();
        let mut differences = Vec::new();
        let mut behind = self.turns.iter().peekable();
        while let Some((_, deeds)) = behind.next_if(|(mark, _)| *mark <= self.synced) {
            deeds.iter().for_each(|deed| state.apply(deed));
        }
        loop {
            match difference(&state, found, &self.ever, self.rots) {
                None => break,
                Some(what) => differences.push(what),
            }
            let Some((_, deeds)) = behind.next() else {
                let reported: Vec<String> = found.reports.iter().map(ToString::to_string).collect();
                return Err(format!(
                    "no state between synced and appended: first {}; last {}; reports {reported:?}",
                    differences[0],
                    differences[differences.len() - 1]
                ));
            };
            deeds.iter().for_each(|deed| state.apply(deed));
        }
        self.coverage.lost_unsynced += u64::from(behind.next().is_some());
        Ok(())
    }

    /// Random work for a while.
    pub(crate) fn live(&mut self) -> Verdict {
        for _ in 0..30 + self.random.below(250) {
            let what = self.random.below(100);
            match what {
                0..40 => self.append(),
                40..46 => self.read(),
                46..49 => self.spill(),
                49..52 => self.drop_spilled(),
                52..54 => self.now = self.now + Duration::from_millis(self.random.below(150)),
                _ => self.work(1 + what as usize % 6)?,
            }
            self.turn()?;
            if self.fatal {
                self.coverage.fatals += 1;
                return Ok(());
            }
        }
        Ok(())
    }

    /// A crash, or a clean stop.
    pub(crate) fn stop(&mut self) -> Verdict {
        if !self.fatal && self.chance(30) {
            self.close()?;
            if !self.fatal {
                self.coverage.clean_stops += 1;
                let all = self.turns.last().map_or(Mark(0), |(mark, _)| *mark);
                if self.synced < all {
                    return Err("a clean stop that synced not everything".into());
                }
            }
        }
        if let Some(store) = self.store.take() {
            let counters = store.counters();
            self.coverage.moved += counters.moved_messages;
            self.coverage.compacted += counters.compacted_messages;
            self.coverage.snapshots += counters.snapshots;
            self.coverage.spilled += counters.spilled_messages;
        }
        for lane in &mut self.lanes {
            lane.clear();
        }
        self.reads.clear();
        self.spilled.clear();
        self.spilling.clear();
        self.coverage.crashes += 1;
        // killed, or without power
        if self.chance(75) {
            self.disk.cut_power();
        }
        Ok(())
    }

    pub(crate) fn close(&mut self) -> Verdict {
        self.store.as_mut().expect("open").close();
        for _ in 0..100_000 {
            self.now = self.now + Duration::from_millis(1);
            self.turn()?;
            if self.closed || self.fatal {
                return Ok(());
            }
            self.work(3)?;
            self.disk_says();
            // on a full disk nothing goes on until somebody makes room: a crash then
            if self.lanes.iter().all(VecDeque::is_empty) && self.disk.counts[3] > 0 {
                self.fatal = true;
            }
        }
        Err("a clean stop that does not end".into())
    }

    /// In the end everything is acknowledged, and the disk is given back.
    fn empty(&mut self) -> Verdict {
        self.disk_says();
        let all: Vec<Deed> = self
            .current
            .queues
            .keys()
            .map(|queue| Deed::Acked { queue: *queue, first: 0, last: u64::MAX })
            .collect();
        self.hand_over(all);
        self.close()?;
        if self.fatal {
            return Ok(());
        }
        let (log, segments) = self.store.as_ref().expect("open").bytes_on_disk();
        let damaged = self.store.as_ref().expect("open").reports().0.count() > 0;
        if !damaged && (segments > 0 || log > 6 * CONFIG.log_segment_bytes) {
            return Err(format!("an empty store keeps {log} bytes of log and {segments} of segments"));
        }
        Ok(())
    }

    /// Executes some operations, in the order of their lanes.
    pub(crate) fn work(&mut self, count: usize) -> Verdict {
        for _ in 0..count {
            let lane = self.random.below(3) as usize;
            if lane == self.slow_lane && !self.closed && self.random.below(8) > 0 {
                continue;
            }
            let Some(op) = self.lanes[lane].pop_front() else { continue };
            let done = self.disk.execute(&op);
            self.store.as_mut().expect("open").on_done(&done);
        }
        Ok(())
    }

    fn disk_says(&mut self) {
        let free = self.disk.free_bytes();
        self.store.as_mut().expect("open").on_free_bytes(free);
    }

    pub(crate) fn turn(&mut self) -> Verdict {
        if self.chance(20) {
            self.disk_says();
        }
        let mut effects = Effects::default();
        self.store.as_mut().expect("open").end_turn(self.now, &mut effects);
        for op in effects.ops {
            let lane = match op.lane {
                Lane::Log => 0,
                Lane::Bulk => 1,
                Lane::Read => 2,
            };
            self.lanes[lane].push_back(op);
        }
        // what a read found is reported in the same turn
        effects.out.sort_by_key(|effect| !matches!(effect, Effect::Report(_)));
        for effect in effects.out {
            match effect {
                Effect::Synced(mark) => self.synced = self.synced.max(mark),
                Effect::Read(answer) => self.check_read(&answer)?,
                Effect::Spilled { id, written } => {
                    let (queue, messages) = self.spilling.remove(&id).ok_or("a spill was answered twice")?;
                    if written {
                        self.spilled.entry(queue).or_default().extend(messages);
                    }
                }
                Effect::DiskLow(low) => self.low = low,
                Effect::Report(Report::DamagedMessages { queue, first, last }) => {
                    self.damaged.push((queue, first, last));
                }
                Effect::Report(report) => self.unknown |= is_unknown(&report, self.rots),
                Effect::Closed => self.closed = true,
                Effect::Fatal { what } if self.disk.counts[0] > 0 => {
                    assert!(!what.is_empty());
                    self.fatal = true;
                }
                Effect::Fatal { what } => return Err(format!("stopped on a disk that did not fail: {what}")),
            }
        }
        Ok(())
    }
}
