//! Doors: a table each, threads that choose by snapshots, and clients that send requests.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use leveret_model::limits::{DOOR_REPORT_EVERY, DOOR_REPORT_GAP, HOLD_WAIT};
use leveret_model::{Boot, Instant, SplitMix};
use leveret_services::retry::{Body, Policy, Progress};
use leveret_services::{
    Ask, Choice, DoorName, DoorReport, Fence, Message, RowKey, ServiceName, Slot, Snapshot, State, Table,
    TableConfig, TableEffect, Wanted,
};

use super::bus::Link;
use super::{Happening, Participant, World};

/// Time until a door gives up on a response: shorter than in life, so that a run sees it.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(4);

/// A door.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) name: DoorName,
    boot: u64,
    pub(crate) table: Table,
    pub(crate) snapshot: Arc<Snapshot>,
    /// Requests for which no instance is free, in order.
    pub(crate) held: VecDeque<Box<Request>>,
    /// Truth for the judge: requests at each boot of an instance.
    pub(crate) at_boots: BTreeMap<u64, u32>,
    /// Truth for the judge: boots whose `left` it heard.
    pub(crate) heard_left: Vec<u64>,
    reported: Instant,
    report_planned: bool,
    rng: SplitMix,
}

/// A client's request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) number: u64,
    pub(crate) method: &'static str,
    since: Instant,
    tries: u32,
    tried: Vec<Boot>,
    /// Where it is now.
    at: Option<(Boot, Arc<Slot>)>,
}

/// How a try ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Answered,
    Refused,
    ConnectTimedOut,
    /// The connection died after the request was written.
    Reset,
    ResponseTimedOut,
}

impl World {
    pub(crate) fn add_door(&mut self) {
        let number = self.participants.len();
        let door = self.new_door(number, number as u64);
        self.participants.push(Participant::Door(Box::new(door)));
        self.links.push(Link::default());
        self.after(Duration::ZERO, Happening::Redial { of: number });
        self.after(Duration::ZERO, Happening::DoorTick { door: number });
        self.after(DOOR_REPORT_EVERY, Happening::Report { door: number, regular: true });
        self.after(Duration::from_secs(1), Happening::Arrives { door: number });
    }

    fn new_door(&mut self, number: usize, boot: u64) -> Door {
        let claim = leveret_services::Claim::parse("/").expect("a claim");
        let claims = vec![(ServiceName::new("shop").expect("a name"), claim)];
        let config = TableConfig { fence: Fence::new(Vec::new(), Vec::new()), claims };
        let mut table = Table::new(config, self.now);
        table.plant(self.planted);
        Door {
            name: DoorName::new(&format!("d{number}")).expect("a name"),
            boot,
            snapshot: Arc::new(table.snapshot()),
            table,
            held: VecDeque::new(),
            at_boots: BTreeMap::new(),
            heard_left: Vec::new(),
            reported: Instant::ZERO,
            report_planned: false,
            rng: SplitMix::new(leveret_model::Seed(self.rng.next_u64())),
        }
    }

    /// Its requests are lost, and its clients come to the new one, which has a link after the time that is
    /// returned.
    pub(crate) fn crash_door(&mut self, at: usize) -> Duration {
        let boot = self.rng.next_u64();
        let door = self.new_door(at, boot);
        self.participants[at] = Participant::Door(Box::new(door));
        let link = self.links[at];
        self.links[at] = Link { number: link.number + 1, broker: None, since: self.now, ..link };
        // Shorter or longer than instances count it.
        let delay =
            if self.chance(500) { self.micros(1_000, 2_000_000) } else { self.micros(6_100_000, 9_000_000) };
        let delay = self.until_calm(delay);
        if self.chance(300) {
            self.links[at].late_until = self.now + delay + Duration::from_secs(2);
        }
        self.after(delay, Happening::Redial { of: at });
        delay
    }

    pub(crate) fn door_link(&mut self, at: usize, up: bool) {
        let now = self.now;
        let Some(door) = self.door(at) else { return };
        door.table.on_link(now, up);
        let owes = !door.table.acks().is_empty();
        let ask = Message::Ask(Ask::new(door.name.clone()));
        if up {
            self.publish(at, &ask, None);
            if owes {
                self.plan_report(at);
            }
        }
        self.refresh(at);
    }

    pub(crate) fn door_hears(&mut self, at: usize, message: &Message, user: &str) {
        let Message::Announcement(announcement) = message else { return };
        let now = self.now;
        let mut effects = Vec::new();
        // As bytes now and then: what machines say to each other must survive the format.
        let again = leveret_services::Announcement::parse(&announcement.to_body());
        self.judge.demand(again.as_ref() == Ok(&**announcement), || {
            format!("{announcement:?} is read as {again:?}")
        });
        let Some(door) = self.door(at) else { return };
        if announcement.state == State::Left {
            door.heard_left.push(announcement.boot.0);
        }
        door.table.on_announcement(now, (**announcement).clone(), user, &mut effects);
        self.carry_out_for_door(at, effects);
        self.refresh(at);
    }

    pub(crate) fn door_tick(&mut self, at: usize) {
        let now = self.now;
        let mut effects = Vec::new();
        let Some(door) = self.door(at) else { return };
        door.table.poll(now, &mut effects);
        self.carry_out_for_door(at, effects);
        self.refresh(at);
        self.judge_door(at);
        self.after(Duration::from_millis(50), Happening::DoorTick { door: at });
    }

    fn carry_out_for_door(&mut self, at: usize, effects: Vec<TableEffect>) {
        for effect in effects {
            match effect {
                TableEffect::Probe { key, boot, .. } => {
                    let boot = boot.0;
                    let delay = if self.answers(boot).is_some() {
                        self.micros(200, 3_000)
                    } else {
                        Duration::from_secs(1)
                    };
                    self.after(delay, Happening::Probed { door: at, key, boot });
                }
                TableEffect::Report => self.plan_report(at),
                TableEffect::Note(note) => self.judge_note(at, &note),
            }
        }
    }

    /// Whether packets reach a boot's machine, and then whether its port is open.
    fn answers(&mut self, boot: u64) -> Option<bool> {
        let now = self.now;
        let process = self.process(boot as usize)?;
        process.reachable.then(|| process.listens(now))
    }

    pub(crate) fn probed(&mut self, at: usize, key: &RowKey, boot: u64) {
        let answered = self.answers(boot) == Some(true);
        let now = self.now;
        let mut effects = Vec::new();
        let Some(door) = self.door(at) else { return };
        door.table.on_probe(now, key, Boot(boot), answered, &mut effects);
        self.carry_out_for_door(at, effects);
        self.refresh(at);
    }

    /// Gives the threads a new snapshot if there is one, and the head of the queue another try.
    fn refresh(&mut self, at: usize) {
        let Some(door) = self.door(at) else { return };
        if door.table.take_changed() {
            door.snapshot = Arc::new(door.table.snapshot());
        }
        self.serve_held(at);
    }

    fn serve_held(&mut self, at: usize) {
        while let Some(door) = self.door(at) {
            let Some(request) = door.held.pop_front() else { return };
            door.snapshot.services[0].gate.wait_over();
            let before = door.held.len();
            self.dispatch(at, request, true);
            if self.door(at).is_none_or(|door| door.held.len() > before) {
                return;
            }
        }
    }

    fn plan_report(&mut self, at: usize) {
        let now = self.now;
        let Some(door) = self.door(at) else { return };
        if !door.report_planned {
            door.report_planned = true;
            let delay = (door.reported + DOOR_REPORT_GAP).since(now);
            self.after(delay, Happening::Report { door: at, regular: false });
        }
    }

    pub(crate) fn report(&mut self, at: usize, regular: bool) {
        let now = self.now;
        let Some(door) = self.door(at) else { return };
        door.reported = now;
        if !regular {
            door.report_planned = false;
        }
        let report = DoorReport {
            v: 1,
            door: door.name.clone(),
            boot: Boot(door.boot),
            services: door.table.counts(),
            acks: door.table.acks(),
        };
        self.publish(at, &Message::Report(report), None);
        if regular {
            self.after(DOOR_REPORT_EVERY, Happening::Report { door: at, regular: true });
        }
    }

    pub(crate) fn arrives(&mut self, at: usize) {
        self.judge.requests += 1;
        let method = if self.chance(400) { "POST" } else { "GET" };
        let number = self.judge.requests;
        let request = Request { number, method, since: self.now, tries: 0, tried: Vec::new(), at: None };
        self.dispatch(at, Box::new(request), false);
        let next = self.micros(1_000, 80_000);
        self.after(next, Happening::Arrives { door: at });
    }

    /// Chooses; the thread may be interrupted between its choice and the slot.
    fn dispatch(&mut self, at: usize, request: Box<Request>, first_of_queue: bool) {
        let now = self.now;
        let pause = if self.chance(250) { self.micros(0, 60_000) } else { Duration::ZERO };
        let Some(door) = self.door(at) else { return };
        let view = Arc::clone(&door.snapshot.services[0]);
        let tried = |candidate: &leveret_services::Candidate| request.tried.contains(&candidate.boot);
        let tried: Vec<usize> =
            (0..view.candidates.len()).filter(|at| tried(&view.candidates[*at])).collect();
        let wanted = Wanted { session: None, by_name: false, tried: &tried, now };
        match view.choose(&wanted, &mut door.rng) {
            Choice::Candidate { at: candidate, .. } => {
                let candidate = view.candidates[candidate].clone();
                let mut request = request;
                request.at = Some((candidate.boot, candidate.slot));
                self.after(pause, Happening::Enters { door: at, request, at: candidate.boot.0 as usize });
            }
            Choice::Wait if view.gate.try_wait() => {
                let (number, left) = (request.number, (request.since + HOLD_WAIT).since(now));
                if first_of_queue {
                    door.held.push_front(request);
                } else {
                    door.held.push_back(request);
                    self.after(left, Happening::GivesUp { door: at, number });
                }
            }
            Choice::Wait | Choice::Exhausted => self.fails(at, &request),
        }
    }

    pub(crate) fn gives_up(&mut self, at: usize, number: u64) {
        let Some(door) = self.door(at) else { return };
        if let Some(place) = door.held.iter().position(|request| request.number == number) {
            let request = door.held.remove(place).expect("it was found there");
            door.snapshot.services[0].gate.wait_over();
            self.fails(at, &request);
        }
    }

    pub(crate) fn enters(&mut self, at: usize, request: Box<Request>, boot: usize) {
        let (_, slot) = request.at.clone().expect("it was chosen");
        if !slot.enter(false, 0) {
            // Closed meanwhile: as if it had not been there.
            return self.dispatch(at, request, false);
        }
        if let Some(door) = self.door(at) {
            *door.at_boots.entry(boot as u64).or_default() += 1;
        }
        self.judge_sent(at, boot as u64);
        let delay = self.micros(50, 500);
        self.after(delay, Happening::Reaches { door: at, request });
    }

    pub(crate) fn reaches(&mut self, at: usize, request: Box<Request>) {
        let (boot, _) = *request.at.as_ref().map(|(boot, slot)| (boot, slot)).as_ref().expect("it was sent");
        let boot = boot.0;
        let (delay, how) = match self.answers(boot) {
            None => (Duration::from_secs(1), End::ConnectTimedOut),
            Some(false) => (Duration::ZERO, End::Refused),
            Some(true) => {
                self.judge_executed(&request, boot);
                (self.micros(500, 60_000), End::Answered)
            }
        };
        self.after(delay, Happening::Ends { door: at, request, how });
    }

    pub(crate) fn ends(&mut self, at: usize, mut request: Box<Request>, mut how: End) {
        let (boot, slot) = request.at.clone().expect("it was sent");
        if how == End::Answered {
            match self.answers(boot.0) {
                Some(true) => {}
                Some(false) => how = End::Reset,
                None => {
                    let how = End::ResponseTimedOut;
                    return self.after(RESPONSE_TIMEOUT, Happening::Ends { door: at, request, how });
                }
            }
        }
        let last = slot.leave();
        if let Some(count) = self.door(at).and_then(|door| door.at_boots.get_mut(&boot.0)) {
            *count = count.saturating_sub(1);
        }
        request.at = None;
        if last {
            self.plan_report(at);
        }
        let progress = match how {
            End::Answered => {
                slot.succeeded(1);
                self.judge_answered(&request);
                return self.serve_held(at);
            }
            End::Refused | End::ConnectTimedOut => {
                slot.unreachable();
                Progress::NotSent
            }
            End::Reset | End::ResponseTimedOut => {
                slot.strike();
                Progress::SentUnanswered
            }
        };
        request.tries += 1;
        request.tried.push(boot);
        let planted = self.planted;
        if Policy::planted(planted).allows(request.method, Body::Absent, progress, request.tries) {
            self.dispatch(at, request, false);
        } else {
            self.fails(at, &request);
        }
    }

    fn fails(&mut self, at: usize, request: &Request) {
        self.judge_failed(at, request.number, request.tries);
    }
}
