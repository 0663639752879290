//! The heads of the log's segments, and the first batch of each.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;
use leveret_model::limits::LOG_ALIGN_BYTES;

use crate::batch::{
    BATCH_HEAD_BYTES, BatchHead, BatchNumber, HeadError, LOG_DATA_AT, LogHead, LogNumber, StoreId,
};
use crate::disk::{DiskDone, FileName, Lane};
use crate::ops::{Ops, Owner};
use crate::report::{Refusal, Report, Reports};
use crate::window::{WindowEvent, WindowRead};

/// A segment whose head was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadRead {
    pub(super) head: LogHead,
    /// The first batch of this segment, if there is one.
    pub(super) first: Option<BatchNumber>,
    /// Of the file.
    pub(super) bytes: u64,
}

/// Heads that are read, one after the other.
#[derive(Debug)]
pub(super) struct Heads {
    store: StoreId,
    left: VecDeque<(LogNumber, u64)>,
    window: Option<WindowRead>,
    pub(super) read: Vec<HeadRead>,
}

/// How it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadsEvent {
    Continues,
    Read,
}

impl Heads {
    pub(super) fn new(store: StoreId, left: VecDeque<(LogNumber, u64)>, ops: &mut Ops) -> Self {
        let mut heads = Self { store, left, window: None, read: Vec::new() };
        heads.start(ops);
        heads
    }

    pub(super) fn is_done(&self) -> bool {
        self.window.is_none()
    }

    fn start(&mut self, ops: &mut Ops) {
        self.window = self.left.front().map(|(log, _)| {
            let bytes = LOG_DATA_AT as u32 + BATCH_HEAD_BYTES as u32;
            WindowRead::start((Owner::Recovery, Lane::Read), FileName::Log(log.0), 0, bytes, ops)
        });
    }

    pub(super) fn on_done(
        &mut self,
        done: &DiskDone,
        ops: &mut Ops,
        reports: &mut Reports,
    ) -> Result<HeadsEvent, Refusal> {
        let block = match self.window.as_mut().and_then(|window| window.on_done(done, ops)) {
            None | Some(WindowEvent::Continues) => return Ok(HeadsEvent::Continues),
            Some(WindowEvent::Read(bytes)) => bytes,
            Some(WindowEvent::Missing) => Bytes::new(),
        };
        let Some((log, bytes)) = self.left.pop_front() else { return Ok(HeadsEvent::Read) };
        let head = self.check(log, &block, reports)?;
        if bytes < head.bytes {
            reports.add(Report::LogCut(log));
        }
        let first = block.get(LOG_DATA_AT as usize..).and_then(|at| BatchHead::read(at, &head));
        self.read.push(HeadRead { head, first: first.map(|batch| batch.number), bytes });
        self.start(ops);
        Ok(if self.is_done() { HeadsEvent::Read } else { HeadsEvent::Continues })
    }

    fn check(&self, log: LogNumber, block: &[u8], reports: &mut Reports) -> Result<LogHead, Refusal> {
        let file = FileName::Log(log.0);
        let copies = [0, LOG_ALIGN_BYTES].map(|at| LogHead::read(block.get(at..).unwrap_or_default()));
        let good = match copies {
            [Ok(head), Ok(_)] => head,
            [Ok(head), Err(_)] | [Err(_), Ok(head)] => {
                reports.add(Report::Repaired(file.clone()));
                head
            }
            [Err(HeadError::Version(version)), _] | [_, Err(HeadError::Version(version))] => {
                return Err(Refusal::Version { file, version });
            }
            [Err(HeadError::Damaged), Err(HeadError::Damaged)] => return Err(Refusal::NoLog(file)),
        };
        if good.store != self.store {
            return Err(Refusal::OtherStore(file));
        }
        if good.log == log { Ok(good) } else { Err(Refusal::NoLog(file)) }
    }
}
