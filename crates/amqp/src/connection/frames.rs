//! Bytes in: whole frames to the handshake, to channel 0, or to their channel; and the parts of large body frames.

use alloc::format;

use bytes::Bytes;
use leveret_model::surface::Feature;
use leveret_model::{ChannelKey, ChannelNumber, Instant, ReplyCode};
use leveret_wire::frame::{FRAME_END, FRAME_HEAD_BYTES};
use leveret_wire::method::{ChannelCloseOk, ChannelOpenOk, ConnectionUpdateSecretOk};
use leveret_wire::{FrameError, FrameHead, FrameKind, Method, decode_head};

use super::{Connection, Partial, Phase, ZERO};
use crate::channel::{Channel, Step, decode_method, framing, method_id, whole_frame};
use crate::channels::Slot;
use crate::ending::Ended;
use crate::exception::{Exception, MethodId};
use crate::host::Host;
use crate::surface::demand;
use crate::turn::Turn;

/// Bytes of a frame beside its payload.
const OVERHEAD: usize = FRAME_HEAD_BYTES + 1;

impl<C: Default> Connection<C> {
    /// Takes what it can of `bytes` and answers how much; the driver keeps the rest and offers it again with more behind
    /// it. Bodies of 4 KiB and more are kept as slices of `bytes`. hot.
    pub fn on_bytes<H: Host<Channel = C>>(&mut self, now: Instant, bytes: &Bytes, host: &mut H) -> usize {
        self.now = now;
        let mut at = 0;
        if !bytes.is_empty() {
            self.heartbeat.on_input();
        }
        while at < bytes.len() {
            let taken = match self.phase {
                Phase::Open => self.on_open_bytes(bytes, at, host),
                Phase::Handshake { state, .. } => self.on_handshake_bytes(state, bytes, at, host),
                Phase::Closing { deaf: false, .. } => self.on_closing_bytes(bytes, at, host),
                // nothing that comes now means anything
                Phase::Closing { deaf: true, .. }
                | Phase::Refused { .. }
                | Phase::Ending { .. }
                | Phase::Finished { .. } => bytes.len() - at,
            };
            if taken == 0 {
                break;
            }
            at += taken;
        }
        at
    }

    /// One frame, one message, or one part of a large frame. hot.
    fn on_open_bytes<H: Host<Channel = C>>(&mut self, bytes: &Bytes, at: usize, host: &mut H) -> usize {
        // no more answers for who does not read them
        if self.is_full() || self.output_is_full() {
            return 0;
        }
        if let Some(partial) = self.partial {
            return self.on_partial(partial, bytes, at, host);
        }
        let head = match self.head(bytes, at) {
            Ok(Some(head)) => head,
            Ok(None) => return 0,
            Err(exception) => {
                self.raise(ZERO, &exception, host);
                return bytes.len() - at;
            }
        };
        if head.channel != 0 {
            return self.on_channel_frame(self.now, bytes, at, head, host);
        }
        match self.on_zero_frame(bytes, at, head, host) {
            Ok(taken) => taken,
            Err(exception) => {
                let taken = self.skip(bytes, at, head);
                self.raise(ZERO, &exception, host);
                taken
            }
        }
    }

    /// A frame of a channel. hot.
    fn on_channel_frame<H: Host<Channel = C>>(
        &mut self,
        arrived: Instant,
        source: &Bytes,
        at: usize,
        head: FrameHead,
        host: &mut H,
    ) -> usize {
        let number = ChannelNumber(head.channel);
        let step = match self.channels.get(number) {
            Some(Slot::Open(open)) if !open.is_waiting() => {
                let mut turn = Turn { shared: &mut self.shared, host, arrived };
                open.on_frame(&mut turn, source, at, head)
            }
            Some(Slot::Open(_)) => self.defer(arrived, source, at, number),
            Some(Slot::Closing) => self.on_closing_channel(source, at, head),
            None => self.on_unopened(source, at, head),
        };
        match step {
            Ok(Step::Taken(taken)) => taken,
            Ok(Step::Incomplete) => 0,
            Ok(Step::Partial { taken, remaining }) => {
                self.partial = Some(Partial { channel: number, remaining });
                taken
            }
            Ok(Step::Closed(taken)) => {
                if let Some(slot) = self.channels.remove(number) {
                    self.forget(slot, host);
                }
                taken
            }
            Err(exception) => {
                let taken = self.skip(source, at, head);
                self.raise(number, &exception, host);
                taken
            }
        }
    }

    /// A frame behind what its channel waits for.
    fn defer(
        &mut self,
        arrived: Instant,
        source: &Bytes,
        at: usize,
        number: ChannelNumber,
    ) -> Result<Step, Exception> {
        let Some(frame) = whole_frame(source, at, self.shared.frame_max)? else {
            return Ok(Step::Incomplete);
        };
        let len = frame.wire_len();
        if let Some(open) = self.channels.open(number) {
            let before = open.deferred_bytes();
            open.defer(arrived, &source[at..at + len]);
            let after = open.deferred_bytes();
            self.count_deferred(before, after);
        }
        Ok(Step::Taken(len))
    }

    /// What was deferred goes on, until the channel waits again, for room in the output too. Linear: each run is read
    /// once.
    pub(super) fn replay<H: Host<Channel = C>>(&mut self, number: ChannelNumber, host: &mut H) {
        let Some(open) = self.channels.open(number) else { return };
        if open.is_waiting() {
            return;
        }
        let Some(mut deferred) = open.take_deferred() else { return };
        self.count_deferred(deferred.weight_bytes(), 0);
        while let Some(mut run) = deferred.take() {
            let mut at = 0;
            while at < run.frames.len() {
                if !matches!(self.phase, Phase::Open) {
                    return;
                }
                let full = self.output_is_full();
                if let Some(open) = self.channels.open(number)
                    && (full || open.is_waiting())
                {
                    if open.wait_for_room() {
                        self.without_room.push(number);
                    }
                    run.frames = run.frames.split_off(at);
                    deferred.put_back(run);
                    let after = deferred.weight_bytes();
                    open.put_back(deferred);
                    self.count_deferred(0, after);
                    return;
                }
                let Ok(Some(head)) = decode_head(&run.frames[at..]) else { return };
                match self.on_channel_frame(run.arrived, &run.frames, at, head, host) {
                    // a run holds whole frames
                    0 => return,
                    taken => at += taken,
                }
            }
        }
    }

    /// While channel.close-ok is awaited all else is ignored (AMQP 0-9-1 §1.5.2.5).
    fn on_closing_channel(&mut self, source: &Bytes, at: usize, head: FrameHead) -> Result<Step, Exception> {
        if head.kind != FrameKind::Method {
            return Ok(self.skip_step(source, at, head));
        }
        let Some(frame) = whole_frame(source, at, self.shared.frame_max)? else {
            return Ok(Step::Incomplete);
        };
        match Method::decode(frame.payload) {
            Ok(Method::ChannelCloseOk(_)) => Ok(Step::Closed(frame.wire_len())),
            // both closed at once: the number is free when the client answers ours
            Ok(Method::ChannelClose(_)) => {
                self.shared.send(ChannelNumber(head.channel), &ChannelCloseOk);
                Ok(Step::Taken(frame.wire_len()))
            }
            _ => Ok(Step::Taken(frame.wire_len())),
        }
    }

    /// A frame for a number that is not in use: only channel.open is due.
    fn on_unopened(&mut self, source: &Bytes, at: usize, head: FrameHead) -> Result<Step, Exception> {
        let number = ChannelNumber(head.channel);
        if number.0 > self.shared.channel_max {
            let text =
                format!("channel number {} is above the negotiated {}", number.0, self.shared.channel_max);
            return Err(Exception::new(ReplyCode::NotAllowed, MethodId::NONE, text));
        }
        let not_open = |method| Exception::new(ReplyCode::ChannelError, method, "expected 'channel.open'");
        match head.kind {
            FrameKind::Method => {}
            FrameKind::Heartbeat => return Err(heartbeat_on_channel()),
            FrameKind::Header | FrameKind::Body => return Err(not_open(MethodId::NONE)),
        }
        let Some(frame) = whole_frame(source, at, self.shared.frame_max)? else {
            return Ok(Step::Incomplete);
        };
        match decode_method(&frame)? {
            Method::ChannelOpen(_) => {}
            other => return Err(not_open(method_id(&other))),
        }
        self.generation += 1;
        let key = ChannelKey { connection: self.shared.key, number, generation: self.generation };
        self.channels.add(number, Slot::Open(Channel::new(key).into()));
        self.shared.send(number, &ChannelOpenOk);
        Ok(Step::Taken(frame.wire_len()))
    }

    /// A frame of the connection itself.
    fn on_zero_frame<H: Host<Channel = C>>(
        &mut self,
        bytes: &Bytes,
        at: usize,
        head: FrameHead,
        host: &mut H,
    ) -> Result<usize, Exception> {
        let Some(frame) = whole_frame(bytes, at, self.shared.frame_max)? else { return Ok(0) };
        match head.kind {
            FrameKind::Heartbeat => return Ok(frame.wire_len()),
            FrameKind::Header | FrameKind::Body => {
                return Err(Exception::new(
                    ReplyCode::UnexpectedFrame,
                    MethodId::NONE,
                    "content on channel 0",
                ));
            }
            FrameKind::Method => {}
        }
        let method = decode_method(&frame)?;
        let id = method_id(&method);
        match method {
            Method::ConnectionClose(_) if self.puts_off_close() => return Ok(0),
            Method::ConnectionClose(_) => self.on_close(host),
            // Passwords of users that are known here do not change with it: a secret that expires comes with
            // OAuth.
            Method::ConnectionUpdateSecret(_) => self.shared.send(ZERO, &ConnectionUpdateSecretOk),
            other => {
                let name = other.name();
                demand(name, Feature::Method, name.as_bytes(), id)?;
                let text = format!("unexpected method {name} in connection state running");
                return Err(Exception::new(ReplyCode::ChannelError, id, text));
            }
        }
        Ok(frame.wire_len())
    }

    /// After our connection.close only close-ok, or a close that crossed it, means anything.
    fn on_closing_bytes<H: Host<Channel = C>>(&mut self, bytes: &Bytes, at: usize, host: &mut H) -> usize {
        if let Some(partial) = self.partial {
            return self.on_partial(partial, bytes, at, host);
        }
        let head = match self.head(bytes, at) {
            Ok(Some(head)) => head,
            Ok(None) => return 0,
            Err(_) => return self.go_deaf(bytes, at),
        };
        if head.channel != 0 || head.kind != FrameKind::Method {
            return self.skip(bytes, at, head);
        }
        let frame = match whole_frame(bytes, at, self.shared.frame_max) {
            Ok(Some(frame)) => frame,
            Ok(None) => return 0,
            Err(_) => return self.go_deaf(bytes, at),
        };
        match Method::decode(frame.payload) {
            Ok(Method::ConnectionCloseOk(_)) => self.finish(Ended::ByClient, host),
            Ok(Method::ConnectionClose(_)) => self.on_close(host),
            _ => {}
        }
        frame.wire_len()
    }

    fn go_deaf(&mut self, bytes: &Bytes, at: usize) -> usize {
        if let Phase::Closing { deaf, .. } = &mut self.phase {
            *deaf = true;
        }
        bytes.len() - at
    }

    /// More of a body frame of which the beginning was taken. Its channel may be gone meanwhile. hot.
    fn on_partial<H: Host<Channel = C>>(
        &mut self,
        Partial { channel, remaining }: Partial,
        bytes: &Bytes,
        at: usize,
        host: &mut H,
    ) -> usize {
        let piece_len = (remaining - 1).min(bytes.len() - at);
        let ends = bytes.get(at + remaining - 1).copied();
        let taken = piece_len + usize::from(ends.is_some());
        self.partial = (taken < remaining).then_some(Partial { channel, remaining: remaining - taken });
        let mut result = match ends {
            Some(other) if other != FRAME_END => Err(framing(FrameError::BadEnd(other))),
            _ => Ok(()),
        };
        if let Some(open) = self.channels.open(channel)
            && result.is_ok()
        {
            let mut turn = Turn { shared: &mut self.shared, host, arrived: self.now };
            result = open.gather(turn.shared, bytes.slice(at..at + piece_len));
            if ends.is_some() && result.is_ok() {
                result = open.on_frame_end(&mut turn);
            }
        }
        if let Err(exception) = result {
            match self.phase {
                Phase::Open => self.raise(channel, &exception, host),
                _ => return self.go_deaf(bytes, at),
            }
        }
        taken
    }
}

impl<C> Connection<C> {
    /// The head of the frame at `at`, and whether it keeps to what was agreed. hot.
    #[inline]
    pub(super) fn head(&self, bytes: &Bytes, at: usize) -> Result<Option<FrameHead>, Exception> {
        let head = decode_head(&bytes[at..]).map_err(framing)?;
        match head {
            Some(FrameHead { size, .. }) if size > self.shared.frame_max => {
                Err(framing(FrameError::TooLarge { size, limit: self.shared.frame_max }))
            }
            head => Ok(head),
        }
    }

    /// Takes a frame without looking at it; the rest of it too when it comes.
    pub(super) fn skip(&mut self, source: &Bytes, at: usize, head: FrameHead) -> usize {
        match self.skip_step(source, at, head) {
            Step::Partial { taken, remaining } => {
                self.partial = Some(Partial { channel: ChannelNumber(head.channel), remaining });
                taken
            }
            Step::Taken(taken) | Step::Closed(taken) => taken,
            Step::Incomplete => 0,
        }
    }

    fn skip_step(&self, source: &Bytes, at: usize, head: FrameHead) -> Step {
        let (whole, here) = (OVERHEAD + head.size as usize, source.len() - at);
        if here >= whole {
            Step::Taken(whole)
        } else {
            Step::Partial { taken: here, remaining: whole - here }
        }
    }
}

/// AMQP 0-9-1 §4.2.7: heartbeats are for channel 0.
fn heartbeat_on_channel() -> Exception {
    Exception::new(ReplyCode::UnexpectedFrame, MethodId::NONE, "heartbeat frame on a channel other than 0")
}
