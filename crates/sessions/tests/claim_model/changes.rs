//! What each step changes.

use crate::protocol::{Rule, Scene, Step};
use crate::world::{Claim, Client, Entry, Home, Kind, Life, Message, Node, Phase, Row, State, World};

impl Scene {
    fn claim(&self, world: &mut World, node: Node, kind: Kind, life: Life, epoch: u8) {
        let home = world.home(node);
        let has_state = world.states[node].is_some();
        let mut waits = 0;
        for other in world.nodes().filter(|&other| other != node) {
            if !world.is_down(other) {
                waits |= 1 << other;
                world.send(node, other, Message::Claim { kind, life, epoch, home, has_state });
            }
        }
        world.entries[node] = Some(Entry::Row(Row { life, epoch, home, settled: false }));
        world.claims[node] = Some(Claim { kind, life, epoch, waits });
    }

    pub(crate) fn apply(&self, world: &mut World, step: Step) {
        match step {
            Step::SetNx(node) => {
                let next = Entry::row(world.entries[node]).map_or(0, |row| row.life.0 + 1);
                let life = Life(self.counters[node].max(next), node as u8);
                world.states[node] = Some(State { life, commits: 0, fresh: true });
                world.clients[node] = Client::Waits;
                self.claim(world, node, Kind::Birth, life, 1);
            }
            Step::AnswerNil(node) => world.clients[node] = Client::Nil,
            Step::NotAwaited(node) => {
                let faulty = world.fault.map(|fault| fault.node);
                self.voted(world, node, faulty.expect("somebody is silent"));
            }
            Step::TakeOver(node) => {
                let row = Entry::row(world.entries[node]).expect("a dead home's row");
                self.claim(world, node, Kind::Takeover, row.life, row.epoch + 1);
            }
            Step::Commit(node) => self.commit(world, node),
            Step::Logout(node) => {
                let life = world.serves(node).expect("a home").life;
                let alone = world.phase(node) == Some(Phase::Back { asleep: true });
                world.logged_out = true;
                for other in world.nodes() {
                    if other == node || world.linked(node, other) && !alone {
                        end(world, other, life);
                    }
                }
            }
            Step::Move => {
                let row = Entry::row(world.entries[1]).expect("a row");
                world.moved = true;
                self.claim(world, 1, Kind::Move, row.life, row.epoch + 1);
            }
            Step::Deliver(from, to) => {
                let message = world.links[from][to].remove(0);
                self.deliver(world, from, to, message);
            }
            Step::Fill(home) => {
                let to = world.replicator(home as u8).expect("a replicator");
                world.states[to] = world.states[home].map(|state| State { fresh: true, ..state });
            }
            Step::Orphan(from, to) => {
                world.entries[to] = world.entries[from];
                world.states[to] = State::join(world.states[to], world.states[from]);
            }
            Step::Break(a, b) => {
                world.broken = true;
                world.links[a][b].clear();
                world.links[b][a].clear();
                self.send_again(world, a, b);
                self.send_again(world, b, a);
            }
            Step::ChangeTable => {
                world.table_changed = true;
                world.table.rotate_left(1);
                for state in world.nodes().filter(|&node| world.serves(node).is_none()).collect::<Vec<_>>() {
                    self.make_stale(world, state);
                }
            }
            Step::Fault(node, kind) => self.fault(world, node, kind),
            Step::Silence | Step::Heal | Step::Echoes => self.pass(world, step),
        }
    }

    pub(crate) fn make_stale(&self, world: &mut World, node: Node) {
        if let Some(state) = world.states[node].as_mut().filter(|_| self.has(Rule::FreshOnly)) {
            state.fresh = false;
        }
    }

    fn commit(&self, world: &mut World, node: Node) {
        let row = world.serves(node).expect("a home");
        world.commits += 1;
        let bit = 1 << (world.commits - 1);
        world.answered[usize::from(world.commits - 1)] = Some(row.life);
        let state = State { life: row.life, commits: bit, fresh: true };
        let state = State::join(world.states[node], Some(state));
        world.states[node] = state;
        if world.phase(node) == Some(Phase::Back { asleep: true }) {
            return;
        }
        let to = world.replicator(node as u8).expect("a replicator");
        for other in world.nodes().filter(|&other| other != node) {
            if other == to {
                world.states[other] = state.map(|state| State { fresh: true, ..state });
            } else {
                self.make_stale(world, other);
            }
        }
    }

    fn deliver(&self, world: &mut World, from: Node, to: Node, message: Message) {
        match message {
            Message::Claim { kind, life, epoch, home, has_state } => {
                if world.is_dead(home) {
                    return;
                }
                let claim = Row { life, epoch, home, settled: false };
                if let Some(winner) = self.overruled(world, to, kind, claim, has_state) {
                    return world.send(to, from, Message::Overruled { winner, life, epoch });
                }
                self.vote(world, from, to, claim);
            }
            Message::Vote { life, epoch, state } => {
                let current =
                    world.claims[to].is_some_and(|claim| (claim.life, claim.epoch) == (life, epoch));
                if current {
                    if state.is_some_and(|state| state.life == life) {
                        world.states[to] = State::join(world.states[to], state);
                    }
                    self.voted(world, to, from);
                }
            }
            Message::Overruled { winner, life, epoch } => self.lose(world, to, winner, life, epoch),
        }
    }

    /// The entry that beats a claim.
    fn overruled(&self, world: &World, node: Node, kind: Kind, claim: Row, has_state: bool) -> Option<Entry> {
        let mut entry = world.entries[node]?;
        if let Entry::Row(row) = &mut entry {
            // so that the loser does not take it for a birth that waits
            row.settled = self.is_firm(world, node, *row);
        }
        let beaten = match entry {
            Entry::Gone(life) => life >= claim.life || self.has(Rule::BirthLoses),
            // a node's later claim replaces its earlier one
            Entry::Row(row) if row.home == claim.home && !row.settled && self.has(Rule::BirthLoses) => false,
            Entry::Row(row) => {
                let empty = kind == Kind::Birth || !has_state;
                let other = !row.is_away() && row.life != claim.life;
                let firm = empty && other && self.is_firm(world, node, row);
                row.rank() > claim.rank() || firm && self.has(Rule::BirthLoses)
            }
        };
        beaten.then_some(entry)
    }

    fn vote(&self, world: &mut World, from: Node, to: Node, claim: Row) {
        let yields = world.claims[to].is_some() || world.serves(to).is_some();
        let state = world.states[to].filter(|_| yields || self.has(Rule::VoteHandsOver));
        if let Some(lost) = world.claims[to].take() {
            if lost.kind == Kind::Birth && world.clients.get(to) == Some(&Client::Waits) {
                world.clients[to] = self.loser();
            }
            world.states[to] = world.states[to].filter(|state| state.life >= claim.life);
        }
        world.send(to, from, Message::Vote { life: claim.life, epoch: claim.epoch, state });
        world.entries[to] = Some(Entry::Row(claim));
    }

    fn loser(&self) -> Client {
        if self.has(Rule::LoserHeld) { Client::Held } else { Client::Nil }
    }

    fn lose(&self, world: &mut World, node: Node, winner: Entry, life: Life, epoch: u8) {
        let Some(claim) = world.claims[node].filter(|claim| (claim.life, claim.epoch) == (life, epoch))
        else {
            return;
        };
        world.claims[node] = None;
        if claim.kind == Kind::Birth {
            world.states[node] = None;
            if world.clients[node] == Client::Waits {
                world.clients[node] = self.loser();
            }
        }
        if matches!(world.entries[node], Some(Entry::Gone(_))) {
            return;
        }
        // withdrawn everywhere
        let own = world.home(node);
        for other in world.nodes() {
            let mine = Entry::row(world.entries[other]).is_some_and(|row| row.home == own);
            let told = mine && world.linked(node, other) && self.has(Rule::BirthLoses);
            if other == node || told {
                world.entries[other] = Some(winner);
            }
        }
    }

    /// One voter fewer; the last one settles the claim.
    fn voted(&self, world: &mut World, node: Node, voter: Node) {
        let Some(claim) = world.claims[node].as_mut() else { return };
        claim.waits &= !(1 << voter);
        if claim.waits == 0 {
            let claim = *claim;
            world.claims[node] = None;
            self.settle(world, node, claim);
        }
    }

    fn settle(&self, world: &mut World, node: Node, claim: Claim) {
        let row = Entry::row(world.entries[node]).expect("its own claim");
        if world.states[node].is_none() {
            // nobody handed anything over: away
            let away = Row { home: Home { node: crate::world::NOBODY, boot: 0 }, settled: true, ..row };
            for other in world.nodes() {
                let behind = Entry::row(world.entries[other]).is_some_and(|known| known.life <= row.life)
                    && world.claims[other].is_none()
                    && world.linked(node, other)
                    && self.has(Rule::LoserHeld);
                if other == node || behind {
                    world.entries[other] = Some(Entry::Row(away));
                }
            }
            return;
        }
        let settled = Entry::Row(Row { settled: true, ..row });
        world.entries[node] = Some(settled);
        for other in world.nodes() {
            let told = self.has(Rule::VoidBirths) && world.linked(node, other);
            if told && world.entries[other] == Some(Entry::Row(row)) {
                world.entries[other] = Some(settled);
            }
        }
        if self.has(Rule::BirthLoses) {
            for other in world.nodes().filter(|&other| other != node) {
                let waits = Entry::row(world.entries[other])
                    .is_some_and(|known| Self::waits_as_birth(known) && known.life != row.life);
                if waits && world.linked(node, other) && world.claims[other].is_none() {
                    world.entries[other] = Some(settled);
                }
            }
        }
        if claim.kind == Kind::Birth {
            if let Some(to) = world.replicator(node as u8).filter(|&to| world.linked(node, to)) {
                world.states[to] = world.states[node];
            }
            if world.clients[node] == Client::Waits {
                world.clients[node] = Client::Ok;
            }
        }
    }

    pub(crate) fn send_again(&self, world: &mut World, from: Node, to: Node) {
        let Some(claim) = world.claims[from].filter(|claim| claim.waits & 1 << to != 0) else { return };
        let Claim { kind, life, epoch, .. } = claim;
        let (home, has_state) = (world.home(from), world.states[from].is_some());
        world.send(from, to, Message::Claim { kind, life, epoch, home, has_state });
    }
}

/// A gone entry arrives: whatever was claimed is withdrawn, and who waited for a birth is told.
pub(crate) fn end(world: &mut World, node: Node, life: Life) {
    world.entries[node] = Some(Entry::Gone(life));
    world.claims[node] = None;
    if let Some(client) = world.clients.get_mut(node)
        && matches!(client, Client::Waits | Client::Held)
    {
        *client = Client::Nil;
    }
}
