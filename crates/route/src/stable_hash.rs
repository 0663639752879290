//! The hash that every node and every version computes alike.

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

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes are part of what nodes of different versions agree on.
    #[test]
    fn the_stable_hash_stays_what_it_is() {
        assert_eq!(StableHash::new().bytes(b"").0, 0xcbf2_9ce4_8422_2325);
        assert_eq!(StableHash::new().bytes(b"foobar").0, 0x8594_4171_f739_67e8);
        assert_eq!(mix(1), 0x5692_161d_100b_05e5);
    }
}
