//! Names that several lives have, and how far the merge of each is (R3). Read `merge` first.

use alloc::collections::{BTreeMap, BTreeSet};

use leveret_model::QueueId;
use leveret_model::definition::DestinationKind;

use super::map::Version;
use super::names::{BindingKey, ObjectName};

/// The names that several standing lives have.
#[derive(Debug, Default)]
pub(super) struct Contested {
    /// Each with the queues of this node that are to lose it.
    pub(super) names: BTreeMap<ObjectName, BTreeMap<QueueId, Union>>,
    /// Those of them whose merge may go on.
    pub(super) again: BTreeSet<ObjectName>,
    /// Names looked at so far: the work that tests count.
    #[cfg(test)]
    pub(super) looked_at: usize,
}

/// A queue of this node whose bindings the winner has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Union {
    pub(super) winner: QueueId,
    /// The version of this node's map that said so.
    pub(super) version: Version,
    /// Everyone acts on that.
    pub(super) visible: bool,
}

impl Contested {
    /// The lives of the name changed, or how their homes stand; so many of them stand. A queue that has its
    /// name alone again begins anew when it meets another.
    pub(super) fn on_lives(&mut self, name: &ObjectName, standing: usize) {
        if standing > 1 {
            self.names.entry(name.clone()).or_default();
            self.again.insert(name.clone());
        } else {
            self.names.remove(name);
            self.again.remove(name);
        }
    }

    /// A binding changed, or an end of it.
    pub(super) fn on_binding(&mut self, key: &BindingKey) {
        if key.kind != DestinationKind::Queue || self.names.is_empty() {
            return;
        }
        let name = key.destination();
        if self.names.contains_key(&name) {
            self.again.insert(name);
        }
    }
}
