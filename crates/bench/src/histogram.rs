//! A histogram of nanoseconds with a bounded relative error, after HdrHistogram's log-linear buckets.
//!
//! Each power of two is cut into 128 equal buckets, so a value is off by less than 0.8 %; below 128 it is
//! exact.

use std::time::Duration;

/// Buckets per power of two, as bits.
const SUB_BITS: u32 = 7;
const SUB: usize = 1 << SUB_BITS;
/// All buckets of 64-bit values.
const BUCKETS: usize = (64 - SUB_BITS as usize + 1) * SUB;

/// Counts of durations.
#[derive(Clone)]
pub(super) struct Histogram {
    counts: Box<[u64]>,
    total: u64,
    max: u64,
}

impl Histogram {
    /// An empty histogram.
    pub(super) fn new() -> Self {
        Self { counts: vec![0; BUCKETS].into(), total: 0, max: 0 }
    }

    /// Counts one duration. hot.
    pub(super) fn record(&mut self, nanos: u64) {
        self.counts[bucket(nanos)] += 1;
        self.total += 1;
        self.max = self.max.max(nanos);
    }

    /// Counts all that another one counted.
    pub(super) fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    /// How many were counted.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// The longest, exactly.
    pub(super) fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// The duration that a share `quantile` (0 to 1) of all does not exceed: the upper edge of its bucket.
    pub(super) fn quantile(&self, quantile: f64) -> Duration {
        let rank = ((self.total as f64 * quantile).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(upper_edge(index).min(self.max));
            }
        }
        self.max()
    }
}

fn bucket(value: u64) -> usize {
    if value < SUB as u64 {
        return value as usize;
    }
    let shift = 63 - value.leading_zeros() - SUB_BITS;
    (shift as usize + 1) * SUB + ((value >> shift) as usize - SUB)
}

fn upper_edge(index: usize) -> u64 {
    if index < SUB {
        return index as u64;
    }
    let (shift, sub) = (index / SUB - 1, (index % SUB + SUB) as u128);
    u64::try_from(((sub + 1) << shift) - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_a_bucket_less_than_a_hundredth_wide() {
        let mut value = 1_u64;
        while value < u64::MAX / 3 {
            for near in [value - 1, value, value + 1] {
                let edge = upper_edge(bucket(near));
                assert!(edge >= near && (edge - near) as f64 <= near as f64 / 100.0, "{near}: {edge}");
            }
            value = value * 3 / 2 + 1;
        }
        assert_eq!(upper_edge(bucket(u64::MAX)), u64::MAX);
        assert!(bucket(u64::MAX) < BUCKETS);
    }

    #[test]
    fn quantiles_are_those_of_a_sorted_list() {
        let mut histogram = Histogram::new();
        (1..=100_000_u64).for_each(|nanos| histogram.record(nanos * 1000));
        for (quantile, exact) in
            [(0.5, 50_000_000_u64), (0.99, 99_000_000), (0.999, 99_900_000), (1.0, 100_000_000)]
        {
            let found = histogram.quantile(quantile).as_nanos() as f64;
            assert!((found / exact as f64 - 1.0).abs() < 0.01, "{quantile}: {found}");
        }
        assert_eq!(histogram.max(), Duration::from_millis(100));
    }

    #[test]
    fn an_empty_histogram_answers_zero() {
        assert_eq!(Histogram::new().quantile(0.99), Duration::ZERO);
        assert_eq!(Histogram::new().total(), 0);
    }
}
