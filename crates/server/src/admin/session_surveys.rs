//! `session ls {…}` and `session end {…}` at the admin socket: sessions of every node, a bucket at a time.
//!
//! ```text
//!   {"part": 0 to 15, "hid"?: …, "prefix"?: …, "user"?: …, "idle_s"?: …, "rows"?: 50}
//! ```
//! A question is about one part of the buckets, so that its answer comes soon, however many sessions there are;
//! the client asks for each part in turn. One that names an id is about that session's bucket alone.

use crossbeam_channel::bounded;
use leveret_cluster::{NodeStatus, Standing};
use leveret_model::limits;
use leveret_sessions::{Bucket, Hid};
use leveret_shard::{SessionSelection, SessionSurvey, SessionTally, session_shard};
use serde_json::{Value, json};

use super::sessions::{entry, parse_hid};
use super::{Admin, document, no_answer};
use crate::session_sockets::ToSessions;
use crate::shard_thread::ToShardThread;

impl Admin {
    pub(super) fn survey(&self, text: &str, ends: bool) -> Value {
        let (buckets, mut survey) = match question(text, ends) {
            Ok(question) => question,
            Err(why) => return json!({ "error": why }),
        };
        let others = match self.overview() {
            Some(overview) => overview.nodes,
            None => return no_answer("the control machine"),
        };
        let wanted = usize::from(survey.rows);
        let mut all = SessionTally::default();
        for bucket in buckets {
            survey.rows = (wanted - all.rows.len().min(wanted)) as u16;
            let (to, answer) = bounded(1);
            let shard = session_shard(bucket, self.shards.len() as u8);
            let mail = ToSessions::Survey { bucket, survey: survey.clone(), to };
            self.shards[usize::from(shard.0)].send(ToShardThread::Sessions(mail));
            let Ok(tally) = answer.recv_timeout(limits::SESSION_REQUEST_WAIT + limits::ADMIN_WAIT) else {
                return no_answer(&format!("shard {}, or a node that it asked,", shard.0));
            };
            all.found += tally.found;
            all.ended += tally.ended;
            all.failed += tally.failed;
            all.rows.extend(tally.rows);
            all.silent.extend(tally.silent);
        }
        all.rows.truncate(wanted);
        let is_down = |node: &&NodeStatus| matches!(node.standing, Standing::Down { .. });
        all.silent.extend(others.iter().filter(is_down).map(|node| node.node));
        all.silent.sort_unstable();
        all.silent.dedup();
        let silent: Vec<String> = all.silent.iter().map(|node| self.name_of(*node, &others)).collect();
        let row = |held| {
            let held: &leveret_sessions::HeldSession = held;
            entry(held, &self.name_of(held.home.node, &others), &document::whole(held.home.node))
        };
        let rows: Vec<Value> = all.rows.iter().map(row).collect();
        json!({
            "found": all.found, "ended": all.ended, "failed": all.failed, "silent": silent, "sessions": rows,
        })
    }
}

/// The buckets that it is about, and what is asked of each.
fn question(text: &str, ends: bool) -> Result<(Vec<Bucket>, SessionSurvey), String> {
    let question: Value = serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))?;
    let bytes = |name: &str| question[name].as_str().map(|text| text.as_bytes().into());
    let hid = match question["hid"].as_str() {
        Some(hid) => Some(parse_hid(hid).ok_or("is no id: 32 hexadecimal digits")?),
        None => None,
    };
    let part = question["part"].as_u64().unwrap_or_default();
    let parts = u64::from(limits::SESSION_PARTS);
    let of_part = |bucket: &Bucket| hid.is_none() && u64::from(bucket.0) % parts == part;
    let buckets = (0..=u8::MAX).map(Bucket).filter(of_part).chain(hid.map(Hid::bucket));
    let selection = SessionSelection {
        hid,
        prefix: bytes("prefix"),
        user: bytes("user"),
        idle_ms: question["idle_s"].as_u64().map(|idle| idle.saturating_mul(1_000)),
    };
    let rows = question["rows"].as_u64().map_or(0, |rows| u16::try_from(rows).unwrap_or(u16::MAX));
    Ok((buckets.collect(), SessionSurvey { selection, ends, rows }))
}
