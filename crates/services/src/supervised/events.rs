//! What a supervised instance is told, what it asks for, and the phases of its life.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use compact_str::CompactString;
use leveret_model::Instant;

use crate::announcement::{Announcement, Load};
use crate::message::{Command, Message};

/// What the operator decided.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What does not change: names, boot, address, claims.
    pub announcement: Announcement,
    /// The process is ours to signal.
    pub owns_process: bool,
    /// Longest time from the start to the first answered probe.
    pub ready_timeout: Duration,
    /// Time in which only its own sessions' requests come, before the drain; zero: none.
    pub drain_sessions: Duration,
    /// Longest time for the doors' acknowledgements.
    pub drain: Duration,
    /// Longest time from SIGTERM to SIGKILL.
    pub stop_timeout: Duration,
    /// Users whose commands are obeyed.
    pub commanders: Vec<CompactString>,
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The link is up; this instance's queue is bound.
    LinkUp,
    /// The link is down.
    LinkDown,
    /// The broker took the announcement with this seq; `routed`: some queue got it.
    Settled {
        /// Of [`Announcement::seq`].
        seq: u64,
        /// Whether a door listens.
        routed: bool,
    },
    /// A message and its sender, as the broker says.
    Message(&'a Message, Option<&'a str>),
    /// The process answered a probe, or did not.
    Probed(bool),
    /// The process has ended.
    Exited(i32),
    /// What it does now.
    Load(Load),
    /// SIGTERM or SIGINT.
    Terminate,
}

/// What the driver must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send it; `change`: mandatory and confirmed.
    Announce {
        /// The text.
        announcement: Box<Announcement>,
        /// A change of state.
        change: bool,
    },
    /// Connect to the address or ask the health path; then [`Event::Probed`].
    Probe,
    /// Signal the process.
    Signal(StopSignal),
    /// Say `left` if that can still be said, and exit with this code.
    Finish(i32),
    /// For the log.
    Note(Note),
}

/// How a process is told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGTERM.
    Terminate,
    /// SIGKILL.
    Kill,
}

/// What people should hear about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The first probe was answered after this.
    Ready(Duration),
    /// No probe was answered in time.
    NotReady,
    /// The health path fails.
    Unready,
    /// No door has bound a queue.
    NoDoorListens,
    /// The drain begins, with so many doors to wait for.
    Draining(usize),
    /// Every door has acknowledged.
    Drained(Duration),
    /// Its time is over; so many requests are still at it, as far as doors said.
    DrainTimedOut(u32),
    /// There is no broker to tell the doors by.
    DrainUntold,
    /// The process did not end after SIGTERM.
    Killed,
    /// A command of somebody who may not.
    CommandRefused(CompactString),
    /// A command of somebody who may.
    Commanded(Command),
}

/// Where the instance is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its port is not open yet.
    Starting,
    /// It takes requests, if it is healthy.
    Running,
    /// An operator's `drain`: it takes none and stays.
    Paused,
    /// It takes its own sessions' requests until then.
    Sessions(Instant),
    /// It waits for acknowledgements of this seq or a later one.
    Draining {
        /// Since when.
        since: Instant,
        /// Which announcement says so.
        seq: u64,
    },
    /// It was told to end.
    Stopping {
        /// Since when.
        since: Instant,
        /// By SIGKILL.
        killed: bool,
    },
    /// It has left.
    Finished,
}
