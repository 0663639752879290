//! What a session is called where its key must not be seen.

use core::fmt;

use leveret_model::session::Database;
use sha2::{Digest as _, Sha256};

/// The first 16 bytes of SHA-256 over vhost, database and key. It stands in lists, logs and events, because
/// keys are bearer secrets; the home compares the whole key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hid([u8; 16]);

/// The first byte of a hid: what a shard keeps, and what is claimed as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(pub u8);

/// The first 12 bits of a hid: a step of SCAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u16);

/// A key where it lies: in a vhost and a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The vhost's name.
    pub vhost: &'a str,
    /// The database there.
    pub database: Database,
    /// The key.
    pub key: &'a [u8],
}

impl Place<'_> {
    /// The hid of the session there. hot.
    #[must_use]
    pub fn hid(&self) -> Hid {
        let mut hash = Sha256::new();
        hash.update((self.vhost.len() as u16).to_le_bytes());
        hash.update(self.vhost.as_bytes());
        hash.update([self.database.number()]);
        hash.update(self.key);
        let digest: [u8; 32] = hash.finalize().into();
        Hid(core::array::from_fn(|at| digest[at]))
    }
}

impl Hid {
    /// From bytes of a record.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// As it stands in records.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// The bucket that it is in.
    #[must_use]
    pub const fn bucket(self) -> Bucket {
        Bucket(self.0[0])
    }

    /// The step of SCAN that it is in.
    #[must_use]
    pub const fn slot(self) -> Slot {
        Slot((self.0[0] as u16) << 4 | (self.0[1] as u16) >> 4)
    }

    /// Bits for a hash table: a hid is random, but an attacker who may choose keys can choose them too, so
    /// tables mix a seed of their own into it.
    #[must_use]
    pub(crate) const fn bits(self) -> u64 {
        let Self([_, _, _, _, _, _, _, _, a, b, c, d, e, f, g, h]) = self;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

impl Slot {
    /// How many there are.
    pub const COUNT: u16 = 4_096;

    /// `None` past the last one.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        if number < Self::COUNT { Some(Self(number)) } else { None }
    }

    /// 0 to 4,095.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The bucket that it is a part of.
    #[must_use]
    pub const fn bucket(self) -> Bucket {
        Bucket((self.0 >> 4) as u8)
    }
}

impl fmt::Display for Hid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
