//! What commands change in attributes, before it is a commit.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use leveret_model::limits;
use leveret_model::session::SessionRefusal;

use crate::attributes::{Attribute, AttributeList, Attributes, Changed, Removed, is_hidden};

/// An attribute's new value; `None`: it is removed.
#[derive(Clone, Copy, Debug)]
struct Edit<'c> {
    name: &'c [u8],
    value: Option<&'c [u8]>,
    /// It was removed by an earlier command of the same commit, so it stands behind the others now.
    moved: bool,
}

/// Edits by name; the latest of each counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Edits<'c> {
    edits: Vec<Edit<'c>>,
    latest: BTreeMap<&'c [u8], usize>,
}

impl<'c> Edits<'c> {
    pub(crate) fn set(&mut self, name: &'c [u8], value: Option<&'c [u8]>) {
        match self.latest.get(name) {
            Some(&at) if self.edits[at].value.is_some() || value.is_none() => self.edits[at].value = value,
            before => {
                let moved = before.is_some();
                self.latest.insert(name, self.edits.len());
                self.edits.push(Edit { name, value, moved });
            }
        }
    }

    /// The value of a name now.
    pub(crate) fn get<'s>(&self, base: Attributes<'s>, name: &[u8]) -> Option<&'s [u8]>
    where
        'c: 's,
    {
        match self.latest.get(name) {
            Some(&at) => self.edits[at].value,
            None => base.get(name).map(|attribute| attribute.value),
        }
    }

    fn latest(&self, name: &[u8]) -> Option<Edit<'c>> {
        self.latest.get(name).map(|&at| self.edits[at])
    }

    /// What is there now, in order; what differs from before has the stamp. Those that are ours too.
    pub(crate) fn alive<'s>(&self, base: Attributes<'s>, stamp: Changed) -> Vec<Attribute<'s>>
    where
        'c: 's,
    {
        let mut known = BTreeSet::new();
        let mut all = Vec::new();
        for attribute in base.all() {
            match self.latest(attribute.name) {
                None => all.push(attribute),
                Some(Edit { value: Some(value), moved: false, .. }) if value == attribute.value => {
                    all.push(attribute);
                }
                Some(Edit { value: Some(value), moved: false, .. }) => {
                    all.push(Attribute { value, changed: stamp, ..attribute });
                }
                Some(_) => continue,
            }
            known.insert(attribute.name);
        }
        for (at, edit) in self.edits.iter().enumerate() {
            let counts = self.latest.get(edit.name) == Some(&at) && !known.contains(edit.name);
            if let Some(value) = edit.value.filter(|_| counts) {
                all.push(Attribute { name: edit.name, value, changed: stamp });
            }
        }
        all
    }

    /// Whether what would be there fits.
    ///
    /// # Errors
    /// The bound that is met.
    pub(crate) fn check(&self, base: Attributes<'_>, bytes_max: usize) -> Result<(), SessionRefusal> {
        let (mut count, mut bytes) = (0, 0);
        for attribute in self.alive(base, Changed::FIRST) {
            count += usize::from(!is_hidden(attribute.name));
            bytes += attribute.name.len() + attribute.value.len();
        }
        if count > limits::SESSION_ATTRIBUTES_MAX {
            return Err(SessionRefusal::TooManyFields);
        }
        if bytes > bytes_max { Err(SessionRefusal::TooLarge) } else { Ok(()) }
    }

    /// The attributes with the edits, which are of the commit `stamp`.
    pub(crate) fn apply(&self, base: Attributes<'_>, stamp: Changed) -> Vec<u8> {
        let ended = |name: &[u8]| self.latest(name).is_some_and(|edit| edit.value.is_none());
        let now = base.all().filter(|attribute| ended(attribute.name));
        let removed: Vec<Removed<'_>> = base
            .removed()
            .filter(|removed| self.latest(removed.name).is_none_or(|edit| edit.value.is_none()))
            .chain(now.map(|attribute| Removed { name: attribute.name, changed: stamp }))
            .collect();
        AttributeList { forgotten: base.forgotten(), alive: self.alive(base, stamp), removed }.encode()
    }
}

/// A name that a command may use.
///
/// # Errors
/// It is too long, or begins as those do that are ours.
pub(crate) fn check_name(name: &[u8]) -> Result<(), SessionRefusal> {
    if name.len() > limits::SESSION_ATTRIBUTE_NAME_BYTES_MAX || is_hidden(name) {
        Err(SessionRefusal::FieldName)
    } else {
        Ok(())
    }
}
