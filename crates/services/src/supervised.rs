//! One instance: it announces itself, drains by the doors' acknowledgements, and only then stops its process.
//!
//! Read first: `docs/formats/services.md`, 3. The driver owns the process, the probe and the link; it gives
//! [`Event`]s and carries [`Effect`]s out. [`doors`] keeps whom the instance waits for. Invariants: the
//! process gets no signal of ours before every door that counts has acknowledged the drain with nothing in
//! flight, unless a time is over or the operator insists; `left` is the last word; every phase but running
//! ends by itself.

mod doors;
mod events;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use leveret_model::limits::{
    ANNOUNCE_EVERY, ASK_JITTER_MAX, HEALTH_FAILURES_MAX, HEALTH_PROBE_EVERY, START_PROBE_EVERY,
    STOP_WITHOUT_BROKER, YOUNG_LINK, YOUNG_LINK_WAIT,
};
use leveret_model::{Instant, Seed, SplitMix};

use self::doors::Doors;
pub use self::events::{Effect, Event, Note, Phase, Settings, StopSignal};
use crate::announcement::{Drain, Kind, Load, State};
use crate::message::{Command, Message};
use crate::planted::Planted;

/// The machine.
#[derive(Debug)]
pub struct Supervised {
    settings: Settings,
    phase: Phase,
    started: Instant,
    seq: u64,
    load: Option<Load>,
    healthy: bool,
    failures: u32,
    doors: Doors,
    link: Link,
    next_announcement: Instant,
    next_probe: Instant,
    probing: bool,
    /// What the process's own exit code gives way to.
    exit: Option<i32>,
    /// The last change that was sent, until its verdict is said.
    unsettled_change: Option<u64>,
    rng: SplitMix,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Up {
        since: Instant,
        /// The drain was taken by the broker, at this time.
        told: Option<Instant>,
        /// The broker had no queue for it.
        unheard: bool,
    },
    Down {
        since: Instant,
    },
}

impl Supervised {
    /// A process that was just started.
    #[must_use]
    pub fn new(settings: Settings, now: Instant, seed: Seed) -> Self {
        Self {
            settings,
            phase: Phase::Starting,
            started: now,
            seq: 0,
            load: None,
            healthy: true,
            failures: 0,
            doors: Doors::default(),
            link: Link::Down { since: now },
            next_announcement: now,
            next_probe: now,
            probing: false,
            exit: None,
            unsettled_change: None,
            rng: SplitMix::new(seed),
        }
    }

    /// Plants a bug, for the test that must find it.
    pub fn plant(&mut self, bug: Planted) {
        self.doors.plant(bug);
    }

    /// Where it is in its life.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Something happened; [`Supervised::poll`] must follow.
    pub fn on_event(&mut self, now: Instant, event: Event<'_>, effects: &mut Vec<Effect>) {
        if self.phase == Phase::Finished {
            return;
        }
        match event {
            Event::LinkUp => {
                self.link = Link::Up { since: now, told: None, unheard: false };
                self.doors.link_is_back(now);
                self.announce(now, true, effects);
            }
            Event::LinkDown => {
                self.link = Link::Down { since: now };
                self.doors.link_is_gone(now);
            }
            Event::Settled { seq, routed } => self.on_settled(now, seq, routed, effects),
            Event::Message(message, user) => self.on_message(now, message, user, effects),
            Event::Probed(answered) => self.on_probed(now, answered, effects),
            Event::Exited(code) => self.finish(now, self.exit.unwrap_or(code), effects),
            Event::Load(load) => self.load = Some(load),
            Event::Terminate => self.stop(now, effects),
        }
    }

    fn on_settled(&mut self, now: Instant, seq: u64, routed: bool, effects: &mut Vec<Effect>) {
        if let (Phase::Draining { seq: wanted, .. }, Link::Up { told, unheard, .. }) =
            (self.phase, &mut self.link)
            && seq >= wanted
            && told.is_none()
        {
            *told = Some(now);
            *unheard = !routed;
        }
        if self.unsettled_change.take_if(|change| *change == seq).is_some()
            && !routed
            && self.phase == Phase::Running
        {
            effects.push(Effect::Note(Note::NoDoorListens));
        }
    }

    fn on_message(&mut self, now: Instant, message: &Message, user: Option<&str>, effects: &mut Vec<Effect>) {
        match message {
            Message::Ask(ask) => {
                self.doors.asked(now, &ask.door);
                let jitter = self.rng.below(ASK_JITTER_MAX.as_nanos() as u64);
                self.next_announcement = self.next_announcement.min(now + Duration::from_nanos(jitter));
            }
            Message::Report(report) => self.doors.reported(now, report, &self.settings.announcement),
            Message::Command(service, instance, command) => {
                let own = &self.settings.announcement;
                if (service, instance) == (&own.service, &own.instance) {
                    self.on_command(now, *command, user, effects);
                }
            }
            Message::Announcement(_) => {}
        }
    }

    fn on_command(&mut self, now: Instant, command: Command, user: Option<&str>, effects: &mut Vec<Effect>) {
        let obeyed = user.is_some_and(|user| self.settings.commanders.iter().any(|known| known == user));
        if !obeyed {
            let user = user.unwrap_or("an unchecked sender");
            return effects.push(Effect::Note(Note::CommandRefused(user.into())));
        }
        effects.push(Effect::Note(Note::Commanded(command)));
        match (command, self.phase) {
            (Command::Drain, Phase::Starting | Phase::Running) => self.enter(now, Phase::Paused, effects),
            (Command::Ready, Phase::Paused) => self.enter(now, Phase::Running, effects),
            (Command::Stop, Phase::Starting | Phase::Running | Phase::Paused) => {
                self.exit = Some(0);
                self.stop(now, effects);
            }
            _ => {}
        }
    }

    fn on_probed(&mut self, now: Instant, answered: bool, effects: &mut Vec<Effect>) {
        self.probing = false;
        if answered && self.phase == Phase::Starting {
            effects.push(Effect::Note(Note::Ready(now.since(self.started))));
            return self.enter(now, Phase::Running, effects);
        }
        self.failures = if answered { 0 } else { self.failures.saturating_add(1) };
        let healthy = answered || (self.healthy && self.failures < HEALTH_FAILURES_MAX);
        if self.phase == Phase::Running && healthy != self.healthy {
            self.healthy = healthy;
            if !healthy {
                effects.push(Effect::Note(Note::Unready));
            }
            self.announce(now, true, effects);
        }
    }

    /// SIGTERM, or the command: the first begins the drain, the second does not wait for it.
    fn stop(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Starting => self.end_process(now, effects),
            Phase::Running | Phase::Paused if self.settings.drain_sessions > Duration::ZERO => {
                self.enter(now, Phase::Sessions(now + self.settings.drain_sessions), effects);
            }
            Phase::Running | Phase::Paused => self.drain(now, effects),
            Phase::Sessions(_) | Phase::Draining { .. } => self.end_process(now, effects),
            Phase::Stopping { .. } | Phase::Finished => {}
        }
    }

    fn drain(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        effects.push(Effect::Note(Note::Draining(self.doors.counted(now))));
        if let Link::Up { told, .. } = &mut self.link {
            *told = None;
        }
        self.enter(now, Phase::Draining { since: now, seq: self.seq + 1 }, effects);
    }

    fn end_process(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if self.settings.owns_process {
            self.enter(now, Phase::Stopping { since: now, killed: false }, effects);
            effects.push(Effect::Signal(StopSignal::Terminate));
        } else {
            self.finish(now, self.exit.unwrap_or(0), effects);
        }
    }

    fn finish(&mut self, now: Instant, code: i32, effects: &mut Vec<Effect>) {
        self.enter(now, Phase::Finished, effects);
        effects.push(Effect::Finish(code));
    }

    fn enter(&mut self, now: Instant, phase: Phase, effects: &mut Vec<Effect>) {
        self.phase = phase;
        self.announce(now, true, effects);
    }

    /// Time goes by: call it at [`Supervised::deadline`] or earlier.
    pub fn poll(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Starting if self.settings.announcement.kind == Kind::Worker => {
                self.enter(now, Phase::Running, effects);
            }
            Phase::Starting if now.since(self.started) >= self.settings.ready_timeout => {
                effects.push(Effect::Note(Note::NotReady));
                self.exit = Some(NOT_READY);
                self.end_process(now, effects);
            }
            Phase::Sessions(until) if until <= now => self.drain(now, effects),
            Phase::Draining { since, seq } => self.poll_drain(now, since, seq, effects),
            Phase::Stopping { since, killed: false } if now.since(since) >= self.settings.stop_timeout => {
                self.phase = Phase::Stopping { since, killed: true };
                effects.push(Effect::Note(Note::Killed));
                effects.push(Effect::Signal(StopSignal::Kill));
            }
            _ => {}
        }
        if self.phase == Phase::Finished {
            return;
        }
        if self.probes() && !self.probing && self.next_probe <= now {
            self.probing = true;
            let every = if self.phase == Phase::Starting { START_PROBE_EVERY } else { HEALTH_PROBE_EVERY };
            self.next_probe = now + every;
            effects.push(Effect::Probe);
        }
        if self.next_announcement <= now {
            self.announce(now, false, effects);
        }
    }

    fn poll_drain(&mut self, now: Instant, since: Instant, seq: u64, effects: &mut Vec<Effect>) {
        let over = now.since(since) >= self.settings.drain;
        let verdict = match self.link {
            // The doors cannot be told; the broker may come back in a moment.
            Link::Down { since: down } if now.since(since.max(down)) >= STOP_WITHOUT_BROKER => {
                Some(Note::DrainUntold)
            }
            Link::Up { told: Some(_), unheard: true, .. } if self.doors.counted(now) == 0 => {
                Some(Note::Drained(now.since(since)))
            }
            Link::Up { since: up, told: Some(told), .. } => {
                // A young link has not heard every door yet.
                let young = now.since(up) < YOUNG_LINK && now.since(told) < YOUNG_LINK_WAIT;
                (!young && self.doors.all_acknowledged(now, seq)).then(|| Note::Drained(now.since(since)))
            }
            _ => None,
        };
        let timed_out = || over.then(|| Note::DrainTimedOut(self.doors.inflight(now)));
        if let Some(note) = verdict.or_else(timed_out) {
            effects.push(Effect::Note(note));
            self.end_process(now, effects);
        }
    }

    /// Whether the process is probed in this phase.
    fn probes(&self) -> bool {
        match self.phase {
            Phase::Starting => self.settings.announcement.kind == Kind::Http,
            Phase::Running => self.settings.announcement.health.is_some(),
            _ => false,
        }
    }

    fn announce(&mut self, now: Instant, change: bool, effects: &mut Vec<Effect>) {
        self.next_announcement = now + ANNOUNCE_EVERY;
        self.seq += 1;
        // Without a link there is nobody to tell; the next one begins with an announcement.
        if let Link::Down { .. } = self.link {
            return;
        }
        let mut announcement = self.settings.announcement.clone();
        announcement.seq = self.seq;
        announcement.load = self.load;
        announcement.drain = Drain::Requests;
        announcement.state = match self.phase {
            Phase::Starting => State::Starting,
            Phase::Running if self.healthy => State::Ready,
            Phase::Running => State::Unready,
            Phase::Sessions(_) => {
                announcement.drain = Drain::Sessions;
                State::Draining
            }
            Phase::Paused | Phase::Draining { .. } | Phase::Stopping { .. } => State::Draining,
            Phase::Finished => State::Left,
        };
        if change {
            self.unsettled_change = Some(self.seq);
        }
        effects.push(Effect::Announce { announcement: Box::new(announcement), change });
    }

    /// When [`Supervised::poll`] has something to do.
    #[must_use]
    pub fn deadline(&self, now: Instant) -> Instant {
        let phase = match self.phase {
            Phase::Starting => self.started + self.settings.ready_timeout,
            Phase::Sessions(until) => until,
            // Doors fall out of the count by time alone.
            Phase::Draining { .. } => now + START_PROBE_EVERY,
            Phase::Stopping { since, killed: false } => since + self.settings.stop_timeout,
            Phase::Running | Phase::Paused | Phase::Stopping { .. } | Phase::Finished => Instant::FAR,
        };
        let probe = if self.probes() && !self.probing { self.next_probe } else { Instant::FAR };
        phase.min(probe).min(self.next_announcement)
    }
}

/// Exit code of a process that was not ready in time (sysexits.h: EX_SOFTWARE).
const NOT_READY: i32 = 70;
