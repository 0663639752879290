//! Copies messages to another place: from log segments that are due and from files that have become sparse.
//!
//! Read first: [`Mover::new`], which says what is copied in which order, then [`Mover::on_read`]. The catalog
//! is changed at the very end, by [`Mover::finish`]: until then everything is read where it was.
//!
//! Invariants: what is acknowledged is not copied; what cannot be read is not copied, is reported, and what it
//! lay in is kept; a source is given up only after a snapshot that names the copies (`checkpoint.rs` sees to
//! it).

mod plan;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use leveret_model::QueueId;
use leveret_model::limits::STORE_SEGMENT_BYTES;

use crate::batch::{self, EXTENTS_AT, StoreId};
use crate::catalog::{Catalog, StoredFile};
use crate::disk::{DiskAction, DiskDone, DiskError, FileName, Lane, OpId};
use crate::extents::{self, ExtentWriter, FoundMessage, Step};
use crate::frame::FrameError;
use crate::index::{Container, Extent, FileNumber};
use crate::ops::{Ops, Owner};
use crate::report::{Report, Reports};
use crate::window::{WindowEvent, WindowRead};

use self::plan::{InLog, OfExtent, Plan};

/// Which messages are moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    Durable,
    Spilled,
}

/// How a move goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MoveEvent {
    Continues,
    /// Everything is copied and, if durable, synced.
    Copied,
    /// The disk is full: what was copied is to be removed, see [`Mover::written_files`].
    NoSpace,
}

/// The file that is written.
#[derive(Debug)]
struct Destination {
    file: FileNumber,
    offset: u64,
}

/// A move under way.
#[derive(Debug)]
pub(crate) struct Mover {
    moved: Moved,
    store: StoreId,
    pub(crate) sources: Vec<Container>,
    plan: Plan,
    read: Option<WindowRead>,
    destination: Option<Destination>,
    /// Files that were written, and how many bytes each has.
    written: Vec<(FileNumber, u64)>,
    copies: BTreeMap<QueueId, Vec<Extent>>,
    /// Operations that are not answered yet, reads apart.
    waits: Vec<OpId>,
    all_written: bool,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    #[cfg(feature = "planted")]
    pub(crate) planted: Option<crate::Planted>,
}

impl Mover {
    pub(crate) fn new(moved: Moved, store: StoreId, sources: Vec<Container>, catalog: &Catalog) -> Self {
        let plan = Plan::new(moved, &sources, catalog);
        Self {
            moved,
            store,
            sources,
            plan,
            read: None,
            destination: None,
            written: Vec::new(),
            copies: BTreeMap::new(),
            waits: Vec::new(),
            all_written: false,
            messages: 0,
            bytes: 0,
            #[cfg(feature = "planted")]
            planted: None,
        }
    }

    pub(crate) fn moved(&self) -> Moved {
        self.moved
    }

    /// Files that were begun.
    pub(crate) fn written_files(&self) -> impl Iterator<Item = FileName> + '_ {
        self.written.iter().map(|(file, _)| self.name(*file))
    }

    fn name(&self, file: FileNumber) -> FileName {
        match self.moved {
            Moved::Durable => FileName::Segment(file.0),
            Moved::Spilled => FileName::Spill(file.0),
        }
    }

    /// Starts what can be started.
    pub(crate) fn poll(&mut self, catalog: &Catalog, ops: &mut Ops) -> MoveEvent {
        if self.read.is_some() || !self.waits.is_empty() {
            return MoveEvent::Continues;
        }
        if let Some(window) = self.plan.next_window(self.moved, catalog) {
            let lane = (Owner::Checkpoint, Lane::Bulk);
            self.read = Some(WindowRead::start(lane, window.file, window.offset, window.bytes, ops));
            return MoveEvent::Continues;
        }
        if self.all_written {
            return MoveEvent::Copied;
        }
        self.all_written = true;
        if self.moved == Moved::Durable && !plant!(self, SkipsSegmentSync) {
            for (file, _) in &self.written {
                let sync = DiskAction::Sync { file: self.name(*file) };
                self.waits.push(ops.push(Owner::Checkpoint, Lane::Bulk, sync));
            }
        }
        if self.waits.is_empty() { MoveEvent::Copied } else { MoveEvent::Continues }
    }

    /// An operation is done.
    ///
    /// # Errors
    /// The system's words: the store stops.
    pub(crate) fn on_done(
        &mut self,
        done: &DiskDone,
        catalog: &mut Catalog,
        ops: &mut Ops,
    ) -> Result<MoveEvent, String> {
        if let Some(read) = &mut self.read
            && let Some(event) = read.on_done(done, ops)
        {
            let offset = read.offset;
            match event {
                WindowEvent::Continues => {}
                WindowEvent::Read(bytes) => {
                    self.read = None;
                    self.on_read(&bytes, offset, catalog, ops);
                }
                WindowEvent::Missing => {
                    self.read = None;
                    self.on_read(&[], offset, catalog, ops);
                }
            }
            return Ok(MoveEvent::Continues);
        }
        let Some(at) = self.waits.iter().position(|op| *op == done.id) else {
            return Ok(MoveEvent::Continues);
        };
        self.waits.swap_remove(at);
        match &done.result {
            Ok(_) => Ok(MoveEvent::Continues),
            // nothing refers to the file yet, so nothing is lost with it
            Err(DiskError::NoSpace) => Ok(MoveEvent::NoSpace),
            Err(error) => Err(format!("a segment cannot be written: {error}")),
        }
    }

    fn on_read(&mut self, bytes: &[u8], offset: u64, catalog: &mut Catalog, ops: &mut Ops) {
        let mut out = Vec::new();
        if self.plan.is_in_log() {
            self.copy_from_log(bytes, offset, catalog, &mut out);
        } else {
            self.copy_extent(bytes, catalog, &mut out);
        }
        if !out.is_empty() {
            self.write(&out, catalog, ops);
        }
    }

    /// Copies the messages of a window, queue by queue.
    fn copy_from_log(
        &mut self,
        bytes: &[u8],
        offset: u64,
        catalog: &Catalog,
        out: &mut Vec<(QueueId, u64, Vec<u8>)>,
    ) {
        while let Some(InLog { log, offset: place, queue, position }) = self.plan.front_in_log() {
            let at = u64::from(place).wrapping_sub(offset) as usize;
            if self.plan.window_log() != Some(log) || at >= bytes.len().max(1) {
                break;
            }
            let live = catalog.queues.get(&queue).is_some_and(|stored| stored.index.contains(position));
            if !live {
                self.plan.pop_in_log();
                continue;
            }
            match extents::message_at(bytes, at) {
                Ok(found) if has_target(&found, queue, position) => {
                    self.plan.pop_in_log();
                    if let Some(body) = found.body {
                        out.push((queue, position, copy(&found, queue, position, body)));
                    }
                }
                // the first of a window gets one of its own size; a later one begins the next window
                Err(FrameError::Short { needed }) if at > 0 || self.plan.widen(needed) => break,
                // damaged, or the file ends: it is in no copy, so it is found missing at the end
                _ => self.plan.pop_in_log(),
            }
        }
        out.sort_by_key(|(queue, position, _)| (*queue, *position));
    }

    fn copy_extent(&mut self, bytes: &[u8], catalog: &Catalog, out: &mut Vec<(QueueId, u64, Vec<u8>)>) {
        let Some(OfExtent { queue, .. }) = self.plan.pop_extent() else { return };
        let index = catalog.queues.get(&queue).map(|stored| match self.moved {
            Moved::Durable => &stored.index,
            Moved::Spilled => &stored.spilled,
        });
        let mut at = 0;
        while let Step::Found(found) = extents::next_message(bytes, at, queue) {
            at = found.end;
            let Some((_, position)) = found.meta.targets().next() else { continue };
            if let Some(body) = found.body
                && index.is_some_and(|index| index.contains(position.0))
                && out.last().is_none_or(|(_, last, _)| *last < position.0)
            {
                out.push((queue, position.0, copy(&found, queue, position.0, body)));
            }
        }
    }

    /// Writes what one window gave, and notes where it lies.
    fn write(&mut self, messages: &[(QueueId, u64, Vec<u8>)], catalog: &mut Catalog, ops: &mut Ops) {
        let bytes: u64 = messages.iter().map(|(_, _, message)| message.len() as u64).sum();
        if self.destination.as_ref().is_none_or(|to| to.offset + bytes > STORE_SEGMENT_BYTES) {
            self.begin_file(catalog, ops);
        }
        let Some(to) = &mut self.destination else { unreachable!("just begun") };
        let (file, begin) = (to.file, to.offset);
        let mut buffer = Vec::with_capacity(bytes as usize);
        for of_queue in messages.chunk_by(|one, next| one.0 == next.0) {
            let queue = of_queue[0].0;
            let mut writer = ExtentWriter::default();
            for (_, position, message) in of_queue {
                writer.push(file, *position, (begin + buffer.len() as u64) as u32, message.len() as u32);
                buffer.extend_from_slice(message);
            }
            self.copies.entry(queue).or_default().extend(writer.finish(file));
        }
        self.messages += messages.len() as u64;
        self.bytes += bytes;
        to.offset += bytes;
        if let Some((_, written)) = self.written.last_mut() {
            *written = to.offset;
        }
        let write =
            DiskAction::Write { file: self.name(file), offset: begin, parts: alloc::vec![buffer.into()] };
        self.waits.push(ops.push(Owner::Checkpoint, Lane::Bulk, write));
    }

    fn begin_file(&mut self, catalog: &mut Catalog, ops: &mut Ops) {
        let file = FileNumber(catalog.next_file);
        catalog.next_file += 1;
        let name = self.name(file);
        let create = DiskAction::Create { file: name.clone(), bytes: 0 };
        self.waits.push(ops.push(Owner::Checkpoint, Lane::Bulk, create));
        let head: Bytes = batch::file_head(self.store, file.0, self.moved == Moved::Spilled);
        let write = DiskAction::Write { file: name, offset: 0, parts: alloc::vec![head] };
        self.waits.push(ops.push(Owner::Checkpoint, Lane::Bulk, write));
        self.destination = Some(Destination { file, offset: EXTENTS_AT });
        self.written.push((file, EXTENTS_AT));
    }

    /// The catalog reads from the copies from now on.
    pub(crate) fn finish(mut self, catalog: &mut Catalog, reports: &mut Reports) -> Vec<Container> {
        for (file, bytes) in &self.written {
            let spill = self.moved == Moved::Spilled;
            catalog.files.insert(*file, StoredFile { bytes: *bytes, spill, ..StoredFile::default() });
        }
        let mut damaged = Vec::new();
        for (queue, stored) in &mut catalog.queues {
            let index = match self.moved {
                Moved::Durable => &mut stored.index,
                Moved::Spilled => &mut stored.spilled,
            };
            let mut copies = self.copies.remove(queue).unwrap_or_default();
            let runs = index.runs().filter(|run| self.sources.contains(&run.container()));
            let holders: Vec<(u64, u64, Container)> =
                runs.map(|run| (run.first(), run.last(), run.container())).collect();
            if holders.is_empty() {
                continue;
            }
            if !plant!(self, MovesAcked) {
                index.drop_acknowledged(&mut copies);
            }
            for (first, last) in index.replace(&self.sources, copies) {
                damaged.push((*queue, first, last));
                for (_, _, container) in holders.iter().filter(|holder| holder.0 <= last && first <= holder.1)
                {
                    damaged_container(&mut catalog.kept_logs, &mut catalog.files, *container);
                }
            }
        }
        for (queue, first, last) in damaged {
            catalog.note_damage(queue, first, last);
            let [first, last] = [first, last].map(leveret_model::Position);
            reports.add(Report::DamagedMessages { queue, first, last });
        }
        catalog.recount();
        self.sources
    }
}

fn damaged_container(
    kept_logs: &mut BTreeMap<batch::LogNumber, crate::catalog::KeptReason>,
    files: &mut BTreeMap<FileNumber, StoredFile>,
    container: Container,
) {
    match container {
        Container::Log(log) => {
            kept_logs.entry(log).or_insert(crate::catalog::KeptReason::Damaged);
        }
        Container::File(file) => {
            if let Some(file) = files.get_mut(&file) {
                file.kept = true;
            }
        }
    }
}

fn has_target(found: &FoundMessage<'_>, queue: QueueId, position: u64) -> bool {
    found.meta.targets().any(|(of, at)| of == queue && at.0 == position)
}

fn copy(found: &FoundMessage<'_>, queue: QueueId, position: u64, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(found.end - found.at);
    extents::write_message(&mut out, &found.meta, queue, position, body);
    out
}
