//! What the model's nodes know, and what is on its way between them.

/// Three: home, replicator, and who has neither.
pub(crate) const NODES: usize = 3;
/// Stands for "no node holds the state": the row is away.
pub(crate) const NOBODY: u8 = 9;

pub(crate) type Node = usize;

/// Counter and node of a birth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Life(pub(crate) u8, pub(crate) u8);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Home {
    pub(crate) node: u8,
    pub(crate) boot: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    pub(crate) life: Life,
    pub(crate) epoch: u8,
    pub(crate) home: Home,
    pub(crate) settled: bool,
}

impl Row {
    /// Who wins: life, then epoch, then the lower node.
    pub(crate) fn rank(&self) -> (Life, u8, i8) {
        (self.life, self.epoch, -(self.home.node as i8))
    }

    pub(crate) fn is_away(&self) -> bool {
        self.home.node == NOBODY
    }
}

/// What a node knows about the one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Entry {
    Gone(Life),
    Row(Row),
}

impl Entry {
    pub(crate) fn row(entry: Option<Self>) -> Option<Row> {
        match entry {
            Some(Self::Row(row)) => Some(row),
            _ => None,
        }
    }
}

/// A state: the commits that are in it, and whether it came since its node entered the replicator table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) life: Life,
    pub(crate) commits: u8,
    pub(crate) fresh: bool,
}

impl State {
    /// Two states of one life join, of two lives the higher one stays.
    pub(crate) fn join(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        match (a, b) {
            (Some(a), Some(b)) if a.life == b.life => {
                Some(Self { life: a.life, commits: a.commits | b.commits, fresh: a.fresh || b.fresh })
            }
            (Some(a), Some(b)) => Some(if b.life > a.life { b } else { a }),
            (a, b) => a.or(b),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Birth,
    Takeover,
    Move,
}

/// A claim under way, and the voters that have not answered (a bit each).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Claim {
    pub(crate) kind: Kind,
    pub(crate) life: Life,
    pub(crate) epoch: u8,
    pub(crate) waits: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Message {
    Claim { kind: Kind, life: Life, epoch: u8, home: Home, has_state: bool },
    Vote { life: Life, epoch: u8, state: Option<State> },
    Overruled { winner: Entry, life: Life, epoch: u8 },
}

/// Of the two clients, each of which says SET NX once, at node 0 and node 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Client {
    Idle,
    Waits,
    Ok,
    Nil,
    Held,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FaultKind {
    Cut,
    Pause,
    Kill,
    Restart,
}

/// The one fault of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Fault {
    pub(crate) node: Node,
    pub(crate) kind: FaultKind,
    pub(crate) phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// Silent for less than 1.5 s: the lease holds.
    Short,
    /// Silent for longer: it has no lease, and is still awaited.
    Leaseless,
    /// Silent for 2 s: not awaited, Down.
    Down,
    /// Heard again. Before its echoes it has no lease: `after_ms` of silence that it knows of.
    Back { asleep: bool },
    /// Heard again and told everything.
    Over,
}

/// The whole of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) entries: [Option<Entry>; NODES],
    pub(crate) states: [Option<State>; NODES],
    pub(crate) claims: [Option<Claim>; NODES],
    pub(crate) boots: [u8; NODES],
    /// Rendezvous order.
    pub(crate) table: [Node; NODES],
    pub(crate) links: [[Vec<Message>; NODES]; NODES],
    pub(crate) clients: [Client; 2],
    pub(crate) commits: u8,
    /// Commits that were answered, and the life that they were made to.
    pub(crate) answered: [Option<Life>; 2],
    pub(crate) logged_out: bool,
    pub(crate) moved: bool,
    pub(crate) broken: bool,
    pub(crate) table_changed: bool,
    pub(crate) fault: Option<Fault>,
}

impl World {
    pub(crate) fn new(table: [Node; NODES]) -> Self {
        Self {
            entries: [None; NODES],
            states: [None; NODES],
            claims: [None; NODES],
            boots: [0; NODES],
            table,
            links: Default::default(),
            clients: [Client::Idle; 2],
            commits: 0,
            answered: [None; 2],
            logged_out: false,
            moved: false,
            broken: false,
            table_changed: false,
            fault: None,
        }
    }

    pub(crate) fn phase(&self, node: Node) -> Option<Phase> {
        self.fault.filter(|fault| fault.node == node).map(|fault| fault.phase)
    }

    pub(crate) fn is_down(&self, node: Node) -> bool {
        self.phase(node) == Some(Phase::Down)
    }

    fn is_silent(&self, node: Node) -> bool {
        matches!(self.phase(node), Some(Phase::Short | Phase::Leaseless | Phase::Down))
    }

    /// False while it is paused or dead.
    pub(crate) fn runs(&self, node: Node) -> bool {
        let cut = self.fault.is_some_and(|fault| fault.kind == FaultKind::Cut);
        cut || !self.is_silent(node)
    }

    /// True while it may say something about sessions.
    pub(crate) fn has_lease(&self, node: Node) -> bool {
        let without = matches!(self.phase(node), Some(Phase::Leaseless | Phase::Down | Phase::Back { .. }));
        self.runs(node) && !without
    }

    pub(crate) fn linked(&self, a: Node, b: Node) -> bool {
        !self.is_silent(a) && !self.is_silent(b)
    }

    pub(crate) fn home(&self, node: Node) -> Home {
        Home { node: node as u8, boot: self.boots[node] }
    }

    /// Down, as the others see it, or another boot.
    pub(crate) fn is_dead(&self, home: Home) -> bool {
        self.fault.is_some_and(|fault| {
            usize::from(home.node) == fault.node
                && (fault.phase == Phase::Down || home.boot != self.boots[fault.node])
        })
    }

    pub(crate) fn replicator(&self, home: u8) -> Option<Node> {
        self.table.into_iter().find(|&node| node != usize::from(home) && !self.is_down(node))
    }

    /// The settled row of a node that says it is home.
    pub(crate) fn serves(&self, node: Node) -> Option<Row> {
        Entry::row(self.entries[node]).filter(|row| row.settled && row.home == self.home(node))
    }

    pub(crate) fn nodes(&self) -> std::ops::Range<Node> {
        0..NODES
    }

    pub(crate) fn send(&mut self, from: Node, to: Node, message: Message) {
        self.links[from][to].push(message);
    }

    pub(crate) fn drop_links_of(&mut self, node: Node) {
        for other in self.nodes() {
            self.links[node][other].clear();
            self.links[other][node].clear();
        }
    }
}
