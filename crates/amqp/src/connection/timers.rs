//! What time and the socket do to a connection: deadlines, heartbeats, signs of life, and room in the output.

use alloc::vec::Vec;
use core::time::Duration;

use leveret_model::Instant;
use leveret_model::limits::ACK_AGE_LOOK;
use leveret_wire::HEARTBEAT;

use super::{Connection, Phase};
use crate::channel::Channel;
use crate::ending::Ended;
use crate::heartbeat::Beat;
use crate::host::Host;

impl<C> Connection<C> {
    /// A deadline may have passed.
    pub fn on_timer<H: Host<Channel = C>>(&mut self, now: Instant, host: &mut H) {
        self.now = now;
        match self.phase {
            Phase::Handshake { until, .. } if now >= until => {
                return self.cut(Ended::HandshakeTimeout, host);
            }
            Phase::Refused { until } | Phase::Closing { until, .. } if now >= until => {
                return self.cut(Ended::Lost, host);
            }
            Phase::Ending { until } if now >= until => return self.end_close(host),
            Phase::Finished { until } => {
                if now >= until {
                    self.shared.output.clear();
                }
                return;
            }
            _ => {}
        }
        self.leave_at(now);
        if now >= self.ages_due {
            self.check_ack_timeouts(host);
        }
        if now >= self.stuck.due() {
            let lives = self.heartbeat.take_signs_of_life() || self.blocked;
            if self.stuck.on_look(now, !lives && !self.shared.output.is_empty()) {
                return self.cut(Ended::OutputStuck, host);
            }
        }
        // who does not take its output is not read because of that, and is alive only if it takes some
        let excused = if self.output_is_full() { self.heartbeat.took() } else { !self.wants_read() };
        if self.blocked || excused {
            self.heartbeat.on_unread();
        }
        match self.heartbeat.on_timer(now) {
            // who has not taken what is there hears us when it does
            Beat::Send if self.shared.output.is_empty() => {
                self.beat_only = true;
                self.shared.output.bytes().extend_from_slice(&HEARTBEAT);
            }
            Beat::Quiet | Beat::Send => {}
            // no close frame: nobody listens (RabbitMQ drops the socket)
            Beat::Missed => self.cut(Ended::HeartbeatMissed, host),
        }
    }

    /// Looks at the deliveries that the channels hold, and when to look again.
    fn check_ack_timeouts<H: Host<Channel = C>>(&mut self, host: &mut H) {
        self.plan_ack_look();
        let of_server = self.shared.config.consumer_timeout;
        let mut late = Vec::new();
        for channel in self.channels.iter_mut() {
            if let Err(exception) = channel.check_ack_timeout(self.now, of_server, host) {
                late.push((channel.key().number, exception));
            }
        }
        for (number, exception) in late {
            self.raise(number, &exception, host);
        }
    }

    /// Once it is open a connection looks at its deliveries now and then, whether there are any or not: so none
    /// of them costs anything when it comes.
    pub(super) fn plan_ack_look(&mut self) {
        let of_server = self.shared.config.consumer_timeout.unwrap_or(Duration::MAX);
        self.ages_due = self.now + (of_server / 16).clamp(Duration::from_millis(10), ACK_AGE_LOOK);
    }

    /// Output was written: channels that stopped for want of room go on. True if there were any. hot.
    #[inline]
    pub fn on_written<H: Host<Channel = C>>(&mut self, now: Instant, host: &mut H) -> bool
    where
        C: Default,
    {
        self.heartbeat.on_taken();
        if !self.has_room_again() {
            return false;
        }
        self.now = now;
        for number in core::mem::take(&mut self.without_room) {
            if self.channels.open(number).is_some_and(Channel::take_room) {
                self.replay(number, host);
            }
        }
        self.go_on_getting(host);
        true
    }

    /// Channels that stopped for want of room have some: `on_written` is due. hot.
    #[inline]
    #[must_use]
    pub fn has_room_again(&self) -> bool {
        !self.without_room.is_empty() && !self.output_is_full()
    }

    /// Channels whose turn it is ask for their message. With a full output that is when there is room again.
    pub(super) fn go_on_getting<H: Host<Channel = C>>(&mut self, host: &mut H) {
        while let Some(first) = self.shared.gets.first() {
            if self.output_is_full() {
                if !self.without_room.contains(&first) {
                    self.without_room.push(first);
                }
                return;
            }
            let Some(number) = self.shared.gets.next() else { return };
            match self.channels.open(number) {
                Some(open) => open.get_now(host),
                // its connection is about to end
                None => self.shared.gets.end(),
            }
        }
    }

    /// Bytes came that are not read yet: the client lives.
    pub fn on_heard(&mut self) {
        self.heartbeat.on_input();
    }

    /// When `on_timer` is to be called at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let phase = match self.phase {
            Phase::Handshake { until, .. }
            | Phase::Refused { until }
            | Phase::Ending { until }
            | Phase::Closing { until, .. } => until,
            Phase::Open => self.leave_due().min(self.ages_due),
            Phase::Finished { until } => return (!self.shared.output.is_empty()).then_some(until),
        };
        let stuck = if self.shared.output.is_empty() { Instant::FAR } else { self.stuck.due() };
        let next = phase.min(self.heartbeat.due()).min(stuck);
        (next < Instant::FAR).then_some(next)
    }
}
