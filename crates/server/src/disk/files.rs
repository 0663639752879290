//! Files of a store's directory: one operation at a time, by plain system calls.
//!
//! Invariants: nothing is repeated after an error; a file that was made is as large as it was asked for, with
//! its room reserved; the directory is synced by a descriptor of its own.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use leveret_model::limits::STORE_FILES_OPEN_MAX;
use leveret_store::{DiskAction, DiskAnswer, DiskDone, DiskError, DiskOp, FileName, ListedFile};
use rustix::fs::{FallocateFlags, fallocate, fdatasync, fsync};
use rustix::io::{Errno, pwritev};

/// Pieces that the kernel takes at once (`IOV_MAX`).
const PIECES_MAX: usize = 1024;

/// A store's directory. Clones share what is open.
#[derive(Clone, Debug)]
pub struct Files {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    directory: File,
    open: Mutex<BTreeMap<FileName, Arc<File>>>,
    read_only: bool,
}

impl Files {
    /// The directory at `path`; it is made unless it is only to be read.
    ///
    /// # Errors
    /// It cannot be made or opened.
    pub fn open(path: &Path, read_only: bool) -> io::Result<Self> {
        if !read_only {
            match fs::create_dir(path) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            // the name of the directory survives a power cut before anything in it is needed
            if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                fsync(&File::open(parent)?)?;
            }
        }
        let directory = File::open(path)?;
        let open = Mutex::default();
        Ok(Self { shared: Arc::new(Shared { path: path.to_owned(), directory, open, read_only }) })
    }

    /// Executes an operation.
    #[must_use]
    pub fn execute(&self, op: &DiskOp) -> DiskDone {
        DiskDone { id: op.id, result: self.act(&op.action).map_err(|error| disk_error(&error)) }
    }

    /// Bytes that are free for the node.
    ///
    /// # Errors
    /// The file system does not say.
    pub fn free_bytes(&self) -> io::Result<u64> {
        let room = rustix::fs::fstatvfs(&self.shared.directory)?;
        Ok(room.f_bavail.saturating_mul(room.f_frsize))
    }

    /// Bytes that the disk has in all.
    ///
    /// # Errors
    /// The file system does not say.
    pub fn disk_bytes(&self) -> io::Result<u64> {
        let room = rustix::fs::fstatvfs(&self.shared.directory)?;
        Ok(room.f_blocks.saturating_mul(room.f_frsize))
    }

    /// The file system is memory: what is synced survives the process, and no reboot.
    #[must_use]
    pub fn is_memory(&self) -> bool {
        // statfs(2)
        const TMPFS_MAGIC: u64 = 0x0102_1994;
        const RAMFS_MAGIC: u64 = 0x8584_58f6;
        let room = rustix::fs::fstatfs(&self.shared.directory);
        room.is_ok_and(|room| [TMPFS_MAGIC, RAMFS_MAGIC].contains(&(room.f_type.cast_unsigned())))
    }

    fn act(&self, action: &DiskAction) -> io::Result<DiskAnswer> {
        let reads = matches!(action, DiskAction::List | DiskAction::Read { .. });
        assert!(reads || !self.shared.read_only, "a directory that is only read is never changed");
        match action {
            DiskAction::List => return self.list(),
            DiskAction::Read { file, offset, bytes } => return self.read(file, *offset, *bytes),
            DiskAction::Create { file, bytes } => self.create(file, *bytes)?,
            DiskAction::Write { file, offset, parts } => write_all(&*self.file(file)?, *offset, parts)?,
            DiskAction::Sync { file } => fdatasync(&*self.file(file)?)?,
            DiskAction::Rename { from, to } => {
                fs::rename(self.path(from), self.path(to))?;
                let mut open = self.opened();
                let file = open.remove(from);
                open.remove(to);
                open.extend(file.map(|file| (to.clone(), file)));
            }
            DiskAction::Remove { file } => {
                self.opened().remove(file);
                fs::remove_file(self.path(file))?;
            }
            DiskAction::SyncDirectory => fsync(&self.shared.directory)?,
        }
        Ok(DiskAnswer::Done)
    }

    fn path(&self, file: &FileName) -> PathBuf {
        self.shared.path.join(file.to_string())
    }

    fn opened(&self) -> std::sync::MutexGuard<'_, BTreeMap<FileName, Arc<File>>> {
        // a map of descriptors is right at any moment
        self.shared.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, name: &FileName) -> io::Result<Arc<File>> {
        if let Some(file) = self.opened().get(name) {
            return Ok(Arc::clone(file));
        }
        let file = OpenOptions::new().read(true).write(!self.shared.read_only).open(self.path(name))?;
        Ok(self.keep(name, file))
    }

    fn keep(&self, name: &FileName, file: File) -> Arc<File> {
        let file = Arc::new(file);
        let mut open = self.opened();
        if open.len() >= STORE_FILES_OPEN_MAX {
            open.clear();
        }
        open.insert(name.clone(), Arc::clone(&file));
        file
    }

    fn list(&self) -> io::Result<DiskAnswer> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.shared.path)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            files.push(ListedFile { file: FileName::parse(&name), bytes: entry.metadata()?.len() });
        }
        files.sort_by(|one, other| one.file.cmp(&other.file));
        Ok(DiskAnswer::Listed(files))
    }

    fn read(&self, name: &FileName, offset: u64, bytes: u32) -> io::Result<DiskAnswer> {
        let file = self.file(name)?;
        let mut buffer = vec![0; bytes as usize];
        let mut read = 0;
        while read < buffer.len() {
            match file.read_at(&mut buffer[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(count) => read += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        buffer.truncate(read);
        Ok(DiskAnswer::Read(Bytes::from(buffer)))
    }

    fn create(&self, name: &FileName, bytes: u64) -> io::Result<()> {
        self.opened().remove(name);
        let path = self.path(name);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        if bytes > 0
            && let Err(error) = reserve(&file, bytes)
        {
            drop(file);
            // room that was taken in part is given back; if even this fails the error is the same
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        self.keep(name, file);
        Ok(())
    }
}

/// Reserves room for a file, which reads as zeros.
fn reserve(mut file: &File, bytes: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        // a file system that cannot: the zeros are written
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            let zeros = vec![0; 1 << 20];
            let mut left = bytes;
            while left > 0 {
                let count = left.min(zeros.len() as u64);
                file.write_all(&zeros[..count as usize])?;
                left -= count;
            }
            Ok(())
        }
        result => Ok(result?),
    }
}

fn write_all(file: &File, mut offset: u64, parts: &[Bytes]) -> io::Result<()> {
    let mut left: Vec<&[u8]> = parts.iter().map(|part| &part[..]).filter(|part| !part.is_empty()).collect();
    let mut from = 0;
    while from < left.len() {
        let to = left.len().min(from + PIECES_MAX);
        let slices: Vec<IoSlice<'_>> = left[from..to].iter().map(|part| IoSlice::new(part)).collect();
        let mut written = match pwritev(file, &slices, offset) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => written,
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        offset += written as u64;
        while from < left.len() && written >= left[from].len() {
            written -= left[from].len();
            from += 1;
        }
        if written > 0 {
            left[from] = &left[from][written..];
        }
    }
    Ok(())
}

fn disk_error(error: &io::Error) -> DiskError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => DiskError::NoSpace,
        ErrorKind::NotFound => DiskError::NotFound,
        _ => DiskError::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leveret_store::{Lane, OpId};

    fn act(files: &Files, action: DiskAction) -> Result<DiskAnswer, DiskError> {
        files.execute(&DiskOp { id: OpId(1), lane: Lane::Log, action }).result
    }

    #[test]
    fn what_is_written_in_many_pieces_is_read_back_under_another_name() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let files = Files::open(&directory.path().join("store"), false).expect("a directory");
        let (log, spare) = (FileName::Log(1), FileName::Spare(7));
        act(&files, DiskAction::Create { file: spare.clone(), bytes: 100_000 }).expect("a file");
        let parts: Vec<Bytes> = (0..3000u32)
            .map(|n| Bytes::copy_from_slice(&n.to_le_bytes()[..(n % 5).min(4) as usize]))
            .collect();
        let whole = parts.concat();
        act(&files, DiskAction::Write { file: spare.clone(), offset: 5, parts }).expect("a write");
        act(&files, DiskAction::Sync { file: spare.clone() }).expect("a sync");
        act(&files, DiskAction::Rename { from: spare.clone(), to: log.clone() }).expect("a rename");
        act(&files, DiskAction::SyncDirectory).expect("a sync");
        let read = DiskAction::Read { file: log.clone(), offset: 5, bytes: whole.len() as u32 };
        let Ok(DiskAnswer::Read(bytes)) = act(&files, read) else { panic!("bytes") };
        assert_eq!(bytes, whole);
        let Ok(DiskAnswer::Read(bytes)) =
            act(&files, DiskAction::Read { file: log.clone(), offset: 99_990, bytes: 100 })
        else {
            panic!("bytes")
        };
        assert_eq!(bytes, [0; 10][..], "fewer at the end, and zeros");
        let Ok(DiskAnswer::Listed(listed)) = act(&files, DiskAction::List) else { panic!("a list") };
        assert_eq!(listed, [ListedFile { file: log.clone(), bytes: 100_000 }]);
        act(&files, DiskAction::Remove { file: log }).expect("a removal");
        let gone = DiskAction::Read { file: spare, offset: 0, bytes: 1 };
        assert_eq!(act(&files, gone).map(|_| ()), Err(DiskError::NotFound));
    }
}
