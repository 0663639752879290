//! The world: hosts with processes, clients, the network between them, faults, and the oracle that sees all.
//!
//! Read first: [`World::run`]. A run has three seasons: faults and everything else (`Busy`), heal and two quiet
//! seconds of topology (`Settling`), then all is drained (`Draining`) and the invariants judge.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use leveret_cluster::PeerHello;
use leveret_model::{Instant, Seed, SplitMix};

use crate::client::Client;
use crate::control_host::ControlMail;
use crate::dials::Dialled;
use crate::event::{End, Event, HostId, ProcessId, Schedule};
use crate::faults::{FaultCounts, FaultKind, FaultPlan, Lasting};
use crate::invariants::{
    bindings, confirmed_kept, disk_kept, exclusive, liveness, order, unacked_returns, unknown_kept,
};
use crate::invariants::{buffers::Buffers, directories::Directories, one_home::OneHome};
use crate::later_version::{LaterVersion, is_later};
use crate::network::{HostState, Network, Owner};
use crate::options::Options;
use crate::oracle::{Answer, Oracle};
use crate::outcome::{Outcome, Traffic};
use crate::planted::Planted;
use crate::policies::PolicyOperator;
use crate::process::Process;
use crate::scheduler::{Dice, HEAL_AT, Scheduler};
use crate::stores::Stores;
use crate::strangers::Stranger;
use crate::topology::Base;
use crate::trace::Trace;
use crate::workload::{ADMINS, OWNERS, Role, Season};

/// Faults happen from here to [`HEAL_AT`].
pub(crate) const FAULTS_FROM: Duration = Duration::from_secs(6);
/// No process ends so shortly before the heal: it must be back by then.
pub(crate) const LAST_CRASH: Duration = Duration::from_secs(44);
const DRAIN_AT: Duration = Duration::from_secs(55);
const JUDGE_AT: Duration = Duration::from_secs(60);
const DRAINED_BY: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(200);
const PUBLISHERS: usize = 5;
/// Of a run with disks.
const MORE_CRASHES: u32 = 6;

/// What a machine's thread or a client may touch of the world.
pub(crate) struct Ways<'a> {
    pub(crate) schedule: &'a mut Schedule,
    pub(crate) network: &'a mut Network,
    pub(crate) trace: &'a mut Trace,
    pub(crate) oracle: &'a mut Oracle,
    pub(crate) hellos: &'a BTreeMap<ProcessId, PeerHello>,
    pub(crate) season: Season,
    /// Queues with one consumer just now.
    pub(crate) alone: &'a BTreeSet<Base>,
}

/// Everything there is.
#[derive(Debug)]
pub(crate) struct World {
    seed: u64,
    planted: Planted,
    later_version: bool,
    pub(crate) schedule: Schedule,
    pub(crate) network: Network,
    pub(crate) trace: Trace,
    pub(crate) oracle: Oracle,
    pub(crate) hellos: BTreeMap<ProcessId, PeerHello>,
    pub(crate) processes: BTreeMap<ProcessId, Process>,
    next_process: u32,
    pub(crate) clients: Vec<Client>,
    pub(crate) strangers: Vec<Stranger>,
    pub(crate) hosts: u8,
    pub(crate) plan: FaultPlan,
    pub(crate) lasting: Vec<Option<Lasting>>,
    pub(crate) counts: FaultCounts,
    pub(crate) season: Season,
    pub(crate) alone: BTreeSet<Base>,
    one_home: OneHome,
    directories: Directories,
}

/// The parts of a world that others may touch.
macro_rules! ways {
    ($world:ident) => {
        Ways {
            schedule: &mut $world.schedule,
            network: &mut $world.network,
            trace: &mut $world.trace,
            oracle: &mut $world.oracle,
            hellos: &$world.hellos,
            season: $world.season,
            alone: &$world.alone,
        }
    };
}

pub(crate) use ways;

fn at(time: Duration) -> Instant {
    Instant::ZERO + time
}

impl World {
    pub(crate) fn new(options: Options) -> Self {
        let mut schedule = Scheduler::new(Seed(options.seed).part(0x51));
        let dice = &mut schedule.dice;
        let hosts = 3 + dice.below(3) as u8;
        let usual = match dice.below(4) {
            0 => (Duration::from_micros(50), Duration::from_micros(400)),
            1 | 2 => (Duration::from_micros(200), Duration::from_millis(3)),
            _ => (Duration::from_millis(1), Duration::from_millis(30)),
        };
        let mut plan = FaultPlan::draw(dice);
        let bounds = Buffers::draw(dice, &mut Dice::new(Seed(options.seed).part(0x52)));
        let stores = Stores::draw(Seed(options.seed));
        let stores = if options.disks { stores.with_disks() } else { stores };
        plan.crashes_left += if options.disks { MORE_CRASHES } else { 0 };
        let oracle = Oracle::new(bounds, stores);
        Self {
            seed: options.seed,
            planted: options.planted,
            later_version: options.later_version,
            network: Network::new(usize::from(hosts), usual),
            schedule,
            trace: Trace::new(options.trace),
            oracle,
            hellos: BTreeMap::new(),
            processes: BTreeMap::new(),
            next_process: 0,
            clients: Vec::new(),
            strangers: Vec::new(),
            hosts,
            plan,
            lasting: Vec::new(),
            counts: FaultCounts::new(),
            season: Season::Busy,
            alone: BTreeSet::new(),
            one_home: OneHome::default(),
            directories: Directories::default(),
        }
    }

    /// Runs to the end, or to the first broken promise.
    pub(crate) fn run(mut self) -> Outcome {
        self.begin();
        while let Some(event) = self.schedule.pop() {
            if self.schedule.now >= at(JUDGE_AT) {
                break;
            }
            self.on_event(event);
            if !self.oracle.violations.is_empty() {
                return self.outcome();
            }
        }
        let now = self.schedule.now;
        liveness::check(now, at(HEAL_AT), &self.clients, self.processes.values(), &mut self.oracle);
        self.wait_for_drained();
        let (now, oracle) = (self.schedule.now, &mut self.oracle);
        liveness::check_drained(now, self.processes.values(), oracle);
        oracle.excused = oracle.losses.excused(oracle, &self.network.truth);
        let on_disk = oracle.stores.disks.on;
        let judge = if on_disk { disk_kept::check } else { confirmed_kept::check };
        let kept_judged = judge(now, oracle);
        unacked_returns::check(now, oracle);
        order::check(now, oracle);
        let bindings_judged = bindings::check(now, &self.network.truth, oracle);
        let broken = unknown_kept::broken(self.processes.values().map(Process::view));
        broken.into_iter().for_each(|text| self.oracle.violation(now, "unknown_kept", text));
        let views: Vec<_> = self.processes.values().map(|process| process.view().status).collect();
        let shards = self.processes.values().flat_map(|process| &process.shards).map(|host| &host.shard);
        let left = exclusive::left(views.iter(), shards);
        left.into_iter().for_each(|text| self.oracle.violation(now, "exclusive", text));
        let mut outcome = self.outcome();
        (outcome.traffic.kept_judged, outcome.traffic.bindings_judged) = (kept_judged, bindings_judged);
        outcome
    }

    /// A consumer with a small prefetch at the end of a long line takes its time.
    fn wait_for_drained(&mut self) {
        while !liveness::is_drained(self.processes.values()) && self.oracle.violations.is_empty() {
            let until = self.schedule.now + LOOK_EVERY;
            if until > at(DRAINED_BY) {
                return;
            }
            while self.schedule.now < until
                && let Some(event) = self.schedule.pop()
            {
                self.on_event(event);
            }
        }
    }

    fn outcome(self) -> Outcome {
        let mut traffic = Traffic::default();
        for sent in self.oracle.sent.iter().flatten() {
            traffic.published += 1;
            match sent.answer {
                Answer::Confirmed(_) => traffic.confirmed += 1,
                Answer::Nacked => traffic.nacked += 1,
                Answer::Pending | Answer::Unknown => traffic.unknown += 1,
            }
            traffic.returned += u64::from(sent.returned);
        }
        traffic.delivered = self.oracle.deliveries.len() as u64;
        traffic.bounds_met = self.oracle.buffers.met;
        traffic.parts_written = self.oracle.buffers.parts_written;
        [traffic.lanes_full, traffic.deferrals_full, traffic.holds_full] = self.oracle.buffers.waits;
        traffic.pauses_met = self.oracle.buffers.pauses;
        traffic.requeues_judged = self.oracle.order.judged().again;
        traffic.events = self.trace.events();
        let simulated = self.schedule.now.since(Instant::ZERO);
        Outcome {
            seed: self.seed,
            hash: self.trace.hash(),
            simulated,
            violations: self.oracle.violations,
            faults: self.counts,
            traffic,
        }
    }

    fn begin(&mut self) {
        for host in 0..self.hosts {
            let late = self.schedule.dice.millis(0, 1_500);
            self.schedule.after(late, Event::Start(HostId(host)));
        }
        let mut roles = Vec::new();
        for base in Base::SINGLE {
            let prefetch = 4 + self.schedule.dice.below(5) as u16;
            roles.push(Role::Consumer { base, also: None, prefetch });
        }
        for base in Base::SHARED.into_iter().chain([Base::NO_ACK]) {
            for number in 0..2 {
                // one channel of each two has a consumer of the next queue too
                let next = Base::SHARED.iter().position(|shared| *shared == base).filter(|_| number == 0);
                let also = next.map(|at| Base::SHARED[(at + 1) % Base::SHARED.len()]);
                // without a limit sometimes
                let limit = 5 + self.schedule.dice.below(60) as u16;
                let prefetch = if self.schedule.dice.chance(250) { 0 } else { limit };
                roles.push(Role::Consumer { base, also, prefetch });
            }
        }
        roles.extend((0..ADMINS).map(|index| Role::Admin { index }));
        roles.extend([vec![Role::Publisher; PUBLISHERS], vec![Role::Owner; OWNERS]].concat());
        for role in roles {
            let late = self.schedule.dice.millis(500, 2_500);
            self.new_client(role, late);
        }
        self.schedule.at(at(FAULTS_FROM), Event::Fault);
        self.schedule.at(at(LOOK_EVERY), Event::Look);
    }

    fn on_event(&mut self, event: Event) {
        let now = self.schedule.now;
        match event {
            Event::Turn { process, actor, token } => {
                let mut ways = ways!(self);
                ways.trace.event(now, 1, &[u64::from(process.0), token]);
                if let Some(process) = self.processes.get_mut(&process) {
                    process.on_turn(actor, token, &mut ways);
                }
            }
            Event::TurnGoesOn { process, shard } => {
                let mut ways = ways!(self);
                ways.trace.event(now, 2, &[u64::from(process.0), u64::from(shard)]);
                if let Some(process) = self.processes.get_mut(&process) {
                    process.on_turn_goes_on(shard, &mut ways);
                }
            }
            Event::Arrive(end) => self.on_arrive(end),
            Event::Probed(pipe) => {
                for (end, owner) in self.network.on_probed(pipe) {
                    self.tell(end, owner);
                }
            }
            Event::Dial(dial) => {
                let mut ways = ways!(self);
                let Some(dialled) = ways.network.dial_goes_on(ways.schedule, dial) else { return };
                let (Dialled::Accepted { dial, .. } | Dialled::Refused(dial) | Dialled::Unreachable(dial)) =
                    &dialled;
                if let Some(process) = self.processes.get_mut(&dial.from) {
                    process.mail_control(ControlMail::Dialled(dialled), &mut ways);
                }
            }
            Event::ClientConnects(client) => self.connect(client),
            Event::ClientActs(client) => self.act(client),
            Event::Start(host) => self.start(host),
            Event::Left(process) => self.left(process),
            Event::Fault => self.next_fault(),
            Event::FaultEnds(index) => self.end_fault(index),
            Event::Look => self.look(),
        }
    }

    fn on_arrive(&mut self, end: End) {
        if let Some(owner) = self.network.arrive(&mut self.schedule, end) {
            self.tell(end, owner);
        }
    }

    /// Something came to an end.
    fn tell(&mut self, end: End, owner: Owner) {
        match owner {
            Owner::Thread(process, actor) => {
                let mut ways = ways!(self);
                if let Some(process) = self.processes.get_mut(&process) {
                    process.arrived(actor, end, &mut ways);
                }
            }
            Owner::Client(id) => self.client_hears(id, end),
            Owner::Stranger(number) => self.stranger_hears(number),
            Owner::Unclaimed(_) => {}
        }
    }

    // ---- processes ------------------------------------------------------------------------------------------

    fn start(&mut self, host: HostId) {
        let id = ProcessId(self.next_process);
        self.next_process += 1;
        let addresses: Vec<String> = (0..self.hosts).map(|host| HostId(host).address()).collect();
        let mut ways = ways!(self);
        let mut process = Process::start(id, host, self.planted, &mut ways);
        process.control.later_version = (self.later_version && is_later(id)).then(LaterVersion::default);
        let random = SplitMix::new(Seed(self.seed).part(u64::from(id.0)));
        let operator = || PolicyOperator::new(random, Instant::ZERO + HEAL_AT);
        process.control.operator = self.later_version.then(operator);
        let hello = process.hello.clone();
        ways.trace
            .say(ways.schedule.now, || format!("host {} starts {} as {}", host.0, hello.name, hello.node));
        let again = ways.oracle.hosts.values().any(|known| *known == host);
        ways.oracle.lifetimes.begin(ways.schedule.now, host, (hello.node, hello.incarnation));
        ways.oracle.hosts.insert(hello.node, host);
        ways.network.hosts[host.index()] = HostState::Runs(id);
        process.mail_control(ControlMail::Seeds(addresses), &mut ways);
        if again {
            self.count(FaultKind::Restart);
        }
        self.hellos.insert(id, hello);
        self.processes.insert(id, process);
    }

    /// A process ends; silent if its host goes with it.
    pub(crate) fn end_process(&mut self, id: ProcessId, silent: bool) {
        let Some(process) = self.processes.remove(&id) else { return };
        let state = if silent { HostState::Off } else { HostState::Idle };
        self.network.hosts[process.host.index()] = state;
        self.network.end_process(&mut self.schedule, id, silent);
        self.oracle.stores.disks.cut(process.host);
        self.oracle.process_ended(self.schedule.now, process.hello.node);
        let (name, now) = (&process.hello.name, self.schedule.now);
        self.trace.say(now, || format!("{name} ends{}", if silent { " without a word" } else { "" }));
        // half of them at once, as a supervisor would: the peers meet the new process before they miss the old
        // one
        let at_once = self.schedule.dice.chance(500);
        let late =
            if at_once { self.schedule.dice.millis(0, 60) } else { self.schedule.dice.millis(300, 5_000) };
        self.schedule.after(late, Event::Start(process.host));
    }

    // ---- judging --------------------------------------------------------------------------------------------

    fn look(&mut self) {
        let now = self.schedule.now;
        self.schedule.after(LOOK_EVERY, Event::Look);
        self.count_silences();
        self.count_met();
        if self.season == Season::Busy && now >= at(HEAL_AT) {
            self.heal_all();
            self.season = Season::Settling;
            self.trace.say(now, || "all is healed".into());
        }
        if self.season == Season::Settling && now >= at(DRAIN_AT) {
            self.season = Season::Draining;
            self.drain();
        }
        let processes = self.processes.values();
        liveness::look(now, processes.clone(), &mut self.oracle);
        let shards = processes.clone().flat_map(|process| &process.shards);
        let broken = shards.filter_map(|host| exclusive::broken(&host.shard));
        broken.for_each(|text| self.oracle.violation(now, "exclusive", text));
        self.one_home.look(now, processes.clone(), &mut self.oracle);
        if self.season != Season::Busy {
            self.directories.look(now, processes, &mut self.oracle);
        }
        if let Some((_, text)) = self.oracle.buffers.take_over() {
            self.oracle.violation(now, "buffers", text);
        }
    }
}
