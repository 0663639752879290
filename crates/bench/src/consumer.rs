//! The consumer's side: one thread, any number of connections, deliveries parsed where they were received.
//!
//! Each message is proved and entered in the ledger of its queue. When all have come (or none comes any more)
//! the consumers are cancelled; what arrives before `basic.cancel-ok` is counted too, so a copy is not missed.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::client::CONSUMER_TAG;
use super::clock::{self, Nanos};
use super::counters::{Counters, UNBOUNDED};
use super::histogram::Histogram;
use super::ledger::Ledger;
use super::payload::Payload;
use super::protocol::{
    CONTENT_BODY, CONTENT_HEADER, Fields, FrameWriter, METHOD, Method, close_text, first_frame,
};
use super::publisher::{WAKE, poll_once};

/// Bytes read at once; also the longest frame, as no larger `frame_max` is asked for than half of this.
const BUFFER_BYTES: usize = 256 * 1024;
const POLL_WAIT: Duration = Duration::from_millis(50);

/// When each message was meant to be sent, and how long it took.
#[derive(Clone)]
pub(super) struct Schedule {
    /// The intended time of sequence 0.
    pub(super) start: Nanos,
    /// Messages per second.
    pub(super) rate: f64,
    /// Sequences below are warm-up.
    pub(super) from: u64,
}

impl Schedule {
    /// The intended time of a sequence.
    pub(super) fn intended(&self, sequence: u64) -> Nanos {
        Nanos(self.start.0 + (sequence as f64 * 1e9 / self.rate) as u64)
    }

    /// Counts the delay of a sequence that is there `now`. hot.
    pub(super) fn record(&self, histogram: &mut Histogram, sequence: u64, now: Nanos) {
        if sequence >= self.from {
            histogram.record(now.since(self.intended(sequence)));
        }
    }
}

/// How deliveries are acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acks {
    /// The broker takes them for acknowledged.
    Auto,
    /// One `basic.ack` for so many deliveries; the last ones at the end.
    Every(u32),
}

/// A queue that is consumed on a channel of its own.
pub(super) struct Tally {
    payload: Arc<Payload>,
    pub(super) ledger: Ledger,
    tag: u64,
    unacked: u32,
    body_bytes: usize,
    /// Pieces of a body that came in several frames.
    pieces: Vec<u8>,
    cancelled: bool,
}

impl Tally {
    /// Nothing received yet of the producer whose bodies these are.
    pub(super) fn new(payload: Arc<Payload>) -> Self {
        Self {
            payload,
            ledger: Ledger::default(),
            tag: 0,
            unacked: 0,
            body_bytes: 0,
            pieces: Vec::new(),
            cancelled: false,
        }
    }
}

/// A consuming connection; channel n consumes `tallies[n - 1]`.
pub(super) struct Inlet {
    pub(super) stream: TcpStream,
    buffer: Box<[u8]>,
    filled: usize,
    pub(super) tallies: Vec<Tally>,
    out: Vec<u8>,
    ready: bool,
}

/// What all inlets of a thread share.
struct Count {
    acks: Acks,
    /// Deliveries, copies too.
    received: u64,
    /// Deliveries that are not copies.
    first: u64,
    now: Nanos,
    schedule: Option<Schedule>,
    delays: Histogram,
}

impl Count {
    fn new(acks: Acks, schedule: Option<Schedule>) -> Self {
        Self { acks, received: 0, first: 0, now: Nanos(0), schedule, delays: Histogram::new() }
    }
}

impl Inlet {
    /// An inlet on a connection that consumes already.
    pub(super) fn new((stream, inbox): (TcpStream, Vec<u8>), tallies: Vec<Tally>) -> Self {
        let mut buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
        buffer[..inbox.len()].copy_from_slice(&inbox);
        Self { stream, buffer, filled: inbox.len(), tallies, out: Vec::new(), ready: true }
    }

    /// Reads once and takes in what came. hot.
    fn read(&mut self, count: &mut Count) -> Result<()> {
        let space = self.buffer.len() - self.filled;
        match self.stream.read(&mut self.buffer[self.filled..]) {
            Ok(0) => bail!("the broker closed a consumer's connection"),
            Ok(bytes) => {
                // a short read has emptied the socket: the next bytes are a new event (epoll(7))
                self.ready = bytes == space;
                self.filled += bytes;
                if count.schedule.is_some() {
                    count.now = Nanos::now();
                }
                self.take_in(count)?;
                self.flush()
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.ready = false;
                self.flush()
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error).context("the broker broke a consumer's connection"),
        }
    }

    /// hot.
    fn take_in(&mut self, count: &mut Count) -> Result<()> {
        let mut at = 0;
        while let Some(frame) = first_frame(&self.buffer[at..self.filled])? {
            at += frame.len();
            if frame.channel == 0 {
                on_connection_frame(frame.method())?;
                continue;
            }
            let Some(tally) = self.tallies.get_mut(usize::from(frame.channel) - 1) else {
                bail!("the broker sent something on channel {}, which is not open", frame.channel);
            };
            match frame.kind {
                METHOD => on_method(tally, frame.method())?,
                CONTENT_HEADER => {
                    let size = Fields(frame.payload.get(4..).unwrap_or_default()).u64().unwrap_or(0);
                    tally.body_bytes = size as usize;
                    if size == 0 {
                        on_body(tally, &[], frame.channel, count, &mut self.out);
                    }
                }
                CONTENT_BODY if frame.payload.len() >= tally.body_bytes => {
                    on_body(tally, frame.payload, frame.channel, count, &mut self.out);
                }
                CONTENT_BODY => {
                    tally.pieces.extend_from_slice(frame.payload);
                    if tally.pieces.len() >= tally.body_bytes {
                        let body = std::mem::take(&mut tally.pieces);
                        on_body(tally, &body, frame.channel, count, &mut self.out);
                    }
                }
                _ => {}
            }
        }
        self.buffer.copy_within(at..self.filled, 0);
        self.filled -= at;
        Ok(())
    }

    /// Writes acks as far as the socket takes them.
    fn flush(&mut self) -> Result<()> {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(bytes) => _ = self.out.drain(..bytes),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("the broker broke a consumer's connection"),
            }
        }
        Ok(())
    }

    /// Acknowledges what is left and ends the consumers.
    fn cancel(&mut self) -> Result<()> {
        for (tally, channel) in self.tallies.iter_mut().zip(1..) {
            if tally.unacked > 0 {
                ack(tally, channel, true, &mut self.out);
            }
            FrameWriter::method(&mut self.out, channel, Method::BASIC_CANCEL).short(CONSUMER_TAG).u8(0).end();
        }
        self.flush()
    }
}

/// hot.
fn on_method(tally: &mut Tally, method: Option<(Method, Fields<'_>)>) -> Result<()> {
    match method {
        Some((Method::BASIC_DELIVER, mut fields)) => {
            fields.short();
            tally.tag = fields.u64().unwrap_or(0);
        }
        Some((Method::BASIC_CANCEL_OK, _)) => tally.cancelled = true,
        Some((Method::CHANNEL_CLOSE, fields)) => {
            bail!("the broker closed a consumer's channel: {}", close_text(fields))
        }
        Some((Method::BASIC_CANCEL, _)) => bail!("the broker cancelled a consumer: its queue is gone"),
        _ => {}
    }
    Ok(())
}

fn on_connection_frame(method: Option<(Method, Fields<'_>)>) -> Result<()> {
    match method {
        Some((Method::CONNECTION_CLOSE, fields)) => {
            bail!("the broker closed a consumer's connection: {}", close_text(fields))
        }
        _ => Ok(()),
    }
}

/// hot.
fn on_body(tally: &mut Tally, body: &[u8], channel: u16, count: &mut Count, out: &mut Vec<u8>) {
    count.received += 1;
    match tally.payload.prove(body) {
        Some(sequence) => {
            count.first += u64::from(tally.ledger.arrived(sequence));
            if let Some(schedule) = &count.schedule {
                schedule.record(&mut count.delays, sequence, count.now);
            }
        }
        None => {
            count.first += 1;
            tally.ledger.arrived_damaged();
        }
    }
    if let Acks::Every(every) = count.acks {
        tally.unacked += 1;
        if tally.unacked >= every {
            ack(tally, channel, every > 1, out);
        }
    }
}

fn ack(tally: &mut Tally, channel: u16, multiple: bool, out: &mut Vec<u8>) {
    FrameWriter::method(out, channel, Method::BASIC_ACK).u64(tally.tag).u8(u8::from(multiple)).end();
    tally.unacked = 0;
}

/// What the consumer's thread hands back.
pub(super) struct Consumed {
    /// Its inlets, cancelled and still connected.
    pub(super) inlets: Vec<Inlet>,
    /// Delays by the schedule.
    pub(super) delays: Histogram,
    /// When the last delivery came.
    pub(super) last: Instant,
    /// CPU time of the thread.
    pub(super) cpu: Duration,
}

/// Receives until all that is expected has come, or nothing has come for `drain`. hot.
pub(super) fn consume(
    mut poll: Poll,
    mut inlets: Vec<Inlet>,
    counters: &Counters,
    acks: Acks,
    schedule: Option<Schedule>,
    drain: Duration,
) -> Result<Consumed> {
    for (index, inlet) in inlets.iter().enumerate() {
        inlet.stream.set_nonblocking(true)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut SourceFd(&inlet.stream.as_raw_fd()), Token(index), interest)?;
    }
    let mut count = Count::new(acks, schedule);
    let mut events = Events::with_capacity(256);
    let (mut last, mut known_since) = (Instant::now(), None::<Instant>);
    while !counters.stopped() {
        let before = count.received;
        step(&mut poll, &mut events, &mut inlets, &mut count)?;
        if count.received > before {
            last = Instant::now();
            counters.set_received(count.received);
        }
        let expected = counters.expected.load(SeqCst);
        if count.first >= expected {
            break;
        }
        if expected != UNBOUNDED {
            let since = *known_since.get_or_insert_with(Instant::now);
            if last.max(since).elapsed() > drain {
                break;
            }
        }
    }
    let cpu = clock::thread_cpu();
    for inlet in &mut inlets {
        inlet.cancel()?;
        inlet.ready = true;
    }
    let asked = Instant::now();
    while !counters.stopped() && inlets.iter().any(|inlet| inlet.tallies.iter().any(|tally| !tally.cancelled))
    {
        if asked.elapsed() > drain {
            bail!("the broker did not answer basic.cancel within {} s", drain.as_secs());
        }
        step(&mut poll, &mut events, &mut inlets, &mut count)?;
    }
    Ok(Consumed { inlets, delays: count.delays, last, cpu })
}

/// Polls if nobody has bytes left, then reads once from each that has. hot.
fn step(poll: &mut Poll, events: &mut Events, inlets: &mut [Inlet], count: &mut Count) -> Result<()> {
    let wait = if inlets.iter().any(|inlet| inlet.ready) { Duration::ZERO } else { POLL_WAIT };
    poll_once(poll, events, wait)?;
    for event in events.iter().filter(|event| event.token() != WAKE) {
        let inlet = &mut inlets[event.token().0];
        inlet.ready |= event.is_readable();
        if event.is_writable() {
            inlet.flush()?;
        }
    }
    for inlet in inlets.iter_mut().filter(|inlet| inlet.ready) {
        inlet.read(count)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Faults;
    use std::net::TcpListener;

    fn deliver(out: &mut Vec<u8>, tag: u64, body: &[u8], frame_bytes: usize) {
        FrameWriter::method(out, 1, Method::BASIC_DELIVER)
            .short(b"c")
            .u64(tag)
            .u8(0)
            .short(b"")
            .short(b"q")
            .end();
        FrameWriter::new(out, CONTENT_HEADER, 1).u16(60).u16(0).u64(body.len() as u64).u16(0).end();
        for piece in body.chunks(frame_bytes) {
            FrameWriter::new(out, CONTENT_BODY, 1).raw(piece).end();
        }
    }

    /// Plays a broker that loses 3, sends 1 twice and after 2, and damages 4; body frames of 10 bytes or whole.
    #[test]
    fn faults_of_a_broker_are_counted_exactly() {
        let payload = Arc::new(Payload::new(1, 40));
        for frame_bytes in [10, 40] {
            let mut bytes = Vec::new();
            for (tag, sequence) in (1..).zip([0, 2, 1, 1, 4, 5]) {
                let mut body = payload.filler().to_vec();
                payload.stamp(&mut body, 0, payload.tail_at(), sequence);
                body[20] ^= u8::from(sequence == 4);
                deliver(&mut bytes, tag, &body, frame_bytes);
            }
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let mut inlet = Inlet::new((stream, bytes), vec![Tally::new(payload.clone())]);
            let mut count = Count::new(Acks::Every(4), None);
            inlet.take_in(&mut count).unwrap();
            let faults = inlet.tallies[0].ledger.close(6);
            // the damaged 4 did not arrive whole, so it is lost as well
            assert_eq!(
                faults,
                Faults { lost: 2, duplicated: 1, reordered: 1, damaged: 1, ..Faults::default() }
            );
            assert_eq!((count.received, count.first, inlet.tallies[0].unacked), (6, 5, 2));
            let ack = first_frame(&inlet.out).unwrap().unwrap();
            let (method, mut fields) = ack.method().unwrap();
            assert_eq!((method, fields.u64(), fields.u8()), (Method::BASIC_ACK, Some(4), Some(1)));
        }
    }
}
