//! Numbers that nobody can guess who was not told them, not even from others of the same source.

use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A source of them: the MAC of a counter under a key that its driver drew (NIST SP 800-108 §4.1: counter
/// mode).
pub struct SecretNumbers {
    key: [u8; 32],
    drawn: u64,
}

impl fmt::Debug for SecretNumbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretNumbers({} drawn)", self.drawn)
    }
}

impl SecretNumbers {
    /// A source that begins; no other may have the same key.
    #[must_use]
    pub const fn new(key: [u8; 32]) -> Self {
        Self { key, drawn: 0 }
    }

    /// The next 128 bits.
    pub fn draw(&mut self) -> u128 {
        self.drawn += 1;
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.key)
            .expect("HMAC takes keys of any length (RFC 2104 §3)");
        mac.update(&self.drawn.to_le_bytes());
        let mac: [u8; 32] = mac.finalize().into_bytes().into();
        u128::from_le_bytes(core::array::from_fn(|at| mac[at]))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn numbers_differ_and_follow_from_the_key() {
        let draw = |key: u8| {
            let mut numbers = SecretNumbers::new([key; 32]);
            (0..100).map(|_| numbers.draw()).collect::<BTreeSet<_>>()
        };
        assert_eq!(draw(1).len(), 100);
        assert_eq!(draw(1), draw(1));
        assert!(draw(1).is_disjoint(&draw(2)));
    }
}
