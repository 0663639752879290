//! Faults that are planted in the machines, so that a test can show that the invariants see them.

use leveret_cluster::Control;
use leveret_shard::Shard;

/// A planted bug, chosen at run time; only the feature `planted` compiles them in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Planted {
    /// The machines as they are.
    #[default]
    Nothing,
}

impl Planted {
    /// All bugs, with their names and the invariant that must see each.
    pub const ALL: &'static [(Self, &'static str, &'static str)] = &[];

    /// The bug with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known, _)| *known == name).map(|(planted, ..)| *planted)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Self::ALL.iter().find(|(planted, ..)| *planted == self).map(|(_, name, _)| *name)
    }

    pub(crate) fn in_control(self, _control: &mut Control) {}

    pub(crate) fn in_shard(self, _shard: &mut Shard) {}
}
