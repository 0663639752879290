//! Little-endian fields: how every structure of this crate is laid down and taken up again.
//!
//! Invariant: [`Take`] never reads past its slice, never panics, and never trusts a count before it compared
//! the bytes that the counted things need with the bytes that are there.

use alloc::vec::Vec;

use bytes::Bytes;
use leveret_model::{ChannelKey, ChannelNumber, ConnectionKey, NodeId, QueueId, Ulid};

/// Why some bytes are no record, frame or value. The link that brought them ends: they passed the checksum, so
/// the peer is of another version or has a bug, and nothing after them can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Less bytes than a field needs.
    #[error("ends in the middle of a field")]
    Short,
    /// More bytes than the fields need.
    #[error("has bytes behind its last field")]
    Trailing,
    /// A kind byte that this version does not know.
    #[error("has the unknown kind {0}")]
    Kind(u8),
    /// A field has a value that it cannot have.
    #[error("has an impossible {0}")]
    Value(&'static str),
    /// Nested deeper or counted higher than `limits` allow.
    #[error("has more {0} than allowed")]
    TooMany(&'static str),
}

/// Bytes that are taken up from the front.
#[derive(Clone, Debug)]
pub struct Take<'a>(&'a [u8]);

impl<'a> Take<'a> {
    /// Begins at the front of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Bytes that are left.
    pub fn left(&self) -> usize {
        self.0.len()
    }

    /// So many bytes.
    ///
    /// # Errors
    /// [`Damage`] if that is not what is there.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], Damage> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(Damage::Short)?;
        self.0 = rest;
        Ok(head)
    }

    /// So many bytes, as an array.
    ///
    /// # Errors
    /// [`Damage`] if that is not what is there.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let (head, rest) = self.0.split_first_chunk().ok_or(Damage::Short)?;
        self.0 = rest;
        Ok(*head)
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.0)
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// [`Damage`] if that is not what is there.
    pub fn end(&self) -> Result<(), Damage> {
        if self.0.is_empty() { Ok(()) } else { Err(Damage::Trailing) }
    }

    /// A `u8`.
    ///
    /// # Errors
    /// [`Damage`] if that is not what is there.
    pub fn u8(&mut self) -> Result<u8, Damage> {
        self.array().map(|[byte]: [u8; 1]| byte)
    }

    /// A `u16`.
    ///
    /// # Errors
    /// [`Damage`] if that is not what is there.
    pub fn u16(&mut self) -> Result<u16, Damage> {
        self.array().map(u16::from_le_bytes)
    }

    /// A `u32`.
    ///
    /// # Errors
    /// [`Damage`] if that is not what is there.
    pub fn u32(&mut self) -> Result<u32, Damage> {
        self.array().map(u32::from_le_bytes)
    }

    /// A `u64`.
    ///
    /// # Errors
    /// [`Damage`] if that is not what is there.
    pub fn u64(&mut self) -> Result<u64, Damage> {
        self.array().map(u64::from_le_bytes)
    }

    /// A `u128`.
    ///
    /// # Errors
    /// [`Damage`] if that is not what is there.
    pub fn u128(&mut self) -> Result<u128, Damage> {
        self.array().map(u128::from_le_bytes)
    }

    /// A byte that is 0 or 1.
    ///
    /// # Errors
    /// [`Damage`] if that is not what is there.
    pub fn flag(&mut self) -> Result<bool, Damage> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Damage::Value("flag")),
        }
    }

    /// A count of things that take `each` bytes; refused if they cannot all be there.
    ///
    /// # Errors
    /// [`Damage`] if that is not what is there.
    pub fn count(&mut self, each: usize) -> Result<usize, Damage> {
        let count = self.u32()? as usize;
        if count.checked_mul(each).is_none_or(|bytes| bytes > self.left()) {
            return Err(Damage::Short);
        }
        Ok(count)
    }

    /// A node id.
    ///
    /// # Errors
    /// [`Damage`] if that is not what is there.
    pub fn node(&mut self) -> Result<NodeId, Damage> {
        self.u128().map(NodeId)
    }

    /// A queue id.
    ///
    /// # Errors
    /// [`Damage`] if that is not what is there.
    pub fn queue(&mut self) -> Result<QueueId, Damage> {
        Ok(QueueId { generation: self.u32()?, ulid: Ulid(self.u128()?) })
    }

    /// A channel key.
    ///
    /// # Errors
    /// [`Damage`] if that is not what is there.
    pub fn channel(&mut self) -> Result<ChannelKey, Damage> {
        Ok(ChannelKey {
            connection: ConnectionKey { slot: self.u32()?, generation: self.u32()? },
            number: ChannelNumber(self.u16()?),
            generation: self.u32()?,
        })
    }
}

/// Bytes that are laid down at the end.
pub trait Put {
    /// Bytes as they are.
    fn raw(&mut self, bytes: &[u8]);

    /// A `u8`.
    fn u8(&mut self, value: u8) {
        self.raw(&[value]);
    }

    /// A `u16`.
    fn u16(&mut self, value: u16) {
        self.raw(&value.to_le_bytes());
    }

    /// A `u32`.
    fn u32(&mut self, value: u32) {
        self.raw(&value.to_le_bytes());
    }

    /// A `u64`.
    fn u64(&mut self, value: u64) {
        self.raw(&value.to_le_bytes());
    }

    /// A `u128`.
    fn u128(&mut self, value: u128) {
        self.raw(&value.to_le_bytes());
    }

    /// A byte that is 0 or 1.
    fn flag(&mut self, value: bool) {
        self.u8(value.into());
    }

    /// A node id.
    fn node(&mut self, value: NodeId) {
        self.u128(value.0);
    }

    /// A queue id.
    fn queue(&mut self, value: QueueId) {
        self.u32(value.generation);
        self.u128(value.ulid.0);
    }

    /// A channel key.
    fn channel(&mut self, value: ChannelKey) {
        self.u32(value.connection.slot);
        self.u32(value.connection.generation);
        self.u16(value.number.0);
        self.u32(value.generation);
    }
}

impl Put for Vec<u8> {
    fn raw(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Bytes of all chunks together.
pub(crate) fn total(chunks: &[Bytes]) -> usize {
    chunks.iter().map(Bytes::len).sum()
}
