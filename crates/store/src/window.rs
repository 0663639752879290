//! A read of a part of a file that gets what can be read: after an error it goes on in pieces of 4 KiB and
//! leaves zeros where even these cannot be read, so that only the messages there are lost.

use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::disk::{DiskAction, DiskAnswer, DiskDone, DiskError, FileName, Lane, OpId};
use crate::ops::{Ops, Owner};

const PIECE_BYTES: u32 = 4096;

/// A read under way.
#[derive(Debug)]
pub(crate) struct WindowRead {
    owner: Owner,
    lane: Lane,
    file: FileName,
    pub(crate) offset: u64,
    pub(crate) bytes: u32,
    op: OpId,
    /// What was read in pieces so far.
    pieces: Option<Vec<u8>>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum WindowEvent {
    /// More is read.
    Continues,
    /// Fewer bytes than asked for if the file ends there.
    Read(Bytes),
    /// There is no such file.
    Missing,
}

impl WindowRead {
    pub(crate) fn start(
        (owner, lane): (Owner, Lane),
        file: FileName,
        offset: u64,
        bytes: u32,
        ops: &mut Ops,
    ) -> Self {
        let op = ops.push(owner, lane, DiskAction::Read { file: file.clone(), offset, bytes });
        Self { owner, lane, file, offset, bytes, op, pieces: None }
    }

    /// The answer to an operation; `None` if it is not one of this read.
    pub(crate) fn on_done(&mut self, done: &DiskDone, ops: &mut Ops) -> Option<WindowEvent> {
        if done.id != self.op {
            return None;
        }
        let event = match (&done.result, &mut self.pieces) {
            (Ok(DiskAnswer::Read(bytes)), None) => return Some(WindowEvent::Read(bytes.clone())),
            (Err(DiskError::NotFound), _) => return Some(WindowEvent::Missing),
            (result, None) => {
                debug_assert!(result.is_err(), "a read is answered by bytes or an error");
                self.pieces = Some(Vec::new());
                WindowEvent::Continues
            }
            (Ok(DiskAnswer::Read(bytes)), Some(pieces)) => {
                pieces.extend_from_slice(bytes);
                let before = pieces.len() - bytes.len();
                if (bytes.len() as u32) < piece(self.offset + before as u64, self.bytes as usize - before) {
                    // the end of the file
                    return Some(WindowEvent::Read(core::mem::take(pieces).into()));
                }
                WindowEvent::Continues
            }
            (_, Some(pieces)) => {
                let lost = piece(self.offset + pieces.len() as u64, self.bytes as usize - pieces.len());
                pieces.extend_from_slice(&vec![0; lost as usize]);
                WindowEvent::Continues
            }
        };
        let pieces = self.pieces.as_mut().map(core::mem::take).unwrap_or_default();
        let offset = self.offset + pieces.len() as u64;
        let next = piece(offset, self.bytes as usize - pieces.len());
        if next == 0 {
            return Some(WindowEvent::Read(pieces.into()));
        }
        self.pieces = Some(pieces);
        let read = DiskAction::Read { file: self.file.clone(), offset, bytes: next };
        self.op = ops.push(self.owner, self.lane, read);
        Some(event)
    }
}

/// Bytes of the piece at `offset`, of which `left` are wanted: it ends where a block of the file does, so that
/// the same messages are lost however the window lies.
fn piece(offset: u64, left: usize) -> u32 {
    (PIECE_BYTES - (offset % u64::from(PIECE_BYTES)) as u32).min(left as u32)
}
