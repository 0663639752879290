//! The store's clock: milliseconds that survive a restart. Drawn in docs/formats/store.md §5.
//!
//! Deadlines are kept in it, because the clock of one boot of the machine means nothing in the next, and
//! because the wall clock may be set by anybody. What the wall clock claims is reported and never counted.

use core::time::Duration;

use leveret_model::Instant;

/// A point of the store's clock, in milliseconds. It never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreTime(pub u64);

/// What the clocks of the machine show; the driver reads them once, at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MachineTime {
    /// Drawn by the kernel at each boot (`/proc/sys/kernel/random/boot_id`).
    pub boot_id: [u8; 16],
    /// `CLOCK_BOOTTIME`, milliseconds.
    pub boot_ms: u64,
    /// The wall clock, milliseconds since 1970.
    pub wall_ms: u64,
}

/// What both showed at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TimeMark {
    pub(crate) store: StoreTime,
    pub(crate) machine: MachineTime,
}

/// The store's clock of this start: a fixed distance from the driver's. Shards keep a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreClock {
    base: StoreTime,
    opened: Instant,
}

/// How the clock went on after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// The machine ran on: the clock counted these milliseconds.
    Counted(u64),
    /// The machine was booted: the clock stood still. The wall clock claims that so many milliseconds passed.
    Unknown {
        /// Not counted; 0 if the wall clock went back.
        claimed_ms: u64,
    },
}

impl StoreClock {
    /// A clock that shows `base` at `opened`.
    #[must_use]
    pub fn new(base: StoreTime, opened: Instant) -> Self {
        Self { base, opened }
    }

    /// What the clock shows.
    #[must_use]
    pub fn at(&self, now: Instant) -> StoreTime {
        let passed = u64::try_from(now.since(self.opened).as_millis()).unwrap_or(u64::MAX);
        StoreTime(self.base.0.saturating_add(passed))
    }

    /// When the clock shows, or showed, `time`. What passed before this start is the start.
    #[must_use]
    pub fn when(&self, time: StoreTime) -> Instant {
        self.opened + Duration::from_millis(time.0.saturating_sub(self.base.0))
    }
}

/// Where the clock goes on: `seen` is the highest that it showed, `mark` the last comparison with the machine's
/// clocks.
pub(crate) fn resume(seen: StoreTime, mark: TimeMark, machine: &MachineTime) -> (StoreTime, Outage) {
    // the last batch came `ran_ms` after the mark, and the boot clock was as much further on
    let ran_ms = seen.0.saturating_sub(mark.store.0);
    if machine.boot_id == mark.machine.boot_id && machine.boot_ms >= mark.machine.boot_ms {
        let since_mark = machine.boot_ms - mark.machine.boot_ms;
        let counted = since_mark.saturating_sub(ran_ms);
        return (StoreTime(seen.0.saturating_add(counted)), Outage::Counted(counted));
    }
    let claimed_ms = machine.wall_ms.saturating_sub(mark.machine.wall_ms.saturating_add(ran_ms));
    (seen, Outage::Unknown { claimed_ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: TimeMark = TimeMark {
        store: StoreTime(1_000),
        machine: MachineTime { boot_id: [1; 16], boot_ms: 50_000, wall_ms: 900_000 },
    };

    #[test]
    fn a_restart_in_the_same_boot_counts_the_time_between_whatever_the_wall_clock_says() {
        for wall_ms in [0, 900_000, u64::MAX] {
            let machine = MachineTime { boot_id: [1; 16], boot_ms: 57_000, wall_ms };
            // it ran for 4 s after the mark, and was gone for 3 s
            assert_eq!(resume(StoreTime(5_000), MARK, &machine), (StoreTime(8_000), Outage::Counted(3_000)));
        }
    }

    #[test]
    fn another_boot_stops_the_clock_however_far_the_wall_clock_jumped() {
        for (wall_ms, claimed_ms) in [(0, 0), (905_000, 1_000), (u64::MAX, u64::MAX - 904_000)] {
            let machine = MachineTime { boot_id: [2; 16], boot_ms: 10, wall_ms };
            assert_eq!(
                resume(StoreTime(5_000), MARK, &machine),
                (StoreTime(5_000), Outage::Unknown { claimed_ms })
            );
        }
    }

    #[test]
    fn a_deadline_comes_back_at_the_same_distance() {
        let clock = StoreClock::new(StoreTime(7_000), Instant::from_nanos(1_000_000_000));
        let deadline = clock.at(Instant::from_nanos(3_000_000_000));
        assert_eq!(deadline, StoreTime(9_000));
        let next = StoreClock::new(StoreTime(8_500), Instant::ZERO);
        assert_eq!(next.when(deadline), Instant::from_nanos(500_000_000));
        assert_eq!(next.when(StoreTime(100)), Instant::ZERO);
    }
}
