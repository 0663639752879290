//! Reads of messages that are on the disk: requests with answers.
//!
//! Read first: [`Reads::poll`], then [`Reads::on_done`]. A read begins where the index says the message lies;
//! by the time the bytes come the message may have moved, and then it is read again from there. So an answer
//! calls a message damaged only if it still lies where it could not be read.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;
use leveret_model::limits::{READ_WINDOW_BYTES, READS_UNDER_WAY_MAX};
use leveret_model::{Position, QueueId};

use crate::catalog::Catalog;
use crate::disk::{DiskDone, FileName, Lane};
use crate::extents::{self, FoundMessage, Step};
use crate::frame::FrameError;
use crate::index::{Container, QueueIndex, Run};
use crate::log::Log;
use crate::ops::{Ops, Owner};
use crate::record::MessageTerms;
use crate::report::{Report, Reports};
use crate::window::{WindowEvent, WindowRead};

/// Names a read until its answer; the caller's to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadId(pub u64);

/// Asks for messages of a queue that are on the disk, in order.
#[derive(Clone, Copy, Debug)]
pub struct ReadRequest {
    /// To be repeated in the answer.
    pub id: ReadId,
    /// The queue.
    pub queue: QueueId,
    /// Transient messages that were spilled, instead of persistent ones.
    pub spilled: bool,
    /// The first that is wanted.
    pub first: Position,
    /// The last that is wanted.
    pub last: Position,
}

/// What came of a read: the first of the messages that were asked for, as many as one read of the disk gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadAnswer {
    /// Of the request.
    pub id: ReadId,
    /// The queue.
    pub queue: QueueId,
    /// Messages, their positions rising.
    pub messages: Vec<ColdMessage>,
    /// Messages that cannot be read, as first and last. They are reported, on the list of damage, and out of
    /// the queue.
    pub damaged: Vec<(Position, Position)>,
    /// Where to go on; `None`: nothing more of what was asked for is there.
    pub next: Option<Position>,
}

/// A message from the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColdMessage {
    /// Its place in the queue.
    pub position: Position,
    /// What is kept beside its bytes.
    pub terms: MessageTerms,
    /// How often it was delivered, if that is known.
    pub deliveries: u32,
    /// Exchange and routing key, two short strings.
    pub address: Bytes,
    /// The payload of the content header frame.
    pub header: Bytes,
    /// The body.
    pub body: Bytes,
}

/// A read under way.
#[derive(Debug)]
struct Reading {
    request: ReadRequest,
    /// The first message that is wanted and there, and what it lay in when the read began.
    position: u64,
    from: Container,
    window: WindowRead,
    /// Behind this there is nothing to be found: the extent ends, or the log was not synced any further.
    end: u64,
}

/// The state of all reads.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    waiting: VecDeque<ReadRequest>,
    under_way: Vec<Reading>,
    answers: Vec<ReadAnswer>,
    #[cfg(feature = "planted")]
    pub(crate) planted: Option<crate::Planted>,
}

impl Reads {
    pub(crate) fn push(&mut self, request: ReadRequest) {
        self.waiting.push_back(request);
    }

    pub(crate) fn take_answers(&mut self) -> Vec<ReadAnswer> {
        core::mem::take(&mut self.answers)
    }

    /// Starts reads. `log` tells what can be read of it; `None`: all.
    pub(crate) fn poll(&mut self, catalog: &Catalog, log: Option<&Log>, ops: &mut Ops) {
        for _ in 0..self.waiting.len() {
            if self.under_way.len() >= READS_UNDER_WAY_MAX {
                return;
            }
            let Some(request) = self.waiting.pop_front() else { return };
            self.start(request, READ_WINDOW_BYTES, catalog, log, ops);
        }
    }

    fn start(
        &mut self,
        request: ReadRequest,
        bytes: u32,
        catalog: &Catalog,
        log: Option<&Log>,
        ops: &mut Ops,
    ) {
        let found = index(catalog, &request).and_then(|index| index.next(request.first.0));
        let Some((position, run)) = found.filter(|(position, _)| *position <= request.last.0) else {
            let (id, queue) = (request.id, request.queue);
            self.answers.push(ReadAnswer {
                id,
                queue,
                messages: Vec::new(),
                damaged: Vec::new(),
                next: None,
            });
            return;
        };
        let (file, offset, end) = match run {
            Run::Log(run) => {
                let offset = run.iter().find_map(|(at, offset)| (at == position).then_some(offset));
                let offset = offset.unwrap_or_default();
                let end = log.map_or(u64::MAX, |log| log.readable_end(run.log));
                if u64::from(offset) >= end {
                    self.waiting.push_back(request);
                    return;
                }
                (FileName::Log(run.log.0), u64::from(offset), end)
            }
            Run::Extent(extent) => {
                let begin =
                    extent.cursor.filter(|(at, _)| *at <= position).map_or(extent.offset, |(_, at)| at);
                let number = extent.file.0;
                let file = if request.spilled { FileName::Spill(number) } else { FileName::Segment(number) };
                (file, u64::from(begin), u64::from(extent.offset) + u64::from(extent.bytes))
            }
        };
        let bytes = u64::from(bytes).min(end - offset) as u32;
        let window = WindowRead::start((Owner::Reads, Lane::Read), file, offset, bytes, ops);
        let from = run.container();
        self.under_way.push(Reading { request, position, from, window, end });
    }

    /// An operation is done.
    pub(crate) fn on_done(
        &mut self,
        done: &DiskDone,
        catalog: &mut Catalog,
        log: Option<&Log>,
        (ops, reports): (&mut Ops, &mut Reports),
    ) {
        for at in 0..self.under_way.len() {
            let Some(event) = self.under_way[at].window.on_done(done, ops) else { continue };
            let bytes = match event {
                WindowEvent::Continues => return,
                WindowEvent::Read(bytes) => bytes,
                WindowEvent::Missing => Bytes::new(),
            };
            let reading = self.under_way.swap_remove(at);
            // it moved meanwhile, or left: what was read may be of another use of the file
            let now = index(catalog, &reading.request).and_then(|index| index.next(reading.request.first.0));
            if now.map(|(position, run)| (position, run.container()))
                != Some((reading.position, reading.from))
            {
                self.start(reading.request, READ_WINDOW_BYTES, catalog, log, ops);
                return;
            }
            let taken = match reading.from {
                Container::Log(_) => take_from_log(&reading, &bytes, catalog),
                Container::File(_) => take_from_extent(&reading, &bytes, catalog),
            };
            match taken {
                Taken::Answer { messages, damaged } => {
                    self.answer(&reading, messages, damaged, catalog, reports);
                }
                Taken::Wider(needed) => self.start(reading.request, needed, catalog, log, ops),
                Taken::Further(cursor) => {
                    set_cursor(catalog, &reading, cursor);
                    self.start(reading.request, READ_WINDOW_BYTES, catalog, log, ops);
                }
            }
            return;
        }
    }

    fn answer(
        &mut self,
        reading: &Reading,
        messages: Vec<ColdMessage>,
        damaged: Vec<(u64, u64)>,
        catalog: &mut Catalog,
        reports: &mut Reports,
    ) {
        let ReadRequest { id, queue, last, .. } = reading.request;
        let seen = messages.last().map(|message| message.position.0);
        let seen = seen.max(damaged.last().map(|(_, last)| *last)).unwrap_or(reading.position);
        for (first, last) in &damaged {
            let [from, to] = [*first, *last].map(Position);
            if !plant!(self, HidesDamage) {
                reports.add(Report::DamagedMessages { queue, first: from, last: to });
            }
            if reading.request.spilled {
                catalog.keep(reading.from);
                catalog.note_damage(queue, *first, *last);
                catalog.remove_spilled(queue, *first, *last);
            } else {
                catalog.lose(queue, *first, *last);
            }
        }
        let next = index(catalog, &reading.request).and_then(|index| index.next(seen + 1));
        let next = next.map(|(position, _)| Position(position)).filter(|position| *position <= last);
        let damaged = if plant!(self, HidesDamage) { Vec::new() } else { damaged };
        let damaged = damaged.into_iter().map(|(first, last)| (Position(first), Position(last))).collect();
        self.answers.push(ReadAnswer { id, queue, messages, damaged, next });
    }
}

/// What a window gave.
enum Taken {
    Answer {
        messages: Vec<ColdMessage>,
        damaged: Vec<(u64, u64)>,
    },
    /// The first message is larger.
    Wider(u32),
    /// The first message lies behind the window: at this position and place or later.
    Further((u64, u32)),
}

fn index<'a>(catalog: &'a Catalog, request: &ReadRequest) -> Option<&'a QueueIndex> {
    let stored = catalog.queues.get(&request.queue)?;
    Some(if request.spilled { &stored.spilled } else { &stored.index })
}

fn set_cursor(catalog: &mut Catalog, reading: &Reading, cursor: (u64, u32)) {
    let (Some(stored), Container::File(file)) =
        (catalog.queues.get_mut(&reading.request.queue), reading.from)
    else {
        return;
    };
    let index = if reading.request.spilled { &mut stored.spilled } else { &mut stored.index };
    index.set_cursor(file, cursor);
}

fn take_from_log(reading: &Reading, bytes: &Bytes, catalog: &Catalog) -> Taken {
    let (mut messages, mut damaged) = (Vec::new(), Vec::new());
    let queue = reading.request.queue;
    let run = index(catalog, &reading.request).and_then(|index| index.next(reading.position));
    let Some((_, Run::Log(run))) = run else { return Taken::Answer { messages, damaged } };
    let wanted = run.iter().skip_while(|(position, _)| *position < reading.position);
    for (position, offset) in wanted.take_while(|(position, _)| *position <= reading.request.last.0) {
        let at = (u64::from(offset) - reading.window.offset) as usize;
        if at > 0 && (at >= bytes.len() || u64::from(offset) >= reading.end) {
            break;
        }
        match extents::message_at(bytes, at) {
            Ok(found) if found.meta.targets().any(|target| target == (queue, Position(position))) => {
                match cold(bytes, &found, position, catalog, queue) {
                    Some(message) => messages.push(message),
                    None => crate::index::push_range(&mut damaged, position),
                }
            }
            Err(FrameError::Short { needed }) => {
                if at > 0 {
                    break;
                }
                if needed > reading.window.bytes as usize {
                    return Taken::Wider(needed as u32);
                }
                // the file ends in the message
                crate::index::push_range(&mut damaged, position);
            }
            _ => crate::index::push_range(&mut damaged, position),
        }
    }
    Taken::Answer { messages, damaged }
}

fn take_from_extent(reading: &Reading, bytes: &Bytes, catalog: &mut Catalog) -> Taken {
    let (mut messages, mut found_to) = (Vec::new(), None);
    let request = &reading.request;
    let index = index(catalog, request).expect("the message is there");
    // positions that are there and were passed without being found
    let mut missing = Vec::new();
    let mut expected = Some(reading.position);
    let next = |from: u64| index.next(from).map(|(position, _)| position);
    let mut at = 0;
    let window_end = reading.window.offset + u64::from(reading.window.bytes);
    let at_end = window_end >= reading.end || bytes.len() < reading.window.bytes as usize;
    loop {
        let (found, position) = match extents::next_message(bytes, at, request.queue) {
            Step::Found(found) => {
                let position = found.meta.targets().next().map_or(0, |(_, position)| position.0);
                (found, position)
            }
            Step::Short { at: place, needed } if !at_end => {
                if messages.is_empty() && missing.is_empty() {
                    if place == 0 {
                        return Taken::Wider(needed as u32);
                    }
                    return Taken::Further((
                        reading.position,
                        (reading.window.offset as usize + place) as u32,
                    ));
                }
                break;
            }
            Step::End if !at_end && messages.is_empty() && missing.is_empty() => {
                let place = reading.window.offset as usize + at.max(bytes.len() / 4 * 4);
                return Taken::Further((reading.position, place as u32));
            }
            Step::End if !at_end => break,
            Step::Short { .. } | Step::End => {
                // the extent ends: what was not found is damaged
                let run_last = index.next(reading.position).map_or(reading.position, |(_, run)| run.last());
                while let Some(position) = expected.filter(|at| *at <= run_last.min(request.last.0)) {
                    crate::index::push_range(&mut missing, position);
                    expected = next(position + 1);
                }
                break;
            }
        };
        at = found.end;
        while let Some(passed) = expected.filter(|expected| *expected < position) {
            crate::index::push_range(&mut missing, passed);
            expected = next(passed + 1);
        }
        if expected != Some(position) {
            continue;
        }
        if position > request.last.0 {
            break;
        }
        match cold(bytes, &found, position, catalog, request.queue) {
            Some(message) => messages.push(message),
            None => crate::index::push_range(&mut missing, position),
        }
        expected = next(position + 1);
        found_to = Some((position + 1, (reading.window.offset as usize + at) as u32));
    }
    if let Some(cursor) = found_to {
        set_cursor(catalog, reading, cursor);
    }
    Taken::Answer { messages, damaged: missing }
}

/// The message, unless its body is damaged.
fn cold(
    window: &Bytes,
    found: &FoundMessage<'_>,
    position: u64,
    catalog: &Catalog,
    queue: QueueId,
) -> Option<ColdMessage> {
    let body = window.slice_ref(found.body?);
    let (address, header) = (found.meta.address_bytes, found.meta.header_bytes);
    if address + header > body.len() {
        return None;
    }
    let deliveries = catalog.queues.get(&queue).and_then(|stored| stored.deliveries.get(&position)).copied();
    Some(ColdMessage {
        position: Position(position),
        terms: found.meta.terms,
        deliveries: deliveries.unwrap_or(0),
        address: body.slice(..address),
        header: body.slice(address..address + header),
        body: body.slice(address + header..),
    })
}
