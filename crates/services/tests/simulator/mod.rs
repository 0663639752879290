//! Instances, doors and a bus in one thread, by seed: the machines of the crate under loss, delay,
//! duplicates, cuts, dead brokers and crashes.
//!
//! Read first: [`World`]. [`bus`] carries messages, [`doors`] drive tables and send requests, [`processes`]
//! drive supervised instances, [`faults`] is the weather, [`judge`] holds what must be true. Time is virtual;
//! the same seed gives the same run. A run has a stormy part, in which anything fails, then a calm one, in
//! which all that was promised must come true.

mod bus;
mod doors;
mod faults;
mod judge;
mod processes;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use leveret_model::{Instant, Seed, SplitMix};
use leveret_services::{Message, Planted, RowKey};

use bus::Link;
use doors::{Door, Request};
use judge::Judge;
use processes::Process;

/// Until then anything may fail.
pub(crate) const STORM: Duration = Duration::from_secs(30);
/// Then everything must come true.
pub(crate) const CALM: Duration = Duration::from_secs(40);

/// What happens at a time.
#[derive(Debug)]
pub(crate) enum Happening {
    /// A message reaches a participant, if its link is still that one.
    Delivered { to: usize, link: u64, message: Box<Message>, user: &'static str },
    /// The broker confirms an announcement.
    Settled { to: usize, link: u64, seq: u64, routed: bool },
    /// A participant looks for a broker.
    Redial { of: usize },
    /// A participant finds out that its link is dead.
    LinkLost { of: usize, link: u64 },
    /// A door's 50 ms.
    DoorTick { door: usize },
    /// A door's report is due.
    Report { door: usize, regular: bool },
    /// A client sends a request to a door.
    Arrives { door: usize },
    /// A door's thread has chosen and enters the slot.
    Enters { door: usize, request: Box<Request>, at: usize },
    /// The request reaches the process, or what is there instead.
    Reaches { door: usize, request: Box<Request> },
    /// A try ends.
    Ends { door: usize, request: Box<Request>, how: doors::End },
    /// A request waited for as long as it may.
    GivesUp { door: usize, number: u64 },
    /// A probe of a door ends.
    Probed { door: usize, key: RowKey, boot: u64 },
    /// A supervised process's timer.
    ProcessTick { process: usize },
    /// Its own probe ends.
    OwnProbe { process: usize },
    /// It ends after a signal.
    Exits { process: usize, code: i32 },
    /// The weather.
    Fault(faults::Fault),
}

/// A participant of the bus.
#[derive(Debug)]
pub(crate) enum Participant {
    /// A door.
    Door(Box<Door>),
    /// An instance.
    Process(Box<Process>),
}

/// Everything.
pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) rng: SplitMix,
    pub(crate) planted: Planted,
    pub(crate) participants: Vec<Participant>,
    pub(crate) links: Vec<Link>,
    /// Whether each broker lives.
    pub(crate) brokers: Vec<bool>,
    pub(crate) weather: faults::Weather,
    pub(crate) judge: Judge,
    agenda: BinaryHeap<Reverse<(Instant, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    order: u64,
}

/// What a run saw.
pub(crate) struct Outcome {
    pub(crate) violations: Vec<String>,
    pub(crate) requests: u64,
    pub(crate) answered: u64,
}

/// Runs a seed.
pub(crate) fn run(seed: u64, planted: Planted) -> Outcome {
    let mut world = World {
        now: Instant::ZERO,
        rng: SplitMix::new(Seed(seed)),
        planted,
        participants: Vec::new(),
        links: Vec::new(),
        brokers: Vec::new(),
        weather: faults::Weather::default(),
        judge: Judge::default(),
        agenda: BinaryHeap::new(),
        happenings: BTreeMap::new(),
        order: 0,
    };
    world.begin();
    while let Some(Reverse((at, order))) = world.agenda.pop() {
        if at.since(Instant::ZERO) > STORM + CALM {
            break;
        }
        world.now = at;
        let happening = world.happenings.remove(&order).expect("it was entered");
        world.happen(happening);
        if world.judge.violations.len() > 20 {
            break;
        }
    }
    world.judge_end();
    let Judge { violations, requests, answered, .. } = world.judge;
    Outcome { violations, requests, answered }
}

impl World {
    fn begin(&mut self) {
        let brokers = 1 + self.below(3);
        self.brokers = vec![true; brokers];
        for _ in 0..=self.below(4) {
            self.add_door();
        }
        for _ in 0..=self.below(20) {
            let name = self.participants.len();
            self.add_process(name);
        }
        self.plan_weather();
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> usize {
        self.rng.below(bound) as usize
    }

    /// True `permille` times of a thousand.
    pub(crate) fn chance(&mut self, permille: u64) -> bool {
        self.rng.below(1_000) < permille
    }

    /// A time of `low` to `high` microseconds.
    pub(crate) fn micros(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_micros(low + self.rng.below(high - low))
    }

    /// Enters what happens later.
    pub(crate) fn after(&mut self, delay: Duration, happening: Happening) {
        self.order += 1;
        self.agenda.push(Reverse((self.now + delay, self.order)));
        self.happenings.insert(self.order, happening);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Delivered { to, link, message, user } => self.delivered(to, link, &message, user),
            Happening::Settled { to, link, seq, routed } => self.settled(to, link, seq, routed),
            Happening::Redial { of } => self.redial(of),
            Happening::LinkLost { of, link } => self.link_lost(of, link),
            Happening::DoorTick { door } => self.door_tick(door),
            Happening::Report { door, regular } => self.report(door, regular),
            Happening::Arrives { door } => self.arrives(door),
            Happening::Enters { door, request, at } => self.enters(door, request, at),
            Happening::Reaches { door, request } => self.reaches(door, request),
            Happening::Ends { door, request, how } => self.ends(door, request, how),
            Happening::GivesUp { door, number } => self.gives_up(door, number),
            Happening::Probed { door, key, boot } => self.probed(door, &key, boot),
            Happening::ProcessTick { process } => self.process_tick(process),
            Happening::OwnProbe { process } => self.own_probe(process),
            Happening::Exits { process, code } => self.exits(process, code),
            Happening::Fault(fault) => self.fault(fault),
        }
    }

    pub(crate) fn door(&mut self, at: usize) -> Option<&mut Door> {
        match &mut self.participants[at] {
            Participant::Door(door) => Some(door),
            Participant::Process(_) => None,
        }
    }

    pub(crate) fn process(&mut self, at: usize) -> Option<&mut Process> {
        match &mut self.participants[at] {
            Participant::Process(process) => Some(process),
            Participant::Door(_) => None,
        }
    }
}
