//! The file of the last node's sessions (docs/formats/sessions.md §7): written at a clean stop, renamed away at
//! the next start, and used then if no other node is there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam_channel::bounded;
use leveret_model::{NodeId, limits};
use leveret_sessions::{Image, image_head};
use tracing::{error, info};

use crate::clock;
use crate::mailbox::MailTo;
use crate::session_sockets::ToSessions;
use crate::shard_thread::ToShardThread;

const FILE: &str = "sessions.img";
const NEW_FILE: &str = "sessions.img.new";
pub(crate) const USED_FILE: &str = "sessions.img.used";

/// Where it is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) data_dir: PathBuf,
    pub(crate) node: NodeId,
}

impl Place {
    /// Writes what all shards keep. Nothing is written if that is nothing.
    pub(crate) fn write(&self, shards: &[MailTo<ToShardThread>]) {
        let mut records = Vec::new();
        let mut count = 0;
        for shard in shards {
            let (to, told) = bounded(1);
            shard.send(ToShardThread::Sessions(ToSessions::Image { to }));
            let Ok((bytes, more)) = told.recv_timeout(limits::SESSION_LEAVE_WITHIN) else {
                return error!("sessions are lost: a shard did not give them for their image");
            };
            records.extend_from_slice(&bytes);
            count += more;
        }
        if count == 0 {
            return;
        }
        let head = image_head(clock::unix_ms() as i64, self.node, count);
        match write(&self.data_dir, &head, &records) {
            Ok(()) => info!(records = count, "sessions are in {FILE}: no other node is there"),
            Err(error) => error!(%error, "sessions are lost: {FILE} cannot be written"),
        }
    }

    /// Renames the file of an earlier start away and reads it. `None`: there is none that can be used.
    pub(crate) fn take(&self) -> Option<Arc<[u8]>> {
        let used = self.data_dir.join(USED_FILE);
        match fs::rename(self.data_dir.join(FILE), &used) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                error!(%error, "{FILE} is not used: it cannot be renamed");
                return None;
            }
        }
        let bytes = sync_directory(&self.data_dir).and_then(|()| fs::read(&used));
        let bytes = bytes.map_err(|error| error!(%error, "{USED_FILE} cannot be read")).ok()?;
        if let Err(error) = Image::read(&bytes) {
            error!(%error, "sessions of the last stop are not used: their image, now {USED_FILE}, is damaged");
            return None;
        }
        Some(bytes.into())
    }
}

/// Write, sync, rename, sync of the directory: a crash at any point leaves no file or a whole one.
fn write(data_dir: &Path, head: &[u8], records: &[u8]) -> io::Result<()> {
    let new = data_dir.join(NEW_FILE);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(head)?;
    file.write_all(records)?;
    file.sync_all()?;
    fs::rename(&new, data_dir.join(FILE))?;
    sync_directory(data_dir)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
