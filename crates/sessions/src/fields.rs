//! Little-endian fields of records and of the image. Drawn in docs/formats/sessions.md.
//!
//! Invariant: [`Take`] never reads past its slice, never panics, and trusts no count before it compared the
//! bytes that are there.

use alloc::vec::Vec;

use leveret_model::session::Database;
use leveret_model::{Boot, NodeId};

use crate::hid::{Hid, Place};
use crate::stamp::{Epoch, Home, Stamp, StateId, Version};

/// Why some bytes are no record. They passed a checksum, so the sender is of another version or has a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Fewer bytes than a field needs.
    #[error("ends in the middle of a field")]
    Short,
    /// More bytes than the fields need.
    #[error("has bytes behind its last field")]
    Trailing,
    /// A field with a value that it cannot have.
    #[error("has an impossible {0}")]
    Value(&'static str),
}

/// Fields that are laid down at the end of a buffer.
pub(crate) trait Put {
    fn raw(&mut self, bytes: &[u8]);

    fn u8(&mut self, value: u8) {
        self.raw(&[value]);
    }

    fn u16(&mut self, value: u16) {
        self.raw(&value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.raw(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.raw(&value.to_le_bytes());
    }

    fn i64(&mut self, value: i64) {
        self.raw(&value.to_le_bytes());
    }

    fn u128(&mut self, value: u128) {
        self.raw(&value.to_le_bytes());
    }

    fn hid(&mut self, hid: Hid) {
        self.raw(&hid.to_bytes());
    }

    fn stamp(&mut self, stamp: Stamp) {
        self.u64(stamp.counter);
        self.u128(stamp.node.0);
    }

    fn state(&mut self, id: StateId) {
        self.stamp(id.life);
        self.u32(id.epoch.0);
        self.u64(id.version.0);
    }

    fn home(&mut self, home: Home) {
        self.u128(home.node.0);
        self.u64(home.boot.0);
    }

    /// With a length of 4 bytes.
    fn long(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        self.raw(bytes);
    }

    /// With a length of 2 bytes; keys and vhosts are short.
    fn short(&mut self, bytes: &[u8]) {
        self.u16(bytes.len() as u16);
        self.raw(bytes);
    }

    fn place(&mut self, place: Place<'_>) {
        self.short(place.vhost.as_bytes());
        self.u8(place.database.number());
        self.short(place.key);
    }
}

impl Put for Vec<u8> {
    fn raw(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Fields that are taken up from the front.
#[derive(Clone, Debug)]
pub(crate) struct Take<'a>(&'a [u8]);

impl<'a> Take<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Damage> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(Damage::Short)?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let (head, rest) = self.0.split_first_chunk().ok_or(Damage::Short)?;
        self.0 = rest;
        Ok(*head)
    }

    /// Nothing may be left.
    pub(crate) fn end(&self) -> Result<(), Damage> {
        if self.0.is_empty() { Ok(()) } else { Err(Damage::Trailing) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Damage> {
        self.array().map(|[byte]: [u8; 1]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Damage> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Damage> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Damage> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Damage> {
        self.array().map(i64::from_le_bytes)
    }

    pub(crate) fn u128(&mut self) -> Result<u128, Damage> {
        self.array().map(u128::from_le_bytes)
    }

    pub(crate) fn hid(&mut self) -> Result<Hid, Damage> {
        self.array().map(Hid::from_bytes)
    }

    pub(crate) fn node(&mut self) -> Result<NodeId, Damage> {
        self.u128().map(NodeId)
    }

    pub(crate) fn stamp(&mut self) -> Result<Stamp, Damage> {
        Ok(Stamp { counter: self.u64()?, node: self.node()? })
    }

    pub(crate) fn state(&mut self) -> Result<StateId, Damage> {
        Ok(StateId { life: self.stamp()?, epoch: Epoch(self.u32()?), version: Version(self.u64()?) })
    }

    pub(crate) fn home(&mut self) -> Result<Home, Damage> {
        Ok(Home { node: self.node()?, boot: Boot(self.u64()?) })
    }

    pub(crate) fn long(&mut self) -> Result<&'a [u8], Damage> {
        let count = self.u32()? as usize;
        self.bytes(count)
    }

    pub(crate) fn short(&mut self) -> Result<&'a [u8], Damage> {
        let count = self.u16()?.into();
        self.bytes(count)
    }

    pub(crate) fn place(&mut self) -> Result<Place<'a>, Damage> {
        let vhost = core::str::from_utf8(self.short()?).map_err(|_| Damage::Value("vhost"))?;
        if vhost.len() > 255 {
            return Err(Damage::Value("vhost"));
        }
        let database = Database::new(self.u8()?).ok_or(Damage::Value("database"))?;
        let key = self.short()?;
        if key.len() > leveret_model::limits::SESSION_KEY_BYTES_MAX {
            return Err(Damage::Value("key"));
        }
        Ok(Place { vhost, database, key })
    }
}
