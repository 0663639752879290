//! Who a node is, over its starts: a small file in the data directory.
//!
//! ```text
//!   leveret identity 1
//!   node 0123456789abcdef0123456789abcdef     drawn once, with the file
//!   incarnation 3                             starts so far, this one included
//!   crc32c 1b2c3d4e                           of the lines above
//! ```
//! Invariants: an incarnation is on the disk before anybody hears of it, so two starts never share one unless
//! the directory was copied or put back; an identity that cannot be read is never replaced by a new one,
//! because the node would come back as a stranger and its old self would stay Down; no file means a new member.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use leveret_model::{Incarnation, NodeId, limits};

use crate::start_error::StartError;

const FILE: &str = "identity";
/// Written first, then renamed. What a crash leaves of it is overwritten by the next start.
const NEW_FILE: &str = "identity.new";
const HEAD: &str = "leveret identity 1";

/// The node and which start of it this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeIdentity {
    pub(crate) node: NodeId,
    pub(crate) incarnation: Incarnation,
}

/// Counts one start more, or makes an identity in a directory that has none. When this returns, the number is
/// on the disk. The caller holds the lock of the directory.
///
/// # Errors
/// [`StartError::Identity`] if the file is damaged or of a later version, [`StartError::DataDir`] if it cannot
/// be read or written. What was there is there still.
pub(crate) fn count_start(
    data_dir: &Path,
    draw: impl FnOnce() -> NodeId,
) -> Result<NodeIdentity, StartError> {
    let wrong = |error| StartError::DataDir { path: data_dir.to_owned(), error };
    let identity = match read(data_dir)? {
        Some(last) => {
            let next = last.incarnation.0.checked_add(1).expect("a node starts fewer than 2^64 times");
            NodeIdentity { incarnation: Incarnation(next), ..last }
        }
        None => NodeIdentity { node: draw(), incarnation: Incarnation(1) },
    };
    write(data_dir, identity).map_err(wrong)?;
    Ok(identity)
}

fn read(data_dir: &Path) -> Result<Option<NodeIdentity>, StartError> {
    let path = data_dir.join(FILE);
    let text = match fs::metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Ok(metadata) if metadata.len() > limits::IDENTITY_BYTES_MAX => Vec::new(),
        _ => fs::read(&path).map_err(|error| StartError::DataDir { path: data_dir.to_owned(), error })?,
    };
    parse(&text).map(Some).map_err(|why| StartError::Identity { path, why })
}

fn parse(bytes: &[u8]) -> Result<NodeIdentity, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is damaged")?;
    let (body, sum) = text.rsplit_once("crc32c ").ok_or("it is damaged")?;
    if sum != format!("{:08x}\n", crc32c::crc32c(body.as_bytes())) {
        return Err("it is damaged");
    }
    let mut lines = body.lines();
    if lines.next() != Some(HEAD) {
        return Err("a later version of leveret wrote it");
    }
    let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
    let node = field("node").and_then(|digits| u128::from_str_radix(digits, 16).ok());
    let incarnation = field("incarnation").and_then(|digits| digits.parse().ok());
    let node = node.map(NodeId).ok_or("it is damaged")?;
    Ok(NodeIdentity { node, incarnation: Incarnation(incarnation.ok_or("it is damaged")?) })
}

/// Write, sync, rename, sync of the directory: a crash at any point leaves the old file or the new one whole.
/// An error says which of these the file system does not do.
fn write(data_dir: &Path, identity: NodeIdentity) -> io::Result<()> {
    let body = format!("{HEAD}\nnode {:032x}\nincarnation {}\n", identity.node.0, identity.incarnation.0);
    let text = format!("{body}crc32c {:08x}\n", crc32c::crc32c(body.as_bytes()));
    let new: PathBuf = data_dir.join(NEW_FILE);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&new).map_err(failed("making", &new))?;
    file.write_all(text.as_bytes()).map_err(failed("writing", &new))?;
    file.sync_all().map_err(failed("fsync of", &new))?;
    let place = data_dir.join(FILE);
    fs::rename(&new, &place).map_err(failed("renaming a file to", &place))?;
    sync_directory(data_dir)?;
    // the directory may have been made by this start: its own name has to outlive a power cut too
    match data_dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_directory(parent),
        _ => Ok(()),
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(failed("fsync of", path))
}

/// The system's word for what failed, with what that was.
fn failed(deed: &str, path: &Path) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{deed} {} fails: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn never() -> NodeId {
        panic!("the directory has an identity")
    }

    #[test]
    fn an_identity_is_made_once_and_each_start_counts() {
        let directory = tempfile::tempdir().unwrap();
        let first = count_start(directory.path(), || NodeId(7)).unwrap();
        assert_eq!(first, NodeIdentity { node: NodeId(7), incarnation: Incarnation(1) });
        for incarnation in 2..5 {
            let next = count_start(directory.path(), never).unwrap();
            assert_eq!(next, NodeIdentity { node: NodeId(7), incarnation: Incarnation(incarnation) });
        }
    }

    #[test]
    fn what_a_crash_left_of_a_write_does_no_harm() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(NEW_FILE), "leveret ide").unwrap();
        assert_eq!(count_start(directory.path(), || NodeId(7)).unwrap().incarnation, Incarnation(1));
        fs::write(directory.path().join(NEW_FILE), "").unwrap();
        assert_eq!(count_start(directory.path(), never).unwrap().incarnation, Incarnation(2));
    }

    #[test]
    fn a_damaged_identity_is_refused_and_stays_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        count_start(directory.path(), || NodeId(7)).unwrap();
        let path = directory.path().join(FILE);
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            let error = count_start(directory.path(), never).unwrap_err().to_string();
            assert!(error.contains("identity") && error.contains("damaged"), "byte {at}: {error}");
            assert_eq!(fs::read(&path).unwrap(), bad);
        }
        for length in 0..good.len() {
            fs::write(&path, &good[..length]).unwrap();
            assert!(count_start(directory.path(), never).is_err(), "{length} bytes");
        }
        fs::write(&path, vec![b'0'; 100_000]).unwrap();
        assert!(count_start(directory.path(), never).is_err());
    }

    #[test]
    fn an_identity_of_a_later_version_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let body = "leveret identity 2\nnode 07\nincarnation 1\n";
        let text = format!("{body}crc32c {:08x}\n", crc32c::crc32c(body.as_bytes()));
        fs::write(directory.path().join(FILE), text).unwrap();
        let error = count_start(directory.path(), never).unwrap_err().to_string();
        assert!(error.contains("later version"), "{error}");
    }
}
