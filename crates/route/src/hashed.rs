//! Exchanges that choose one binding by a hash: `x-consistent-hash` and `x-modulus-hash`.
//!
//! RabbitMQ's plugins hash into buckets whose order is that of the binds. Here every shard of every node has a
//! table of its own, and changes reach them in different orders, so the choice rests on nothing but the bindings
//! themselves. Invariant (*same everywhere*): two tables with the same bindings choose the same one, whatever
//! their history; no seed of a driver goes in.
//!
//! The consistent hash is a weighted rendezvous (highest random weight): each binding draws a number from its
//! fingerprint and the key's hash, and the best wins. A binding that comes or goes moves only its own share.

use alloc::format;
use alloc::vec::Vec;

use leveret_model::definition::Binding;
use leveret_model::settings::HashOn;
use leveret_model::{Refusal, ReplyCode};

use crate::bindings::{Bindings, Bound};
use crate::headers::Headers;
use crate::slots::Slot;

/// FNV-1a. Frozen: nodes of different versions must choose alike.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StableHash(u64);

impl StableHash {
    pub(crate) const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)))
    }

    pub(crate) const fn finish(self) -> u64 {
        mix(self.0)
    }
}

/// The finalizer of SplitMix64: FNV alone leaves the upper bits of short keys alike.
pub(crate) const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// What tells a binding of one exchange from the others, arguments aside.
pub(crate) fn fingerprint(binding: &Binding) -> u64 {
    let hash = StableHash::new().bytes(&[binding.kind as u8]).bytes(binding.destination.as_bytes());
    // 0xff is in no UTF-8 name, so it ends one
    hash.bytes(&[0xff]).bytes(&binding.key).finish()
}

/// What the exchange hashes of a message.
pub(crate) fn hash_of(on: &HashOn, key: &[u8], headers: &dyn Headers) -> u64 {
    match on {
        HashOn::RoutingKey => StableHash::new().bytes(key).finish(),
        HashOn::Header(name) => headers.hash_of_header(name),
        HashOn::Property(property) => headers.hash_of_property(*property),
    }
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
    pub(crate) fn insert(&mut self, bindings: &Bindings, slot: Slot<Bound>) {
        // a merge can change an exchange's kind under bindings whose keys are no weights: they count as 1
        let weight = weight(&bindings[slot].key).unwrap_or(1);
        self.shares.push((bindings[slot].fingerprint, weight as f64));
    }

    /// The binding is about to leave its source's list.
    pub(crate) fn remove(&mut self, bindings: &Bindings, slot: Slot<Bound>) {
        self.shares.swap_remove(bindings[slot].at_source as usize);
    }

    /// hot: one draw for each binding.
    pub(crate) fn choose(&self, from: &[Slot<Bound>], hash: u64) -> Option<Slot<Bound>> {
        let draw = |&(fingerprint, weight): &(u64, f64)| {
            // exponential with the weight as its rate: the smallest of such draws is each one's with a
            // probability in proportion to its weight
            (exponential(mix(hash ^ fingerprint)) / weight, fingerprint)
        };
        let draws = from.iter().zip(self.shares.iter().map(draw));
        let least = draws.min_by(|(_, (a, x)), (_, (b, y))| a.total_cmp(b).then(x.cmp(y)));
        least.map(|(slot, _)| *slot)
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

/// The bindings in the order of their fingerprints.
#[derive(Debug)]
pub(crate) struct ModulusIndex {
    sorted: Vec<(u64, Slot<Bound>)>,
}

impl ModulusIndex {
    pub(crate) const fn new() -> Self {
        Self { sorted: Vec::new() }
    }

    pub(crate) fn insert(&mut self, bindings: &Bindings, slot: Slot<Bound>) {
        let fingerprint = bindings[slot].fingerprint;
        let at = self.sorted.partition_point(|(other, _)| *other < fingerprint);
        self.sorted.insert(at, (fingerprint, slot));
    }

    pub(crate) fn remove(&mut self, bindings: &Bindings, slot: Slot<Bound>) {
        let fingerprint = bindings[slot].fingerprint;
        let first = self.sorted.partition_point(|(other, _)| *other < fingerprint);
        if let Some(more) = self.sorted[first..].iter().position(|(_, other)| *other == slot) {
            self.sorted.remove(first + more);
        }
    }

    /// hot.
    pub(crate) fn choose(&self, key: &[u8]) -> Option<Slot<Bound>> {
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

    /// Hashes are part of what nodes of different versions agree on.
    #[test]
    fn the_stable_hash_stays_what_it_is() {
        assert_eq!(StableHash::new().bytes(b"").0, 0xcbf2_9ce4_8422_2325);
        assert_eq!(StableHash::new().bytes(b"foobar").0, 0x8594_4171_f739_67e8);
        assert_eq!(mix(1), 0x5692_161d_100b_05e5);
    }
}
