//! CLAIM, S2, S3, S5, S6 and S8 of one key, step by step. Each rule can be left out, to show which scene
//! needs it.

use crate::world::{Client, Entry, Fault, FaultKind, Message, NODES, Node, Phase, Row, State, World};

/// Rules whose absence breaks a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Rule {
    /// A birth that waits loses to every settled life and every gone entry, whatever its stamp.
    BirthLoses,
    /// The loser's client is held until the winner has settled; an away row binds nobody.
    LoserHeld,
    /// Every vote hands over row and state, not only that of who yields.
    VoteHandsOver,
    /// A home writes under the session lease only.
    LeaseToWrite,
    /// Who comes back into a table answers only out of what it got since.
    FreshOnly,
    /// Who is heard again while a claim waits must vote too.
    VotersNow,
    /// A birth that waits, of a home that is dead, binds nobody who has no state of it.
    VoidBirths,
}

/// What an execution may contain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene {
    pub(crate) without: Option<Rule>,
    /// First counter of births at node 0 and node 1.
    pub(crate) counters: [u8; 2],
    pub(crate) table: [Node; NODES],
    pub(crate) commits: u8,
    pub(crate) logout: bool,
    pub(crate) moves: bool,
    pub(crate) breaks: bool,
    pub(crate) table_change: bool,
    pub(crate) fault: Option<FaultKind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// SET NX where nothing is known.
    SetNx(Node),
    /// The held client hears of the winner.
    AnswerNil(Node),
    /// 2 s of silence: the claim waits for the silent one no longer.
    NotAwaited(Node),
    TakeOver(Node),
    Commit(Node),
    Logout(Node),
    Move,
    Deliver(Node, Node),
    Fault(Node, FaultKind),
    Silence,
    Heal,
    /// Echoes and digests after a silence: rows are joined, then the lease.
    Echoes,
    Fill(Node),
    /// A voter tells the replicator a row whose home is dead.
    Orphan(Node, Node),
    Break(Node, Node),
    ChangeTable,
}

impl Scene {
    pub(crate) fn has(&self, rule: Rule) -> bool {
        self.without != Some(rule)
    }

    /// A birth that waits, with nothing committed and nobody else's: what every settled row beats.
    pub(crate) fn waits_as_birth(row: Row) -> bool {
        !row.settled && row.epoch == 1
    }

    pub(crate) fn steps(&self, world: &World, steps: &mut Vec<Step>) {
        for node in world.nodes() {
            self.steps_of_client(world, node, steps);
            self.steps_of_node(world, node, steps);
        }
        for from in world.nodes() {
            for to in world.nodes() {
                let Some(first) = world.links[from][to].first() else { continue };
                let claim = matches!(first, Message::Claim { .. });
                let may = claim || world.has_lease(to) || !self.has(Rule::LeaseToWrite);
                if world.linked(from, to) && world.runs(to) && may {
                    steps.push(Step::Deliver(from, to));
                }
                if self.breaks && !world.broken && world.linked(from, to) {
                    steps.push(Step::Break(from, to));
                }
            }
        }
        self.steps_of_fault(world, steps);
        let quiet = !matches!(world.fault, Some(Fault { phase: Phase::Back { .. }, .. }));
        for home in world.nodes().filter(|&node| quiet && world.serves(node).is_some()) {
            let Some(to) = world.replicator(home as u8) else { continue };
            let full = world.states[home].map(|state| State { fresh: true, ..state });
            if world.linked(home, to) && world.runs(to) && full.is_some() && world.states[to] != full {
                steps.push(Step::Fill(home));
            }
        }
        if self.has(Rule::VoteHandsOver) {
            self.orphans(world, steps);
        }
        if self.table_change && !world.table_changed {
            steps.push(Step::ChangeTable);
        }
    }

    fn steps_of_client(&self, world: &World, node: Node, steps: &mut Vec<Step>) {
        let Some(&client) = world.clients.get(node) else { return };
        let asks = matches!(client, Client::Idle | Client::Held);
        if !asks || !world.has_lease(node) || world.claims[node].is_some() {
            return;
        }
        let missing = match world.entries[node] {
            None => true,
            Some(Entry::Row(row)) => {
                row.is_away() && self.has(Rule::LoserHeld) || self.is_void(world, node, row)
            }
            Some(Entry::Gone(_)) => false,
        };
        if missing {
            return steps.push(Step::SetNx(node));
        }
        let settled = match world.entries[node] {
            Some(Entry::Gone(_)) => true,
            Some(Entry::Row(row)) => {
                world.nodes().any(|other| world.serves(other).is_some_and(|serving| serving.life >= row.life))
            }
            None => false,
        };
        if client == Client::Held && settled {
            steps.push(Step::AnswerNil(node));
        }
    }

    fn steps_of_node(&self, world: &World, node: Node, steps: &mut Vec<Step>) {
        let faulty = world.fault.map(|fault| fault.node);
        if let Some(claim) = world.claims[node].filter(|_| world.runs(node)) {
            let down = faulty.filter(|&faulty| faulty != node && world.is_down(faulty));
            if down.is_some_and(|down| claim.waits & 1 << down != 0) {
                steps.push(Step::NotAwaited(node));
            }
        }
        if let Some(row) = Entry::row(world.entries[node]) {
            let can = world.runs(node) && world.has_lease(node) && world.claims[node].is_none();
            let first = world.replicator(row.home.node) == Some(node);
            let loses = self.is_void(world, node, row)
                || self.has(Rule::BirthLoses)
                    && Self::waits_as_birth(row)
                    && world.states[node].is_none()
                    && world.nodes().any(|other| world.serves(other).is_some());
            if can && world.is_dead(row.home) && faulty != Some(node) && first && !loses {
                steps.push(Step::TakeOver(node));
            }
            let calm = matches!(world.fault, None | Some(Fault { phase: Phase::Over, .. }));
            let other_home = world.serves(0).is_some() && row.home == world.home(0) && row.settled;
            if self.moves && node == 1 && !world.moved && calm && other_home && world.claims[1].is_none() {
                steps.push(Step::Move);
            }
        }
        let asleep = matches!(world.phase(node), Some(Phase::Leaseless | Phase::Down));
        let lease = world.has_lease(node) || !self.has(Rule::LeaseToWrite);
        let serves = world.serves(node).filter(|_| world.claims[node].is_none() && world.runs(node));
        let Some(row) = serves.filter(|_| !asleep && lease) else { return };
        let alone = world.phase(node) == Some(Phase::Back { asleep: true });
        if world.commits < self.commits && (alone || self.may_copy(world, node, row)) {
            steps.push(Step::Commit(node));
        }
        let heard = world.nodes().all(|other| {
            other == node || world.linked(node, other) || faulty.is_some_and(|faulty| world.is_down(faulty))
        });
        if self.logout && !world.logged_out && (alone || heard) {
            steps.push(Step::Logout(node));
        }
    }

    /// The replicator takes a copy from who is home by what it knows.
    fn may_copy(&self, world: &World, home: Node, row: Row) -> bool {
        // while it does not know yet what it missed it writes nothing
        if matches!(world.fault, Some(Fault { phase: Phase::Back { asleep: false }, .. })) {
            return false;
        }
        let Some(to) = world.replicator(home as u8) else { return false };
        let agrees = match world.entries[to] {
            None => true,
            Some(Entry::Row(known)) => known.rank() <= row.rank(),
            Some(Entry::Gone(_)) => false,
        };
        world.linked(home, to) && world.runs(to) && agrees
    }

    fn steps_of_fault(&self, world: &World, steps: &mut Vec<Step>) {
        match world.fault {
            None => {
                for node in world.nodes() {
                    steps.extend(self.fault.map(|kind| Step::Fault(node, kind)));
                }
            }
            Some(Fault { kind, phase, .. }) => {
                let ends = matches!(kind, FaultKind::Cut | FaultKind::Pause);
                if matches!(phase, Phase::Short | Phase::Leaseless) {
                    steps.push(Step::Silence);
                }
                if ends && matches!(phase, Phase::Short | Phase::Leaseless | Phase::Down) {
                    steps.push(Step::Heal);
                }
                if matches!(phase, Phase::Back { .. }) {
                    steps.push(Step::Echoes);
                }
            }
        }
    }

    fn orphans(&self, world: &World, steps: &mut Vec<Step>) {
        let faulty = world.fault.map(|fault| fault.node);
        for from in world.nodes().filter(|&from| Some(from) != faulty) {
            let Some(row) = Entry::row(world.entries[from]).filter(|row| world.is_dead(row.home)) else {
                continue;
            };
            let Some(to) = world.replicator(row.home.node).filter(|&to| to != from) else { continue };
            let lower = match world.entries[to] {
                None => true,
                Some(Entry::Gone(_)) => false,
                Some(Entry::Row(known)) => {
                    let beaten = known.settled && !known.is_away() && !row.settled && known.life != row.life;
                    known.rank() < row.rank() && !(beaten && self.has(Rule::BirthLoses))
                }
            };
            if lower && world.runs(to) && world.linked(from, to) && world.claims[to].is_none() {
                steps.push(Step::Orphan(from, to));
            }
        }
    }

    /// It is known to have settled: it was told, or a copy came, which only a home sends, or the home has
    /// changed since.
    pub(crate) fn is_firm(&self, world: &World, node: Node, row: Row) -> bool {
        let copy =
            world.states[node].is_some_and(|state| state.life == row.life) && world.claims[node].is_none();
        row.settled || self.has(Rule::VoidBirths) && (copy || row.epoch > 1)
    }

    /// A birth that nobody will settle any more, as far as this node can know.
    fn is_void(&self, world: &World, node: Node, row: Row) -> bool {
        self.has(Rule::VoidBirths) && world.is_dead(row.home) && !self.is_firm(world, node, row)
    }
}
