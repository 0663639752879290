//! Supervised instances and the processes under them.
//!
//! The process is a harsh one: at SIGTERM it closes its port and drops what it was answering, as gunicorn's
//! sync workers drop their backlog.

use std::collections::BTreeMap;
use std::time::Duration;

use leveret_model::{Boot, Instant, Seed};
use leveret_services::{
    Announcement, DoorName, Effect, Event, InstanceName, Message, Note, Phase, ServiceName, Settings, State,
    StopSignal, Supervised,
};

use super::bus::Link;
use super::{Happening, Participant, World};

/// Longer than a dead door counts.
const DRAIN: Duration = Duration::from_secs(12);

/// An instance.
#[derive(Debug)]
pub(crate) struct Process {
    /// Several boots may have one.
    pub(crate) name: usize,
    pub(crate) boot: u64,
    pub(crate) machine: Supervised,
    /// Its port opens then.
    pub(crate) opens: Instant,
    /// It has not been told to end, and was not killed.
    pub(crate) serves: bool,
    pub(crate) ended: bool,
    /// Packets of doors arrive.
    pub(crate) reachable: bool,
    /// Somebody told it to stop.
    pub(crate) stopping: bool,
    /// When each door was last heard, as the bus knows.
    pub(crate) doors_heard: BTreeMap<DoorName, Instant>,
    /// Doors that acknowledged and were waited for; none may send anything any more.
    pub(crate) waited_for: Vec<DoorName>,
    ended_at: Option<Instant>,
    timer: Instant,
    stopped_at: Option<Instant>,
}

impl Process {
    /// Somebody listens at its address.
    pub(crate) fn listens(&self, now: Instant) -> bool {
        self.serves && !self.ended && now >= self.opens
    }

    pub(crate) fn hears_door(&mut self, now: Instant, message: &Message) {
        match message {
            Message::Ask(ask) => self.doors_heard.insert(ask.door.clone(), now),
            Message::Report(report) => self.doors_heard.insert(report.door.clone(), now),
            _ => None,
        };
    }

    pub(crate) fn lived_after(&self, time: Instant) -> bool {
        self.ended_at.is_none_or(|at| at > time)
    }

    pub(crate) fn announces_ready(&self) -> bool {
        self.machine.phase() == Phase::Running
    }
}

pub(crate) fn names(number: usize) -> (ServiceName, InstanceName) {
    let name = InstanceName::new(&format!("i{number}")).expect("a name");
    (ServiceName::new("shop").expect("a name"), name)
}

impl World {
    /// Starts a process under a name.
    pub(crate) fn add_process(&mut self, name: usize) -> usize {
        let boot = self.participants.len() as u64;
        let (service, instance) = names(name);
        let mut announcement = Announcement::new(service, instance, Boot(boot), State::Starting);
        announcement.address = Some(([127, 0, 0, 1], 1 + boot as u16).into());
        let settings = Settings {
            announcement,
            owns_process: true,
            ready_timeout: Duration::from_secs(60),
            drain_sessions: Duration::ZERO,
            drain: DRAIN,
            stop_timeout: Duration::from_secs(5),
            commanders: Vec::new(),
        };
        let mut machine = Supervised::new(settings, self.now, Seed(self.rng.next_u64()));
        machine.plant(self.planted);
        let opens = self.now + self.micros(10_000, 500_000);
        self.participants.push(Participant::Process(Box::new(Process {
            name,
            boot,
            machine,
            opens,
            serves: true,
            ended: false,
            reachable: true,
            stopping: false,
            doors_heard: BTreeMap::new(),
            waited_for: Vec::new(),
            ended_at: None,
            timer: Instant::FAR,
            stopped_at: None,
        })));
        self.links.push(Link::default());
        let at = self.participants.len() - 1;
        let delay = self.micros(0, 30_000);
        self.after(delay, Happening::Redial { of: at });
        self.after(Duration::ZERO, Happening::ProcessTick { process: at });
        at
    }

    pub(crate) fn process_event(&mut self, at: usize, event: Event<'_>) {
        let mut effects = Vec::new();
        let now = self.now;
        let Some(process) = self.process(at) else { return };
        process.machine.on_event(now, event, &mut effects);
        process.machine.poll(now, &mut effects);
        self.carry_out(at, effects);
    }

    pub(crate) fn process_tick(&mut self, at: usize) {
        let mut effects = Vec::new();
        let now = self.now;
        let Some(process) = self.process(at) else { return };
        process.timer = Instant::FAR;
        process.machine.poll(now, &mut effects);
        self.carry_out(at, effects);
    }

    fn carry_out(&mut self, at: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Announce { announcement, change } => {
                    let seq = announcement.seq;
                    self.publish(at, &Message::Announcement(announcement), change.then_some(seq));
                }
                Effect::Probe => {
                    let delay = self.micros(100, 2_000);
                    self.after(delay, Happening::OwnProbe { process: at });
                }
                Effect::Signal(signal) => self.signal(at, signal),
                Effect::Finish(_) => {
                    self.links[at].gone = true;
                    let now = self.now;
                    if let Some(process) = self.process(at) {
                        process.ended = true;
                        process.ended_at = Some(now);
                        let (name, stopped) = (process.name, process.stopping);
                        // Whoever was killed is started again by the fault itself.
                        if stopped && now.since(Instant::ZERO) < super::STORM {
                            let delay = self.micros(50_000, 3_000_000);
                            self.after(delay, Happening::Fault(super::faults::Fault::Start { name }));
                        }
                    }
                }
                Effect::Note(note) => self.note(at, &note),
            }
        }
        let now = self.now;
        let Some(process) = self.process(at) else { return };
        let deadline = process.machine.deadline(now);
        if deadline < process.timer && !process.ended {
            process.timer = deadline;
            let delay = deadline.since(now);
            self.after(delay, Happening::ProcessTick { process: at });
        }
    }

    fn note(&mut self, at: usize, note: &Note) {
        match note {
            Note::Drained(_) => self.judge_drained(at),
            Note::DrainTimedOut(_) => self.judge_drain_timeout(at),
            _ => {}
        }
    }

    fn signal(&mut self, at: usize, signal: StopSignal) {
        let delay = match signal {
            StopSignal::Terminate => self.micros(1_000, 100_000),
            StopSignal::Kill => Duration::ZERO,
        };
        let Some(process) = self.process(at) else { return };
        process.serves = false;
        self.after(delay, Happening::Exits { process: at, code: 0 });
    }

    pub(crate) fn own_probe(&mut self, at: usize) {
        let now = self.now;
        if let Some(process) = self.process(at).filter(|process| !process.ended) {
            let answered = process.listens(now);
            self.process_event(at, Event::Probed(answered));
        }
    }

    pub(crate) fn exits(&mut self, at: usize, code: i32) {
        if let Some(process) = self.process(at).filter(|process| !process.ended) {
            process.serves = false;
            self.process_event(at, Event::Exited(code));
        }
    }

    pub(crate) fn kill(&mut self, at: usize, left: bool) {
        let (now, delay) = (self.now, self.micros(10_000, 3_000_000));
        let Some(process) = self.process(at).filter(|process| !process.ended) else { return };
        process.serves = false;
        let name = process.name;
        if left {
            self.process_event(at, Event::Exited(137));
        } else {
            process.ended = true;
            process.ended_at = Some(now);
            self.links[at].gone = true;
        }
        self.after(delay, Happening::Fault(super::faults::Fault::Start { name }));
    }

    pub(crate) fn stop_truth(&mut self, at: usize) {
        let now = self.now;
        if let Some(process) = self.process(at) {
            process.stopping = true;
            process.stopped_at.get_or_insert(now);
        }
    }

    /// Processes that should have ended and have not.
    pub(crate) fn overdue(&self) -> Vec<u64> {
        let overdue = |participant: &Participant| match participant {
            Participant::Process(process) => {
                let late =
                    process.stopped_at.is_some_and(|at| self.now.since(at) > DRAIN + Duration::from_secs(6));
                (late && !process.ended).then_some(process.boot)
            }
            Participant::Door(_) => None,
        };
        self.participants.iter().filter_map(overdue).collect()
    }
}
