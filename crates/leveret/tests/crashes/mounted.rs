//! The file system's side of the disk: what FUSE asks, from the tree or as a change to it.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::contents::Contents;
use super::disk::{Shared, State};
use super::tree::{Entries, File, Inode, Kind};

/// What the disk says of its size. Small, so that the store's files are small too and come and go: copies and
/// snapshots are under way at cuts.
const DISK_BYTES: u64 = 16 * 1024 * 1024;
/// What it says is free, whatever it holds: full disks are another test's (`disks.rs`).
const FREE_BYTES: u64 = 12 * 1024 * 1024;
const BLOCK_BYTES: u64 = 4096;
/// Nobody else changes the files while they are mounted.
const KERNEL_REMEMBERS: Duration = Duration::from_secs(60);
const SOCKET: u32 = 0o140_000;
const FILE_TYPE: u32 = 0o170_000;

/// What is mounted.
#[derive(Debug)]
pub(crate) struct Mounted(pub(crate) Arc<Shared>);

impl Mounted {
    fn add(&self, parent: INodeNo, name: &OsStr, kind: Kind, mode: u32) -> Result<FileAttr, Errno> {
        let mut state = self.0.change(None)?;
        let inode = state.tree.add(parent.0, name, kind, mode & 0o7777).ok_or(Errno::ENOENT)?;
        attributes(&state, inode)
    }

    fn with_contents<T>(&self, inode: INodeNo, act: impl FnOnce(&mut Contents) -> T) -> Result<T, Errno> {
        Ok(act(self.0.change(None)?.tree.contents(inode.0).ok_or(Errno::ENOENT)?))
    }

    fn sync(&self, inode: Inode) -> Result<(), Errno> {
        let mut state = self.0.change(Some(inode))?;
        if !state.lies {
            state.tree.contents(inode).ok_or(Errno::ENOENT)?.sync();
        }
        Ok(())
    }
}

fn attributes(state: &State, inode: Inode) -> Result<FileAttr, Errno> {
    let File { kind, mode } = state.tree.file(inode).ok_or(Errno::ENOENT)?;
    let (kind, size) = match kind {
        Kind::File(contents) => (FileType::RegularFile, contents.length()),
        Kind::Directory(_) => (FileType::Directory, 0),
        Kind::Socket => (FileType::Socket, 0),
    };
    let time = SystemTime::UNIX_EPOCH;
    Ok(FileAttr {
        ino: INodeNo(inode),
        size,
        blocks: size.div_ceil(512),
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind,
        perm: *mode as u16,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: BLOCK_BYTES as u32,
        flags: 0,
    })
}

fn answer(reply: ReplyEmpty, result: Result<(), Errno>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

fn answer_entry(reply: ReplyEntry, result: Result<FileAttr, Errno>) {
    match result {
        Ok(attributes) => reply.entry(&KERNEL_REMEMBERS, &attributes, Generation(0)),
        Err(error) => reply.error(error),
    }
}

fn answer_attributes(reply: ReplyAttr, result: Result<FileAttr, Errno>) {
    match result {
        Ok(attributes) => reply.attr(&KERNEL_REMEMBERS, &attributes),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Mounted {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.0.look().and_then(|state| {
            let inode = state.tree.lookup(parent.0, name).ok_or(Errno::ENOENT)?;
            attributes(&state, inode)
        });
        answer_entry(reply, found);
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        answer_attributes(reply, self.0.look().and_then(|state| attributes(&state, inode.0)));
    }

    fn setattr(
        &self,
        _: &Request,
        inode: INodeNo,
        mode: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let set = self.0.change(None).and_then(|mut state| {
            if let Some(mode) = mode {
                state.tree.file_mut(inode.0).ok_or(Errno::ENOENT)?.mode = mode & 0o7777;
            }
            if let Some(size) = size {
                state.tree.contents(inode.0).ok_or(Errno::ENOENT)?.set_length(size);
            }
            attributes(&state, inode.0)
        });
        answer_attributes(reply, set);
    }

    fn mknod(&self, _: &Request, at: INodeNo, name: &OsStr, mode: u32, _: u32, _: u32, reply: ReplyEntry) {
        let kind = if mode & FILE_TYPE == SOCKET { Kind::Socket } else { Kind::File(Contents::default()) };
        answer_entry(reply, self.add(at, name, kind, mode));
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, _: u32, reply: ReplyEntry) {
        answer_entry(reply, self.add(parent, name, Kind::Directory(Entries::default()), mode));
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        match self.add(parent, name, Kind::File(Contents::default()), mode) {
            Ok(file) => {
                let (handle, flags) = (FileHandle(0), FopenFlags::empty());
                reply.created(&KERNEL_REMEMBERS, &file, Generation(0), handle, flags);
            }
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let removed =
            self.0.change(None).and_then(|mut state| state.tree.remove(parent.0, name).ok_or(Errno::ENOENT));
        answer(reply, removed);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if parent != new_parent || !flags.is_empty() {
            return reply.error(Errno::EXDEV);
        }
        let renamed = self
            .0
            .change(None)
            .and_then(|mut state| state.tree.rename(parent.0, name, new_name).ok_or(Errno::ENOENT));
        answer(reply, renamed);
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        bytes: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = self.0.look().and_then(|mut state| {
            let contents = state.tree.contents(inode.0).ok_or(Errno::ENOENT)?;
            Ok(contents.read(offset, bytes.into()))
        });
        match read {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        bytes: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.with_contents(inode, |contents| contents.write(offset, bytes)) {
            Ok(()) => reply.written(bytes.len() as u32),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, inode: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        answer(reply, self.sync(inode.0));
    }

    fn fsyncdir(&self, _: &Request, inode: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        let synced = self.0.change(None).and_then(|mut state| {
            if state.lies {
                return Ok(());
            }
            state.tree.sync_directory(inode.0).ok_or(Errno::ENOENT)
        });
        answer(reply, synced);
    }

    fn fallocate(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        bytes: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        if mode != 0 {
            return reply.error(Errno::EOPNOTSUPP);
        }
        let reserve = |contents: &mut Contents| {
            if offset + bytes > contents.length() {
                contents.set_length(offset + bytes);
            }
        };
        answer(reply, self.with_contents(inode, reserve));
    }

    fn opendir(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::empty());
    }

    fn readdir(&self, _: &Request, inode: INodeNo, _: FileHandle, from: u64, mut reply: ReplyDirectory) {
        let state = match self.0.look() {
            Ok(state) => state,
            Err(error) => return reply.error(error),
        };
        let Some(File { kind: Kind::Directory(entries), .. }) = state.tree.file(inode.0) else {
            return reply.error(Errno::ENOTDIR);
        };
        for (at, (name, inode)) in entries.names().iter().enumerate().skip(from as usize) {
            let Ok(attributes) = attributes(&state, *inode) else { continue };
            if reply.add(INodeNo(*inode), at as u64 + 1, attributes.kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        match self.0.look() {
            Ok(_) => {
                let [all, free] = [DISK_BYTES, FREE_BYTES].map(|bytes| bytes / BLOCK_BYTES);
                let block = BLOCK_BYTES as u32;
                reply.statfs(all, free, free, 1 << 20, 1 << 20, block, 255, block);
            }
            Err(error) => reply.error(error),
        }
    }
}
