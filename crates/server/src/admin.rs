//! The admin socket: one line in, one JSON document out, then the end.
//!
//! It has threads of its own, so that whoever asks costs the control machine and the shards one page of queues
//! and connections at a time and never a whole document: a node that is looked at keeps its lease.

mod document;
mod leaving;
mod load;
mod policies;
mod queues;
mod session_surveys;
mod sessions;
mod settings_json;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::{io, thread};

use crossbeam_channel::{Receiver, Sender, bounded};
use leveret_cluster::{ForgetRefusal, NodeStatus, QueueStatus, UnknownKind};
use leveret_model::policy::Policy;
use leveret_model::{NodeId, QueueId, limits};
use leveret_shard::{ReportFrom, ShardReport};
use serde_json::{Value, json};
use tracing::debug;

use crate::busy::BusyShares;
use crate::control_thread::ToControl;
use crate::leave_desk::AskLeave;
use crate::mailbox::MailTo;
use crate::memory::NodeMemory;
use crate::registries::Statuses;
use crate::shard_thread::ToShardThread;

pub(crate) use document::NodeFacts;
use load::Load;

/// The socket, where nothing lies. The system's own words for a path that is too long name a constant of its
/// headers.
pub(crate) fn listen(path: &Path) -> io::Result<UnixListener> {
    UnixListener::bind(path).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput => {
            io::Error::new(error.kind(), "the path is too long: with `/admin.sock` it may have 107 bytes")
        }
        _ => error,
    })
}

/// How far a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeState {
    /// No client is let in yet.
    Joining,
    Ready,
    /// No client is let in any more, and queues go to other nodes.
    Leaving,
    /// Another process has this node's identity: it serves nothing any more.
    Stopped,
}

/// What the control machine tells, a page of queues at a time.
#[derive(Debug)]
pub(crate) struct Overview {
    pub(crate) state: NodeState,
    pub(crate) nodes: Vec<NodeStatus>,
    pub(crate) queues: Vec<QueueStatus>,
    /// Queues of this node that lost their names since its start: what they are called now, and what they were.
    pub(crate) renamed: Vec<(String, String)>,
    pub(crate) policies: Vec<Arc<Policy>>,
    /// Records that only a later version can act on, by kind.
    pub(crate) unknown_records: Vec<(UnknownKind, usize)>,
    /// No other node is known, but somebody answered: in words.
    pub(crate) why_alone: Option<String>,
}

/// What a shard tells, a page of queues and connections at a time, and where the next page begins.
pub(crate) type ShardPage = (ShardReport, Option<ReportFrom>);

/// Whom to ask.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    pub(crate) facts: Arc<NodeFacts>,
    pub(crate) memory: Arc<NodeMemory>,
    pub(crate) busy: Arc<BusyShares>,
    pub(crate) control: MailTo<ToControl>,
    pub(crate) shards: Vec<MailTo<ToShardThread>>,
    /// To whoever runs the node.
    pub(crate) leave: AskLeave,
    pub(crate) statuses: Arc<Statuses>,
}

impl Admin {
    /// Starts the thread that takes askers. It ends when the listener is shut down.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start(self, listener: UnixListener) -> io::Result<()> {
        let (leave, places) = bounded(limits::ADMIN_CONNECTIONS_MAX);
        for _ in 0..limits::ADMIN_CONNECTIONS_MAX {
            let _ = leave.try_send(());
        }
        let accept = move || self.accept(&listener, &leave, &places);
        thread::Builder::new().name("admin".into()).spawn(accept)?;
        Ok(())
    }

    /// A thread for each asker; at the bound the next one waits until a deadline frees a place.
    fn accept(&self, listener: &UnixListener, leave: &Sender<()>, places: &Receiver<()>) {
        while places.recv().is_ok() {
            let Ok((stream, _)) = listener.accept() else { return };
            let (admin, leave_now) = (self.clone(), leave.clone());
            let work = move || {
                if let Err(error) = admin.serve(&stream) {
                    debug!(%error, "an admin connection ended");
                }
                let _ = leave_now.try_send(());
            };
            if thread::Builder::new().name("admin-asker".into()).spawn(work).is_err() {
                let _ = leave.try_send(());
            }
        }
    }

    fn serve(&self, mut stream: &UnixStream) -> io::Result<()> {
        stream.set_read_timeout(Some(limits::ADMIN_WAIT))?;
        stream.set_write_timeout(Some(limits::ADMIN_WAIT))?;
        let mut line = String::new();
        BufReader::new(stream.take(limits::ADMIN_REQUEST_BYTES_MAX as u64)).read_line(&mut line)?;
        let answer = match line.trim() {
            "" => return Ok(()),
            "status" => self.status(),
            "rebalance" => {
                self.control.send(ToControl::Rebalance);
                json!({ "rebalancing": true })
            }
            line if line == "leave" || line.starts_with("leave ") => {
                return self.serve_leave(line["leave".len()..].trim(), stream);
            }
            line => match line.split_once(' ').unwrap_or((line, "")) {
                ("forget", node) => self.forget(node.trim()),
                ("session", question) => self.session(question),
                ("policy", question) => self.policy(question),
                ("queue", question) => self.queue(question),
                _ => {
                    let known = "this node knows: status, leave SECONDS [follow|wait], leave cancel, rebalance, forget NODE, session, policy, queue";
                    json!({ "error": format!("unknown request '{line}'; {known}") })
                }
            },
        };
        let mut answer = answer.to_string().into_bytes();
        answer.push(b'\n');
        stream.write_all(&answer)
    }

    fn status(&self) -> Value {
        let (reports, overview) = match self.reports().and_then(|reports| Ok((reports, self.overview_or()?)))
        {
            Ok(all) => all,
            Err(silent) => return silent,
        };
        let load = Load::of(&reports, (self.memory.used(), self.memory.limit()), &self.busy);
        document::of(&self.facts, (&self.memory, load), &reports, &overview, &self.statuses.all())
    }

    /// What all shards tell; else which one is silent.
    fn reports(&self) -> Result<Vec<ShardReport>, Value> {
        let each = self.shards.iter().enumerate();
        each.map(|(index, shard)| report_of(shard).ok_or_else(|| no_answer(&format!("shard {index}"))))
            .collect()
    }

    fn overview_or(&self) -> Result<Overview, Value> {
        self.overview().ok_or_else(|| no_answer("the control machine"))
    }

    /// Forgets a node for good, by its name or the beginning of its id.
    fn forget(&self, wanted: &str) -> Value {
        let Some(overview) = self.overview() else { return no_answer("the control machine") };
        let id = |node: NodeId| format!("{:032x}", node.0);
        let named = |node: &&NodeStatus| {
            node.name.as_str() == wanted || (wanted.len() >= 8 && id(node.node).starts_with(wanted))
        };
        let found: Vec<&NodeStatus> = overview.nodes.iter().filter(named).collect();
        let [node] = *found.as_slice() else {
            let what = if found.is_empty() { "no other node" } else { "more than one node" };
            let text = format!("{what} is called '{wanted}' here; `leveret status` lists names and ids");
            return json!({ "error": text });
        };
        let (to, answer) = bounded(1);
        self.control.send(ToControl::Forget { node: node.node, to });
        match answer.recv_timeout(limits::ADMIN_WAIT) {
            Ok(Ok(())) => json!({ "forgotten": { "id": id(node.node), "name": node.name.as_str() } }),
            Ok(Err(ForgetRefusal::Unknown)) => json!({ "error": "it was forgotten meanwhile" }),
            Ok(Err(ForgetRefusal::Itself)) => json!({ "error": "a node does not forget itself: stop it" }),
            Ok(Err(ForgetRefusal::Lives)) => {
                let text = format!(
                    "node '{}' is not down: stop it first, and wait until `leveret status` shows it as down",
                    node.name
                );
                json!({ "error": text })
            }
            Err(_) => no_answer("the control machine"),
        }
    }

    fn overview(&self) -> Option<Overview> {
        let mut whole: Option<Overview> = None;
        let mut after: Option<QueueId> = None;
        loop {
            let (to, answer) = bounded(1);
            self.control.send(ToControl::Overview { after, to });
            let mut page = answer.recv_timeout(limits::ADMIN_WAIT).ok()?;
            let last = page.queues.last().map(|queue| queue.record.id);
            if let Some(whole) = whole {
                page.queues.splice(0..0, whole.queues);
                page.policies = whole.policies;
            }
            let Some(last) = last else { return Some(page) };
            (whole, after) = (Some(page), Some(last));
        }
    }
}

fn report_of(shard: &MailTo<ToShardThread>) -> Option<ShardReport> {
    let mut whole: Option<ShardReport> = None;
    let mut from = ReportFrom::default();
    loop {
        let (to, answer) = bounded(1);
        shard.send(ToShardThread::Report { from, to });
        let (page, next) = answer.recv_timeout(limits::ADMIN_WAIT).ok()?;
        match &mut whole {
            Some(whole) => {
                whole.queues.extend(page.queues);
                whole.connections.extend(page.connections);
            }
            None => whole = Some(page),
        }
        match next {
            Some(next) => from = next,
            None => return whole,
        }
    }
}

fn no_answer(who: &str) -> Value {
    let text = format!("{who} does not answer within {} s; see the node's log", limits::ADMIN_WAIT.as_secs());
    json!({ "error": text })
}
