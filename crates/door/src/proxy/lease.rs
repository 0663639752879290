//! A request's place at an instance: counted in before the first byte goes there, out after the last one came
//! back.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use leveret_services::{Candidate, ServiceView};

use super::pool::Connection;
use super::thread::Proxy;

/// Held from the slot to the response's end.
pub(crate) struct Lease {
    proxy: Rc<Proxy>,
    view: Arc<ServiceView>,
    candidate: Candidate,
    since: Instant,
    /// To be used again if the response ends well.
    connection: Option<Connection>,
}

impl Lease {
    /// The slot was entered already.
    pub(super) fn new(
        proxy: Rc<Proxy>,
        view: Arc<ServiceView>,
        candidate: Candidate,
        since: Instant,
    ) -> Self {
        Self { proxy, view, candidate, since, connection: None }
    }

    pub(super) fn candidate(&self) -> &Candidate {
        &self.candidate
    }

    /// Longest pause inside a body.
    pub(super) fn body_idle(&self) -> Duration {
        self.proxy.shared.config.timeouts.body_idle
    }

    pub(super) fn view(&self) -> &Arc<ServiceView> {
        &self.view
    }

    pub(super) fn keep(&mut self, connection: Connection) {
        self.connection = Some(connection);
    }

    fn micros(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// The response is complete.
    pub(super) fn complete(&mut self) {
        let micros = self.micros();
        self.candidate.slot.succeeded(micros);
        self.view.gate.answered(micros, false);
        if let Some(connection) = self.connection.take() {
            self.proxy.pool.put(&self.candidate.slot, connection);
        }
    }

    /// The response broke off.
    pub(super) fn broken(&mut self) {
        self.candidate.slot.strike();
        self.view.gate.answered(self.micros(), true);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.candidate.slot.leave() {
            self.proxy.shared.drained.notify_one();
        }
        if self.view.gate.waiting() > 0 {
            self.proxy.shared.turnstile(&self.view.name).free.notify_one();
        }
    }
}
