//! The queues of one publish, each with the publish's place on its lane.

use leveret_model::{LaneSequence, QueueId, Ulid};

use crate::fields::Damage;

/// A queue that a publish goes to, and its place on the lane there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneTarget {
    /// The queue.
    pub queue: QueueId,
    /// The publish's number on the lane.
    pub sequence: LaneSequence,
    /// Lowest number that is not answered.
    pub base: LaneSequence,
}

impl LaneTarget {
    /// Bytes that one takes.
    pub(crate) const BYTES: usize = 4 + 16 + 8 + 8;

    /// As it is laid down. hot.
    #[inline]
    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&self.queue.generation.to_le_bytes());
        bytes[4..20].copy_from_slice(&self.queue.ulid.0.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.sequence.0.to_le_bytes());
        bytes[28..].copy_from_slice(&self.base.0.to_le_bytes());
        bytes
    }

    /// hot.
    #[inline]
    fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let u64_at = |at: usize| u64::from_le_bytes(core::array::from_fn(|byte| bytes[at + byte]));
        let generation = u32::from_le_bytes(core::array::from_fn(|byte| bytes[byte]));
        let ulid = Ulid(u128::from(u64_at(4)) | u128::from(u64_at(12)) << 64);
        let queue = QueueId { generation, ulid };
        Self { queue, sequence: LaneSequence(u64_at(20)), base: LaneSequence(u64_at(28)) }
    }
}

/// The queues of one publish, in the bytes of its record: one at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneTargets<'a>(&'a [[u8; LaneTarget::BYTES]]);

impl<'a> LaneTargets<'a> {
    /// Reads them.
    ///
    /// # Errors
    /// [`Damage`] if there is none, or a piece of one.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, Damage> {
        match bytes.as_chunks() {
            (targets, []) if !targets.is_empty() => Ok(Self(targets)),
            _ => Err(Damage::Value("row of queues")),
        }
    }

    /// How many.
    #[must_use]
    pub fn count(self) -> u32 {
        self.0.len() as u32
    }

    pub(crate) fn as_bytes(self) -> &'a [u8] {
        self.0.as_flattened()
    }
}

impl<'a> IntoIterator for LaneTargets<'a> {
    type Item = LaneTarget;
    type IntoIter = core::iter::Map<
        core::slice::Iter<'a, [u8; LaneTarget::BYTES]>,
        fn(&[u8; LaneTarget::BYTES]) -> LaneTarget,
    >;

    /// hot.
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(LaneTarget::from_bytes)
    }
}
