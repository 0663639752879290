//! Exchanges that choose one binding by a hash: `x-consistent-hash` and `x-modulus-hash`.
//!
//! RabbitMQ's plugins hash into buckets whose order is that of the binds. Here every shard of every node has a
//! table of its own, and changes reach them in different orders, so the choice rests on nothing but the
//! bindings themselves. Invariant (*same everywhere*): two tables with the same bindings choose the same one,
//! whatever their history; no seed of a driver goes in.
//!
//! The consistent hash is a weighted rendezvous (highest random weight): each binding draws a number from its
//! fingerprint and the key's hash, and the best wins. A binding that comes or goes moves only its own share.

use alloc::format;
use alloc::vec::Vec;

use leveret_model::definition::Binding;
use leveret_model::{Refusal, ReplyCode};

use crate::stable_hash::{StableHash, mix};

/// What tells a binding of one exchange from the others, arguments aside.
pub(crate) fn fingerprint(binding: &Binding) -> u64 {
    let hash = StableHash::new().bytes(&[binding.kind as u8]).bytes(binding.destination.as_bytes());
    // 0xff is in no UTF-8 name, so it ends one
    hash.bytes(&[0xff]).bytes(&binding.key).finish()
}

/// Fingerprint and weight of each binding, in step with the exchange's own list.
#[derive(Debug)]
pub(crate) struct HashIndex {
    shares: Vec<(u64, f64)>,
}

impl HashIndex {
    pub(crate) const fn new() -> Self {
        Self { shares: Vec::new() }
    }

    /// The binding has just entered the end of its source's list.
    pub(crate) fn insert(&mut self, fingerprint: u64, key: &[u8]) {
        // a merge can change an exchange's kind under bindings whose keys are no weights: they count as 1
        self.shares.push((fingerprint, weight(key).unwrap_or(1) as f64));
    }

    /// The binding at that place is about to leave its source's list, whose last takes the place.
    pub(crate) fn remove(&mut self, at_source: u32) {
        self.shares.swap_remove(at_source as usize);
    }

    /// The place of the binding that is chosen. hot: one draw for each binding.
    pub(crate) fn choose(&self, hash: u64) -> Option<usize> {
        let draw = |&(fingerprint, weight): &(u64, f64)| {
            // exponential with the weight as its rate: the smallest of such draws is each one's with a
            // probability in proportion to its weight
            (exponential(mix(hash ^ fingerprint)) / weight, fingerprint)
        };
        let draws = self.shares.iter().map(draw).enumerate();
        let least = draws.min_by(|(_, (a, x)), (_, (b, y))| a.total_cmp(b).then(x.cmp(y)));
        least.map(|(at, _)| at)
    }
}

/// `-ln(u)` for the u in (0, 1] that the bits stand for. (`f64::ln` needs std, and its last digits may differ
/// between machines; what is here are additions, multiplications and divisions, which may not.)
fn exponential(bits: u64) -> f64 {
    // 53 bits fill a float exactly; one more keeps 0 out
    let n = (bits >> 11) + 1;
    let exponent = n.ilog2();
    let m = n as f64 / (1_u64 << exponent) as f64;
    // ln m = 2 artanh((m - 1) / (m + 1)) for m in [1, 2]; 14 terms leave less than 1e-14
    let s = (m - 1.0) / (m + 1.0);
    let square = s * s;
    let series = (0..14).rev().fold(0.0, |sum, term| sum * square + 1.0 / f64::from(2 * term + 1));
    f64::from(53 - exponent) * core::f64::consts::LN_2 - 2.0 * s * series
}

fn weight(key: &[u8]) -> Option<u64> {
    core::str::from_utf8(key).ok()?.parse().ok().filter(|weight| *weight > 0)
}

/// Things in the order of their fingerprints.
#[derive(Debug)]
pub(crate) struct ModulusIndex<T> {
    sorted: Vec<(u64, T)>,
}

impl<T: Copy + PartialEq> ModulusIndex<T> {
    pub(crate) const fn new() -> Self {
        Self { sorted: Vec::new() }
    }

    pub(crate) fn insert(&mut self, fingerprint: u64, item: T) {
        let at = self.sorted.partition_point(|(other, _)| *other < fingerprint);
        self.sorted.insert(at, (fingerprint, item));
    }

    pub(crate) fn remove(&mut self, fingerprint: u64, item: T) {
        let first = self.sorted.partition_point(|(other, _)| *other < fingerprint);
        if let Some(more) = self.sorted[first..].iter().position(|(_, other)| *other == item) {
            self.sorted.remove(first + more);
        }
    }

    /// hot.
    pub(crate) fn choose(&self, key: &[u8]) -> Option<T> {
        let count = self.sorted.len() as u64;
        let at = StableHash::new().bytes(key).finish().checked_rem(count)?;
        Some(self.sorted[at as usize].1)
    }
}

/// Is the binding key a weight? (RabbitMQ's words)
pub(crate) fn validate(key: &[u8]) -> Result<(), Refusal> {
    let refuse = |text| Err(Refusal::new(ReplyCode::PreconditionFailed, text));
    if weight(key).is_some() {
        return Ok(());
    }
    let digits = key.strip_prefix(b"-").unwrap_or(key);
    if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) && digits.len() < key.len()
        || digits.iter().all(|digit| *digit == b'0') && !digits.is_empty()
    {
        return refuse("The binding key must be greater than 0".into());
    }
    refuse(format!("The binding key must be an integer: {}", key.escape_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_is_the_logarithm() {
        for bits in [0, 1, u64::MAX, u64::MAX / 2, u64::MAX / 3, 0x1234_5678_9abc_def0, 1 << 40] {
            let u = ((bits >> 11) + 1) as f64 / (1_u64 << 53) as f64;
            let difference = exponential(bits) + u.ln();
            assert!(difference.abs() < 1e-12, "{bits:x} {difference:e}");
        }
    }

    #[test]
    fn a_weight_is_a_number_above_0() {
        let text = |key: &[u8]| validate(key).err().map(|refusal| refusal.text);
        assert_eq!((text(b"1"), text(b"4000000000")), (None, None));
        for key in [&b"0"[..], b"-3", b"00"] {
            assert_eq!(text(key).as_deref(), Some("The binding key must be greater than 0"));
        }
        for key in [&b""[..], b"a", b"1.5", b"-", b" 1"] {
            let want = format!("The binding key must be an integer: {}", key.escape_ascii());
            assert_eq!(text(key), Some(want));
        }
    }
}
