//! A store's directory that is only read.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use leveret_model::limits::LOG_SEGMENT_BYTES;
use leveret_model::{Position, QueueId, Seed};
use leveret_server::disk::{Files, recover, stored_name};
use leveret_store::{Inspection, QueueOnDisk, ReadAnswer, ReadId, ReadRequest, RecoveryTerms};
use rustix::fs::{FlockOperation, flock};

/// Directory of the store in a node's data directory.
const STORE_DIRECTORY: &str = "store";

/// What was found in a directory.
pub(super) struct Directory {
    files: Files,
    inspection: Inspection,
}

impl Directory {
    /// Reads everything but the messages.
    pub(super) fn open(data_dir: &Path) -> anyhow::Result<Self> {
        let path = store_in(data_dir)?;
        if is_locked(data_dir) {
            eprintln!(
                "leveret: a node runs in {}: what it writes meanwhile may look like damage; stop it for a true answer",
                data_dir.display()
            );
        }
        let files = Files::open(&path, true).with_context(|| format!("{}", path.display()))?;
        let terms = RecoveryTerms { store: None, seed: Seed(0), log_segment_bytes: LOG_SEGMENT_BYTES };
        match recover(&files, terms, true) {
            Ok(recovered) => Ok(Self { files, inspection: Inspection::new(recovered) }),
            Err(refusal) => bail!("{}: {refusal}", path.display()),
        }
    }

    /// Reports that were made before any message was read.
    pub(super) fn reports(&self) -> Vec<String> {
        let contents = self.inspection.contents();
        let mut reports: Vec<String> = contents.reports().map(ToString::to_string).collect();
        if contents.reports_beyond() > 0 {
            reports.push(format!("{} reports more", contents.reports_beyond()));
        }
        reports
    }

    /// Durable queues, by age.
    pub(super) fn queues(&self) -> Vec<QueueOnDisk> {
        let contents = self.inspection.contents();
        contents.queues().into_iter().filter_map(|queue| contents.queue(queue)).collect()
    }

    /// How many registers and tombstones there are.
    pub(super) fn registers(&self) -> usize {
        self.inspection.contents().registers().count()
    }

    /// The messages of a queue from a position on, as many as one read gives.
    pub(super) fn read(&mut self, queue: QueueId, first: Position) -> ReadAnswer {
        let last = Position(u64::MAX);
        self.inspection.read(ReadRequest { id: ReadId(0), queue, spilled: false, first, last });
        let mut ops = Vec::new();
        loop {
            self.inspection.poll(&mut ops);
            for op in ops.drain(..) {
                let done = self.files.execute(&op);
                self.inspection.on_done(&done);
            }
            if let Some(answer) = self.inspection.take_answers().pop() {
                return answer;
            }
        }
    }
}

/// The store within a data directory; the store itself may be named, too.
fn store_in(data_dir: &Path) -> anyhow::Result<PathBuf> {
    let within = data_dir.join(STORE_DIRECTORY);
    for path in [within, data_dir.to_owned()] {
        match std::fs::read_dir(&path) {
            Ok(entries) => {
                let mut names =
                    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
                if names.any(|name| name.starts_with("snapshot-") || name.starts_with("log-")) {
                    return Ok(path);
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("{}", path.display())),
        }
    }
    bail!("{} holds no store; name the data directory of a node", data_dir.display())
}

/// True if a process holds the data directory.
fn is_locked(data_dir: &Path) -> bool {
    let Ok(lock) = File::open(data_dir.join("lock")) else { return false };
    flock(&lock, FlockOperation::NonBlockingLockShared).is_err()
}

/// Vhost and name of a queue for people. Of a definition that this version cannot read, what is text in it
/// stands for the name.
pub(super) fn name_of(queue: &QueueOnDisk) -> (String, String) {
    let Some(definition) = queue.definition.as_deref() else { return (String::new(), "unknown".to_owned()) };
    let name = |name: &str| name.escape_debug().to_string();
    stored_name(definition).map_or_else(
        || (String::new(), readable(definition)),
        |(vhost, queue)| (name(vhost.as_str()), name(queue.as_str())),
    )
}

fn readable(definition: &[u8]) -> String {
    let text: String = definition
        .iter()
        .map(|&byte| if (b' '..=b'~').contains(&byte) { char::from(byte) } else { ' ' })
        .collect();
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}
