//! The data directory: one process's, for the user only; and the admin socket in it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::admin;
use crate::start_error::StartError;

/// One process for each data directory: a lock that the kernel drops with the process.
pub(crate) fn lock_data_dir(path: &Path) -> Result<File, StartError> {
    let wrong = |error| StartError::DataDir { path: path.to_owned(), error };
    // what is not there yet is for the user only; a directory that is there keeps its owner's choice
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| match error.kind() {
        // what the system says of that sounds as if all were well
        io::ErrorKind::AlreadyExists => wrong(io::Error::new(error.kind(), "it is a file, not a directory")),
        _ => wrong(error),
    })?;
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path.join("lock"))
        .map_err(wrong)?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut pid = String::new();
        let _ = file.read_to_string(&mut pid);
        let who = pid.trim();
        let who = if who.is_empty() { String::new() } else { format!(" (process {who})") };
        return Err(StartError::InUse(path.to_owned(), who));
    }
    file.set_len(0).and_then(|()| file.rewind()).map_err(wrong)?;
    writeln!(file, "{}", std::process::id()).map_err(wrong)?;
    Ok(file)
}

pub(crate) fn open_admin(data_dir: &Path) -> Result<(AdminSocket, StdUnixListener), StartError> {
    let wrong = |error| StartError::DataDir { path: data_dir.to_owned(), error };
    let path = data_dir.join("admin.sock");
    // We hold the lock: a socket that lies here is a dead process's.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(wrong(error)),
        _ => {}
    }
    let listener = admin::listen(&path).map_err(wrong)?;
    let socket = AdminSocket(path);
    fs::set_permissions(&socket.0, std::os::unix::fs::PermissionsExt::from_mode(0o600)).map_err(wrong)?;
    Ok((socket, listener))
}

/// The admin socket's file, which goes with the node however it ends.
#[derive(Debug)]
pub(crate) struct AdminSocket(pub(crate) PathBuf);

impl Drop for AdminSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_file_is_no_data_directory() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = lock_data_dir(file.path()).unwrap_err().to_string();
        assert!(error.contains("cannot be used: it is a file, not a directory"), "{error}");
    }

    #[test]
    fn a_data_directory_that_is_made_is_for_the_user_only() {
        let there = tempfile::tempdir().unwrap();
        let made = there.path().join("a/b");
        let _lock = lock_data_dir(&made).unwrap();
        for path in [made.parent().unwrap(), &made] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }
}
