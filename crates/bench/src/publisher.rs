//! The publisher's side: one thread, any number of connections, messages encoded beforehand.
//!
//! A batch of whole messages lies ready in each [`Outlet`]; before a write only sequence and checksum are
//! patched. [`publish`] sends as fast as backlog, confirms and limit allow; `pacer.rs` sends at a given rate.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::clock;
use super::confirms::Confirms;
use super::counters::Counters;
use super::payload::Payload;
use super::protocol::{
    CONTENT_BODY, CONTENT_HEADER, FRAME_OVERHEAD, FrameWriter, Method, close_text, first_frame,
};

/// Bytes of a batch, about: large enough that a system call does not count, small enough for the cache.
const BATCH_BYTES: usize = 128 * 1024;
/// Messages of a batch at most.
const BATCH_MESSAGES_MAX: usize = 2048;
/// The token of wakers; connections count from 0.
pub(super) const WAKE: Token = Token(usize::MAX);
/// A poll ends at the latest after this, should a wake-up be missed.
const POLL_WAIT: Duration = Duration::from_millis(50);
/// Writes without a blocked socket between two looks at what the broker sent.
const WRITES_PER_LOOK: u32 = 64;

/// Where messages go.
pub(super) struct Route<'a> {
    /// Exchange.
    pub(super) exchange: &'a str,
    /// Routing key.
    pub(super) key: &'a str,
    /// Delivery mode 2.
    pub(super) persistent: bool,
}

/// A publishing connection with its channel 1.
pub(super) struct Outlet {
    pub(super) stream: TcpStream,
    pub(super) inbox: Vec<u8>,
    payload: Arc<Payload>,
    batch: Vec<u8>,
    /// Bytes of one message with its frames.
    stride: usize,
    head_at: usize,
    tail_at: Option<usize>,
    /// What of the batch has yet to be written.
    unwritten: Range<usize>,
    /// Messages sent, which is the next sequence.
    pub(super) sent: u64,
    /// In confirm mode: the publishes in flight.
    pub(super) confirms: Option<Confirms>,
}

impl Outlet {
    /// An outlet on a connection whose channel 1 is open.
    pub(super) fn new(
        (stream, inbox): (TcpStream, Vec<u8>),
        payload: Arc<Payload>,
        route: &Route<'_>,
        frame_max: u32,
        confirm: bool,
    ) -> Self {
        let (message, head_at, tail_at) = encode(&payload, route, frame_max as usize);
        let stride = message.len();
        let messages = (BATCH_BYTES / stride).clamp(1, BATCH_MESSAGES_MAX);
        Self {
            stream,
            inbox,
            payload,
            batch: message.repeat(messages),
            stride,
            head_at,
            tail_at,
            unwritten: 0..0,
            sent: 0,
            confirms: confirm.then(Confirms::default),
        }
    }

    /// A second handle of the connection that only hears confirms.
    pub(super) fn confirms_only(other: &Self, confirms: Confirms) -> Result<Self> {
        Ok(Self {
            stream: other.stream.try_clone()?,
            inbox: other.inbox.clone(),
            payload: other.payload.clone(),
            batch: Vec::new(),
            unwritten: 0..0,
            confirms: Some(confirms),
            ..*other
        })
    }

    /// Makes the next messages ready, as many as asked for and fit. Only when nothing is unwritten. hot.
    pub(super) fn fill(&mut self, wanted: u64) -> u64 {
        debug_assert!(self.unwritten.is_empty());
        let count = (wanted as usize).min(self.batch.len() / self.stride);
        for message in self.batch.chunks_exact_mut(self.stride).take(count) {
            self.payload.stamp(message, self.head_at, self.tail_at, self.sent);
            self.sent += 1;
        }
        self.unwritten = 0..count * self.stride;
        if let Some(confirms) = &mut self.confirms {
            confirms.sent(count as u64);
        }
        count as u64
    }

    /// What was made ready and not written.
    pub(super) fn unwritten(&self) -> &[u8] {
        &self.batch[self.unwritten.clone()]
    }

    /// So many bytes of it are written.
    pub(super) fn written(&mut self, bytes: usize) {
        self.unwritten.start += bytes;
    }

    /// Writes once; false if the socket takes nothing now.
    fn write(&mut self) -> Result<bool> {
        match self.stream.write(&self.batch[self.unwritten.clone()]) {
            Ok(bytes) => {
                self.unwritten.start += bytes;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
            Err(error) => {
                // the broker's reason may lie in the socket still
                self.read()?;
                Err(error).context("the broker broke a publisher's connection")
            }
        }
    }

    /// Reads what the broker sent: confirms, or the reason of its goodbye.
    fn read(&mut self) -> Result<()> {
        let mut block = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut block) {
                Ok(0) => bail!("the broker closed a publisher's connection"),
                Ok(bytes) => {
                    self.inbox.extend_from_slice(&block[..bytes]);
                    self.take_in(|_| {})?;
                    if bytes < block.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("the broker broke a publisher's connection"),
            }
        }
    }

    /// Takes in the frames of the inbox; `settled` hears each confirmed number.
    pub(super) fn take_in(&mut self, mut settled: impl FnMut(u64)) -> Result<()> {
        let mut at = 0;
        while let Some(frame) = first_frame(&self.inbox[at..])? {
            at += frame.len();
            if let Some(confirms) = &mut self.confirms
                && confirms.on_frame(&frame, &mut settled)
            {
                continue;
            }
            if let Some((method @ (Method::CONNECTION_CLOSE | Method::CHANNEL_CLOSE), fields)) =
                frame.method()
            {
                bail!("the broker sent a publisher {method}: {}", close_text(fields));
            }
        }
        self.inbox.drain(..at);
        Ok(())
    }

    /// Publishes that were refused, never answered, or answered twice.
    pub(super) fn unconfirmed(&self) -> u64 {
        self.confirms.as_ref().map_or(0, |c| c.outstanding() + c.refused + c.astray)
    }
}

/// One message with its frames, where its body starts, and where its second stamp stands.
fn encode(payload: &Payload, route: &Route<'_>, frame_max: usize) -> (Vec<u8>, usize, Option<usize>) {
    let body = payload.filler();
    let mut out = Vec::with_capacity(body.len() + 128);
    FrameWriter::method(&mut out, 1, Method::BASIC_PUBLISH)
        .u16(0)
        .short(route.exchange.as_bytes())
        .short(route.key.as_bytes())
        .u8(0)
        .end();
    let header = FrameWriter::new(&mut out, CONTENT_HEADER, 1).u16(60).u16(0).u64(body.len() as u64);
    // the property flags of delivery-mode are bit 12 (AMQP 0-9-1 §4.2.6.1)
    if route.persistent { header.u16(1 << 12).u8(2) } else { header.u16(0) }.end();

    let mut piece = frame_max - FRAME_OVERHEAD;
    if (1..8).contains(&(body.len() % piece)) {
        // the second stamp must not be cut by a frame's end
        piece -= 8;
    }
    let head_at = out.len() + FRAME_OVERHEAD - 1;
    for part in body.chunks(piece) {
        FrameWriter::new(&mut out, CONTENT_BODY, 1).raw(part).end();
    }
    let tail_at = payload.tail_at().map(|_| out.len() - 1 - 8);
    (out, head_at, tail_at)
}

/// What the publisher's thread hands back.
pub(super) struct Published {
    /// Its outlets, still connected.
    pub(super) outlets: Vec<Outlet>,
    /// CPU time of the thread.
    pub(super) cpu: Duration,
}

/// Bounds of a publisher that sends as fast as it may.
pub(super) struct Bounds {
    /// Unconfirmed publishes of a connection at most.
    pub(super) in_flight: u64,
    /// How long the last confirms may take.
    pub(super) drain: Duration,
}

/// Sends until the counters's limit, then waits for the last confirms. hot.
pub(super) fn publish(
    mut poll: Poll,
    mut outlets: Vec<Outlet>,
    counters: &Counters,
    bounds: &Bounds,
) -> Result<Published> {
    for (index, outlet) in outlets.iter().enumerate() {
        outlet.stream.set_nonblocking(true)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut SourceFd(&outlet.stream.as_raw_fd()), Token(index), interest)?;
    }
    let mut events = Events::with_capacity(256);
    let (mut sent, mut writes) = (0, 0_u32);
    let mut last_progress = Instant::now();
    while !counters.stopped() {
        let mut progress = false;
        for outlet in &mut outlets {
            if outlet.unwritten.is_empty() {
                let window =
                    outlet.confirms.as_ref().map_or(u64::MAX, |c| bounds.in_flight - c.outstanding());
                sent += outlet.fill(counters.room(sent).min(window));
                counters.sent.store(sent, std::sync::atomic::Ordering::SeqCst);
            }
            if !outlet.unwritten.is_empty() && outlet.write()? {
                progress = true;
            }
        }
        writes += 1;
        let idle = !progress;
        if progress {
            last_progress = Instant::now();
        } else if sent >= counters.limit.load(std::sync::atomic::Ordering::SeqCst) && finished(&outlets) {
            break;
        }
        if idle || writes >= WRITES_PER_LOOK || bounds.in_flight < u64::MAX {
            writes = 0;
            let waits = idle
                && (outlets.iter().any(|o| !o.unwritten.is_empty() || full(o, bounds)) || {
                    counters.publisher_will_wait(sent)
                });
            poll_once(&mut poll, &mut events, if waits { POLL_WAIT } else { Duration::ZERO })?;
            for event in events.iter().filter(|event| event.token() != WAKE && event.is_readable()) {
                outlets[event.token().0].read()?;
                last_progress = Instant::now();
            }
        }
        if sent >= counters.limit.load(std::sync::atomic::Ordering::SeqCst)
            && last_progress.elapsed() > bounds.drain
        {
            break;
        }
    }
    Ok(Published { outlets, cpu: clock::thread_cpu() })
}

/// Nothing to write and nothing to be confirmed.
fn finished(outlets: &[Outlet]) -> bool {
    outlets.iter().all(|o| o.unwritten.is_empty() && o.confirms.as_ref().is_none_or(|c| c.outstanding() == 0))
}

fn full(outlet: &Outlet, bounds: &Bounds) -> bool {
    outlet.confirms.as_ref().is_some_and(|c| c.outstanding() >= bounds.in_flight)
}

/// Polls; an interrupted poll has no events.
pub(super) fn poll_once(poll: &mut Poll, events: &mut Events, wait: Duration) -> Result<()> {
    match poll.poll(events, Some(wait)) {
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
        done => Ok(done?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the encoded message back with the frame reader.
    #[test]
    fn a_body_larger_than_a_frame_is_cut_and_still_proves_itself() {
        for length in [16, 24, 4088, 4089, 4095, 4096, 9000, 65_536] {
            let payload = Payload::new(3, length);
            let route = Route { exchange: "", key: "q", persistent: true };
            let (mut message, head, tail) = encode(&payload, &route, 4096);
            payload.stamp(&mut message, head, tail, 42);
            let (mut body, mut at) = (Vec::new(), 0);
            while let Some(frame) = first_frame(&message[at..]).unwrap() {
                assert!(frame.len() <= 4096);
                if frame.kind == CONTENT_BODY {
                    body.extend_from_slice(frame.payload);
                }
                at += frame.len();
            }
            assert_eq!((payload.prove(&body), at), (Some(42), message.len()), "{length}");
        }
    }
}
