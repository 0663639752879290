//! A message as every room carries it: address, content header and body as they came, and what was read of them
//! once.
//!
//! The ingress shard reads [`Terms`] from the content header; the arena, records between shards and deliveries
//! copy them. So no other room parses properties.

use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

/// The body of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// In one piece, shorter than `limits::SLICE_BYTES_MIN`: whoever keeps it copies it.
    Flat(&'a [u8]),
    /// Slices of receive blocks: whoever keeps it counts them.
    Chunks(&'a [Bytes]),
}

impl Body<'_> {
    /// Bytes of the body. hot.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Flat(bytes) => bytes.len(),
            Self::Chunks(chunks) => chunks.iter().map(Bytes::len).sum(),
        }
    }

    /// True for a body without bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a publisher asks for in the properties of a message: one word, because it is copied with every message.
///
/// ```text
///   0  expiration, ms, low  32 priority 40 persistent 41 expires 42 expiration, high 50 dead 51 spent 52  64
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms(u64);

impl Terms {
    /// Bytes of [`Terms::to_bytes`].
    pub const BYTES: usize = 8;
    const PRIORITY_AT: u32 = 32;
    const PERSISTENT: u64 = 1 << 40;
    const EXPIRES: u64 = 1 << 41;
    /// Bits of the expiration above the lowest 32.
    const LATE_AT: u32 = 42;
    const DEAD_LETTER: u64 = 1 << 50;
    const COPIES_SPENT: u64 = 1 << 51;
    const UNUSED: u64 = !((1 << 52) - 1);
    /// The longest expiration, milliseconds: ten years (RabbitMQ 4.3: more is 406).
    pub const EXPIRATION_MS_MAX: u64 = 315_360_000_000;

    /// What the three properties say; the accessors have their meaning. An expiration above
    /// [`Terms::EXPIRATION_MS_MAX`] is cut to it.
    #[must_use]
    pub fn new(persistent: bool, priority: u8, expiration_ms: Option<u64>) -> Self {
        let mut word = u64::from(priority) << Self::PRIORITY_AT;
        if persistent {
            word |= Self::PERSISTENT;
        }
        if let Some(expiration_ms) = expiration_ms {
            let expiration_ms = expiration_ms.min(Self::EXPIRATION_MS_MAX);
            word |=
                Self::EXPIRES | expiration_ms & u64::from(u32::MAX) | expiration_ms >> 32 << Self::LATE_AT;
        }
        Self(word)
    }

    /// `delivery_mode` 2: a durable queue keeps the message over a restart. hot.
    #[inline]
    #[must_use]
    pub fn persistent(self) -> bool {
        self.0 & Self::PERSISTENT != 0
    }

    /// `priority`; 0 if there is none (RabbitMQ: priority queues treat that as the lowest).
    #[must_use]
    pub fn priority(self) -> u8 {
        (self.0 >> Self::PRIORITY_AT) as u8
    }

    /// `expiration`: milliseconds that the message may wait in a queue (RabbitMQ: per-message TTL).
    #[must_use]
    pub fn expiration_ms(self) -> Option<u64> {
        let late = self.0 >> Self::LATE_AT & 0xff;
        self.expires().then_some(late << 32 | self.0 & u64::from(u32::MAX))
    }

    /// It has an `expiration`. hot.
    #[inline]
    #[must_use]
    pub fn expires(self) -> bool {
        self.0 & Self::EXPIRES != 0
    }

    /// The terms of a dead letter: its time to live ends with its death (RabbitMQ: dead lettering). With
    /// `copies_spent` its CC header is history, because the queue that it died in gave it another key.
    #[must_use]
    pub fn of_dead_letter(self, copies_spent: bool) -> Self {
        let spent = if copies_spent { Self::COPIES_SPENT } else { 0 };
        let lasting = self.0 & (Self::PERSISTENT | Self::COPIES_SPENT | 0xff << Self::PRIORITY_AT);
        Self(lasting | Self::DEAD_LETTER | spent)
    }

    /// Its `x-death` is the broker's: a client cannot set this (RabbitMQ 4: a client's own is not continued).
    #[must_use]
    pub fn is_dead_letter(self) -> bool {
        self.0 & Self::DEAD_LETTER != 0
    }

    /// Its CC header does not route it any more.
    #[must_use]
    pub fn are_copies_spent(self) -> bool {
        self.0 & Self::COPIES_SPENT != 0
    }

    /// As records and the arena lay them down, little endian. hot.
    #[inline]
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        self.0.to_le_bytes()
    }

    /// Bytes that this process wrote by [`Terms::to_bytes`]. hot.
    #[inline]
    #[must_use]
    pub fn trusted(bytes: [u8; Self::BYTES]) -> Self {
        Self(u64::from_le_bytes(bytes))
    }

    /// Bytes of a peer; `None` with a bit that nobody writes. hot.
    #[inline]
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Option<Self> {
        let terms = Self::trusted(bytes);
        (terms.0 & Self::UNUSED == 0).then_some(terms)
    }
}

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms")
            .field("persistent", &self.persistent())
            .field("priority", &self.priority())
            .field("expiration_ms", &self.expiration_ms())
            .finish()
    }
}

/// A message, borrowed from whoever holds its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Exchange and routing key as they came, two short strings one behind the other.
    pub address: &'a [u8],
    /// The payload of the content header frame, from the class id on.
    pub header: &'a [u8],
    /// The body.
    pub body: Body<'a>,
    /// What the header asks for.
    pub terms: Terms,
}

impl<'a> Message<'a> {
    /// A message that asks for nothing in particular.
    #[must_use]
    pub fn new(address: &'a [u8], header: &'a [u8], body: Body<'a>) -> Self {
        Self { address, header, body, terms: Terms::default() }
    }

    /// Bytes of address, header and body: what windows and memory count. hot.
    #[inline]
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        self.address.len() + self.header.len() + self.body.len()
    }
}

/// A message that owns its bytes; large bodies stay counted slices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedMessage {
    address: Vec<u8>,
    header: Vec<u8>,
    flat: Vec<u8>,
    chunks: Vec<Bytes>,
    terms: Terms,
}

impl From<&Message<'_>> for OwnedMessage {
    fn from(message: &Message<'_>) -> Self {
        let (flat, chunks) = match message.body {
            Body::Flat(bytes) => (bytes.to_vec(), Vec::new()),
            Body::Chunks(chunks) => (Vec::new(), chunks.to_vec()),
        };
        Self {
            address: message.address.to_vec(),
            header: message.header.to_vec(),
            flat,
            chunks,
            terms: message.terms,
        }
    }
}

impl OwnedMessage {
    /// The message, borrowed.
    #[must_use]
    pub fn borrow(&self) -> Message<'_> {
        let body = if self.chunks.is_empty() { Body::Flat(&self.flat) } else { Body::Chunks(&self.chunks) };
        Message { address: &self.address, header: &self.header, body, terms: self.terms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_come_back_from_their_bytes() {
        for persistent in [false, true] {
            for expiration_ms in [None, Some(0), Some(1), Some(1 << 33 | 5), Some(Terms::EXPIRATION_MS_MAX)] {
                let terms = Terms::new(persistent, 9, expiration_ms);
                assert_eq!((terms.persistent(), terms.priority()), (persistent, 9));
                assert_eq!(terms.expiration_ms(), expiration_ms);
                assert_eq!(Terms::from_bytes(terms.to_bytes()), Some(terms));
            }
        }
        assert_eq!(Terms::from_bytes([0, 0, 0, 0, 0, 0, 16, 0]), None, "a bit that nobody writes");
    }

    #[test]
    fn a_dead_letter_keeps_what_outlives_its_queue() {
        let dead = Terms::new(true, 7, Some(50)).of_dead_letter(true);
        assert_eq!((dead.persistent(), dead.priority(), dead.expiration_ms()), (true, 7, None));
        assert!(dead.is_dead_letter() && dead.are_copies_spent());
        assert!(dead.of_dead_letter(false).are_copies_spent(), "they do not come back");
        assert_eq!(Terms::from_bytes(dead.to_bytes()), Some(dead));
        assert!(!Terms::new(true, 7, Some(50)).is_dead_letter());
    }

    #[test]
    fn an_owned_message_lends_what_it_was_made_from() {
        let chunks = [Bytes::from_static(b"ab"), Bytes::from_static(b"c")];
        for body in [Body::Flat(b"abc"), Body::Chunks(&chunks), Body::Flat(b"")] {
            let terms = Terms::new(true, 3, None);
            let message = Message { address: b"a", header: b"hh", body, terms };
            let owned = OwnedMessage::from(&message);
            assert_eq!(owned.borrow(), message);
            assert_eq!(message.weight_bytes(), 3 + body.len());
        }
    }
}
