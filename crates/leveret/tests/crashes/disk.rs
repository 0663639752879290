//! A disk that loses what was not synced, mounted as a file system. Read first: [`LossyDisk`], then
//! [`Power`].
//!
//! A power cut has two parts. When the power goes off, in front of an operation, that one and all after it
//! fail, and nothing reaches the disk any more. Then the process is killed, the file system is taken down (the
//! kernel's pages of it go too), and what was not synced is lost by a seed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use fuser::{BackgroundSession, Config, Errno, MountOption};
use leveret_model::SplitMix;
use tempfile::TempDir;

use super::mounted::Mounted;
use super::node::PATIENCE;
use super::tree::{Inode, Loss, Tree};

/// When the power goes off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Power {
    /// Not yet.
    On,
    /// In front of the change or sync after so many.
    OffAfter(u64),
    /// In front of a sync of a file that has something to sync.
    OffAtSync,
    Off,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) tree: Tree,
    power: Power,
    /// Says that it synced, and did not.
    pub(crate) lies: bool,
    /// Changes and syncs so far.
    changes: u64,
}

#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    went_off: Condvar,
}

/// The disk, mounted or not.
#[derive(Debug)]
pub(crate) struct LossyDisk {
    shared: Arc<Shared>,
    session: Option<BackgroundSession>,
    mount_point: TempDir,
}

impl LossyDisk {
    /// An empty one, mounted.
    pub(crate) fn mount() -> io::Result<Self> {
        let state = State { tree: Tree::new(), power: Power::On, lies: false, changes: 0 };
        let shared = Arc::new(Shared { state: Mutex::new(state), went_off: Condvar::new() });
        let mut disk = Self { shared, session: None, mount_point: tempfile::tempdir()? };
        disk.mount_again()?;
        Ok(disk)
    }

    fn mount_again(&mut self) -> io::Result<()> {
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("lossy".to_owned()), MountOption::NoAtime];
        let mounted = Mounted(Arc::clone(&self.shared));
        self.session = Some(fuser::spawn_mount(mounted, self.mount_point.path(), &config)?);
        Ok(())
    }

    /// A directory on it that is not there at first.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.mount_point.path().join("data")
    }

    pub(crate) fn path(&self) -> &Path {
        self.mount_point.path()
    }

    pub(crate) fn set_power(&self, power: Power) {
        self.shared.lock().power = power;
    }

    pub(crate) fn set_lies(&self, lies: bool) {
        self.shared.lock().lies = lies;
    }

    /// Changes and syncs so far.
    pub(crate) fn changes(&self) -> u64 {
        self.shared.lock().changes
    }

    /// Waits until the power is off.
    pub(crate) fn wait_until_off(&self) {
        let is_on = |state: &mut State| state.power != Power::Off;
        let waited = self.shared.went_off.wait_timeout_while(self.shared.lock(), PATIENCE, is_on);
        let (_state, timeout) = waited.expect("nobody panics with it");
        assert!(!timeout.timed_out(), "nobody writes");
    }

    /// Takes what was not synced, by a seed, of which so many percent are kept. Whoever used the files is gone.
    pub(crate) fn cut_power(&mut self, kept_percent: u64, random: &mut SplitMix) -> Loss {
        // whatever ended a bit earlier than the power writes nothing any more either
        self.set_power(Power::Off);
        let session = self.session.take().expect("it is mounted");
        session.umount_and_join().expect("nobody uses it any more");
        let loss = self.shared.lock().tree.cut_power(kept_percent, random);
        self.set_power(Power::On);
        self.mount_again().expect("it was mounted before");
        loss
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }

    /// The state, unless the power is off.
    pub(crate) fn look(&self) -> Result<MutexGuard<'_, State>, Errno> {
        let state = self.lock();
        if state.power == Power::Off { Err(Errno::EIO) } else { Ok(state) }
    }

    /// The same for a change or a sync, in front of which the power may go off.
    pub(crate) fn change(&self, synced: Option<Inode>) -> Result<MutexGuard<'_, State>, Errno> {
        let mut state = self.look()?;
        state.changes += 1;
        let goes_off = match &mut state.power {
            Power::OffAfter(0) => true,
            Power::OffAfter(left) => {
                *left -= 1;
                false
            }
            Power::OffAtSync => synced.is_some_and(|inode| {
                state.tree.contents(inode).is_some_and(|contents| !contents.is_synced())
            }),
            Power::On | Power::Off => false,
        };
        if goes_off {
            state.power = Power::Off;
            self.went_off.notify_all();
            return Err(Errno::EIO);
        }
        Ok(state)
    }
}
