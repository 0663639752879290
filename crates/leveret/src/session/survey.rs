//! Questions about sessions of every node: the node that is asked asks the others.

use std::path::Path;

use anyhow::{Context as _, bail};
use leveret_model::limits::{SESSION_ADMIN_WAIT, SESSION_PARTS};
use serde::Deserialize;
use serde_json::json;

use crate::status::{ask, read};

/// Which sessions are meant: those for which every part that is there holds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Selection<'a> {
    pub(super) hid: Option<&'a str>,
    pub(super) prefix: Option<&'a str>,
    pub(super) user: Option<&'a str>,
    pub(super) idle_s: Option<u64>,
}

/// A session as a node tells of it.
#[derive(Debug, Default, Deserialize, serde::Serialize)]
#[serde(default)]
pub(super) struct Session {
    pub(super) hid: String,
    pub(super) vhost: String,
    pub(super) database: u8,
    pub(super) prefix: String,
    pub(super) home: String,
    pub(super) left_s: Option<u64>,
    pub(super) idle_s: u64,
    pub(super) bytes: u64,
    pub(super) used: bool,
    pub(super) user: Option<String>,
}

/// What all nodes answered.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Found {
    pub(super) found: u64,
    pub(super) ended: u64,
    pub(super) failed: u64,
    pub(super) sessions: Vec<Session>,
    /// Names of nodes that could not be asked.
    pub(super) silent: Vec<String>,
}

impl Found {
    /// An error that names the nodes that could not be asked.
    pub(super) fn fail_if_silent(&self, what: &str) -> anyhow::Result<()> {
        if self.silent.is_empty() {
            return Ok(());
        }
        let names = self.silent.join(", ");
        bail!("not reached, and perhaps {what}: {names}; `leveret forget` a node that will not come back")
    }
}

/// An id of the list.
pub(super) fn is_hid(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Asks (`ls`) or ends (`end`): a part of the sessions after the other, so that each answer comes soon.
pub(super) fn survey(
    data_dir: &Path,
    verb: &str,
    selection: &Selection<'_>,
    rows: usize,
) -> anyhow::Result<Found> {
    let mut all = Found::default();
    let parts = if selection.hid.is_some() { 1 } else { SESSION_PARTS };
    for part in 0..parts {
        let Selection { hid, prefix, user, idle_s } = selection;
        let rows = rows.saturating_sub(all.sessions.len());
        let question = json!({
            "part": part, "hid": hid, "prefix": prefix, "user": user, "idle_s": idle_s, "rows": rows,
        });
        let answer = read(&ask(data_dir, &format!("session {verb} {question}"), SESSION_ADMIN_WAIT)?)?;
        let mut found: Found = serde_json::from_value(answer).context("the node's answer is no list")?;
        all.found += found.found;
        all.ended += found.ended;
        all.failed += found.failed;
        all.sessions.append(&mut found.sessions);
        all.silent.append(&mut found.silent);
    }
    all.silent.sort_unstable();
    all.silent.dedup();
    Ok(all)
}
