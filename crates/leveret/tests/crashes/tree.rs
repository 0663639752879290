//! The files of a disk that loses what was not synced. Read first: [`Tree::cut_power`].
//!
//! Names are on the disk after a sync of their directory. Before that a cut keeps some of the changes: half of
//! the cuts those up to one of them, as a file system with a journal does; the other half any of them, where a
//! change that needs a lost one is lost with it. A rename is there as a whole or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use leveret_model::SplitMix;

use super::contents::Contents;

pub(crate) type Inode = u64;
/// The root, as FUSE has it.
pub(crate) const ROOT: Inode = 1;

/// What a cut took away.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Loss {
    pub(crate) sectors_lost: u64,
    pub(crate) sectors_torn: u64,
    pub(crate) names_lost: u64,
}

#[derive(Clone, Debug)]
enum NameChange {
    Set { name: OsString, inode: Inode },
    Rename { from: OsString, to: OsString, inode: Inode },
    Remove { name: OsString },
}

type Names = BTreeMap<OsString, Inode>;

impl NameChange {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Set { name, inode } => {
                names.insert(name.clone(), *inode);
            }
            Self::Rename { from, to, inode } => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
            Self::Remove { name } => {
                names.remove(name);
            }
        }
    }

    fn names(&self) -> [&OsString; 2] {
        match self {
            Self::Set { name, .. } | Self::Remove { name } => [name, name],
            Self::Rename { from, to, .. } => [from, to],
        }
    }
}

/// A directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entries {
    now: Names,
    synced: Names,
    unsynced: Vec<NameChange>,
}

impl Entries {
    pub(crate) fn names(&self) -> &Names {
        &self.now
    }

    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.now);
        self.unsynced.push(change);
    }

    fn cut_power(&mut self, keeps_any: bool, random: &mut SplitMix, loss: &mut Loss) {
        let changes = std::mem::take(&mut self.unsynced);
        let kept = random.below(changes.len() as u64 + 1) as usize;
        let mut touched = BTreeSet::new();
        for (at, change) in changes.iter().enumerate() {
            let depends = change.names().iter().any(|name| touched.contains(*name));
            let keeps = if keeps_any { !depends && random.below(2) == 0 } else { at < kept };
            if keeps {
                change.apply(&mut self.synced);
            } else {
                loss.names_lost += 1;
                touched.extend(change.names().map(Clone::clone));
            }
        }
        self.now = self.synced.clone();
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    File(Contents),
    Directory(Entries),
    Socket,
}

#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
}

/// All files.
#[derive(Debug)]
pub(crate) struct Tree {
    files: BTreeMap<Inode, File>,
    next: Inode,
}

impl Tree {
    pub(crate) fn new() -> Self {
        let root = File { kind: Kind::Directory(Entries::default()), mode: 0o755 };
        Self { files: BTreeMap::from([(ROOT, root)]), next: ROOT + 1 }
    }

    pub(crate) fn file(&self, inode: Inode) -> Option<&File> {
        self.files.get(&inode)
    }

    pub(crate) fn file_mut(&mut self, inode: Inode) -> Option<&mut File> {
        self.files.get_mut(&inode)
    }

    pub(crate) fn contents(&mut self, inode: Inode) -> Option<&mut Contents> {
        match &mut self.files.get_mut(&inode)?.kind {
            Kind::File(contents) => Some(contents),
            _ => None,
        }
    }

    fn entries(&mut self, directory: Inode) -> Option<&mut Entries> {
        match &mut self.files.get_mut(&directory)?.kind {
            Kind::Directory(entries) => Some(entries),
            _ => None,
        }
    }

    pub(crate) fn lookup(&self, directory: Inode, name: &OsStr) -> Option<Inode> {
        match &self.files.get(&directory)?.kind {
            Kind::Directory(entries) => entries.now.get(name).copied(),
            _ => None,
        }
    }

    /// A new file in a directory.
    pub(crate) fn add(&mut self, directory: Inode, name: &OsStr, kind: Kind, mode: u32) -> Option<Inode> {
        let inode = self.next;
        self.entries(directory)?.change(NameChange::Set { name: name.to_owned(), inode });
        self.next += 1;
        self.files.insert(inode, File { kind, mode });
        Some(inode)
    }

    /// What is open stays until the next cut.
    pub(crate) fn remove(&mut self, directory: Inode, name: &OsStr) -> Option<()> {
        self.lookup(directory, name)?;
        self.entries(directory)?.change(NameChange::Remove { name: name.to_owned() });
        Some(())
    }

    pub(crate) fn rename(&mut self, directory: Inode, from: &OsStr, to: &OsStr) -> Option<()> {
        let inode = self.lookup(directory, from)?;
        let change = NameChange::Rename { from: from.to_owned(), to: to.to_owned(), inode };
        self.entries(directory)?.change(change);
        Some(())
    }

    pub(crate) fn sync_directory(&mut self, directory: Inode) -> Option<()> {
        let entries = self.entries(directory)?;
        for change in entries.unsynced.drain(..) {
            change.apply(&mut entries.synced);
        }
        Some(())
    }

    /// The power is cut: what was not synced is there, or is not, or is half there. `kept_percent` of 0 takes
    /// everything that may be taken.
    pub(crate) fn cut_power(&mut self, kept_percent: u64, random: &mut SplitMix) -> Loss {
        let mut loss = Loss::default();
        let keeps_any = random.below(2) == 0;
        for file in self.files.values_mut() {
            match &mut file.kind {
                Kind::File(contents) => contents.cut_power(kept_percent, random, &mut loss),
                Kind::Directory(entries) => entries.cut_power(keeps_any, random, &mut loss),
                Kind::Socket => {}
            }
        }
        self.drop_unnamed();
        loss
    }

    fn drop_unnamed(&mut self) {
        let (mut named, mut ahead) = (BTreeSet::from([ROOT]), vec![ROOT]);
        while let Some(directory) = ahead.pop() {
            let Some(entries) = self.entries(directory) else { continue };
            let new: Vec<Inode> =
                entries.now.values().copied().filter(|inode| named.insert(*inode)).collect();
            ahead.extend(new);
        }
        self.files.retain(|inode, _| named.contains(inode));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leveret_model::Seed;

    fn file(tree: &mut Tree, name: &str) -> Inode {
        tree.add(ROOT, OsStr::new(name), Kind::File(Contents::default()), 0o600).expect("a directory")
    }

    #[test]
    fn what_is_synced_stays_and_nothing_else_has_to() {
        let (mut kept, mut lost, mut torn, mut renamed) = (0, 0, 0, 0);
        for seed in 0..400 {
            let mut tree = Tree::new();
            let inode = file(&mut tree, "one");
            let contents = tree.contents(inode).expect("a file");
            contents.write(100, &[1; 5_000]);
            contents.sync();
            contents.write(4_000, &[2; 6_000]);
            tree.sync_directory(ROOT).expect("a directory");
            tree.rename(ROOT, OsStr::new("one"), OsStr::new("two")).expect("it is there");
            file(&mut tree, "three");
            let kept_percent = [0, 50, 100][seed as usize % 3];
            let loss = tree.cut_power(kept_percent, &mut SplitMix::new(Seed(seed)));
            let [one, two] = ["one", "two"].map(|name| tree.lookup(ROOT, OsStr::new(name)));
            assert_eq!(one.xor(two), Some(inode), "under one of its names");
            renamed += u64::from(two.is_some());
            let read = tree.contents(inode).expect("a file").read(0, 20_000);
            assert_eq!(read[..100], [0; 100]);
            assert_eq!(read[100..4_000], [1; 3_900]);
            let new = read.iter().filter(|byte| **byte == 2).count();
            assert!(kept_percent != 0 || new == 0 && read.len() == 5_100);
            assert!(kept_percent != 100 || new == 6_000 && loss.sectors_lost == 0);
            kept += u64::from(new > 0);
            lost += u64::from(loss.sectors_lost > 0);
            torn += loss.sectors_torn;
        }
        assert!(
            [kept, lost, torn, renamed].iter().all(|count| *count > 20),
            "{:?}",
            [kept, lost, torn, renamed]
        );
    }

    #[test]
    fn a_file_that_was_cut_short_grows_with_zeros() {
        let mut contents = Contents::default();
        contents.write(0, &[7; 10_000]);
        contents.set_length(5_000);
        contents.set_length(9_000);
        assert_eq!(contents.read(4_999, 2), [7, 0]);
        assert_eq!(contents.read(8_990, 100), [0; 10]);
    }
}
