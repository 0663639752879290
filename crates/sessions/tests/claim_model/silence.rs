//! The fault: a node that is cut off, paused, killed or restarted, and what its return changes.

use crate::changes::end;
use crate::protocol::{Rule, Scene, Step};
use crate::world::{Client, Entry, Fault, FaultKind, Kind, Node, Phase, Row, State, World};

impl Scene {
    pub(crate) fn fault(&self, world: &mut World, node: Node, kind: FaultKind) {
        let phase = match kind {
            FaultKind::Cut | FaultKind::Pause => Phase::Short,
            FaultKind::Kill => Phase::Down,
            FaultKind::Restart => Phase::Over,
        };
        world.fault = Some(Fault { node, kind, phase });
        if matches!(kind, FaultKind::Cut | FaultKind::Pause) {
            return;
        }
        world.drop_links_of(node);
        world.states[node] = None;
        world.claims[node] = None;
        world.entries[node] = None;
        if let Some(client) = world.clients.get_mut(node)
            && matches!(client, Client::Waits | Client::Held)
        {
            *client = Client::Nil;
        }
        if kind == FaultKind::Restart {
            // it serves once its list is whole
            world.boots[node] = 1;
            let gone = world.entries.iter().flatten().find(|entry| matches!(entry, Entry::Gone(_))).copied();
            let rows = world.entries.iter().filter_map(|entry| Entry::row(*entry));
            world.entries[node] = gone.or(rows.max_by_key(Row::rank).map(Entry::Row));
            for other in world.nodes().filter(|&other| other != node) {
                self.send_again(world, other, node);
            }
        }
    }

    /// What a silence brings.
    pub(crate) fn pass(&self, world: &mut World, step: Step) {
        let Some(Fault { node, phase, .. }) = world.fault else { return };
        let next = match (step, phase) {
            (Step::Silence, Phase::Short) => Phase::Leaseless,
            (Step::Silence, _) => Phase::Down,
            (Step::Heal, Phase::Short) => Phase::Over,
            (Step::Heal, phase) => {
                if phase == Phase::Down && world.serves(node).is_none() {
                    self.make_stale(world, node);
                }
                Phase::Back { asleep: phase == Phase::Down }
            }
            (_, _) => {
                self.echoes(world, node);
                Phase::Over
            }
        };
        world.fault = world.fault.map(|fault| Fault { phase: next, ..fault });
        if step == Step::Echoes && self.has(Rule::VotersNow) {
            for other in world.nodes().filter(|&other| other != node) {
                let Some(claim) = world.claims[other].as_mut() else { continue };
                if claim.waits & 1 << node == 0 {
                    claim.waits |= 1 << node;
                    self.send_again(world, other, node);
                }
            }
        }
    }

    /// Who was away is told everything, and tells what it has, before it says anything.
    fn echoes(&self, world: &mut World, back: Node) {
        self.withdraw_beaten(world, back);
        let gone = world.entries.iter().filter_map(|entry| match entry {
            Some(Entry::Gone(life)) => Some(*life),
            _ => None,
        });
        let gone = gone.max();
        let rows = world.entries.iter().filter_map(|entry| Entry::row(*entry));
        let best = rows.max_by_key(|row| (row.settled, row.rank()));
        let gone = gone.filter(|gone| best.is_none_or(|best| *gone >= best.life || !best.settled));
        match (gone, best) {
            (Some(life), _) => {
                for node in world.nodes() {
                    let stays = Entry::row(world.entries[node]).is_some_and(|row| row.life > life);
                    if !stays || self.has(Rule::BirthLoses) {
                        end(world, node, life);
                    }
                }
            }
            (None, Some(best)) if best.settled => self.join(world, back, best),
            (None, _) => {}
        }
    }

    /// Its own waiting claim may have been beaten while it slept.
    fn withdraw_beaten(&self, world: &mut World, back: Node) {
        let Some(claim) = world.claims[back].filter(|_| self.has(Rule::LeaseToWrite)) else { return };
        let others = world.nodes().filter(|&node| node != back);
        let settled = others.filter_map(|node| Entry::row(world.entries[node]).filter(|row| row.settled));
        let Some(best) = settled.max_by_key(Row::rank) else { return };
        let own = Entry::row(world.entries[back]);
        let higher = own.is_some_and(|own| best.rank() > own.rank());
        if !higher && (claim.kind != Kind::Birth || best.is_away()) {
            return;
        }
        world.claims[back] = None;
        world.entries[back] = Some(Entry::Row(best));
        if best.life != claim.life {
            world.states[back] = None;
        }
        if let Some(client) = world.clients.get_mut(back)
            && *client == Client::Waits
        {
            *client = Client::Held;
        }
    }

    fn join(&self, world: &mut World, back: Node, best: Row) {
        let own = Entry::row(world.entries[back]);
        for node in world.nodes() {
            let row = Entry::row(world.entries[node]);
            let open = row.is_none_or(|row| row.settled) && world.claims[node].is_none();
            let withdrawn = node != back
                && row.is_some_and(|row| !row.settled && usize::from(row.home.node) == back)
                && world.claims[back].is_none()
                && self.has(Rule::BirthLoses);
            if open || withdrawn {
                world.entries[node] = Some(Entry::Row(best));
            }
        }
        let home = usize::from(best.home.node);
        if best.is_away() {
            return;
        }
        let same_row = own.is_some_and(|own| own.rank() == best.rank());
        let same_life = |node: Node| world.states[node].is_some_and(|state| state.life == best.life);
        if same_row && same_life(back) && world.states[home].is_some() {
            world.states[home] = State::join(world.states[home], world.states[back]);
        }
        if back != home {
            self.make_stale(world, back);
        }
    }
}
