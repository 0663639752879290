//! Finding the newest snapshot that can be read, and writing the first one of an empty directory.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::batch::{BatchNumber, LogNumber, StoreId};
use crate::catalog::Catalog;
use crate::disk::{Copy, DiskAction, DiskDone, FileName, Lane, OpId};
use crate::ops::{Ops, Owner};
use crate::report::{Refusal, Report, Reports};
use crate::snapshot::{self, SnapshotError, SnapshotHead};
use crate::window::{WindowEvent, WindowRead};

use super::{Listing, RecoveryTerms};

/// What came of reading a snapshot.
#[derive(Debug)]
pub(super) enum SnapshotEvent {
    Continues,
    Read { head: SnapshotHead, catalog: Box<Catalog>, bytes: u64 },
}

/// Copies that are tried, one after the other.
#[derive(Debug)]
pub(super) struct Snapshots {
    left: VecDeque<(u64, Copy, u64)>,
    reading: (u64, Copy),
    window: WindowRead,
    /// Copies that could not be read.
    damaged: Vec<(u64, Copy)>,
    /// The newest, and what came of it, while the second copy is looked at too.
    found: Option<(SnapshotHead, Box<Catalog>, u64)>,
    both: bool,
}

impl Snapshots {
    /// `both`: the second copy is looked at although the first one is good.
    pub(super) fn new(listing: &Listing, both: bool, ops: &mut Ops) -> Result<Self, Refusal> {
        let newest_first = listing.snapshots.iter().rev();
        let copies = newest_first.flat_map(|(number, copies)| {
            let of = |copy: Copy| copies[usize::from(copy == Copy::B)].map(|bytes| (*number, copy, bytes));
            [of(Copy::A), of(Copy::B)].into_iter().flatten()
        });
        let mut left: VecDeque<(u64, Copy, u64)> = copies.collect();
        let Some(first) = left.pop_front() else {
            return Err(Refusal::NoSnapshot("there is a log and no snapshot".to_string()));
        };
        let window = read(first, ops);
        Ok(Self { left, reading: (first.0, first.1), window, damaged: Vec::new(), found: None, both })
    }

    pub(super) fn on_done(
        &mut self,
        done: &DiskDone,
        terms: &RecoveryTerms,
        ops: &mut Ops,
        reports: &mut Reports,
    ) -> Result<SnapshotEvent, Refusal> {
        let bytes = match self.window.on_done(done, ops) {
            None | Some(WindowEvent::Continues) => return Ok(SnapshotEvent::Continues),
            Some(WindowEvent::Read(bytes)) => bytes,
            Some(WindowEvent::Missing) => Bytes::new(),
        };
        let (number, copy) = self.reading;
        let file = FileName::Snapshot(number, copy);
        match snapshot::decode(&bytes, terms.seed) {
            Ok((head, _)) if terms.store.is_some_and(|store| store != head.store) => {
                return Err(Refusal::OtherStore(file));
            }
            Ok((head, catalog)) if head.number == number => {
                if self.found.is_none() {
                    self.found = Some((head, Box::new(catalog), bytes.len() as u64));
                }
            }
            Err(SnapshotError::Version(version)) => return Err(Refusal::Version { file, version }),
            Ok(_) | Err(SnapshotError::Damaged) => self.damaged.push((number, copy)),
        }
        let next = self.left.front().copied();
        let go_on = match &self.found {
            None => next.is_some(),
            Some((head, _, _)) => self.both && next.is_some_and(|next| next.0 == head.number),
        };
        if let (true, Some(next)) = (go_on, next) {
            self.left.pop_front();
            self.reading = (next.0, next.1);
            self.window = read(next, ops);
            return Ok(SnapshotEvent::Continues);
        }
        let Some((head, catalog, bytes)) = self.found.take() else {
            return Err(Refusal::NoSnapshot(names(&self.damaged)));
        };
        for (number, copy) in &self.damaged {
            if *number == head.number {
                reports.add(Report::Repaired(FileName::Snapshot(*number, *copy)));
            } else {
                reports.add(Report::OlderSnapshot(*number));
            }
        }
        Ok(SnapshotEvent::Read { head, catalog, bytes })
    }
}

fn read((number, copy, bytes): (u64, Copy, u64), ops: &mut Ops) -> WindowRead {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    WindowRead::start((Owner::Recovery, Lane::Read), FileName::Snapshot(number, copy), 0, bytes, ops)
}

fn names(copies: &[(u64, Copy)]) -> String {
    let names: Vec<String> =
        copies.iter().map(|(number, copy)| FileName::Snapshot(*number, *copy).to_string()).collect();
    format!("damaged: {}", names.join(", "))
}

/// The first snapshot of a directory, as it is written.
#[derive(Debug)]
pub(super) struct FirstSnapshot {
    waits: Vec<OpId>,
    named: bool,
    pub(super) bytes: u64,
}

impl FirstSnapshot {
    pub(super) fn write(store: StoreId, catalog: &Catalog, ops: &mut Ops) -> Self {
        let head = SnapshotHead {
            store,
            number: 1,
            log: LogNumber(0),
            offset: 0,
            next_batch: BatchNumber(1),
            clean: true,
        };
        let bytes: Bytes = snapshot::encode(&head, catalog).into();
        let mut waits = Vec::new();
        for copy in [Copy::A, Copy::B] {
            let draft = FileName::Draft(1, copy);
            for action in [
                DiskAction::Create { file: draft.clone(), bytes: 0 },
                DiskAction::Write { file: draft.clone(), offset: 0, parts: vec![bytes.clone()] },
                DiskAction::Sync { file: draft },
            ] {
                waits.push(ops.push(Owner::Recovery, Lane::Bulk, action));
            }
        }
        Self { waits, named: false, bytes: bytes.len() as u64 }
    }

    /// True when it is on the disk.
    pub(super) fn on_done(&mut self, done: &DiskDone, ops: &mut Ops) -> Result<bool, Refusal> {
        let Some(at) = self.waits.iter().position(|op| *op == done.id) else { return Ok(false) };
        self.waits.swap_remove(at);
        if let Err(error) = &done.result {
            let file = FileName::Snapshot(1, Copy::A);
            return Err(Refusal::Unreadable { file, error: format!("it cannot be made: {error}") });
        }
        if !self.waits.is_empty() || self.named {
            return Ok(self.waits.is_empty());
        }
        self.named = true;
        for copy in [Copy::A, Copy::B] {
            self.waits.push(ops.rename(
                Owner::Recovery,
                FileName::Draft(1, copy),
                FileName::Snapshot(1, copy),
            ));
        }
        self.waits.push(ops.push(Owner::Recovery, Lane::Bulk, DiskAction::SyncDirectory));
        Ok(false)
    }
}
