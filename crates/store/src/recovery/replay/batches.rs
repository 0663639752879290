//! The frames of a batch that is read back: all of them, or what damage left.

use crate::batch::{BATCH_HEAD_BYTES, BatchHead, LogNumber};
use crate::catalog::{Catalog, KeptReason, NotApplied};
use crate::frame::{self, ALIGN_BYTES, Frame, HEAD_BYTES};
use crate::record::{Record, RecordError, kind};
use crate::report::{Report, Reports};

/// True if the batch is what was written: every frame passes, and their number and digest are right.
pub(super) fn is_whole(batch: &[u8], head: &BatchHead) -> bool {
    let end = BATCH_HEAD_BYTES + head.frames_bytes as usize;
    let Some(frames) = batch.get(..end) else { return false };
    let (mut at, mut count, mut digest) = (BATCH_HEAD_BYTES, 0, 0);
    while at < end {
        match Frame::read(&frames[at..]) {
            Ok(frame) if frame.body.is_some() => {
                digest = frame::digest(digest, &frames[at..]);
                count += 1;
                at += frame.head.frame_bytes();
            }
            _ => return false,
        }
    }
    (count, digest) == (head.frames, head.digest)
}

/// Applies frames, and reports what is none.
pub(super) struct Salvage<'a> {
    pub(super) log: LogNumber,
    /// Where the batch begins.
    pub(super) offset: u64,
    pub(super) catalog: &'a mut Catalog,
    pub(super) reports: &'a mut Reports,
}

impl Salvage<'_> {
    /// Frames from `at` to the end. Behind damage only messages are looked for: the body of a message could
    /// contain anything that looks like another record, and nobody may get a user or a queue that way.
    pub(super) fn frames(&mut self, bytes: &[u8], mut at: usize) {
        let mut bad_from = None;
        while at < bytes.len() {
            let frame = Frame::read(&bytes[at..]).ok();
            let Some(frame) = frame.filter(|frame| bad_from.is_none() || frame.head.kind == kind::MESSAGE)
            else {
                bad_from.get_or_insert(at);
                at += ALIGN_BYTES;
                continue;
            };
            if let Some(from) = bad_from.take() {
                self.unreadable(from, at - from);
            }
            self.apply(&frame, at);
            at += frame.head.frame_bytes();
        }
        if let Some(from) = bad_from {
            self.unreadable(from, bytes.len() - from);
        }
    }

    /// Frames from `at` up to the first that is none. The batch's head is not known, and the report is made.
    pub(super) fn whole_frames(&mut self, bytes: &[u8], mut at: usize) {
        while let Some(Ok(frame)) = bytes.get(at..).filter(|rest| rest.len() >= HEAD_BYTES).map(Frame::read) {
            self.apply(&frame, at);
            at += frame.head.frame_bytes();
        }
    }

    /// Bytes that are no records.
    pub(super) fn unreadable(&mut self, at: usize, bytes: usize) {
        let (offset, bytes) = (self.offset + at as u64, bytes as u64);
        self.reports.add(Report::DamagedRecords { log: self.log, offset, bytes });
        self.catalog.kept_logs.insert(self.log, KeptReason::Damaged);
    }

    fn apply(&mut self, frame: &Frame<'_>, at: usize) {
        match Record::parse(frame) {
            Ok(Record::Message(message)) => {
                let place = (self.offset + at as u64) as u32;
                let reports = &mut *self.reports;
                self.catalog.apply_message(&message, self.log, place, |refused| {
                    let NotApplied::Repeated { queue, position } = refused;
                    reports.add(Report::RepeatedMessage { queue, position });
                });
                if frame.body.is_none() {
                    for (queue, position) in message.targets() {
                        self.catalog.lose(queue, position.0, position.0);
                        self.reports.add(Report::DamagedMessages { queue, first: position, last: position });
                    }
                }
            }
            Ok(record) => self.catalog.apply(&record),
            Err(RecordError::Unknown) => {
                let (kind, version) = (frame.head.kind, frame.head.version);
                self.reports.add(Report::UnknownRecord { log: self.log, kind, version });
                self.catalog.kept_logs.entry(self.log).or_insert(KeptReason::Unknown);
            }
            Err(RecordError::Malformed) => self.unreadable(at, frame.head.frame_bytes()),
        }
    }
}
