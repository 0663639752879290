//! Who is who in the world, and what can happen.

use crate::scheduler::Scheduler;

/// A machine on which one process at a time runs; its address lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct HostId(pub(crate) u8);

impl HostId {
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Its cluster address.
    pub(crate) fn address(self) -> String {
        format!("10.0.0.{}:25672", self.0)
    }

    pub(crate) fn from_address(address: &str) -> Option<Self> {
        address.strip_prefix("10.0.0.")?.strip_suffix(":25672")?.parse().ok().map(Self)
    }
}

/// One start of a node; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ProcessId(pub(crate) u32);

/// A client; it lasts over its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClientId(pub(crate) u32);

/// A TCP connection; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PipeId(pub(crate) u32);

/// One end of a pipe: the dialler's or the acceptor's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct End {
    pub(crate) pipe: PipeId,
    pub(crate) side: Side,
}

/// Which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Side {
    Dialler,
    Acceptor,
}

impl Side {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Dialler => Self::Acceptor,
            Self::Acceptor => Self::Dialler,
        }
    }
}

/// A thread of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Actor {
    Shard(u8),
    Control,
}

/// A dial under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DialId(pub(crate) u32);

/// What can happen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// A thread's turn begins; void if its token is not the last.
    Turn { process: ProcessId, actor: Actor, token: u64 },
    /// A shard has taken its mail; the second half of its turn.
    TurnGoesOn { process: ProcessId, shard: u8 },
    /// Something may have arrived at an end.
    Arrive(End),
    /// The last probe of a connection that may be silent.
    Probed(PipeId),
    /// A dial goes on.
    Dial(DialId),
    /// A client connects.
    ClientConnects(ClientId),
    /// A client does something on its own.
    ClientActs(ClientId),
    /// A host starts a process.
    Start(HostId),
    /// A process says that its leave is over.
    Left(ProcessId),
    /// The next fault.
    Fault,
    /// The fault with this number ends.
    FaultEnds(usize),
    /// The invariants look.
    Look,
}

/// The scheduler of the world.
pub(crate) type Schedule = Scheduler<Event>;
