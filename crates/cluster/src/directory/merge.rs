//! R3: two standing lives of one queue name meet. The smaller `QueueId` whose home is Alive wins.
//!
//! The winner's home takes over the loser's bindings; when the loser's home sees them all there, it renames its queue to
//! `<name>~<ulid>`, where it keeps its messages. Each home writes its own map alone, so the two steps need no agreement,
//! and repeat harmlessly until both are done. Nothing is deleted.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;

use leveret_model::{Name, NodeId, QueueId, SHORT_STRING_BYTES_MAX};

use super::Directory;
use super::map::{BindingKey, ObjectName, Op, Record};
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
    /// Does this node's part in all merges that can go on. Call [`Directory::refresh`] after it.
    pub(crate) fn merge(&mut self) -> Vec<MergeStep> {
        let mut steps = Vec::new();
        for name in self.contested.clone() {
            let lives = self.standing_lives(&name);
            let Some(&(winner, home)) =
                lives.iter().find(|(_, node)| self.standing(*node) == Standing::Alive)
            else {
                continue;
            };
            for &(loser, loser_home) in lives.iter().filter(|(id, _)| *id > winner) {
                if home == self.own && !self.standing(loser_home).is_down() {
                    let bindings = self.take_over(winner, loser, loser_home);
                    if bindings > 0 {
                        steps.push(MergeStep::TookOver { name: name.clone(), from: loser_home, bindings });
                    }
                }
                if loser_home == self.own && self.missing(winner, home, loser, loser_home).is_empty() {
                    let renamed = self.rename(&name, loser);
                    steps.push(MergeStep::Renamed { name: name.clone(), renamed, winner: home });
                }
            }
        }
        steps
    }

    fn standing_lives(&self, name: &ObjectName) -> Vec<(QueueId, NodeId)> {
        let Some(lives) = self.queues.get(name) else { return Vec::new() };
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
            let record = leveret_model::directory::QueueRecord { name: renamed.clone(), ..record.clone() };
            self.write(Op::Put(Record::Queue { record, standing: true }));
        }
        renamed
    }
}

/// The name of a queue that lost a merge: its id behind the old name, of which the end is cut if it is too long.
fn loser_name(name: &str, id: QueueId) -> Name {
    let tail = format!("~{}", id.ulid);
    let mut keep = name.len().min(SHORT_STRING_BYTES_MAX - tail.len());
    while !name.is_char_boundary(keep) {
        keep -= 1;
    }
    Name::new(&format!("{}{tail}", &name[..keep]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use leveret_model::Ulid;

    #[test]
    fn a_losers_name_keeps_its_ulid_even_when_the_name_is_long() {
        let id = QueueId { generation: 0, ulid: Ulid(7) };
        let long = loser_name(&"ä".repeat(127), id);
        assert!(long.len() <= 255);
        assert!(long.ends_with("~00000000000000000000000007"));
        assert_eq!(loser_name("q", id).as_str(), "q~00000000000000000000000007");
    }
}
