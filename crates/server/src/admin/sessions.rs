//! `leveret session` at the admin socket: `session ls` for what is held here, `session ls {…}` and `session end
//! {…}` for what every node has (`session_surveys.rs`), and `session kill {"hid": …}` or
//! `session kill {"vhost": …, "database": …, "key": …}`.

use crossbeam_channel::bounded;
use leveret_cluster::NodeStatus;
use leveret_model::session::{Database, KeptAnswer};
use leveret_model::{NodeId, limits};
use leveret_sessions::{Bucket, HeldSession, Hid};
use leveret_shard::{SessionTarget, session_shard};
use serde_json::{Value, json};

use super::{Admin, document, no_answer};
use crate::session_sockets::ToSessions;
use crate::shard_thread::ToShardThread;

impl Admin {
    pub(super) fn session(&self, question: &str) -> Value {
        if self.facts.sessions.is_none() {
            return json!({ "error": "sessions are off on this node: start it with --session-listen" });
        }
        match question.split_once(' ').unwrap_or((question, "")) {
            ("ls", "") => self.list(),
            ("ls", text) => self.survey(text, false),
            ("end", text) => self.survey(text, true),
            ("kill", text) => match target(text) {
                Ok(target) => self.kill(target),
                Err(why) => json!({ "error": why }),
            },
            _ => {
                json!({ "error": format!("unknown request 'session {question}'; this node knows: ls, end, kill") })
            }
        }
    }

    /// All that are held here, a bucket at a time, so that a shard serves on between two.
    fn list(&self) -> Value {
        let names = match self.overview() {
            Some(overview) => overview.nodes,
            None => return no_answer("the control machine"),
        };
        let name_of = |held: &HeldSession| self.name_of(held.home.node, &names);
        let mut sessions = Vec::new();
        for bucket in (0..=u8::MAX).map(Bucket) {
            let (to, answer) = bounded(1);
            let shard = session_shard(bucket, self.shards.len() as u8);
            self.shards[usize::from(shard.0)].send(ToShardThread::Sessions(ToSessions::Held { bucket, to }));
            let Ok(held) = answer.recv_timeout(limits::ADMIN_WAIT) else {
                return no_answer(&format!("shard {}", shard.0));
            };
            sessions.extend(
                held.iter().map(|held| entry(held, &name_of(held), &document::whole(held.home.node))),
            );
        }
        json!({ "sessions": sessions })
    }

    pub(super) fn name_of(&self, node: NodeId, others: &[NodeStatus]) -> String {
        let other = others.iter().find(|other| other.node == node);
        other.map_or_else(|| self.facts.name.clone(), |node| node.name.to_string())
    }

    fn kill(&self, target: SessionTarget) -> Value {
        let (to, answer) = bounded(1);
        let shard = session_shard(target.bucket(), self.shards.len() as u8);
        self.shards[usize::from(shard.0)].send(ToShardThread::Sessions(ToSessions::Kill { target, to }));
        // as long as a request of a client waits, and a little
        match answer.recv_timeout(limits::SESSION_REQUEST_WAIT + limits::ADMIN_WAIT) {
            Ok(KeptAnswer::Integer(killed)) => json!({ "killed": killed }),
            Ok(KeptAnswer::Nil) => {
                json!({ "error": "this node does not hold that session: ask the node of its home, or name its key" })
            }
            Ok(_) => json!({ "error": "no node could say in time; try again" }),
            Err(_) => no_answer(&format!("shard {}", shard.0)),
        }
    }
}

pub(super) fn entry(held: &HeldSession, home: &str, home_id: &str) -> Value {
    json!({
        "hid": held.hid.to_string(), "vhost": &*held.vhost, "database": held.database.number(),
        "prefix": String::from_utf8_lossy(&held.prefix), "home": home, "home_id": home_id,
        "left_s": held.left_ms.map(|left| left / 1_000), "bytes": held.bytes, "used": held.is_used,
        "idle_s": held.idle_ms / 1_000,
        "user": held.user.as_ref().map(|user| String::from_utf8_lossy(user).into_owned()),
    })
}

fn target(text: &str) -> Result<SessionTarget, String> {
    let wrong = || "is neither {\"hid\": …} nor {\"vhost\": …, \"database\": …, \"key\": …}".to_owned();
    let target: Value = serde_json::from_str(text).map_err(|_| wrong())?;
    if let Some(hid) = target["hid"].as_str() {
        return Ok(SessionTarget::Hid(parse_hid(hid).ok_or("is no id: 32 hexadecimal digits")?));
    }
    let database = target["database"].as_u64().and_then(|number| u8::try_from(number).ok());
    let database = database.and_then(Database::new).ok_or_else(wrong)?;
    let (vhost, key) = (target["vhost"].as_str(), target["key"].as_str());
    let (vhost, key) = vhost.zip(key).ok_or_else(wrong)?;
    Ok(SessionTarget::Key { vhost: vhost.into(), database, key: key.as_bytes().into() })
}

pub(super) fn parse_hid(text: &str) -> Option<Hid> {
    let bits = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32)?;
    Some(Hid::from_bytes(bits.to_be_bytes()))
}
