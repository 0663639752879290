//! Sessions at the end of a node (S9): they go to other nodes while clients are served still; then clients are
//! ended between two commands, and the last births go too. The last node of all leaves an image
//! (`session_image.rs`).

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, select};
use leveret_model::limits;
use leveret_sessions::Handover;
use tracing::{info, warn};

use crate::mailbox::MailTo;
use crate::session_image;
use crate::session_sockets::ToSessions;
use crate::shard_thread::ToShardThread;

/// The leave of a node's sessions, under way.
#[derive(Debug)]
pub(crate) struct SessionLeave {
    told: Receiver<Handover>,
    until: Instant,
}

/// Tells every shard; gives where each answers once.
fn ask(
    shards: &[MailTo<ToShardThread>],
    mail: impl Fn(Sender<Handover>) -> ToSessions,
) -> Receiver<Handover> {
    let (to, told) = bounded(shards.len());
    for shard in shards {
        shard.send(ToShardThread::Sessions(mail(to.clone())));
    }
    told
}

/// Sessions begin to go. Clients are served meanwhile.
pub(crate) fn begin(shards: &[MailTo<ToShardThread>]) -> SessionLeave {
    let told = ask(shards, |to| ToSessions::Leave { to });
    SessionLeave { told, until: Instant::now() + limits::SESSION_LEAVE_WITHIN }
}

/// The leave is taken back: what has not gone stays.
pub(crate) fn take_back(shards: &[MailTo<ToShardThread>]) {
    for shard in shards {
        shard.send(ToShardThread::Sessions(ToSessions::Stay));
    }
}

impl SessionLeave {
    /// Waits until they are gone, ends the clients, and writes the image if nobody is there to take them.
    /// Nothing more is waited for once `stop` says so.
    pub(crate) fn end(
        self,
        shards: &[MailTo<ToShardThread>],
        image: &session_image::Place,
        stop: &Receiver<()>,
    ) {
        let Some(mut sum) = wait(shards.len(), &self.told, self.until, stop) else { return };
        let until = Instant::now().max(self.until) + limits::STOP_GRACE;
        let ended = ask(shards, |to| ToSessions::EndClients { to });
        if wait(shards.len(), &ended, until, stop).is_none() {
            return;
        }
        // births that were answered before their client was ended
        let last = ask(shards, |to| ToSessions::Leave { to });
        if let Some(last) = wait(shards.len(), &last, until, stop) {
            sum = last;
        }
        if sum.alone {
            image.write(shards);
        } else if sum.over {
            info!(sessions = sum.given, "sessions are with other nodes");
        } else {
            warn!(sessions = sum.given, left = sum.left, "the time was over before every session had gone");
        }
    }
}

/// The sum of what the shards tell until then; those that told nothing by then count as not over. `None` if it
/// is to stop before.
fn wait(shards: usize, told: &Receiver<Handover>, until: Instant, stop: &Receiver<()>) -> Option<Handover> {
    let mut sum = Handover { over: true, alone: true, ..Handover::default() };
    for _ in 0..shards {
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        select! {
            recv(told) -> one => sum += one.ok()?,
            recv(stop) -> _ => return None,
            default(left) => {
                (sum.over, sum.alone) = (false, false);
                return Some(sum);
            }
        }
    }
    Some(sum)
}
