//! What a request has changed, as a `SESSION.COMMIT`.

use std::collections::BTreeMap;

use redis::{Cmd, Value};
use time::OffsetDateTime;
use tower_sessions_core::session::{Id, Record};
use tower_sessions_core::session_store::{Error, Result};

use crate::loaded::{Loaded, RESERVED_KEY, digest, text};

/// The changes of a record since it was loaded.
pub(crate) struct Commit {
    base: Option<Loaded>,
    now: BTreeMap<String, Vec<u8>>,
    left_ms: i64,
    /// The same for each repeat, so that the commit is applied once.
    id: String,
}

impl Commit {
    pub(crate) fn new(record: &Record) -> Result<Self> {
        let mut now = BTreeMap::new();
        for (name, value) in record.data.iter().filter(|(name, _)| *name != RESERVED_KEY) {
            let bytes = serde_json::to_vec(value).map_err(|error| Error::Encode(error.to_string()))?;
            now.insert(name.clone(), bytes);
        }
        let left = record.expiry_date - OffsetDateTime::now_utc();
        let left_ms = i64::try_from(left.whole_milliseconds()).unwrap_or(i64::MAX).max(1);
        // the ids of sessions are random too
        Ok(Self { base: Loaded::of(record), now, left_ms, id: Id::default().to_string() })
    }

    /// True if it was cleared: nobody knows any more what the session held.
    pub(crate) fn is_cleared(&self) -> bool {
        self.base.is_none()
    }

    /// For a session that is there, or a new one.
    pub(crate) fn command(&self, key: &str, is_new: bool) -> Cmd {
        let token = self.base.as_ref().map_or("", |base| &base.token);
        let mut command = self.begin(key, token);
        if is_new {
            command.arg("NEW");
        }
        let removed = self.base.iter().flat_map(|base| base.digests.keys());
        let removed: Vec<_> = removed.filter(|name| !self.now.contains_key(*name)).collect();
        command.arg("DEL").arg(removed.len()).arg(removed);
        command
    }

    /// For one that was cleared: what it had under this token goes, but for what is set now.
    pub(crate) fn replace_command(&self, key: &str, token: &str) -> Cmd {
        let mut command = self.begin(key, token);
        command.arg("REPLACE");
        command
    }

    fn begin(&self, key: &str, token: &str) -> Cmd {
        let mut command = redis::cmd("SESSION.COMMIT");
        command.arg(key).arg(token).arg(&self.id);
        command.arg("PX").arg(self.left_ms);
        let changed: Vec<_> = self.now.iter().filter(|(name, bytes)| self.has_changed(name, bytes)).collect();
        command.arg("SET").arg(changed.len());
        for (name, bytes) in changed {
            command.arg(name).arg(&bytes[..]);
        }
        command
    }

    fn has_changed(&self, name: &str, bytes: &[u8]) -> bool {
        self.base.as_ref().and_then(|base| base.digests.get(name)) != Some(&digest(bytes))
    }

    /// What the request holds once this was answered with a token.
    pub(crate) fn loaded(&self, token: String) -> Loaded {
        Loaded {
            token,
            digests: self.now.iter().map(|(name, bytes)| (name.clone(), digest(bytes))).collect(),
        }
    }
}

/// The token of a commit's answer.
pub(crate) fn token(answer: &Value) -> Option<String> {
    match answer {
        Value::Array(items) => items.first().and_then(text),
        _ => None,
    }
}
