//! Sockets that come: other nodes at the cluster port. Clients are for a shard, once the node is ready.

use std::io;
use std::sync::Arc;

use crossbeam_channel::bounded;
use leveret_model::{Instant, limits};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing::{info, warn};

use super::ControlThread;
use crate::accept::{self, ACCEPTOR, Listening};
use crate::client_ports::SessionPort;
use crate::session_image::USED_FILE;
use crate::session_sockets::ToSessions;
use crate::shard_thread::ToShardThread;
use crate::start_error::StartError;

impl ControlThread {
    pub(super) fn accept(&mut self, now: Instant) {
        if self.port.accept_at <= now {
            self.port.accept_at = Instant::FAR;
            self.port.called = true;
        }
        self.port.called = self.port.called && self.accept_nodes(now);
    }

    /// True if there may be more.
    fn accept_nodes(&mut self, now: Instant) -> bool {
        for _ in 0..limits::ACCEPTS_PER_TURN_MAX {
            if self.links.is_full() {
                if !self.somebody_waits() {
                    return false;
                }
                if !self.links.drop_stale(now) {
                    // it stays in the kernel's queue, and the listener does not tell of it again
                    self.port.accept_at = now + limits::ACCEPT_AGAIN;
                    return false;
                }
            }
            match self.port.listener.accept() {
                Ok((stream, from)) => self.links.accept(now, stream, from),
                Err(error) => {
                    self.cannot_accept(now, &error);
                    return false;
                }
            }
        }
        true
    }

    fn somebody_waits(&self) -> bool {
        let mut listener = [PollFd::new(&self.port.listener, PollFlags::IN)];
        poll(&mut listener, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    /// Nobody is there, or none can be taken, mostly for want of descriptors: the listener tells of each socket
    /// once, so nobody would ask again.
    fn cannot_accept(&mut self, now: Instant, error: &io::Error) {
        if error.kind() == io::ErrorKind::WouldBlock {
            return;
        }
        accept::warn_not_accepted(&mut self.port.complaints, now, error);
        self.port.accept_at = now + limits::ACCEPT_AGAIN;
    }

    /// The node is ready: clients are let in. Another process that bound the port beside us may have opened it
    /// first.
    pub(super) fn open_clients(&mut self) -> Result<(), StartError> {
        let Some(ports) = self.client_ports.take() else { return Ok(()) };
        let mut listeners = Vec::new();
        for port in ports {
            listeners.push(Listening::new(port)?);
        }
        self.shards[usize::from(ACCEPTOR.0)].send(ToShardThread::Listeners(listeners));
        if let Some(SessionPort { socket, address, image }) = self.session_port.take() {
            let (what, flag) = ("session", "--session-listen");
            let wrong = |error| StartError::Listen { what, address, flag, error };
            let listener = accept::listen(socket).map_err(wrong)?;
            if let Some(image) = image {
                self.give_image(&image);
            }
            self.shards[usize::from(ACCEPTOR.0)]
                .send(ToShardThread::Sessions(ToSessions::Listener(listener)));
        }
        Ok(())
    }

    /// Shards take the sessions of an earlier start, unless other nodes have sessions.
    fn give_image(&self, image: &Arc<[u8]>) {
        if !self.peers().is_empty() {
            return warn!("{USED_FILE} is set aside: other nodes are there, and their sessions count");
        }
        let (to, told) = bounded(self.shards.len());
        for shard in &self.shards {
            let (image, to) = (Arc::clone(image), to.clone());
            shard.send(ToShardThread::Sessions(ToSessions::TakeImage { image, to }));
        }
        drop(to);
        info!(sessions = told.iter().sum::<usize>(), "sessions of the last stop are here again");
    }
}
