//! Nodes, links and faults, by a clock of their own.

mod leaves;
mod membership;

use std::collections::VecDeque;

use leveret_model::session::{KeptAnswer, KeyCommand};
use leveret_model::{Boot, Instant, NodeId, Seed, ShardId, SplitMix};
use leveret_sessions::{
    Asker, Clock, Config, Effects, Home, Member, Place, Planted, Request, Rules, Sessions,
};

pub(crate) const NODES: usize = 3;
/// Membership: the lease lasts so long after a ping that was echoed, and who was echoed so long ago is not
/// awaited.
const LEASE_MS: u64 = 1_500;
const AWAITED_MS: u64 = 2_000;
/// A killed process: its links are reset and its port refuses.
const KILLED_MS: u64 = 200;
/// Who did not run for so long has judged nobody meanwhile.
const LATE_MS: u64 = 300;
const STEP_MS: u64 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Cut,
    Pause,
    Kill,
    Restart,
    Break,
    /// It hands over what it has, stops, and comes back later as another start.
    Leave,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    what: What,
    node: usize,
    lasts_ms: u64,
}

impl Fault {
    pub(crate) fn draw(random: &mut SplitMix) -> Self {
        let what = match random.below(7) {
            0 => What::Cut,
            1 => What::Pause,
            2 => What::Kill,
            3 => What::Restart,
            4 | 5 => What::Leave,
            _ => What::Break,
        };
        let lasts_ms = 100 + random.below(4_000);
        Self { what, node: random.below(NODES as u64) as usize, lasts_ms }
    }
}

struct Node {
    sessions: Option<Sessions>,
    effects: Effects,
    boot: u64,
    died_at: u64,
    lease: bool,
    members: Vec<Member>,
    /// Of every other node: when the ping was sent whose echo came last, and when an echo was last given.
    heard: [u64; NODES],
    gave: [u64; NODES],
    /// When it last ran: who was late counts the silence of others anew.
    ran: u64,
}

/// How far a node that leaves is with its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    /// They are served.
    Open,
    /// What they asked is answered, and no more.
    Asked,
    Closed,
}

/// On its way: when it arrives, and the boots between which it was sent.
type Parcel = (u64, u64, u64, Vec<u8>);

pub(crate) struct Nodes {
    now: u64,
    nodes: Vec<Node>,
    links: Vec<VecDeque<Parcel>>,
    fault: Option<(Fault, u64)>,
    random: SplitMix,
    seed: Seed,
    /// Answers with the node that gave them.
    pub(crate) answers: Vec<(usize, u64, Asker, KeptAnswer)>,
    pub(crate) log: Vec<String>,
    /// Of each leave that came to its end: what it took, ms, and the rows that still name the node as home.
    pub(crate) left: Vec<(u64, usize)>,
    leave_began: u64,
    closing: Closing,
    bug: Option<Planted>,
}

fn home(node: usize, boot: u64) -> Home {
    Home { node: NodeId(node as u128 + 1), boot: Boot(boot) }
}

impl Nodes {
    pub(crate) fn new(seed: Seed, bug: Option<Planted>) -> Self {
        let links = (0..NODES * NODES).map(|_| VecDeque::new()).collect();
        let mut nodes = Self {
            now: 10_000,
            nodes: Vec::new(),
            links,
            fault: None,
            random: SplitMix::new(seed.part(9)),
            seed,
            answers: Vec::new(),
            log: Vec::new(),
            left: Vec::new(),
            leave_began: 0,
            closing: Closing::Open,
            bug,
        };
        for at in 0..NODES {
            nodes.nodes.push(Node {
                sessions: None,
                effects: Effects::default(),
                boot: 1,
                died_at: 0,
                lease: false,
                members: Vec::new(),
                heard: [10_000; NODES],
                gave: [10_000; NODES],
                ran: 10_000,
            });
            nodes.start(at);
        }
        nodes.now = 10_000;
        nodes
    }

    /// Nothing is on its way.
    pub(crate) fn is_quiet(&self) -> bool {
        self.links.iter().all(VecDeque::is_empty)
    }

    /// From the beginning of the run.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now - 10_000
    }

    fn clock(&self, at: usize) -> Clock {
        // each has an origin of its own
        let ms = self.now + 1_000_000 * at as u64;
        Clock { now: Instant::from_nanos(ms * 1_000_000), unix_origin_ms: 0 }
    }

    fn start(&mut self, at: usize) {
        let config = Config {
            own: home(at, self.nodes[at].boot),
            shards: 1,
            shard: ShardId(0),
            memory_max: 1 << 20,
            value_bytes_max: 1 << 10,
            gone_for_ms: 300_000,
            rules: Rules::default(),
            copies: 1,
            seed: self.seed,
        };
        let mut sessions = Sessions::new(config);
        if let Some(bug) = self.bug {
            sessions.plant(bug);
        }
        // no lease before somebody was heard
        sessions.on_lease(self.clock(at), false, &mut self.nodes[at].effects);
        let now = self.now;
        let node = &mut self.nodes[at];
        node.sessions = Some(sessions);
        node.lease = false;
        node.members.clear();
        node.heard = [now; NODES];
        node.gave = [now; NODES];
        node.ran = now;
    }

    pub(crate) fn begin(&mut self, fault: Fault) {
        if self.fault.is_some() {
            return;
        }
        self.log.push(format!("{} ms: {fault:?}", self.now_ms()));
        let at = fault.node;
        match fault.what {
            What::Cut => self.drop_parcels(at),
            What::Break => return self.break_link(at, (at + 1) % NODES),
            What::Kill | What::Restart => {
                self.drop_parcels(at);
                self.nodes[at].sessions = None;
                self.nodes[at].died_at = self.now;
            }
            What::Pause => {}
            What::Leave => {
                let clock = self.clock(at);
                let node = &mut self.nodes[at];
                if let Some(sessions) = &mut node.sessions {
                    sessions.leave(clock, &mut node.effects);
                }
                self.flush(at);
                self.leave_began = self.now;
                self.closing = Closing::Open;
            }
        }
        let lasts = if fault.what == What::Restart { 0 } else { fault.lasts_ms };
        self.fault = Some((fault, self.now + lasts));
    }

    /// The link of any two nodes breaks and is there again, unless another fault is under way.
    pub(crate) fn break_a_link(&mut self, random: &mut SplitMix) {
        let at = random.below(NODES as u64) as usize;
        if self.fault.is_none() {
            self.break_link(at, (at + 1) % NODES);
        }
    }

    /// What is on its way between two nodes is lost, and the link is new.
    fn break_link(&mut self, a: usize, b: usize) {
        self.links[a * NODES + b].clear();
        self.links[b * NODES + a].clear();
        self.link(a, b);
    }

    fn drop_parcels(&mut self, at: usize) {
        for other in 0..NODES {
            self.links[at * NODES + other].clear();
            self.links[other * NODES + at].clear();
        }
    }

    /// A new link between two nodes that run.
    fn link(&mut self, a: usize, b: usize) {
        for (one, other) in [(a, b), (b, a)] {
            let (clock, peer) = (self.clock(one), home(other, self.nodes[other].boot));
            let node = &mut self.nodes[one];
            if let Some(sessions) = &mut node.sessions {
                sessions.on_link(clock, peer, &mut node.effects);
            }
            self.flush(one);
        }
    }

    fn end_fault(&mut self) {
        let Some((fault, until)) = self.fault else { return };
        if until > self.now {
            return;
        }
        self.fault = None;
        let at = fault.node;
        if matches!(fault.what, What::Kill | What::Restart | What::Leave) {
            self.nodes[at].boot += 1;
            self.start(at);
        }
        if fault.what != What::Pause {
            for other in (0..NODES).filter(|&other| other != at) {
                self.link(at, other);
            }
        }
    }

    pub(crate) fn boot(&self, at: usize) -> u64 {
        self.nodes[at].boot
    }

    pub(crate) fn runs(&self, at: usize) -> bool {
        let paused = self.fault.is_some_and(|(fault, _)| fault.node == at && fault.what == What::Pause);
        self.nodes[at].sessions.is_some() && !paused
    }

    pub(crate) fn is_cut(&self, at: usize) -> bool {
        self.fault.is_some_and(|(fault, _)| fault.node == at && fault.what == What::Cut)
    }

    fn linked(&self, a: usize, b: usize) -> bool {
        !self.is_cut(a)
            && !self.is_cut(b)
            && self.nodes[a].sessions.is_some()
            && self.nodes[b].sessions.is_some()
    }

    /// Goes on by one step of the clock.
    pub(crate) fn step(&mut self) {
        self.now += STEP_MS;
        self.end_leave();
        self.end_fault();
        // who wakes looks at its clock before it hears anything
        for at in 0..NODES {
            if self.runs(at) {
                self.membership(at);
                self.receive(at);
                self.time(at);
            }
        }
        for a in 0..NODES {
            for b in (0..NODES).filter(|&b| b != a) {
                if self.linked(a, b) && self.runs(a) && self.runs(b) {
                    self.nodes[a].heard[b] = self.now - 5;
                    self.nodes[b].gave[a] = self.now;
                }
            }
        }
    }

    fn receive(&mut self, at: usize) {
        for from in (0..NODES).filter(|&from| from != at) {
            while self.links[from * NODES + at].front().is_some_and(|parcel| parcel.0 <= self.now) {
                let (_, from_boot, to_boot, bytes) =
                    self.links[from * NODES + at].pop_front().expect("a front");
                let (clock, current) = (self.clock(at), self.nodes[at].boot);
                let node = &mut self.nodes[at];
                if let Some(sessions) = node.sessions.as_mut().filter(|_| to_boot == current) {
                    let peer = home(from, from_boot);
                    sessions.on_records(clock, peer, &bytes, &mut node.effects).expect("records of ours");
                }
                self.flush(at);
            }
        }
    }

    fn time(&mut self, at: usize) {
        let clock = self.clock(at);
        let node = &mut self.nodes[at];
        if let Some(sessions) = &mut node.sessions
            && sessions.next_time() <= clock.now
        {
            sessions.on_time(clock, &mut node.effects);
        }
        self.flush(at);
    }

    /// A client asks; its answer comes now or later into `answers`.
    pub(crate) fn ask(&mut self, at: usize, asker: Asker, place: Place<'_>, command: KeyCommand<'_>) {
        let clock = self.clock(at);
        let node = &mut self.nodes[at];
        let Some(sessions) = &mut node.sessions else { return };
        let request = Request { asker, place, commands: &[command], block: false };
        let answer = sessions.on_request(clock, &request, &mut node.effects).map(|answer| answer.keep());
        if let Some(answer) = answer {
            self.answers.push((at, self.now_ms(), asker, answer));
        }
        self.flush(at);
    }

    /// What a machine gave goes out.
    fn flush(&mut self, at: usize) {
        let mut effects = core::mem::take(&mut self.nodes[at].effects);
        for (asker, answer) in effects.answers.drain(..) {
            self.answers.push((at, self.now - 10_000, asker, answer));
        }
        effects.events.clear();
        for record in effects.records.drain(..) {
            let to = record.to.0 as usize - 1;
            if !self.linked(at, to) {
                continue;
            }
            let link = at * NODES + to;
            // in order, however long each takes
            let soonest = self.links[link].back().map_or(0, |parcel| parcel.0);
            let arrives = (self.now + self.random.below(12)).max(soonest);
            let boots = (self.nodes[at].boot, self.nodes[to].boot);
            self.links[link].push_back((arrives, boots.0, boots.1, record.bytes));
        }
        self.nodes[at].effects = effects;
    }

    pub(crate) fn sessions(&self) -> impl Iterator<Item = (usize, &Sessions)> {
        self.nodes.iter().enumerate().filter_map(|(at, node)| Some((at, node.sessions.as_ref()?)))
    }
}
