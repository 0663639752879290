//! Operations on their way to the disk, and which part of the store each belongs to.

use alloc::vec::Vec;

use crate::disk::{DiskAction, DiskOp, FileName, Lane, OpId};

/// The part that an answer goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Log,
    Checkpoint,
    Reads,
    Spills,
    Room,
    Recovery,
}

const OWNERS: [Owner; 6] =
    [Owner::Log, Owner::Checkpoint, Owner::Reads, Owner::Spills, Owner::Room, Owner::Recovery];

/// Operations that the driver has not taken yet.
#[derive(Debug, Default)]
pub(crate) struct Ops {
    given: u64,
    out: Vec<DiskOp>,
}

impl Ops {
    pub(crate) fn push(&mut self, owner: Owner, lane: Lane, action: DiskAction) -> OpId {
        self.given += 1;
        let id = OpId(self.given * OWNERS.len() as u64 + owner as u64);
        self.out.push(DiskOp { id, lane, action });
        id
    }

    pub(crate) fn rename(&mut self, owner: Owner, from: FileName, to: FileName) -> OpId {
        self.push(owner, Lane::Bulk, DiskAction::Rename { from, to })
    }

    pub(crate) fn remove(&mut self, owner: Owner, file: FileName) -> OpId {
        self.push(owner, Lane::Bulk, DiskAction::Remove { file })
    }

    /// Hands the operations over, in order.
    pub(crate) fn take(&mut self, to: &mut Vec<DiskOp>) {
        to.append(&mut self.out);
    }
}

/// The part that an operation is of.
pub(crate) fn owner(id: OpId) -> Owner {
    OWNERS[(id.0 % OWNERS.len() as u64) as usize]
}
