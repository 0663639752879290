//! R3: two standing lives of one queue name meet. The smaller `QueueId` whose home is Alive wins.
//!
//! The winner's home takes over the loser's bindings; when the loser's home sees them all there, it says so,
//! and when everyone acts on that (R1), it renames its queue to `<name>~<ulid>`, where it keeps its messages.
//! Each home writes its own map alone, so the steps need no agreement, and repeat harmlessly until all are
//! done. Nothing is deleted.
//!
//! Invariant: nobody routes past a binding of either life. Until the rename the bindings of both lead to the
//! name (`bindings`); the rename drops the loser's, so before it everyone that counts must have the winner's.
//! Who acts on a map acts on all that it rests on, so the loser's home writes its own record again once it
//! has seen the winner's bindings, and awaits that version.
//!
//! Invariant: a contested name is looked at only when what its merge follows from changed: its lives, how
//! their homes stand, their bindings, those bindings' exchanges, and who acts on a union. A dead node's names
//! may be contested in thousands until it is forgotten, and no input pays for those that it does not touch.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;

use leveret_model::{Name, NodeId, QueueId, SHORT_STRING_BYTES_MAX};

use super::contested::Union;
use super::map::{Op, Record, Version};
use super::names::{BindingKey, ObjectName};
use super::state::Directory;
use crate::membership::Standing;

/// What a merge did here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MergeStep {
    /// This node's queue won, and took over bindings of the other life.
    TookOver {
        /// The name.
        name: ObjectName,
        /// The other life's home.
        from: NodeId,
        /// How many.
        bindings: usize,
    },
    /// This node's queue lost, and the winner has all its bindings: once everyone acts on this version of the
    /// own map it may lose its name ([`Directory::united`]).
    United {
        /// This node's queue.
        loser: QueueId,
        /// The version.
        version: Version,
    },
    /// This node's queue lost its name.
    Renamed {
        /// The old name.
        name: ObjectName,
        /// The new one.
        renamed: Name,
        /// The winner's home.
        winner: NodeId,
    },
}

impl Directory {
    /// Does this node's part in all merges that can go on. Call [`Directory::refresh`] before and after it.
    pub(crate) fn merge(&mut self) -> Vec<MergeStep> {
        let mut steps = Vec::new();
        for name in core::mem::take(&mut self.contested.again) {
            #[cfg(test)]
            {
                self.contested.looked_at += 1;
            }
            self.forget_unions(&name);
            if self.is_frozen(&name) {
                // looked at again once the queue has its home
                continue;
            }
            self.merge_lives(&name, &mut steps);
        }
        steps
    }

    fn merge_lives(&mut self, name: &ObjectName, steps: &mut Vec<MergeStep>) {
        let lives = self.standing_lives(name);
        let alive = lives.iter().find(|(_, node)| self.standing(*node) == Standing::Alive);
        let Some(&(winner, home)) = alive else { return };
        for &(loser, loser_home) in lives.iter().filter(|(id, _)| *id > winner) {
            if home == self.own && !self.standing(loser_home).is_down() {
                let bindings = self.take_over(winner, loser, loser_home);
                if bindings > 0 {
                    steps.push(MergeStep::TookOver { name: name.clone(), from: loser_home, bindings });
                }
            }
            if loser_home == self.own {
                steps.extend(self.yield_name(name, loser, (winner, home)));
            }
        }
    }

    /// The loser's part.
    fn yield_name(
        &mut self,
        name: &ObjectName,
        loser: QueueId,
        (winner, home): (QueueId, NodeId),
    ) -> Option<MergeStep> {
        let lacks = !self.missing(winner, home, loser, self.own).is_empty();
        let unions = self.contested.names.get_mut(name)?;
        if lacks {
            unions.remove(&loser);
            return None;
        }
        match unions.get(&loser) {
            Some(union) if union.winner == winner && !union.visible => None,
            Some(union) if union.winner == winner => {
                unions.remove(&loser);
                let renamed = self.rename(name, loser);
                Some(MergeStep::Renamed { name: name.clone(), renamed, winner: home })
            }
            _ => {
                let record = self.own_queue(loser)?.clone();
                self.write(Op::Put(Record::Queue { record, standing: true }));
                let version = self.version();
                let union = Union { winner, version, visible: false };
                self.contested.names.get_mut(name)?.insert(loser, union);
                Some(MergeStep::United { loser, version })
            }
        }
    }

    /// Everyone acts on the version that [`MergeStep::United`] wrote.
    pub(crate) fn united(&mut self, loser: QueueId, version: Version) {
        let Some(record) = self.own_queue(loser) else { return };
        let name = ObjectName::of_queue(record);
        let union = self.contested.names.get_mut(&name).and_then(|unions| unions.get_mut(&loser));
        if let Some(union) = union.filter(|union| union.version == version) {
            union.visible = true;
            self.contested.again.insert(name);
        }
    }

    /// A queue that is gone, or has another name, loses this one no more.
    fn forget_unions(&mut self, name: &ObjectName) {
        let (lives, own) = (self.queues.lives.get(name), self.own);
        if let Some(unions) = self.contested.names.get_mut(name) {
            unions.retain(|loser, _| lives.is_some_and(|lives| lives.get(loser) == Some(&own)));
        }
    }

    fn standing_lives(&self, name: &ObjectName) -> Vec<(QueueId, NodeId)> {
        let Some(lives) = self.queues.lives.get(name) else { return Vec::new() };
        lives
            .iter()
            .map(|(&id, &home)| (id, home))
            .filter(|&(id, home)| self.queue_record(home, id).is_some_and(|(_, standing)| standing))
            .collect()
    }

    /// Bindings of the loser that route and that the winner lacks.
    fn missing(&self, winner: QueueId, home: NodeId, loser: QueueId, loser_home: NodeId) -> Vec<Record> {
        let has: BTreeSet<&BindingKey> = self.maps[&home].bindings_of(winner).map(|(key, _)| key).collect();
        self.maps[&loser_home]
            .bindings_of(loser)
            .filter(|(key, record)| {
                let source = key.source();
                !has.contains(key)
                    && record.lamport() > self.deleted(&source)
                    && self.routed_exchange(&source).is_some()
            })
            .map(|(_, record)| record.clone())
            .collect()
    }

    fn take_over(&mut self, winner: QueueId, loser: QueueId, loser_home: NodeId) -> usize {
        let epoch = self.own_queue(winner).map_or(0, |record| record.epoch);
        let missing = self.missing(winner, self.own, loser, loser_home);
        let count = missing.len();
        for record in missing {
            if let Record::Binding { binding, .. } = record {
                let lamport = self.tick();
                self.write(Op::Put(Record::Binding { queue: winner, epoch, lamport, binding }));
            }
        }
        count
    }

    fn rename(&mut self, name: &ObjectName, loser: QueueId) -> Name {
        let renamed = loser_name(&name.name, loser);
        self.drop_bindings(loser);
        if let Some(record) = self.own_queue(loser) {
            let record = record.renamed(renamed.clone());
            self.write(Op::Put(Record::Queue { record, standing: true }));
        }
        renamed
    }
}

/// The name of a queue that lost a merge: its id behind the old name, of which the end is cut if it is too
/// long.
fn loser_name(name: &str, id: QueueId) -> Name {
    let tail = format!("~{}", id.ulid);
    let mut keep = name.len().min(SHORT_STRING_BYTES_MAX - tail.len());
    while !name.is_char_boundary(keep) {
        keep -= 1;
    }
    Name::new(&format!("{}{tail}", &name[..keep]))
}

#[cfg(test)]
mod tests;
