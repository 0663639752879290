//! The node's own thread in a leave: what closes, what opens again, and who is told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded, select};
use leveret_cluster::Left;
use leveret_model::limits;
use tracing::info;

use super::Node;
use crate::accept::{ACCEPTOR, Listening};
use crate::client_ports::bind_client_ports;
use crate::control_thread::ToControl;
use crate::leave_desk::{LeaveStage, Waiters};
use crate::registries::ToRegistry;
use crate::session_leave;
use crate::shard_thread::ToShardThread;
use crate::start_error::StartError;

/// Who began a leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaveBy {
    /// `leveret leave`.
    Operator,
    /// SIGTERM or SIGINT.
    Signal,
}

impl Node {
    /// No new client is let in, and every queue and session goes to another node, within that time. Gives how
    /// it ended for queues; nothing if it is to stop before. A signal joins what an operator began; the next
    /// one, or the second where a signal began it, stops the node.
    #[must_use]
    pub fn leave(&self, within: Duration, by: LeaveBy, stop: &Receiver<()>) -> Option<Left> {
        self.refuse_cancels();
        self.leaves.desk.set(LeaveStage::Leaving);
        // first, so that nobody is sent here meanwhile
        self.registries.withdraw();
        let (done, closed) = bounded(self.shards.len());
        for shard in &self.shards {
            shard.send(ToShardThread::StopAccepting { done: done.clone() });
        }
        drop(done);
        wait_for_all(&closed, Instant::now() + limits::STOP_ACCEPTING_WAIT);
        let (to, left) = bounded(1);
        self.control.send(ToControl::Leave { within, to });
        let sessions = self.session_listen.map(|_| session_leave::begin(&self.shards));
        let mut by = by;
        let how = loop {
            select! {
                recv(left) -> left => break left.ok(),
                recv(stop) -> _ => match std::mem::replace(&mut by, LeaveBy::Signal) {
                    LeaveBy::Operator => info!("leaving already, as an operator asked; a second signal stops at once"),
                    LeaveBy::Signal => break None,
                },
                recv(self.leaves.cancel_asked) -> asked => {
                    let Ok(asked) = asked else { break None };
                    let stayed = self.stay();
                    let stays = stayed.is_ok();
                    let _ = asked.try_send(stayed);
                    if stays {
                        break left.recv().ok();
                    }
                }
            }
        };
        if !matches!(how, Some(Left::TakenBack { .. })) {
            self.leaves.desk.set(LeaveStage::Closing);
            self.refuse_cancels();
            if let Some(sessions) = sessions.filter(|_| how.is_some()) {
                sessions.end(&self.shards, &self.image, stop);
            }
        }
        how
    }

    /// What clients declared here while they were closed goes to other nodes too. None of them is left now.
    #[must_use]
    pub fn leave_rest(&self, stop: &Receiver<()>) -> Option<Left> {
        let (to, left) = bounded(1);
        self.control.send(ToControl::Leave { within: limits::LEAVE_REST_WITHIN, to });
        select! {
            recv(left) -> left => left.ok(),
            recv(stop) -> _ => None,
        }
    }

    /// Who asked too late to take a leave back hears it; nobody's question stays for the next leave.
    fn refuse_cancels(&self) {
        while let Ok(asked) = self.leaves.cancel_asked.try_recv() {
            let _ = asked.try_send(Err("too late: this leave is over".to_owned()));
        }
    }

    /// Somebody asks over the admin socket that the node leaves, within that time.
    #[must_use]
    pub fn leave_asked(&self) -> &Receiver<Duration> {
        &self.leaves.asked
    }

    /// Those who wait for its end.
    #[must_use]
    pub fn waiters(&self) -> Waiters {
        Waiters(Arc::clone(&self.leaves.desk))
    }

    /// Undoes a leave: the listeners first, because another process may have their ports by now.
    fn stay(&self) -> Result<(), String> {
        let listeners = self.listen_again().map_err(|error| format!("it cannot be taken back: {error}"))?;
        let (to, in_time) = bounded(1);
        self.control.send(ToControl::Stay { to });
        if in_time.recv_timeout(limits::ADMIN_WAIT) != Ok(true) {
            return Err("too late: its last queue is gone to another node".to_owned());
        }
        session_leave::take_back(&self.shards);
        self.shards[usize::from(ACCEPTOR.0)].send(ToShardThread::Listeners(listeners));
        self.registries.tell(&ToRegistry::Ready);
        // asked for while a signal had begun the leave: that is taken back too
        while self.leaves.asked.try_recv().is_ok() {}
        self.leaves.desk.set(LeaveStage::Serving);
        Ok(())
    }

    fn listen_again(&self) -> Result<Vec<Listening>, StartError> {
        bind_client_ports(&self.listen)?.into_iter().map(Listening::new).collect()
    }

    /// Closes the clients with 320, spread over that time, or at once if it is to stop before.
    pub fn close_clients(&self, window: Duration, stop: &Receiver<()>) {
        let (done, closed) = bounded(self.shards.len());
        for shard in &self.shards {
            shard.send(ToShardThread::CloseClients { window, done: done.clone() });
        }
        drop(done);
        for _ in &self.shards {
            select! {
                recv(closed) -> one => if one.is_err() { return },
                recv(stop) -> _ => return,
            }
        }
    }
}

fn wait_for_all(done: &Receiver<()>, deadline: Instant) {
    // each sender goes with the shard's answer
    while done.recv_deadline(deadline).is_ok() {}
}
