//! Attributes of a session as bytes (S4): each with the commit that changed it last, and names that were
//! removed. Drawn in docs/formats/sessions.md.
//!
//! Invariants
//! - *Stamps only grow*: what a commit changes or removes has its (epoch, version), higher than all before.
//! - *Removed is known*: a name that is in neither list was never there, or was removed at or before
//!   [`Attributes::forgotten`].

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use leveret_model::limits;

use crate::fields::{Damage, Put, Take};
use crate::stamp::{Epoch, StateId, Version};

mod edits;
mod merge;

pub(crate) use edits::{Edits, check_name};
pub(crate) use merge::{Merged, merge};

/// The commit that changed something last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Changed {
    pub(crate) epoch: Epoch,
    pub(crate) version: Version,
}

impl Changed {
    pub(crate) const FIRST: Self = Self { epoch: Epoch(1), version: Version(1) };

    pub(crate) const fn of(id: StateId) -> Self {
        Self { epoch: id.epoch, version: id.version }
    }
}

/// An attribute that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attribute<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) changed: Changed,
    pub(crate) value: &'a [u8],
}

/// One that was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Removed<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) changed: Changed,
}

/// Whether a name begins as those do that are ours: user and principal.
pub(crate) fn is_hidden(name: &[u8]) -> bool {
    name.first() == Some(&0)
}

/// The user of a session, for people.
pub(crate) const USER: &[u8] = b"\0user";

/// All attributes of a session, in the order in which they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attributes<'a>(&'a [u8]);

impl Attributes<'static> {
    pub(crate) const NONE: Self = Self(&[0; 16]);
}

impl<'a> Attributes<'a> {
    /// Bytes that this machine has written, or has looked at.
    pub(crate) const fn trusted(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Bytes of a record.
    pub(crate) fn take(bytes: &'a [u8]) -> Result<Self, Damage> {
        let mut take = Take::new(bytes);
        take_changed(&mut take)?;
        for _ in 0..take.u16()? {
            take_attribute(&mut take)?;
        }
        for _ in 0..take.u16()? {
            take_removed(&mut take)?;
        }
        take.end()?;
        Ok(Self(bytes))
    }

    pub(crate) const fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// What was removed up to here may be in no list.
    pub(crate) fn forgotten(self) -> Changed {
        take_changed(&mut Take::new(self.0)).expect(WHOLE)
    }

    fn behind_head(self) -> Take<'a> {
        let mut take = Take::new(self.0);
        take_changed(&mut take).expect(WHOLE);
        take
    }

    /// Those of people and those that are ours.
    pub(crate) fn all(self) -> impl Iterator<Item = Attribute<'a>> {
        let mut take = self.behind_head();
        let count = take.u16().expect(WHOLE);
        (0..count).map(move |_| take_attribute(&mut take).expect(WHOLE))
    }

    /// Those of people.
    pub(crate) fn visible(self) -> impl Iterator<Item = Attribute<'a>> {
        self.all().filter(|attribute| !is_hidden(attribute.name))
    }

    pub(crate) fn removed(self) -> impl Iterator<Item = Removed<'a>> {
        let mut take = self.behind_head();
        for _ in 0..take.u16().expect(WHOLE) {
            take_attribute(&mut take).expect(WHOLE);
        }
        let count = take.u16().expect(WHOLE);
        (0..count).map(move |_| take_removed(&mut take).expect(WHOLE))
    }

    pub(crate) fn get(self, name: &[u8]) -> Option<Attribute<'a>> {
        self.all().find(|attribute| attribute.name == name)
    }

    /// What a peer that has everything up to `since` lacks, in the same form.
    pub(crate) fn later_than(self, since: Changed) -> Vec<u8> {
        let mut list = AttributeList { forgotten: self.forgotten(), ..AttributeList::default() };
        list.alive.extend(self.all().filter(|attribute| attribute.changed > since));
        list.removed.extend(self.removed().filter(|removed| removed.changed > since));
        list.encode()
    }

    /// These with what [`Attributes::later_than`] gave.
    pub(crate) fn with(self, later: Attributes<'_>) -> Vec<u8> {
        let changed: BTreeMap<&[u8], Attribute<'_>> =
            later.all().map(|attribute| (attribute.name, attribute)).collect();
        let gone: BTreeMap<&[u8], Removed<'_>> =
            later.removed().map(|removed| (removed.name, removed)).collect();
        let known: BTreeMap<&[u8], ()> = self.all().map(|attribute| (attribute.name, ())).collect();
        let kept = self.all().filter(|attribute| !gone.contains_key(attribute.name));
        let alive = kept.map(|attribute| changed.get(attribute.name).copied().unwrap_or(attribute));
        let new = later.all().filter(|attribute| !known.contains_key(attribute.name));
        let removed = self
            .removed()
            .filter(|removed| !gone.contains_key(removed.name) && !changed.contains_key(removed.name));
        let list = AttributeList {
            forgotten: self.forgotten().max(later.forgotten()),
            alive: alive.chain(new).collect(),
            removed: removed.chain(later.removed()).collect(),
        };
        list.encode()
    }
}

const WHOLE: &str = "attributes are looked at where they come in";

/// Attributes that are about to be written.
#[derive(Default)]
pub(crate) struct AttributeList<'a> {
    pub(crate) forgotten: Changed,
    pub(crate) alive: Vec<Attribute<'a>>,
    pub(crate) removed: Vec<Removed<'a>>,
}

impl AttributeList<'_> {
    /// Only the latest removals are kept by name.
    pub(crate) fn encode(mut self) -> Vec<u8> {
        let forgotten = self.forgotten;
        self.removed.retain(|removed| removed.changed > forgotten);
        let surplus = self.removed.len().saturating_sub(limits::SESSION_REMOVED_MAX);
        if surplus > 0 {
            let mut stamps: Vec<Changed> = self.removed.iter().map(|removed| removed.changed).collect();
            stamps.sort_unstable();
            let last = stamps[surplus - 1];
            self.forgotten = self.forgotten.max(last);
            self.removed.retain(|removed| removed.changed > last);
        }
        let mut out = Vec::new();
        put_changed(&mut out, self.forgotten);
        out.u16(self.alive.len() as u16);
        for attribute in &self.alive {
            out.u8(attribute.name.len() as u8);
            out.raw(attribute.name);
            put_changed(&mut out, attribute.changed);
            out.long(attribute.value);
        }
        out.u16(self.removed.len() as u16);
        for removed in &self.removed {
            out.u8(removed.name.len() as u8);
            out.raw(removed.name);
            put_changed(&mut out, removed.changed);
        }
        out
    }
}

pub(crate) fn put_changed(out: &mut Vec<u8>, changed: Changed) {
    out.u32(changed.epoch.0);
    out.u64(changed.version.0);
}

pub(crate) fn take_changed(take: &mut Take<'_>) -> Result<Changed, Damage> {
    Ok(Changed { epoch: Epoch(take.u32()?), version: Version(take.u64()?) })
}

fn take_attribute<'a>(take: &mut Take<'a>) -> Result<Attribute<'a>, Damage> {
    let length = take.u8()?;
    Ok(Attribute { name: take.bytes(length.into())?, changed: take_changed(take)?, value: take.long()? })
}

fn take_removed<'a>(take: &mut Take<'a>) -> Result<Removed<'a>, Damage> {
    let length = take.u8()?;
    Ok(Removed { name: take.bytes(length.into())?, changed: take_changed(take)? })
}

#[cfg(test)]
mod tests;
