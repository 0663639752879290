//! Transient messages that do not fit in memory: written without a sync, gone after a restart.
//!
//! Read first: [`Spill`]. They lie in files of their own, so that nothing durable shares their fate.
//!
//! Invariant: the index knows a spilled message only once its write returned; until then the caller has it in
//! memory.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use leveret_model::{Position, QueueId};

use crate::batch::{self, EXTENTS_AT, StoreId};
use crate::catalog::{Catalog, StoredFile};
use crate::counters::Counters;
use crate::disk::{DiskAction, DiskDone, DiskError, FileName, Lane, OpId};
use crate::extents::ExtentWriter;
use crate::frame::FrameHead;
use crate::index::{Extent, FileNumber};
use crate::ops::{Ops, Owner};
use crate::record::{MessageMeta, MessageTerms};
use crate::turn::{SealedTurn, Turn, TurnBody};

/// Names a spill until its answer; the caller's to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpillId(pub u64);

/// Transient messages of one queue, for the disk.
#[derive(Debug)]
pub struct Spill {
    id: SpillId,
    queue: QueueId,
    turn: Turn,
}

impl Spill {
    /// An empty one.
    #[must_use]
    pub fn new(id: SpillId, queue: QueueId) -> Self {
        Self { id, queue, turn: Turn::new() }
    }

    /// Adds a message. Positions rise, and the positions from the first to the last of one spill overlap with
    /// those of no other that is still there.
    pub fn message(
        &mut self,
        position: Position,
        terms: &MessageTerms,
        address: &[u8],
        header: &[u8],
        body: TurnBody<'_>,
    ) {
        self.turn.message(terms, &[(self.queue, position)], address, header, body);
    }
}

#[derive(Debug)]
struct Writing {
    id: SpillId,
    queue: QueueId,
    file: FileNumber,
    op: OpId,
    extents: Vec<Extent>,
    messages: u64,
    bytes: u64,
}

/// The state of spilling.
#[derive(Debug, Default)]
pub(crate) struct Spills {
    /// The open file, and where the next message goes.
    open: Option<(FileNumber, u64)>,
    under_way: VecDeque<Writing>,
    /// Files whose making failed.
    creating: Vec<OpId>,
}

/// Whether a spill is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpillOutcome {
    pub(crate) id: SpillId,
    pub(crate) written: bool,
}

impl Spills {
    pub(crate) fn push(
        &mut self,
        spill: Spill,
        (store, segment_bytes): (StoreId, u64),
        catalog: &mut Catalog,
        ops: &mut Ops,
    ) {
        let Spill { id, queue, turn } = spill;
        let turn = turn.seal();
        let bytes = turn.bytes() as u64;
        if self.open.is_some_and(|(_, end)| end + bytes > segment_bytes) {
            self.shut(catalog);
        }
        let (file, offset) = match self.open {
            Some(open) => open,
            None => self.begin_file(store, catalog, ops),
        };
        self.open = Some((file, offset + bytes));
        if let Some(stored) = catalog.files.get_mut(&file) {
            stored.bytes = offset + bytes;
            stored.busy += 1;
        }
        let extents = extents(&turn, file, offset as u32);
        let messages = u64::from(turn.frames());
        let mut parts = Vec::new();
        turn.parts(&mut parts);
        let write = DiskAction::Write { file: FileName::Spill(file.0), offset, parts };
        let op = ops.push(Owner::Spills, Lane::Bulk, write);
        self.under_way.push_back(Writing { id, queue, file, op, extents, messages, bytes });
    }

    fn begin_file(&mut self, store: StoreId, catalog: &mut Catalog, ops: &mut Ops) -> (FileNumber, u64) {
        let file = FileNumber(catalog.next_file);
        catalog.next_file += 1;
        let name = FileName::Spill(file.0);
        let create = DiskAction::Create { file: name.clone(), bytes: 0 };
        self.creating.push(ops.push(Owner::Spills, Lane::Bulk, create));
        let parts = vec![batch::file_head(store, file.0, true)];
        let write = DiskAction::Write { file: name, offset: 0, parts };
        self.creating.push(ops.push(Owner::Spills, Lane::Bulk, write));
        let stored = StoredFile { bytes: EXTENTS_AT, spill: true, busy: 1, ..StoredFile::default() };
        catalog.files.insert(file, stored);
        (file, EXTENTS_AT)
    }

    /// The open file takes no more.
    fn shut(&mut self, catalog: &mut Catalog) {
        if let Some((file, _)) = self.open.take() {
            release(catalog, file);
        }
    }

    /// An operation is done.
    ///
    /// # Errors
    /// The system's words: the store stops.
    pub(crate) fn on_done(
        &mut self,
        done: &DiskDone,
        catalog: &mut Catalog,
        counters: &mut Counters,
    ) -> Result<Option<SpillOutcome>, String> {
        let failed = match &done.result {
            Ok(_) => false,
            // a write into a file that could not be made fails with it
            Err(DiskError::NoSpace | DiskError::NotFound) => true,
            Err(error) => return Err(format!("a spill file cannot be written: {error}")),
        };
        if let Some(at) = self.creating.iter().position(|op| *op == done.id) {
            self.creating.swap_remove(at);
        }
        if failed {
            // what comes next begins another file
            self.shut(catalog);
        }
        if self.under_way.front().is_none_or(|writing| writing.op != done.id) {
            return Ok(None);
        }
        let Some(Writing { id, queue, file, extents, messages, bytes, .. }) = self.under_way.pop_front()
        else {
            return Ok(None);
        };
        if !failed {
            counters.spilled_messages += messages;
            counters.spilled_bytes += bytes;
            let stored = catalog.queues.entry(queue).or_default();
            for extent in extents {
                if let Some(file) = catalog.files.get_mut(&extent.file) {
                    file.live += u64::from(extent.messages);
                    file.live_bytes += u64::from(extent.bytes);
                }
                stored.spilled.insert_extent(extent);
            }
        }
        release(catalog, file);
        Ok(Some(SpillOutcome { id, written: !failed }))
    }
}

/// A write is done, or the file takes no more.
fn release(catalog: &mut Catalog, file: FileNumber) {
    let Some(stored) = catalog.files.get_mut(&file) else { return };
    stored.busy -= 1;
    if stored.live == 0 {
        catalog.emptied.push(file);
    }
}

/// Where the messages of a spill will lie.
fn extents(turn: &SealedTurn, file: FileNumber, offset: u32) -> Vec<Extent> {
    let mut writer = ExtentWriter::default();
    turn.each_frame(|at, bytes| {
        let Ok((head, meta)) = FrameHead::read(bytes) else { unreachable!("a turn is made of frames") };
        let meta = MessageMeta::read(meta).expect("a spill writes messages");
        let (_, position) = meta.targets().next().expect("a spill writes one target");
        writer.push(file, position.0, offset + at as u32, head.frame_bytes() as u32);
    });
    writer.finish(file)
}
