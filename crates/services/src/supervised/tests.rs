use alloc::vec::Vec;
use core::time::Duration;

use leveret_model::limits::DOOR_TTL;
use leveret_model::{Boot, Instant, Seed};

use super::*;
use crate::announcement::Announcement;
use crate::message::Ask;
use crate::name::{DoorName, InstanceName, ServiceName};
use crate::report::{Ack, DoorReport};

const LONG: Duration = Duration::from_secs(10);

struct Driver {
    machine: Supervised,
    now: Instant,
    effects: Vec<Effect>,
}

fn settings() -> Settings {
    let service = ServiceName::new("shop").expect("a name");
    let instance = InstanceName::new("a").expect("a name");
    Settings {
        announcement: Announcement::new(service, instance, Boot(7), State::Starting),
        owns_process: true,
        ready_timeout: Duration::from_secs(60),
        drain_sessions: Duration::ZERO,
        drain: Duration::from_secs(30),
        stop_timeout: Duration::from_secs(30),
        commanders: ["guest".into()].into(),
    }
}

impl Driver {
    fn new(settings: Settings) -> Self {
        let machine = Supervised::new(settings, Instant::ZERO, Seed(1));
        let mut driver = Self { machine, now: Instant::ZERO, effects: Vec::new() };
        driver.later(Duration::ZERO);
        driver
    }

    /// Ready, with a link that is old enough.
    fn ready(settings: Settings) -> Self {
        let mut driver = Self::new(settings);
        driver.event(Event::LinkUp);
        driver.event(Event::Probed(true));
        driver.later(LONG);
        driver.effects.clear();
        driver
    }

    fn event(&mut self, event: Event<'_>) {
        self.machine.on_event(self.now, event, &mut self.effects);
        self.machine.poll(self.now, &mut self.effects);
    }

    fn later(&mut self, by: Duration) {
        self.now = self.now + by;
        self.machine.poll(self.now, &mut self.effects);
    }

    fn asked(&mut self, door: &str) {
        let ask = Message::Ask(Ask::new(DoorName::new(door).expect("a name")));
        self.event(Event::Message(&ask, None));
    }

    fn reported(&mut self, door: &str, ack: Option<(u64, u32)>) {
        let own = settings().announcement;
        let ack = ack.map(|(seq, inflight)| Ack {
            service: own.service.clone(),
            instance: own.instance.clone(),
            boot: own.boot,
            seq,
            inflight,
        });
        let door = DoorName::new(door).expect("a name");
        let report = DoorReport {
            v: 1,
            door,
            boot: Boot(1),
            services: Default::default(),
            acks: ack.into_iter().collect(),
        };
        self.event(Event::Message(&Message::Report(report), None));
    }

    /// The seq of the last announcement and its state.
    fn last(&self) -> (u64, State) {
        let announced = |effect: &Effect| match effect {
            Effect::Announce { announcement, .. } => Some((announcement.seq, announcement.state)),
            _ => None,
        };
        self.effects.iter().rev().find_map(announced).expect("an announcement")
    }

    fn settled(&mut self) -> u64 {
        let (seq, _) = self.last();
        self.event(Event::Settled { seq, routed: true });
        seq
    }

    fn signalled(&self) -> bool {
        self.effects.contains(&Effect::Signal(StopSignal::Terminate))
    }
}

#[test]
fn it_announces_starting_then_ready_and_goes_on_each_second() {
    let mut driver = Driver::new(settings());
    assert_eq!(driver.effects, [Effect::Probe], "without a link there is nobody to tell");
    driver.event(Event::LinkUp);
    assert_eq!(driver.last().1, State::Starting);
    driver.event(Event::Probed(false));
    driver.later(Duration::from_millis(20));
    assert_eq!(driver.effects.last(), Some(&Effect::Probe));
    driver.event(Event::Probed(true));
    let (seq, state) = driver.last();
    assert_eq!(state, State::Ready);
    driver.later(Duration::from_secs(1));
    assert_eq!(driver.last(), (seq + 1, State::Ready));
}

#[test]
fn sigterm_is_passed_on_when_every_door_says_zero() {
    let mut driver = Driver::ready(settings());
    driver.asked("one");
    driver.reported("two", None);
    driver.event(Event::Terminate);
    let seq = driver.settled();
    driver.reported("one", Some((seq, 0)));
    driver.reported("two", Some((seq, 3)));
    assert!(!driver.signalled());
    driver.reported("two", Some((seq - 1, 0)));
    assert!(!driver.signalled(), "of an older announcement");
    driver.reported("two", Some((seq + 1, 0)));
    assert!(driver.signalled());
    driver.event(Event::Exited(3));
    assert_eq!(driver.last().1, State::Left);
    assert_eq!(driver.effects.last(), Some(&Effect::Finish(3)));
}

#[test]
fn a_door_that_died_is_waited_for_until_it_counts_no_more() {
    let mut driver = Driver::ready(settings());
    driver.asked("dead");
    driver.event(Event::Terminate);
    driver.settled();
    driver.later(DOOR_TTL - Duration::from_millis(1));
    assert!(!driver.signalled());
    driver.later(Duration::from_millis(1));
    assert!(driver.signalled());
}

#[test]
fn a_drain_ends_when_its_time_is_over_and_a_second_sigterm_does_not_wait() {
    for second in [false, true] {
        let mut driver = Driver::ready(settings());
        driver.asked("one");
        driver.event(Event::Terminate);
        driver.settled();
        if second {
            driver.event(Event::Terminate);
        }
        assert_eq!(driver.signalled(), second);
        for _ in 0..30 {
            driver.later(Duration::from_secs(1));
            driver.reported("one", Some((driver.last().0, 2)));
        }
        assert!(driver.signalled());
        assert_eq!(driver.effects.contains(&Effect::Note(Note::DrainTimedOut(2))), !second);
    }
}

#[test]
fn a_young_link_waits_for_doors_that_it_has_not_heard() {
    let mut driver = Driver::new(settings());
    driver.event(Event::LinkUp);
    driver.event(Event::Probed(true));
    driver.event(Event::Terminate);
    driver.settled();
    assert!(!driver.signalled());
    driver.later(YOUNG_LINK_WAIT);
    assert!(driver.signalled());
    // The broker says that there are none.
    let mut driver = Driver::new(settings());
    driver.event(Event::LinkUp);
    driver.event(Event::Probed(true));
    driver.event(Event::Terminate);
    let (seq, _) = driver.last();
    driver.event(Event::Settled { seq, routed: false });
    assert!(driver.signalled());
}

#[test]
fn doors_that_the_lost_link_knew_are_waited_for_when_it_is_back() {
    let mut driver = Driver::ready(settings());
    driver.asked("one");
    driver.event(Event::LinkDown);
    driver.later(Duration::from_secs(60));
    driver.event(Event::LinkUp);
    driver.event(Event::Terminate);
    let seq = driver.last().0;
    driver.event(Event::Settled { seq, routed: false });
    driver.later(DOOR_TTL - Duration::from_millis(1));
    assert!(!driver.signalled());
    driver.reported("one", Some((seq, 0)));
    assert!(driver.signalled());
}

#[test]
fn a_stop_without_a_broker_spends_two_seconds() {
    let mut driver = Driver::new(settings());
    driver.event(Event::Probed(true));
    driver.later(LONG);
    driver.event(Event::Terminate);
    driver.later(Duration::from_secs(1));
    driver.event(Event::LinkDown);
    driver.later(Duration::from_millis(999));
    assert!(!driver.signalled());
    driver.later(Duration::from_millis(1));
    assert!(driver.signalled());
}

#[test]
fn a_process_that_does_not_end_is_killed_and_one_that_is_never_ready_is_stopped() {
    let mut driver = Driver::new(settings());
    driver.later(Duration::from_secs(60));
    assert!(driver.signalled());
    driver.later(Duration::from_secs(30));
    assert!(driver.effects.contains(&Effect::Signal(StopSignal::Kill)));
    driver.event(Event::Exited(137));
    assert_eq!(driver.effects.last(), Some(&Effect::Finish(70)));
}

#[test]
fn a_process_that_dies_is_announced_as_left() {
    let mut driver = Driver::ready(settings());
    driver.event(Event::Exited(9));
    assert_eq!(driver.last().1, State::Left);
    assert_eq!(driver.effects.last(), Some(&Effect::Finish(9)));
}

#[test]
fn commands_of_known_users_only_are_obeyed() {
    let mut driver = Driver::ready(settings());
    let own = settings().announcement;
    let command = |command| Message::Command(own.service.clone(), own.instance.clone(), command);
    for user in [None, Some("eve")] {
        driver.event(Event::Message(&command(Command::Stop), user));
        assert_eq!(driver.machine.phase(), Phase::Running);
    }
    driver.event(Event::Message(&command(Command::Drain), Some("guest")));
    assert_eq!(driver.last().1, State::Draining);
    driver.event(Event::Message(&command(Command::Ready), Some("guest")));
    assert_eq!(driver.last().1, State::Ready);
    driver.event(Event::Message(&command(Command::Stop), Some("guest")));
    driver.settled();
    assert!(driver.signalled());
    driver.event(Event::Exited(15));
    assert_eq!(driver.effects.last(), Some(&Effect::Finish(0)), "after a command");
}

#[test]
fn sessions_go_on_before_the_drain() {
    let mut driver = Driver::ready(Settings { drain_sessions: LONG, ..settings() });
    driver.event(Event::Terminate);
    let drain =
        |driver: &Driver| match driver.effects.iter().rev().find(|e| matches!(e, Effect::Announce { .. })) {
            Some(Effect::Announce { announcement, .. }) => announcement.drain,
            _ => panic!("no announcement"),
        };
    assert_eq!((driver.last().1, drain(&driver)), (State::Draining, Drain::Sessions));
    driver.later(LONG);
    assert_eq!((driver.last().1, drain(&driver)), (State::Draining, Drain::Requests));
    driver.settled();
    assert!(driver.signalled());
}

#[test]
fn health_makes_it_unready_and_ready_again() {
    let mut settings = settings();
    settings.announcement.terms.health = Some("/up".into());
    let mut driver = Driver::ready(settings);
    driver.event(Event::Probed(false));
    driver.later(Duration::from_secs(1));
    driver.event(Event::Probed(false));
    assert_eq!(driver.last().1, State::Unready);
    driver.later(Duration::from_secs(1));
    driver.event(Event::Probed(true));
    assert_eq!(driver.last().1, State::Ready);
}

#[test]
fn an_ask_is_answered_within_the_jitter() {
    let mut driver = Driver::ready(settings());
    let seq = driver.machine.seq;
    driver.asked("one");
    driver.later(ASK_JITTER_MAX);
    assert!(driver.machine.seq > seq);
}
