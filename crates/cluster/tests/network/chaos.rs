//! Random commands under random faults, watched by an oracle that knows the network's truth.

use std::collections::{BTreeMap, BTreeSet};

use leveret_model::definition::{Binding, ExchangeKind};
use leveret_model::directory::{Command, Reply};
use leveret_model::{Instant, NodeId, QueueId, RequestId};

use crate::commands::{binding, delete_exchange, delete_queue, exchange, queue};
use crate::world::{At, World, ms};

/// A binding whose ok went out.
struct Bound {
    binding: Binding,
    queue: QueueId,
    home: At,
    ok: Instant,
}

#[derive(Default)]
pub struct Hits {
    pub faults: BTreeMap<&'static str, u32>,
    pub checks: u64,
    pub refused: BTreeMap<u16, u32>,
    pub done: u32,
    pub forgotten: u32,
}

pub struct Chaos {
    pub world: World,
    pub hits: Hits,
    queues: Vec<(String, At, QueueId)>,
    bound: Vec<Bound>,
    open: Vec<(At, RequestId)>,
    next: u32,
    /// Since when all counted sets are what they are.
    sets: (Instant, Vec<Vec<NodeId>>),
    seed: u64,
}

const CONTESTED: [&str; 2] = ["c0", "c1"];

impl Chaos {
    pub fn new(seed: u64) -> Self {
        let mut world = World::new(seed);
        world.delay = [(ms(0), ms(2)), (ms(1), ms(50)), (ms(50), ms(250))][world.random.below(3) as usize];
        world.cuts_refuse = world.random.below(2) == 0;
        world.apply_delay_max = [ms(1), ms(20)][world.random.below(2) as usize];
        let count = 2 + world.random.below(4) as usize;
        let addresses: Vec<String> = (0..count).map(|n| format!("n{n}")).collect();
        let seeds: Vec<&str> = addresses.iter().map(String::as_str).collect();
        for address in &seeds {
            world.start(address, &seeds);
        }
        let ready = world.run_until(ms(8_000), World::agrees);
        assert!(ready, "seed {seed}: no cluster: {:#?}", crate::views(&world));
        let hits = Hits::default();
        let (queues, bound, open) = (Vec::new(), Vec::new(), Vec::new());
        let sets = (world.now, Vec::new());
        Self { world, hits, queues, bound, open, next: 0, sets, seed }
    }

    /// Commands and faults for so long; then no faults, and everything must come right.
    pub fn run(&mut self, rounds: u32) {
        for _ in 0..rounds {
            self.fault();
            for _ in 0..20 {
                if self.world.random.below(3) == 0 {
                    self.command();
                }
                for _ in 0..3 {
                    let pause = self.world.random.below(15);
                    self.world.run(ms(pause));
                    self.note_answers();
                    self.check();
                }
            }
        }
        self.world.heal();
        let paused = self.world.nodes.iter().map(|node| node.paused_until).max().expect("nodes");
        let rest = paused.since(self.world.now);
        self.world.run(rest);
        let healed = self.world.now;
        // 2 s, and R1's 2 s of a declare that was under way overlap with them but for the last round trips
        let agrees = self.world.run_until(ms(2_200) + self.world.delay.1 * 6, World::agrees);
        assert!(agrees, "seed {}: no agreement after heal: {:#?}", self.seed, crate::views(&self.world));
        assert!(self.world.now.since(healed) <= ms(4_000));
        for _ in 0..100 {
            self.world.run(ms(100));
            self.note_answers();
            self.check();
        }
        assert!(self.open.is_empty(), "seed {}: unanswered {:?}", self.seed, self.open);
        assert!(self.world.run_until(ms(1_000), World::agrees), "seed {}", self.seed);
        for (name, home, id) in &self.queues {
            let node = &self.world.nodes[*home];
            if node.alive {
                assert!(
                    node.shards.iter().all(|shard| shard.queues.get(id).is_some_and(|known| !known.1)),
                    "seed {}: {name} of n{home} is lost",
                    self.seed
                );
            }
        }
    }

    fn any(&mut self) -> At {
        let alive = self.world.alive();
        alive[self.world.random.below(alive.len() as u64) as usize]
    }

    /// The last start under the identity of a dead node, if none of its starts lives.
    fn last_start(&self, dead: At) -> Option<At> {
        let nodes = &self.world.nodes;
        let last = nodes.iter().rposition(|node| node.id == nodes[dead].id)?;
        (!nodes[last].alive).then_some(last)
    }

    fn fault(&mut self) {
        let (a, b) = (self.any(), self.any());
        let kind = match self.world.random.below(12) {
            0..=2 => {
                self.world.heal();
                "heal"
            }
            3 | 4 if a != b => {
                self.world.cut_both(a, b, false);
                "silent cut"
            }
            5 if a != b => {
                self.world.cut_both(a, b, true);
                "reset cut"
            }
            6 if a != b => {
                self.world.cut(a, b);
                "one-way cut"
            }
            7 => {
                for other in self.world.alive() {
                    if other != a {
                        self.world.cut_both(a, other, false);
                    }
                }
                "isolation"
            }
            8 => {
                let time = ms(self.world.random.below(4_000));
                self.world.pause(a, time);
                "pause"
            }
            9 if self.world.alive().len() > 2 => {
                self.world.kill(a);
                self.bound.retain(|bound| bound.home != a);
                "kill"
            }
            10 if self.world.nodes.len() < 9 => {
                let dead = (0..self.world.nodes.len()).find(|&at| {
                    let node = &self.world.nodes[at];
                    !node.alive && !self.world.nodes.iter().any(|n| n.alive && n.address == node.address)
                });
                let address = match dead {
                    Some(at) => self.world.nodes[at].address.clone(),
                    None => format!("n{}", self.world.nodes.len()),
                };
                let all: Vec<String> = self.world.nodes.iter().map(|node| node.address.clone()).collect();
                let seeds: Vec<&str> = all.iter().map(String::as_str).collect();
                let dead = dead.filter(|_| self.world.random.below(2) == 0);
                match dead.and_then(|at| self.last_start(at)) {
                    Some(last) => {
                        // its data directory is there, what it had in memory is not
                        self.world.start_again(last, 1, &address, &seeds);
                        "start again"
                    }
                    None => {
                        self.world.start(&address, &seeds);
                        "start"
                    }
                }
            }
            _ => "none",
        };
        *self.hits.faults.entry(kind).or_default() += 1;
    }

    fn command(&mut self) {
        let at = self.any();
        if !self.world.nodes[at].listening {
            return;
        }
        let home = self.world.home(at);
        let exchanges = ["x0", "x1", "amq.fanout"];
        let x = exchanges[self.world.random.below(3) as usize];
        let kind = if x == "x0" { ExchangeKind::Fanout } else { ExchangeKind::Direct };
        let picked = (!self.queues.is_empty())
            .then(|| self.queues[self.world.random.below(self.queues.len() as u64) as usize].0.clone());
        self.next += 1;
        let contested = CONTESTED[self.world.random.below(2) as usize];
        let command = match (self.world.random.below(12), picked) {
            (0 | 1, _) | (_, None) => queue(&format!("u{}", self.next), home, false),
            (2, _) => queue(contested, home, self.world.random.below(2) == 0),
            (3, _) if self.world.random.below(3) == 0 => delete_queue(contested),
            (4 | 5, _) if x != "amq.fanout" => exchange(x, kind, false),
            (6, _) if self.world.random.below(6) == 0 && x != "amq.fanout" => {
                self.bound.retain(|bound| bound.binding.source.as_str() != x);
                delete_exchange(x)
            }
            (7, _) if !self.bound.is_empty() => {
                let which = self.world.random.below(self.bound.len() as u64) as usize;
                Command::Unbind(self.bound.swap_remove(which).binding)
            }
            (_, Some(name)) => Command::Bind(binding(x, &name, &format!("k{}", self.next))),
        };
        let request = self.world.ask(at, command);
        if self.world.random.below(10) == 0 {
            // its client has no patience
            let patience = ms(self.world.random.below(500));
            self.world.forget(at, request, patience);
            self.hits.forgotten += 1;
        } else {
            self.open.push((at, request));
        }
    }

    fn note_answers(&mut self) {
        let open = std::mem::take(&mut self.open);
        for (at, request) in open {
            let Some((ok, reply)) = self.world.nodes[at].replies.get(&request).cloned() else {
                let (asked, command) = self.world.nodes[at].asked[&request].clone();
                if self.world.nodes[at].alive {
                    let paused = self.world.nodes[at].paused_until;
                    let since = self.world.now.since(asked.max(paused));
                    assert!(since < ms(10_000), "seed {}: n{at} hangs on {command:?}", self.seed);
                    self.open.push((at, request));
                }
                continue;
            };
            let (_, command) = self.world.nodes[at].asked[&request].clone();
            match (&command, &reply) {
                (_, Reply::Refused(refusal)) => {
                    *self.hits.refused.entry(refusal.code.code()).or_default() += 1;
                }
                (Command::DeclareQueue { definition, .. }, Reply::Queue { record, created: true }) => {
                    self.hits.done += 1;
                    let name = definition.name.as_str();
                    if !CONTESTED.contains(&name) {
                        self.queues.push((name.to_owned(), at, record.id));
                    }
                }
                (Command::Bind(binding), Reply::Done) => self.note_bound(binding, ok),
                _ => self.hits.done += 1,
            }
        }
    }

    fn note_bound(&mut self, binding: &Binding, ok: Instant) {
        self.hits.done += 1;
        let source = &binding.source;
        let deleting = |node: &crate::world::Node| {
            node.asked
                .values()
                .any(|(_, command)| matches!(command, Command::DeleteExchange { name, .. } if name == source))
        };
        // an exchange that somebody deletes at any time takes its bindings along: no claim is made about those
        if self.world.nodes.iter().any(deleting) {
            return;
        }
        let name = binding.destination.as_str();
        let Some((_, home, queue)) = self.queues.iter().find(|(queue, ..)| queue == name) else { return };
        if self.world.nodes[*home].alive {
            self.bound.push(Bound { binding: binding.clone(), queue: *queue, home: *home, ok });
        }
    }

    fn check(&mut self) {
        let (world, seed) = (&self.world, self.seed);
        for bound in &self.bound {
            let since = bound.ok - ms(2_000);
            for at in world.alive() {
                if world.nodes[at].paused_until > world.now || !world.could_talk(at, bound.home, since) {
                    continue;
                }
                for shard in &world.nodes[at].shards {
                    if shard.lease <= world.now {
                        continue;
                    }
                    self.hits.checks += 1;
                    let routed = shard.bindings.iter().any(|known| known.same(&bound.binding))
                        && shard.queues.get(&bound.queue).is_some_and(|known| !known.1);
                    assert!(
                        routed,
                        "seed {seed}: at {:?} n{at} has a lease and does not route by {:?} of n{}, whose ok went out at {:?}\n{:#?}",
                        world.now,
                        bound.binding,
                        bound.home,
                        bound.ok,
                        crate::views(world)
                    );
                }
            }
        }
        self.check_names();
    }

    /// One life of a name is routed to while all views have been equal for 2 s.
    fn check_names(&mut self) {
        let world = &self.world;
        let alive = world.alive();
        let sets: Vec<Vec<NodeId>> = alive.iter().map(|&at| world.nodes[at].control.counted_set()).collect();
        if sets != self.sets.1 {
            self.sets = (world.now, sets);
        }
        let equal = self.sets.1.windows(2).all(|pair| pair[0] == pair[1]);
        if !equal || world.now < self.sets.0 + ms(2_000) {
            return;
        }
        for name in CONTESTED {
            // a life that its home has dropped may be known elsewhere for a moment
            let lives: BTreeSet<QueueId> = alive
                .iter()
                .filter(|&&at| world.nodes[at].paused_until <= world.now)
                .map(|&at| &world.nodes[at])
                .flat_map(|node| node.shards.iter().map(move |shard| (node.id, shard)))
                .filter(|(_, shard)| shard.lease > world.now)
                .filter_map(|(id, shard)| shard.serving(name).filter(|record| record.home.node == id))
                .map(|record| record.id)
                .collect();
            assert!(lives.len() <= 1, "seed {}: {name} has lives {lives:?}", self.seed);
        }
    }
}
