//! A disk in memory for the simulator and the tests: it forgets what was not synced, and more if it is told to.
//!
//! Read first: [`SimDisk::execute`], then [`SimDisk::cut_power`]. What a file contains now and what of it is on
//! the disk are two things: a write changes the first, a sync the second. At a power cut each sector of an
//! unsynced write is on the disk or is not, in any order, and the first sector of such a write may be half
//! there. Names are on the disk after a sync of the directory; before that a cut keeps some of the changes,
//! from the first on.

use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;
use leveret_model::{Seed, SplitMix};

use crate::disk::{DiskAction, DiskAnswer, DiskDone, DiskError, DiskOp, FileName, ListedFile};

const SECTOR_BYTES: usize = 512;

/// What a disk does wrong, each as one in so many; 0: never.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskFaults {
    /// A write or sync fails.
    pub failing: u64,
    /// At a power cut: a file gets a flipped bit.
    pub rotting: u64,
    /// A read of a file fails in one sector, for ever.
    pub unreadable: u64,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    now: Vec<u8>,
    synced: Vec<u8>,
    /// Where unsynced writes begin, and how long they are.
    unsynced: Vec<(usize, usize)>,
    /// Sectors that cannot be read.
    bad: Vec<usize>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Set(FileName, u64),
    /// At once: no crash leaves both names, or none.
    Rename {
        from: FileName,
        to: FileName,
        inode: u64,
    },
    Remove(FileName),
}

/// A disk.
#[derive(Clone, Debug)]
pub struct SimDisk {
    names: BTreeMap<FileName, u64>,
    synced_names: BTreeMap<FileName, u64>,
    unsynced_names: Vec<NameChange>,
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    capacity_bytes: u64,
    faults: DiskFaults,
    random: SplitMix,
    /// How often each fault happened: failed, rotten, unreadable, full.
    pub counts: [u64; 4],
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    pub fn new(seed: Seed, capacity_bytes: u64, faults: DiskFaults) -> Self {
        Self {
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            unsynced_names: Vec::new(),
            inodes: BTreeMap::new(),
            next_inode: 1,
            capacity_bytes,
            faults,
            random: SplitMix::new(seed),
            counts: [0; 4],
        }
    }

    /// What goes wrong from now on.
    pub fn set_faults(&mut self, faults: DiskFaults) {
        self.faults = faults;
    }

    /// Bytes that are free.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        let used: u64 =
            self.inodes.values().map(|inode| inode.now.len().max(inode.synced.len()) as u64).sum();
        self.capacity_bytes.saturating_sub(used)
    }

    /// Names and contents of all files as they are now.
    pub fn files(&self) -> impl Iterator<Item = (&FileName, &[u8])> {
        self.names.iter().map(|(name, inode)| (name, &self.inodes[inode].now[..]))
    }

    /// Puts a file there, synced, as somebody would who changes the directory by hand.
    pub fn put(&mut self, name: FileName, bytes: Vec<u8>) {
        let inode = self.add(Inode { now: bytes.clone(), synced: bytes, ..Inode::default() });
        self.names.insert(name.clone(), inode);
        self.synced_names.insert(name, inode);
        self.drop_unnamed();
    }

    /// Takes a file away by hand.
    pub fn take(&mut self, name: &FileName) {
        self.names.remove(name);
        self.synced_names.remove(name);
        self.drop_unnamed();
    }

    fn add(&mut self, inode: Inode) -> u64 {
        self.next_inode += 1;
        self.inodes.insert(self.next_inode, inode);
        self.next_inode
    }

    fn one_in(&mut self, count: u64, kind: usize) -> bool {
        let hit = count > 0 && self.random.below(count) == 0;
        self.counts[kind] += u64::from(hit);
        hit
    }

    /// Executes an operation.
    pub fn execute(&mut self, op: &DiskOp) -> DiskDone {
        DiskDone { id: op.id, result: self.act(&op.action) }
    }

    fn act(&mut self, action: &DiskAction) -> Result<DiskAnswer, DiskError> {
        match action {
            DiskAction::List => {
                let file = |(name, inode): (&FileName, &u64)| ListedFile {
                    file: name.clone(),
                    bytes: self.inodes[inode].now.len() as u64,
                };
                return Ok(DiskAnswer::Listed(self.names.iter().map(file).collect()));
            }
            DiskAction::Create { file, bytes } => {
                if *bytes > self.free_bytes() {
                    self.counts[3] += 1;
                    return Err(DiskError::NoSpace);
                }
                let zeros = vec![0; *bytes as usize];
                let inode = self.add(Inode { now: zeros.clone(), synced: zeros, ..Inode::default() });
                self.change_name(NameChange::Set(file.clone(), inode));
            }
            DiskAction::Write { file, offset, parts } => self.write(file, *offset as usize, parts)?,
            DiskAction::Sync { file } => {
                if self.one_in(self.faults.failing, 0) {
                    return Err(DiskError::Failed("the disk failed".to_string()));
                }
                let inode = self.inode(file)?;
                inode.unsynced.clear();
                inode.synced.clone_from(&inode.now);
            }
            DiskAction::Read { file, offset, bytes } => {
                return self.read(file, *offset as usize, *bytes as usize);
            }
            DiskAction::Rename { from, to } => {
                let inode = *self.names.get(from).ok_or(DiskError::NotFound)?;
                self.change_name(NameChange::Rename { from: from.clone(), to: to.clone(), inode });
            }
            DiskAction::Remove { file } => {
                if !self.names.contains_key(file) {
                    return Err(DiskError::NotFound);
                }
                self.change_name(NameChange::Remove(file.clone()));
            }
            DiskAction::SyncDirectory => {
                self.unsynced_names.clear();
                self.synced_names.clone_from(&self.names);
            }
        }
        self.drop_unnamed();
        Ok(DiskAnswer::Done)
    }

    fn inode(&mut self, file: &FileName) -> Result<&mut Inode, DiskError> {
        let inode = self.names.get(file).ok_or(DiskError::NotFound)?;
        self.inodes.get_mut(inode).ok_or(DiskError::NotFound)
    }

    fn write(&mut self, file: &FileName, offset: usize, parts: &[Bytes]) -> Result<(), DiskError> {
        if self.one_in(self.faults.failing, 0) {
            return Err(DiskError::Failed("the disk failed".to_string()));
        }
        let bytes = parts.concat();
        let free = self.free_bytes() as usize;
        let inode = self.inode(file)?;
        let end = offset + bytes.len();
        if end > inode.now.len() + free {
            self.counts[3] += 1;
            return Err(DiskError::NoSpace);
        }
        if end > inode.now.len() {
            inode.now.resize(end, 0);
        }
        inode.now[offset..end].copy_from_slice(&bytes);
        inode.unsynced.push((offset, bytes.len()));
        Ok(())
    }

    fn read(&mut self, file: &FileName, offset: usize, bytes: usize) -> Result<DiskAnswer, DiskError> {
        let rotten = self.one_in(self.faults.unreadable, 2);
        let choice = self.random.next_u64() as usize;
        let inode = self.inode(file)?;
        let end = (offset + bytes).min(inode.now.len());
        let range = offset.min(end)..end;
        let sectors = range.start / SECTOR_BYTES..range.end.div_ceil(SECTOR_BYTES);
        if rotten && !sectors.is_empty() {
            inode.bad.push(sectors.start + choice % sectors.len());
        }
        if inode.bad.iter().any(|bad| sectors.contains(bad)) {
            return Err(DiskError::Failed("a sector cannot be read".to_string()));
        }
        Ok(DiskAnswer::Read(Bytes::copy_from_slice(&inode.now[range])))
    }

    fn change_name(&mut self, change: NameChange) {
        apply_name(&mut self.names, &change);
        self.unsynced_names.push(change);
    }

    /// Forgets files that no name leads to any more.
    fn drop_unnamed(&mut self) {
        let pending = self.unsynced_names.iter().filter_map(|change| match change {
            NameChange::Set(_, inode) | NameChange::Rename { inode, .. } => Some(*inode),
            NameChange::Remove(_) => None,
        });
        let named: Vec<u64> =
            self.names.values().chain(self.synced_names.values()).copied().chain(pending).collect();
        self.inodes.retain(|inode, _| named.contains(inode));
    }

    /// The power is cut: what was not synced is there, or is not, or is half there.
    pub fn cut_power(&mut self) {
        let kept = self.random.below(self.unsynced_names.len() as u64 + 1) as usize;
        let mut names = self.synced_names.clone();
        for change in &self.unsynced_names[..kept] {
            apply_name(&mut names, change);
        }
        self.unsynced_names.clear();
        self.names = names.clone();
        self.synced_names = names;
        let (random, mood) = (&mut self.random, self.faults.rotting);
        let mut rotten = 0;
        for inode in self.inodes.values_mut() {
            // all, nothing, or any part of it
            let keep_percent = [0, 50, 90, 100][random.below(4) as usize];
            let mut after = core::mem::take(&mut inode.synced);
            for (offset, bytes) in core::mem::take(&mut inode.unsynced) {
                tear(&mut after, &inode.now, (offset, bytes), keep_percent, random);
            }
            if mood > 0 && random.below(mood) == 0 && !after.is_empty() {
                let at = random.below(after.len() as u64) as usize;
                after[at] ^= 1 << random.below(8);
                rotten += 1;
            }
            inode.synced.clone_from(&after);
            inode.now = after;
        }
        self.counts[1] += rotten;
        self.drop_unnamed();
    }
}

fn apply_name(names: &mut BTreeMap<FileName, u64>, change: &NameChange) {
    match change {
        NameChange::Set(name, inode) => {
            names.insert(name.clone(), *inode);
        }
        NameChange::Rename { from, to, inode } => {
            names.remove(from);
            names.insert(to.clone(), *inode);
        }
        NameChange::Remove(name) => {
            names.remove(name);
        }
    }
}

/// Brings some sectors of a write onto the disk.
fn tear(
    after: &mut Vec<u8>,
    now: &[u8],
    (offset, bytes): (usize, usize),
    keep_percent: u64,
    random: &mut SplitMix,
) {
    let end = offset + bytes;
    let mut at = offset;
    while at < end {
        let mut sector_end = (at / SECTOR_BYTES + 1) * SECTOR_BYTES;
        sector_end = sector_end.min(end);
        let next = sector_end;
        if random.below(100) < keep_percent {
            if random.below(20) == 0 && keep_percent < 100 {
                sector_end = at + random.below((sector_end - at) as u64) as usize;
            }
            if after.len() < sector_end {
                after.resize(sector_end, 0);
            }
            after[at..sector_end].copy_from_slice(&now[at..sector_end]);
        }
        at = next;
    }
}
