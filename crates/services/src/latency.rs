//! Percentiles of times in a fixed number of words: four buckets for each doubling, so a value is known to 25
//! %.

use core::sync::atomic::{AtomicU32, Ordering};

/// Below 2^6 µs there is one bucket.
const FIRST_OCTAVE: u32 = 6;
/// Up to 2^26 µs, about 67 s: longer than any time-out of a door.
const OCTAVES: u32 = 20;
const BUCKETS: usize = 1 + 4 * OCTAVES as usize;

/// Times in microseconds.
#[derive(Debug)]
pub struct Latency([AtomicU32; BUCKETS]);

impl Default for Latency {
    fn default() -> Self {
        Self(core::array::from_fn(|_| AtomicU32::new(0)))
    }
}

impl Latency {
    /// Counts one.
    pub fn record(&self, micros: u64) {
        self.0[bucket(micros)].fetch_add(1, Ordering::Relaxed);
    }

    /// Upper end of the bucket in which so many thousandths of the values lie at or below; 0 without any.
    #[must_use]
    pub fn permille(&self, permille: u64) -> u64 {
        let counts = || self.0.iter().map(|count| u64::from(count.load(Ordering::Relaxed)));
        let all: u64 = counts().sum();
        let wanted = (all * permille).div_ceil(1_000).max(1);
        let mut seen = 0;
        let reached = counts().position(|count| {
            seen += count;
            seen >= wanted
        });
        reached.map_or(0, upper_end)
    }
}

fn bucket(micros: u64) -> usize {
    let octave = micros.max(1).ilog2();
    if octave < FIRST_OCTAVE {
        return 0;
    }
    let quarter = (micros >> (octave - 2)) & 3;
    let bucket = 1 + 4 * (octave - FIRST_OCTAVE) as usize + quarter as usize;
    bucket.min(BUCKETS - 1)
}

fn upper_end(bucket: usize) -> u64 {
    let Some(inner) = bucket.checked_sub(1) else { return 1 << FIRST_OCTAVE };
    let (octave, quarter) = (FIRST_OCTAVE + inner as u32 / 4, inner as u64 % 4);
    (5 + quarter) << (octave - 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_at_most_a_quarter_above_the_value() {
        let latency = Latency::default();
        assert_eq!(latency.permille(500), 0);
        for micros in 1..=10_000_u64 {
            latency.record(micros);
        }
        for (permille, value) in [(500, 5_000), (950, 9_500), (1_000, 10_000)] {
            let shown = latency.permille(permille);
            assert!((value..=value * 5 / 4).contains(&shown), "{permille}: {shown}");
        }
        latency.record(u64::MAX);
        assert_eq!(latency.permille(1_000), 1 << (FIRST_OCTAVE + OCTAVES));
    }
}
