//! One connection.
//!
//! Methods by kind:
//! - input: `on_bytes` (see `connection/frames.rs`), `on_login`, `on_answer`, `on_settled`, `on_timer`, `resume`,
//!   `on_written`, `on_heard`, `lost`;
//! - commands: `deliver`, `offer`, `end_pauses`, `cancel_consumer`, `close`, `block`, `unblock`;
//! - output: `end_turn`, `output`, `next_deadline`, `wants_read`, `is_finished`;
//! - the rest are getters.
//!
//! After any of them the driver writes `output`, and drops the socket when that is done and `is_finished`.

mod closing;
mod frames;
mod leaving;
mod opening;
mod pauses;
mod status;
#[cfg(test)]
mod tests;
mod timers;

use self::leaving::Leaving;
pub use self::status::{Kept, Waiting};

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use leveret_model::limits::{
    FIRST_FRAME_BYTES_MAX, HANDSHAKE_TIMEOUT, LOGIN_REFUSED_HOLD, OUTPUT_BYTES_STOP,
};
use leveret_model::{
    ChannelKey, ChannelNumber, ConnectionKey, ConsumerNumber, Held, Instant, Name, Paused, PublishNumber,
    Refusal,
};
use leveret_wire::method::{ConnectionBlocked, ConnectionUnblocked};
use leveret_wire::{HEARTBEAT, Output};

use crate::channels::Channels;
use crate::config::Config;
use crate::ending::{Ended, LoginRefused};
use crate::exception::{Exception, MethodId};
use crate::gets::Gets;
use crate::handshake::{self, Handshake};
use crate::heartbeat::Heartbeat;
use crate::host::{Answer, Delivery, Host};
use crate::stuck::Stuck;
use crate::turn::{Shared, Turn};

const ZERO: ChannelNumber = ChannelNumber(0);

/// The channel or consumer of a delivery is gone: the caller gives the message back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vanished;

/// Why a message was not taken that may as well stay where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// The channel or the consumer is gone.
    Vanished,
    /// The channel holds as many as it may: its consumers pause, and [`Connection::end_pauses`] says when they go on.
    Paused,
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Before connection.open-ok; `bytes` were taken since the accept.
    Handshake { state: Handshake, until: Instant, bytes: usize },
    /// In use.
    Open,
    /// A refused login is held, so that guessing is slow.
    Refused { until: Instant },
    /// The client asked to close, and hears close-ok once its exclusive queues are gone; or after a while.
    Ending { until: Instant },
    /// connection.close is sent; `deaf` if what comes cannot be read any more.
    Closing { until: Instant, deaf: bool },
    /// Over; what is not written by `until` never is.
    Finished { until: Instant },
}

/// A body frame of which the beginning was taken.
#[derive(Clone, Copy, Debug)]
struct Partial {
    channel: ChannelNumber,
    /// Bytes to come, with the end octet.
    remaining: usize,
}

/// One connection. `C` is `Host::Channel`.
#[derive(Debug)]
pub struct Connection<C> {
    phase: Phase,
    shared: Shared,
    channels: Channels<C>,
    partial: Option<Partial>,
    heartbeat: Heartbeat,
    /// Runs if there are no heartbeats.
    stuck: Stuck,
    ended: Option<Box<Ended>>,
    /// Counts the openings of channels.
    generation: u32,
    /// Channels that keep as much deferred as one may.
    full_channels: u32,
    /// What all channels keep deferred.
    deferred_bytes: usize,
    /// Channels that go on when the output is shorter, the first one first.
    without_room: Vec<ChannelNumber>,
    /// connection.blocked holds.
    blocked: bool,
    /// The output is one heartbeat and nothing else.
    beat_only: bool,
    /// The client asked to close.
    leaving: Leaving,
    /// When the input under way came.
    now: Instant,
}

impl<C> Connection<C> {
    /// A connection that was just accepted.
    #[must_use]
    pub fn new(now: Instant, key: ConnectionKey, config: Arc<Config>) -> Self {
        Self {
            phase: Phase::Handshake {
                state: Handshake::ExpectHeader,
                until: now + HANDSHAKE_TIMEOUT,
                bytes: 0,
            },
            shared: Shared {
                key,
                channel_max: config.channel_max,
                frame_max: FIRST_FRAME_BYTES_MAX,
                config,
                output: Output::new(),
                client: Box::default(),
                unfinished_bytes: 0,
                held_bytes: 0,
                confirms_due: Vec::new(),
                spare: None,
                published_bytes: 0,
                held_publishes: 0,
                paused: Vec::new(),
                gets: Gets::new(),
            },
            channels: Channels::new(),
            partial: None,
            heartbeat: Heartbeat::off(),
            stuck: Stuck::off(),
            ended: None,
            generation: 0,
            full_channels: 0,
            deferred_bytes: 0,
            without_room: Vec::new(),
            blocked: false,
            beat_only: false,
            leaving: Leaving::No,
            now,
        }
    }

    /// The answer to `Host::login`: who is logged in, or why not.
    pub fn on_login(&mut self, now: Instant, result: Result<Name, LoginRefused>) {
        self.now = now;
        let Phase::Handshake { state: state @ Handshake::CheckingLogin, until, bytes } = self.phase else {
            return;
        };
        match result {
            Ok(user) => {
                self.shared.client.user = user;
                let state = state.on_login(&mut self.shared);
                self.phase = Phase::Handshake { state, until, bytes };
            }
            Err(LoginRefused { reply, why }) => {
                self.refuse_login(&Exception::refused(reply, MethodId::NONE), why);
            }
        }
    }

    /// The answer to `Host::open_vhost` that came later.
    pub fn on_vhost<H: Host<Channel = C>>(
        &mut self,
        now: Instant,
        result: Result<(), Refusal>,
        host: &mut H,
    ) {
        self.now = now;
        let Phase::Handshake { state: Handshake::OpeningVhost, .. } = self.phase else { return };
        match result {
            Ok(()) => {
                let next = handshake::opened(&mut self.shared);
                self.set_handshake(next);
            }
            Err(refusal) => self.raise(ZERO, &Exception::refused(refusal, MethodId::OPEN), host),
        }
    }

    /// 403 for a client that understands it, else silence for a while (RabbitMQ: authentication_failure_close).
    fn refuse_login(&mut self, exception: &Exception, why: Name) {
        self.ended.get_or_insert_with(|| Box::new(Ended::LoginRefused(why)));
        if self.shared.client.capabilities.authentication_failure_close {
            self.send_close(exception);
        } else {
            self.phase = Phase::Refused { until: self.now + LOGIN_REFUSED_HOLD };
        }
    }

    /// The answer to `Host::request`. False if nobody waits for it any more: the caller gives a message back.
    pub fn on_answer<H: Host<Channel = C>>(
        &mut self,
        now: Instant,
        channel: ChannelKey,
        answer: Answer<'_>,
        host: &mut H,
    ) -> bool
    where
        C: Default,
    {
        self.now = now;
        let Some(open) = self.channels.opening(channel) else { return false };
        match open.on_answer(&mut self.shared, answer) {
            None => return false,
            Some(Ok(())) => {}
            Some(Err(exception)) => self.raise(channel.number, &exception, host),
        }
        self.replay(channel.number, host);
        self.go_on_getting(host);
        true
    }

    /// The answer that `Published::Owed` announced: confirm, or nack. True if a commit waited for it and ends:
    /// [`Connection::end_commit`] is due. hot.
    #[must_use]
    pub fn on_settled(&mut self, channel: ChannelKey, number: PublishNumber, ok: bool) -> bool {
        let open = self.channels.opening(channel);
        open.is_some_and(|open| open.on_settled(&mut self.shared, number, ok))
    }

    /// Everything that a commit owed was answered: the client hears of it, and what waits behind it goes on.
    pub fn end_commit<H: Host<Channel = C>>(&mut self, now: Instant, channel: ChannelKey, host: &mut H)
    where
        C: Default,
    {
        self.now = now;
        let Some(open) = self.channels.opening(channel) else { return };
        if let Err(exception) = open.end_commit(&mut self.shared) {
            self.raise(channel.number, &exception, host);
        }
        self.replay(channel.number, host);
    }

    /// Writes a message for a consumer and remembers it unless the consumer wants no acks. It has left its queue's home and is
    /// taken even if the channel pauses; but then no more is to be asked for. hot.
    ///
    /// # Errors
    /// [`Vanished`] if the channel or the consumer is gone.
    pub fn deliver(&mut self, channel: ChannelKey, delivery: &Delivery<'_>) -> Result<(), Vanished> {
        let open = self.channels.opening(channel).ok_or(Vanished)?;
        open.deliver::<false>(&mut self.shared, delivery).map_err(|_| Vanished)
    }

    /// The same for a message that may stay where it is. hot.
    ///
    /// # Errors
    /// [`NotTaken`]; nothing has changed for the message.
    #[inline]
    pub fn offer(&mut self, channel: ChannelKey, delivery: &Delivery<'_>) -> Result<(), NotTaken> {
        let open = self.channels.opening(channel).ok_or(NotTaken::Vanished)?;
        open.deliver::<true>(&mut self.shared, delivery)
    }

    /// The consumer ended at the server: the client is told if it can take it, and it is forgotten either way.
    pub fn cancel_consumer(&mut self, channel: ChannelKey, consumer: ConsumerNumber) {
        if let Some(open) = self.channels.opening(channel) {
            open.cancel_consumer(&mut self.shared, consumer);
        }
    }

    /// Held publishes are offered again, and what waits behind them goes on.
    pub fn resume<H: Host<Channel = C>>(&mut self, now: Instant, host: &mut H)
    where
        C: Default,
    {
        self.now = now;
        if self.shared.held_publishes == 0 {
            return;
        }
        let holding: Vec<ChannelNumber> =
            self.channels.iter().filter(|open| open.holds_publish()).map(|open| open.key().number).collect();
        for number in holding {
            let Some(open) = self.channels.open(number) else { continue };
            let mut turn = Turn { shared: &mut self.shared, host, arrived: now };
            if let Err(exception) = open.resume(&mut turn) {
                self.raise(number, &exception, host);
            }
            self.replay(number, host);
        }
    }

    /// The end of the driver's turn: confirms go out, and what was only kept for this turn goes. hot.
    pub fn end_turn(&mut self) {
        let mut due = core::mem::take(&mut self.shared.confirms_due);
        for number in due.drain(..) {
            if let Some(open) = self.channels.open(number) {
                open.end_turn(&mut self.shared);
            }
        }
        self.shared.confirms_due = due;
        self.shared.spare = None;
        // a heartbeat does not put off the next one: the client may count on one each half interval
        let quiet = if core::mem::take(&mut self.beat_only) { HEARTBEAT.len() } else { 0 };
        if self.shared.output.len() > quiet {
            self.heartbeat.on_output();
        }
    }

    /// Every delivery that a client holds, channel by channel, in the order of the tags.
    pub fn for_each_held(&self, mut each: impl FnMut(ChannelKey, Held)) {
        for channel in self.channels.iter() {
            channel.held().for_each(|held| each(channel.key(), held));
        }
    }

    /// What is to be written.
    pub fn output(&mut self) -> &mut Output {
        &mut self.shared.output
    }

    /// connection.blocked, to a client that understands it and is not blocked yet (RabbitMQ: blocked connections).
    pub fn block(&mut self, reason: &str) {
        if !self.blocked && matches!(self.phase, Phase::Open) {
            self.blocked = true;
            if self.shared.client.capabilities.connection_blocked {
                self.shared.send(ZERO, &ConnectionBlocked { reason: reason.as_bytes() });
            }
        }
    }

    /// connection.unblocked, if it was blocked.
    pub fn unblock(&mut self) {
        if self.blocked {
            self.blocked = false;
            self.heartbeat.on_unread();
            if self.shared.client.capabilities.connection_blocked && matches!(self.phase, Phase::Open) {
                self.shared.send(ZERO, &ConnectionUnblocked);
            }
        }
    }

    /// False while nothing more can be taken, or ever will be. When it turns true again, the bytes that were not
    /// taken are to be offered again.
    #[must_use]
    pub fn wants_read(&self) -> bool {
        !matches!(self.phase, Phase::Finished { .. }) && self.paused().is_none()
    }

    /// Why nothing more can be taken for now.
    #[must_use]
    pub fn paused(&self) -> Option<Paused> {
        let asks = |state: Handshake| matches!(state, Handshake::CheckingLogin | Handshake::OpeningVhost);
        match self.phase {
            Phase::Handshake { state, .. } if asks(state) => Some(Paused::Login),
            _ if self.output_is_full() => Some(Paused::Output),
            _ if self.is_full() => Some(Paused::Deferred),
            _ if self.waits_to_leave() => Some(Paused::Leaving),
            _ => None,
        }
    }

    /// The client asks and does not read the answers. hot.
    #[inline]
    fn output_is_full(&self) -> bool {
        self.shared.output.len() >= OUTPUT_BYTES_STOP
    }

    /// The channels keep as much as they may.
    fn is_full(&self) -> bool {
        self.full_channels > 0
            || self.deferred_bytes >= self.shared.config.deferred_per_connection_bytes_max
            || self.shared.held_bytes >= self.shared.config.held_publish_bytes_max
    }

    /// What a channel keeps deferred has changed.
    fn count_deferred(&mut self, before: usize, after: usize) {
        let most = self.shared.config.deferred_bytes_max;
        let full = |bytes: usize| u32::from(bytes >= most);
        self.full_channels = self.full_channels + full(after) - full(before);
        self.deferred_bytes = self.deferred_bytes + after - before;
    }
}
