//! Snapshots: the catalog as bytes. Drawn in docs/formats/store.md §4.
//!
//! Invariants: what [`encode`] writes, [`decode`] reads back equal; `decode` of any other bytes gives an error,
//! never half a catalog.

use alloc::vec::Vec;

use bytes::Bytes;
use leveret_model::{QueueId, Seed};

use crate::batch::{BatchNumber, FORMAT_VERSION, LogNumber, StoreId};
use crate::catalog::{Catalog, KeptReason, StoredFile, StoredQueue};
use crate::clock::StoreTime;
use crate::fields::{Malformed, Put, Take};
use crate::frame::{self, Frame};
use crate::index::{Extent, FileNumber, LogRun, QueueIndex, Run};
use crate::live_set::LiveSet;
use crate::record::{RECORD_VERSION, Record, RegisterKey, kind};
use crate::turn::write_register;

/// Messages of a queue in one record: at 20 bytes each they stay below the bound of a meta.
const IN_LOG_PER_RECORD: usize = 16 * 1024;

/// The end of the log that a snapshot stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotHead {
    pub(crate) store: StoreId,
    pub(crate) number: u64,
    pub(crate) log: LogNumber,
    /// Where in that log segment the next batch would begin.
    pub(crate) offset: u64,
    pub(crate) next_batch: BatchNumber,
    /// Nothing was written behind it to that log segment.
    pub(crate) clean: bool,
}

/// Why bytes are no snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SnapshotError {
    Damaged,
    Version(u32),
}

impl From<Malformed> for SnapshotError {
    fn from(Malformed: Malformed) -> Self {
        Self::Damaged
    }
}

/// The whole file.
pub(crate) fn encode(head: &SnapshotHead, catalog: &Catalog) -> Vec<u8> {
    let mut out = Vec::new();
    begin(&mut out, head, catalog);
    for (number, file) in catalog.files.iter().filter(|(_, file)| !file.spill) {
        put(&mut out, kind::SNAPSHOT_FILE, |out| {
            out.u64(number.0);
            out.u64(file.bytes);
            out.u8(file.kept.into());
        });
    }
    for (queue, stored) in &catalog.queues {
        put_queue(&mut out, *queue, stored);
    }
    for ((register, key), stored) in &catalog.registers {
        let key = RegisterKey { kind: *register, key };
        let kind = if stored.value.is_some() { kind::REGISTER } else { kind::TOMBSTONE };
        write_register(&mut out, kind, &key, &stored.stamp, stored.value.as_deref().unwrap_or_default());
    }
    for (key, value) in &catalog.marks {
        put_mark(&mut out, QueueId::default(), key, value);
    }
    for (queue, ranges) in &catalog.damage {
        for (first, last) in ranges {
            put(&mut out, kind::SNAPSHOT_DAMAGE, |out| {
                out.queue(*queue);
                out.u64(*first);
                out.u64(*last);
            });
        }
    }
    for (log, reason) in &catalog.kept_logs {
        put(&mut out, kind::SNAPSHOT_KEPT_LOG, |out| {
            out.u64(log.0);
            out.u8(*reason as u8);
        });
    }
    end(&mut out);
    out
}

fn put(out: &mut Vec<u8>, kind: u8, meta: impl FnOnce(&mut Vec<u8>)) {
    frame::write(out, kind, RECORD_VERSION, meta, &[]);
}

pub(crate) fn begin(out: &mut Vec<u8>, head: &SnapshotHead, catalog: &Catalog) {
    put(out, kind::SNAPSHOT_BEGIN, |out| {
        out.u32(FORMAT_VERSION);
        out.u128(head.store.0);
        out.u64(head.number);
        out.u64(head.log.0);
        out.u64(head.offset);
        out.u64(head.next_batch.0);
        out.u64(catalog.clock.0);
        out.u64(catalog.time_mark.store.0);
        out.u64(catalog.next_file);
        out.u8(head.clean.into());
    });
    put(out, kind::TIME, |out| {
        out.raw(&catalog.time_mark.machine.boot_id);
        out.u64(catalog.time_mark.machine.boot_ms);
        out.u64(catalog.time_mark.machine.wall_ms);
    });
}

/// How many frames there are, and their digest.
pub(crate) fn end(out: &mut Vec<u8>) {
    let (mut frames, mut digest, mut at) = (0u32, 0, 0);
    while at < out.len() {
        let Ok((head, _)) = frame::FrameHead::read(&out[at..]) else { unreachable!("just written") };
        digest = frame::digest(digest, &out[at..]);
        frames += 1;
        at += head.frame_bytes();
    }
    put(out, kind::SNAPSHOT_END, |out| {
        out.u32(frames);
        out.u32(digest);
    });
}

fn put_mark(out: &mut Vec<u8>, queue: QueueId, key: &[u8], value: &[u8]) {
    let meta = |out: &mut Vec<u8>| {
        out.queue(queue);
        out.raw(key);
    };
    frame::write(out, kind::MARK, RECORD_VERSION, meta, &[value]);
}

fn put_queue(out: &mut Vec<u8>, queue: QueueId, stored: &StoredQueue) {
    if stored.definition.is_none() && stored.index.last() == 0 {
        // transient, and all of it is spilled
        return;
    }
    let meta = |out: &mut Vec<u8>| {
        out.queue(queue);
        out.u64(stored.index.last());
        out.u8(stored.definition.is_some().into());
    };
    let definition = stored.definition.as_deref().unwrap_or_default();
    frame::write(out, kind::SNAPSHOT_QUEUE, RECORD_VERSION, meta, &[definition]);
    for run in stored.index.runs() {
        match run {
            Run::Log(run) => put_in_log(out, queue, run),
            Run::Extent(extent) => put_extent(out, queue, extent),
        }
    }
    for (key, value) in &stored.marks {
        put_mark(out, queue, key, value);
    }
    for (position, count) in &stored.deliveries {
        put(out, kind::DELIVERIES, |out| {
            out.queue(queue);
            out.u64(*position);
            out.u32(*count);
        });
    }
}

fn put_in_log(out: &mut Vec<u8>, queue: QueueId, run: &LogRun) {
    let mut messages = run.iter().peekable();
    while messages.peek().is_some() {
        let part: Vec<(u64, u32)> = messages.by_ref().take(IN_LOG_PER_RECORD).collect();
        put(out, kind::SNAPSHOT_IN_LOG, |out| {
            out.queue(queue);
            out.u64(run.log.0);
            out.u32(part.len() as u32);
            let mut before = (0, 0);
            for (position, offset) in part {
                out.varint(position - before.0);
                out.varint(u64::from((offset - before.1) / frame::ALIGN_BYTES as u32));
                before = (position, offset);
            }
        });
    }
}

fn put_extent(out: &mut Vec<u8>, queue: QueueId, extent: &Extent) {
    put(out, kind::SNAPSHOT_EXTENT, |out| {
        out.queue(queue);
        out.u64(extent.file.0);
        out.u32(extent.offset);
        out.u32(extent.bytes);
        out.u32(extent.messages);
        out.u64(extent.first);
        out.u64(extent.last);
        // up to where it is said
        let mut at = extent.first;
        let mut live = extent.live.iter().peekable();
        while let Some(first) = live.next() {
            let mut last = first;
            while let Some(next) = live.next_if(|next| *next == last + 1) {
                last = next;
            }
            out.varint(first - at);
            out.varint(last - first + 1);
            at = last + 1;
        }
    });
}

/// Reads a whole file back.
pub(crate) fn decode(bytes: &[u8], seed: Seed) -> Result<(SnapshotHead, Catalog), SnapshotError> {
    let mut catalog = Catalog::new(seed);
    let mut lasts = Vec::new();
    let first = Frame::read(bytes).map_err(|_| SnapshotError::Damaged)?;
    // a time record is of the moment that the clock shows, so until all are read it shows that of the mark
    let (head, clock) = read_begin(&first, &mut catalog)?;
    let (mut frames, mut digest, mut at) = (1u32, frame::digest(0, bytes), first.head.frame_bytes());
    loop {
        let rest = bytes.get(at..).ok_or(SnapshotError::Damaged)?;
        let frame = Frame::read(rest).map_err(|_| SnapshotError::Damaged)?;
        let body = frame.body.ok_or(SnapshotError::Damaged)?;
        at += frame.head.frame_bytes();
        if frame.head.version != RECORD_VERSION {
            return Err(SnapshotError::Version(u32::from(frame.head.version)));
        }
        if frame.head.kind == kind::SNAPSHOT_END {
            let mut take = Take::new(frame.meta);
            if (take.u32()?, take.u32()?) != (frames, digest) || at != bytes.len() {
                return Err(SnapshotError::Damaged);
            }
            break;
        }
        digest = frame::digest(digest, rest);
        frames += 1;
        if frame.head.kind < kind::SNAPSHOT_BEGIN {
            let record = Record::parse(&frame).map_err(|_| SnapshotError::Damaged)?;
            // what changes queues is of the log: a snapshot says how they are
            let of_snapshot = matches!(
                record,
                Record::Register { .. } | Record::Mark { .. } | Record::Deliveries { .. } | Record::Time(_)
            );
            if !of_snapshot {
                return Err(SnapshotError::Damaged);
            }
            catalog.apply(&record);
        } else {
            read_frame(&frame, body, &head, &mut catalog, &mut lasts)?;
        }
    }
    for (queue, last) in lasts {
        if let Some(stored) = catalog.queues.get_mut(&queue) {
            stored.index.raise_last(last);
        }
    }
    catalog.clock = clock;
    catalog.recount();
    Ok((head, catalog))
}

fn read_begin(frame: &Frame<'_>, catalog: &mut Catalog) -> Result<(SnapshotHead, StoreTime), SnapshotError> {
    if frame.head.kind != kind::SNAPSHOT_BEGIN || frame.body.is_none() {
        return Err(SnapshotError::Damaged);
    }
    let mut take = Take::new(frame.meta);
    match take.u32()? {
        FORMAT_VERSION => {}
        version => return Err(SnapshotError::Version(version)),
    }
    let head = SnapshotHead {
        store: StoreId(take.u128()?),
        number: take.u64()?,
        log: LogNumber(take.u64()?),
        offset: take.u64()?,
        next_batch: BatchNumber(take.u64()?),
        clean: false,
    };
    let clock = StoreTime(take.u64()?);
    catalog.clock = StoreTime(take.u64()?);
    catalog.next_file = take.u64()?;
    let clean = take.u8()? != 0;
    take.end()?;
    Ok((SnapshotHead { clean, ..head }, clock))
}

fn read_frame(
    frame: &Frame<'_>,
    body: &[u8],
    head: &SnapshotHead,
    catalog: &mut Catalog,
    lasts: &mut Vec<(QueueId, u64)>,
) -> Result<(), SnapshotError> {
    let mut take = Take::new(frame.meta);
    match frame.head.kind {
        kind::SNAPSHOT_QUEUE => {
            let (queue, last, known) = (take.queue()?, take.u64()?, take.u8()? != 0);
            if last == u64::MAX {
                return Err(SnapshotError::Damaged);
            }
            lasts.push((queue, last));
            let definition = known.then(|| Bytes::copy_from_slice(body));
            catalog.queues.insert(queue, StoredQueue { definition, ..StoredQueue::default() });
        }
        kind::SNAPSHOT_IN_LOG => read_in_log(&mut take, head, catalog)?,
        kind::SNAPSHOT_EXTENT => {
            let queue = take.queue()?;
            let extent = read_extent(&mut take)?;
            index_of(catalog, queue, extent.first)?.append_extent(extent);
        }
        kind::SNAPSHOT_DAMAGE => {
            let (queue, first, last) = (take.queue()?, take.u64()?, take.u64()?);
            catalog.damage.entry(queue).or_default().push((first, last));
        }
        kind::SNAPSHOT_KEPT_LOG => {
            let log = LogNumber(take.u64()?);
            let reason = match take.u8()? {
                1 => KeptReason::Damaged,
                2 => KeptReason::Unknown,
                _ => return Err(SnapshotError::Damaged),
            };
            catalog.kept_logs.insert(log, reason);
        }
        kind::SNAPSHOT_FILE => {
            let (number, bytes, kept) = (FileNumber(take.u64()?), take.u64()?, take.u8()? != 0);
            catalog.files.insert(number, StoredFile { bytes, kept, ..StoredFile::default() });
        }
        _ => return Err(SnapshotError::Damaged),
    }
    Ok(take.end()?)
}

/// The index that the next run of a queue belongs to, whose positions begin at `first`.
fn index_of(catalog: &mut Catalog, queue: QueueId, first: u64) -> Result<&mut QueueIndex, SnapshotError> {
    let index = &mut catalog.queues.get_mut(&queue).ok_or(SnapshotError::Damaged)?.index;
    // a position of the highest number has none behind it
    if first > index.last() && first != u64::MAX { Ok(index) } else { Err(SnapshotError::Damaged) }
}

fn read_in_log(take: &mut Take<'_>, head: &SnapshotHead, catalog: &mut Catalog) -> Result<(), SnapshotError> {
    let (queue, log, count) = (take.queue()?, LogNumber(take.u64()?), take.u32()?);
    let (mut position, mut offset) = (0u64, 0u64);
    for _ in 0..count {
        position = position.checked_add(take.varint()?).ok_or(SnapshotError::Damaged)?;
        let step = take.varint()?.checked_mul(frame::ALIGN_BYTES as u64).ok_or(SnapshotError::Damaged)?;
        offset = offset.checked_add(step).ok_or(SnapshotError::Damaged)?;
        let offset = u32::try_from(offset).map_err(|_| SnapshotError::Damaged)?;
        // places rise with positions, and those in the log behind the snapshot come after all of them
        let is_before = (log, u64::from(offset)) < (head.log, head.offset);
        let index = index_of(catalog, queue, position)?;
        if offset == 0 || !is_before || !index.ends_before(log, offset) {
            return Err(SnapshotError::Damaged);
        }
        index.append_in_log(position, log, offset);
    }
    Ok(())
}

fn read_extent(take: &mut Take<'_>) -> Result<Extent, SnapshotError> {
    let file = FileNumber(take.u64()?);
    let (offset, bytes, messages) = (take.u32()?, take.u32()?, take.u32()?);
    let (first, last) = (take.u64()?, take.u64()?);
    if first > last || last == u64::MAX || last - first > leveret_model::limits::EXTENT_SPAN_MAX {
        return Err(SnapshotError::Damaged);
    }
    if offset.checked_add(bytes).is_none() {
        return Err(SnapshotError::Damaged);
    }
    let mut live = LiveSet::empty(first, last);
    let mut at = first;
    while take.left() > 0 {
        let from = at.checked_add(take.varint()?).ok_or(SnapshotError::Damaged)?;
        let to = from.checked_add(take.varint()?).ok_or(SnapshotError::Damaged)?;
        if to > last + 1 {
            return Err(SnapshotError::Damaged);
        }
        for position in from..to {
            live.insert(position);
        }
        at = to;
    }
    Ok(Extent { file, offset, bytes, messages, first, last, live, cursor: None })
}
