//! Heartbeats in both directions (AMQP 0-9-1 §4.2.7): a clock of half intervals, as RabbitMQ's heartbeaters count.
//!
//! Any byte counts as a sign of life. We send when a whole half interval passed without output; the client is cut when
//! two whole intervals passed without input. A connection that is not read (blocked, or full) cannot be heard, so its
//! silence does not count (RabbitMQ: pauses the monitor while blocked). One that is not read because it does not take its
//! own output must take some of it instead.
//!
//! Half intervals end in slots of the clock that connections with the same interval share, so that one wake-up of their
//! thread is for many of them. Invariant: no half interval is longer than it should be; the first one is shorter by less
//! than a slot, and the client's silence in it does not count.

use core::time::Duration;

use leveret_model::Instant;
use leveret_model::limits::HEARTBEAT_SLOTS;

/// What the tick of a heartbeat asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    /// Nothing.
    Quiet,
    /// Send a heartbeat frame.
    Send,
    /// The client has been silent for two intervals.
    Missed,
}

/// The two counters of a connection; off until tuned.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    /// Half the negotiated interval; zero is off.
    half: Duration,
    /// When the next half interval ends.
    due: Instant,
    /// Half intervals without input.
    silent: u8,
    /// Output was written in this half interval.
    wrote: bool,
    /// Input came in this half interval.
    heard: bool,
    /// The socket was not read at some time in this half interval.
    unread: bool,
    /// The client took output in this half interval.
    took: bool,
}

impl Heartbeat {
    /// Off.
    pub(crate) const fn off() -> Self {
        Self {
            half: Duration::ZERO,
            due: Instant::FAR,
            silent: 0,
            wrote: false,
            heard: false,
            unread: false,
            took: false,
        }
    }

    /// Starts with the negotiated interval; 0 is off.
    pub(crate) fn start(&mut self, now: Instant, interval_s: u16) {
        *self = Self::off();
        if interval_s > 0 {
            self.half = Duration::from_millis(u64::from(interval_s) * 500);
            let due = (now + self.half).as_nanos();
            self.due = Instant::from_nanos(due - due % (self.half / HEARTBEAT_SLOTS).as_nanos() as u64);
            self.heard = true;
        }
    }

    /// Bytes came in.
    pub(crate) fn on_input(&mut self) {
        self.heard = true;
    }

    /// Bytes go out.
    pub(crate) fn on_output(&mut self) {
        self.wrote = true;
    }

    /// The socket is not being read.
    pub(crate) fn on_unread(&mut self) {
        self.unread = true;
    }

    /// The client took some of its output. hot.
    #[inline]
    pub(crate) fn on_taken(&mut self) {
        self.took = true;
    }

    /// The client took output in this half interval.
    pub(crate) fn took(&self) -> bool {
        self.took
    }

    /// The client took output, or bytes came, since the last time that this was asked; for a connection without heartbeats.
    pub(crate) fn take_signs_of_life(&mut self) -> bool {
        core::mem::take(&mut self.took) | core::mem::take(&mut self.heard)
    }

    /// The next tick; [`Instant::FAR`] if off.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// A tick, if one is due.
    pub(crate) fn on_timer(&mut self, now: Instant) -> Beat {
        if now < self.due {
            return Beat::Quiet;
        }
        // to the end of the half interval that is under way: a thread that was late is not late for ever
        let late = now.since(self.due).as_nanos() % self.half.as_nanos();
        self.due = now + self.half - Duration::from_nanos(late as u64);
        self.silent = if self.heard || self.unread { 0 } else { self.silent.saturating_add(1) };
        let wrote = self.wrote;
        (self.heard, self.unread, self.wrote, self.took) = (false, false, false, false);
        match (self.silent, wrote) {
            (4.., _) => Beat::Missed,
            (_, false) => Beat::Send,
            (_, true) => Beat::Quiet,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    #[test]
    fn a_silent_client_is_cut_after_two_intervals() {
        let mut beat = Heartbeat::off();
        beat.start(at(0), 10);
        // the last thing heard was what started it
        for tick in 1..5 {
            assert_eq!(beat.on_timer(at(tick * 5_000)), Beat::Send);
        }
        assert_eq!(beat.on_timer(at(25_000)), Beat::Missed);
    }

    #[test]
    fn connections_that_come_one_behind_the_other_are_due_together() {
        let due = |ms| {
            let mut beat = Heartbeat::off();
            beat.start(at(ms), 60);
            let first = beat.due();
            assert!(at(ms + 30_000 - 1_875) < first && first <= at(ms + 30_000), "{ms}: {first:?}");
            first
        };
        let slots: std::collections::BTreeSet<_> = (0..30_000).map(due).collect();
        assert_eq!(slots.len(), HEARTBEAT_SLOTS as usize);
    }

    #[test]
    fn a_late_tick_does_not_put_off_the_next_one() {
        let mut beat = Heartbeat::off();
        beat.start(at(0), 10);
        beat.on_timer(at(5_900));
        assert_eq!(beat.due(), at(10_000));
        beat.on_timer(at(31_000));
        assert_eq!(beat.due(), at(35_000), "those that were missed altogether do not count");
    }

    #[test]
    fn output_takes_the_place_of_a_heartbeat() {
        let mut beat = Heartbeat::off();
        beat.start(at(0), 10);
        beat.on_output();
        assert_eq!(beat.on_timer(at(5_000)), Beat::Quiet);
        assert_eq!(beat.on_timer(at(10_000)), Beat::Send);
    }

    #[test]
    fn silence_does_not_count_while_the_socket_is_not_read() {
        let mut beat = Heartbeat::off();
        beat.start(at(0), 10);
        for tick in 1..10 {
            beat.on_unread();
            assert_eq!(beat.on_timer(at(tick * 5_000)), Beat::Send);
        }
    }

    #[test]
    fn zero_is_off() {
        let mut beat = Heartbeat::off();
        beat.start(at(0), 0);
        assert_eq!(beat.due(), Instant::FAR);
        assert_eq!(beat.on_timer(at(1_000_000)), Beat::Quiet);
    }
}
