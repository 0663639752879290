//! What goes wrong, and when: each seed draws its own mix.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::event::{ClientId, HostId, ProcessId};
use crate::scheduler::Dice;

/// Kinds of faults. Each must be hit often enough over a set of seeds, or the set proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// Ways between some hosts take up to 500 ms.
    Delay,
    /// A control link breaks.
    ControlReset,
    /// A data link breaks.
    DataReset,
    /// Nothing goes over a data link any more, and nobody is told, while the control link lives.
    DataSilence,
    /// A client's connection breaks.
    ClientReset,
    /// Nothing goes one way between two hosts.
    OneWayCut,
    /// Nothing goes between two hosts, both hear the others.
    PartialCut,
    /// The cluster is cut in two.
    FullCut,
    /// A process ends; its kernel says so.
    Crash,
    /// A host ends without a word.
    SilentCrash,
    /// A node is told to leave, and hands its queues over.
    Leave,
    /// A host starts a new process under a new id.
    Restart,
    /// All threads of a process stand still.
    Pause,
    /// Shards are interrupted between the halves of their turns.
    Starvation,
    /// A process is short of memory: publishers of long queues wait.
    TightMemory,
    /// A process has no memory left: all publishers wait.
    FullMemory,
    /// A client stops reading for a while.
    SlowReader,
    /// Clients read nothing, and the node has little room for what they leave: outputs are kept short.
    Crowd,
    /// It had no room left: the greediest connections were closed.
    Eviction,
    /// A client took nothing for long, and its node says so.
    Unread,
    /// Somebody without the secret dials a node, in the name of another.
    Stranger,
}

impl FaultKind {
    /// All kinds.
    pub const ALL: [Self; 21] = [
        Self::Delay,
        Self::ControlReset,
        Self::DataReset,
        Self::DataSilence,
        Self::ClientReset,
        Self::OneWayCut,
        Self::PartialCut,
        Self::FullCut,
        Self::Crash,
        Self::SilentCrash,
        Self::Leave,
        Self::Restart,
        Self::Pause,
        Self::Starvation,
        Self::TightMemory,
        Self::FullMemory,
        Self::SlowReader,
        Self::Crowd,
        Self::Eviction,
        Self::Unread,
        Self::Stranger,
    ];
}

/// How often each kind hit something: a cut held back or a delay slowed what was on its way, a pause put off a
/// turn, a silence lost something, tight or full memory throttled a publisher that had something to say, a
/// client did not read what came, a stranger was turned away, a new process began after a crash. What ends a
/// connection or a process hits by itself, and so does what slows a shard for seconds.
pub type FaultCounts = BTreeMap<FaultKind, u64>;

/// A fault that lasts, and what it did: undone when it ends.
#[derive(Clone, Debug)]
pub(crate) enum Lasting {
    /// With what the ways between them had met before.
    Cuts(FaultKind, Vec<(HostId, HostId)>, u64),
    Slow(Vec<(HostId, HostId)>, u64),
    Still(HostId, ProcessId),
    Memory(FaultKind, ProcessId),
    Deaf(ClientId),
    Crowd(ProcessId),
}

/// The weights of one seed, and the pace.
#[derive(Debug)]
pub(crate) struct FaultPlan {
    weights: Vec<(FaultKind, usize)>,
    pause: (u64, u64),
    /// Processes may still be ended so often.
    pub(crate) crashes_left: u32,
    /// The same of leaves.
    pub(crate) leaves_left: u32,
}

impl FaultPlan {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        // these follow others, they are not drawn
        let follow = [FaultKind::Restart, FaultKind::Eviction, FaultKind::Unread];
        let drawn = FaultKind::ALL.into_iter().filter(|kind| !follow.contains(kind));
        let weights =
            drawn.map(|kind| (kind, if dice.chance(250) { 0 } else { 1 + dice.below(6) })).collect();
        let pause =
            *[(300, 1_500), (1_000, 4_000), (2_000, 8_000)].get(dice.below(3)).unwrap_or(&(1_000, 4_000));
        let crashes_left = 1 + dice.below(3) as u32;
        Self { weights, pause, crashes_left, leaves_left: 1 + dice.below(4) as u32 }
    }

    pub(crate) fn pause(&self, dice: &mut Dice) -> Duration {
        dice.millis(self.pause.0, self.pause.1)
    }

    pub(crate) fn next(&self, dice: &mut Dice) -> FaultKind {
        let all: usize = self.weights.iter().map(|(_, weight)| weight).sum();
        let mut at = dice.below(all.max(1));
        for (kind, weight) in &self.weights {
            if at < *weight {
                return *kind;
            }
            at -= weight;
        }
        FaultKind::DataReset
    }
}

/// Pairs of hosts that a cut separates.
pub(crate) fn cut_shape(kind: FaultKind, hosts: u8, dice: &mut Dice) -> Vec<(HostId, HostId)> {
    let mut order: Vec<HostId> = (0..hosts).map(HostId).collect();
    for at in (1..order.len()).rev() {
        order.swap(at, dice.below(at + 1));
    }
    match kind {
        FaultKind::OneWayCut => vec![(order[0], order[1])],
        FaultKind::PartialCut => vec![(order[0], order[1]), (order[1], order[0])],
        _ => {
            let (left, right) = order.split_at(1 + dice.below(order.len() - 1));
            left.iter().flat_map(|a| right.iter().flat_map(|b| [(*a, *b), (*b, *a)])).collect()
        }
    }
}
