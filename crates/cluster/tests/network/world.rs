//! A cluster of control machines on virtual time: links with delays and cuts, shards that apply late.
//!
//! Links behave as TCP: frames of one direction keep their order; while the direction is cut they are held,
//! and come late if the cut ends before somebody hangs up. A dial needs both directions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use leveret_cluster::{Config, Control, DialFailure, Effects, Event, LinkKey, PeerHello, StoreStep};
use leveret_link::handshake::Capabilities;
use leveret_model::directory::{Command, FromShard, Reply, ToShard};
use leveret_model::{Boot, Incarnation, Instant, Name, NodeId, RequestId, Seed, ShardId, SplitMix};

use crate::shard::Shard;
use crate::wires::TwoEnds;

pub const SHARDS: u8 = 2;

/// A node of the world, by index; a restart is a new node at the old address.
pub type At = usize;

pub struct Node {
    pub control: Control,
    pub id: NodeId,
    pub address: String,
    pub hello: PeerHello,
    pub alive: bool,
    pub paused_until: Instant,
    pub shards: Vec<Shard>,
    pub listening: bool,
    pub events: Vec<(Instant, Event)>,
    /// What its store was given, in order.
    pub stored: Vec<StoreStep>,
    pub replies: BTreeMap<RequestId, (Instant, Reply)>,
    pub asked: BTreeMap<RequestId, (Instant, Command)>,
    pub next_request: u64,
    timer: Instant,
    /// What came while it was paused.
    backlog: VecDeque<What>,
}

pub enum What {
    Frame {
        link: LinkKey,
        to: At,
        frame: Vec<u8>,
    },
    /// The dialler, the one who answers.
    LinkUp {
        link: LinkKey,
        at: At,
        peer: At,
        dialled: Option<String>,
    },
    LinkDown {
        link: LinkKey,
        at: At,
    },
    DialFailed {
        at: At,
        address: String,
        failure: DialFailure,
    },
    ToShard {
        at: At,
        shard: ShardId,
        mail: ToShard,
    },
    FromShard {
        at: At,
        shard: ShardId,
        mail: FromShard,
    },
}

pub struct World {
    pub now: Instant,
    pub nodes: Vec<Node>,
    /// Those that run, in order.
    pub live: Vec<At>,
    pub random: SplitMix,
    pub delay: (Duration, Duration),
    pub apply_delay_max: Duration,
    /// Directions in which nothing passes.
    pub cuts: BTreeSet<(At, At)>,
    /// Cuts answer dials with a reset.
    pub cuts_refuse: bool,
    /// Until then the port of a killed node still accepts, and resets.
    pub lingers_until: Instant,
    /// What goes from one node to another is kept, if somebody listens.
    pub heard: Option<(At, At, Vec<Vec<u8>>)>,
    /// Addresses of nodes with another secret.
    pub strangers: BTreeSet<String>,
    /// When a pair could last not talk both ways.
    pub last_bad: BTreeMap<(At, At), Instant>,
    pub links: BTreeMap<LinkKey, TwoEnds>,
    queue: BTreeMap<(Instant, u64), What>,
    pub counter: u64,
    pub trace: u64,
}

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self {
            now: Instant::ZERO + ms(1_000),
            nodes: Vec::new(),
            live: Vec::new(),
            random: SplitMix::new(Seed(seed)),
            delay: (ms(0), ms(2)),
            apply_delay_max: ms(2),
            cuts: BTreeSet::new(),
            lingers_until: Instant::ZERO,
            cuts_refuse: false,
            heard: None,
            strangers: BTreeSet::new(),
            last_bad: BTreeMap::new(),
            links: BTreeMap::new(),
            queue: BTreeMap::new(),
            counter: 0,
            trace: 0,
        }
    }

    /// Starts a node; it is told of the addresses of `seeds`.
    pub fn start(&mut self, address: &str, seeds: &[&str]) -> At {
        self.start_as(address, address, seeds)
    }

    /// Starts a node that says of itself that it is at `claimed`.
    pub fn start_as(&mut self, address: &str, claimed: &str, seeds: &[&str]) -> At {
        let id = NodeId(self.random.next_u128());
        self.start_with((id, Incarnation(1)), address, claimed, seeds)
    }

    /// Starts a node again under its identity, so many incarnations later (`u64::MAX`: one before).
    pub fn start_again(&mut self, of: At, later: u64, address: &str, seeds: &[&str]) -> At {
        let hello = &self.nodes[of].hello;
        let identity = (hello.node, Incarnation(hello.incarnation.0.wrapping_add(later)));
        self.start_with(identity, address, address, seeds)
    }

    fn start_with(
        &mut self,
        (id, incarnation): (NodeId, Incarnation),
        address: &str,
        claimed: &str,
        seeds: &[&str],
    ) -> At {
        let at = self.nodes.len();
        let (name, boot) = (Name::new(&format!("n{at}")), Boot(self.random.next_u64()));
        let config = Config {
            node: id,
            incarnation,
            boot,
            name: name.clone(),
            shards: SHARDS,
            address: claimed.into(),
            seed: Seed(self.random.next_u64()),
            rebalance: false,
            unix_ms_at_zero: 1_700_000_000_000 + self.random.below(2_000),
        };
        let hello = PeerHello {
            node: id,
            incarnation,
            boot,
            shards: SHARDS,
            address: claimed.into(),
            name,
            capabilities: Capabilities::own(),
        };
        let mut shards = Vec::new();
        shards.resize_with(usize::from(SHARDS), Shard::default);
        self.nodes.push(Node {
            control: Control::new(self.now, config),
            id,
            address: address.into(),
            hello,
            alive: true,
            paused_until: Instant::ZERO,
            shards,
            listening: false,
            events: Vec::new(),
            stored: Vec::new(),
            replies: BTreeMap::new(),
            asked: BTreeMap::new(),
            next_request: 0,
            timer: self.now,
            backlog: VecDeque::new(),
        });
        for &other in &self.live {
            self.last_bad.insert((other, at), self.now);
        }
        self.live.push(at);
        let seeds: Vec<String> = seeds.iter().map(|&seed| seed.into()).collect();
        self.nodes[at].control.on_seeds(self.now, &seeds);
        self.drain(at);
        at
    }

    /// SIGSTOP for a while.
    pub fn pause(&mut self, at: At, time: Duration) {
        let until = self.now + time;
        let paused = &mut self.nodes[at].paused_until;
        *paused = (*paused).max(until);
    }

    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
    }

    /// Runs until it is so, at most that long. True if it is.
    pub fn run_until(&mut self, time: Duration, so: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + time;
        loop {
            if so(self) {
                return true;
            }
            if !self.step(end) {
                return so(self);
            }
        }
    }

    /// One event, before `end`.
    pub fn step(&mut self, end: Instant) -> bool {
        let timer = self
            .live
            .iter()
            .copied()
            .map(|at| (self.nodes[at].timer.max(self.nodes[at].paused_until), at))
            .min();
        let event = self.queue.first_key_value().map(|(&(at, _), _)| at);
        let next = event.unwrap_or(Instant::FAR).min(timer.map_or(Instant::FAR, |(at, _)| at));
        if next > end {
            self.now = end;
            self.note_cuts();
            return false;
        }
        self.now = self.now.max(next);
        self.note_cuts();
        if event.is_some_and(|at| at <= next) {
            let ((_, number), what) = self.queue.pop_first().expect("was seen");
            self.trace = self.trace.rotate_left(5) ^ self.now.as_nanos() ^ number;
            self.take(what);
        } else if let Some((_, at)) = timer {
            self.wake(at);
            self.nodes[at].control.on_timer(self.now);
            self.drain(at);
        }
        true
    }

    pub fn push(&mut self, at: Instant, what: What) {
        self.counter += 1;
        self.queue.insert((at, self.counter), what);
    }

    pub fn draw_delay(&mut self) -> Duration {
        let (least, most) = self.delay;
        least + Duration::from_nanos(self.random.below((most - least).as_nanos() as u64 + 1))
    }

    fn take(&mut self, what: What) {
        let at = match &what {
            What::Frame { to, .. } => *to,
            What::LinkUp { at, .. } | What::LinkDown { at, .. } | What::DialFailed { at, .. } => *at,
            What::ToShard { at, .. } | What::FromShard { at, .. } => *at,
        };
        if !self.nodes[at].alive {
            return;
        }
        self.nodes[at].backlog.push_back(what);
        self.wake(at);
    }

    /// A node that is not paused takes what came, in order.
    fn wake(&mut self, at: At) {
        while self.nodes[at].paused_until <= self.now
            && let Some(what) = self.nodes[at].backlog.pop_front()
        {
            self.carry_out(at, what);
        }
    }

    fn carry_out(&mut self, at: At, what: What) {
        let now = self.now;
        match what {
            What::Frame { link, frame, .. } => self.nodes[at].control.on_frame(now, link, &frame),
            What::LinkUp { link, peer, dialled, .. } => {
                let hello = self.nodes[peer].hello.clone();
                self.nodes[at].control.on_link_up(now, link, hello, dialled.as_deref());
            }
            What::LinkDown { link, .. } => self.nodes[at].control.on_link_down(now, link),
            What::DialFailed { address, failure, .. } => {
                self.nodes[at].control.on_dial_failed(now, &address, failure);
            }
            What::FromShard { shard, mail, .. } => self.nodes[at].control.on_shard(now, shard, mail),
            What::ToShard { shard, mail, .. } => {
                self.hand_to_shard(at, shard, mail);
                return;
            }
        }
        self.drain(at);
    }

    fn hand_to_shard(&mut self, at: At, shard: ShardId, mail: ToShard) {
        let now = self.now;
        let table = &mut self.nodes[at].shards[usize::from(shard.0)];
        let answer = match mail {
            ToShard::Change { sequence, change } => {
                assert_eq!(sequence, table.sequence + 1, "changes come in order");
                table.sequence = sequence;
                table.apply(change);
                FromShard::Applied { sequence }
            }
            ToShard::Lease { until } => {
                table.lease = until;
                return;
            }
            ToShard::Reply { request, reply } => {
                let before = self.nodes[at].replies.insert(request, (now, reply));
                assert!(before.is_none(), "answered twice");
                return;
            }
            ToShard::CloseQueue { request, .. } => FromShard::QueueClosed { request, result: Ok(0) },
            ToShard::NodeNamed { node, .. } => return table.note_node(node, true),
            ToShard::NodeForgotten { node } => return table.note_node(node, false),
            ToShard::Move { id, attempt, order } => match table.follow(order) {
                Some(report) => FromShard::Move { id, attempt, report },
                None => return,
            },
            ToShard::NodeDown { .. } | ToShard::SessionPeers { .. } => return,
        };
        self.push(now, What::FromShard { at, shard, mail: answer });
    }

    /// Carries out what a node wants.
    pub fn drain(&mut self, at: At) {
        let mut effects = Effects::default();
        self.nodes[at].control.drain(&mut effects);
        for (shard, mail) in effects.to_shards {
            let delay = Duration::from_nanos(self.random.below(self.apply_delay_max.as_nanos() as u64 + 1));
            let table = &mut self.nodes[at].shards[usize::from(shard.0)];
            table.free_at = table.free_at.max(self.now + delay);
            let due = table.free_at;
            self.push(due, What::ToShard { at, shard, mail });
        }
        for (link, frame) in effects.frames {
            let Some(side) =
                self.links.get(&link).and_then(|ends| ends.ends.iter().position(|&end| end == at))
            else {
                continue;
            };
            self.carry(link, side, frame);
        }
        for link in effects.hang_ups {
            self.hang_up(at, link);
        }
        for address in effects.dials {
            self.dial(at, address);
        }
        let now = self.now;
        let node = &mut self.nodes[at];
        node.stored.extend(effects.store);
        node.events.extend(effects.events.into_iter().map(|event| (now, event)));
        node.listening |= effects.ready.is_some();
        node.timer = node.control.next_deadline().max(now + Duration::from_nanos(1));
    }
}
