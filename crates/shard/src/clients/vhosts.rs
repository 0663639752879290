//! Clients that open a vhost which this node does not know and cannot deny, for want of a lease (R4).

use alloc::format;
use alloc::vec::Vec;

use leveret_amqp::host::VhostOpening;
use leveret_model::{ConnectionKey, Instant, Name, Refusal, ReplyCode, limits, refusals};

use super::{Clients, Opening};
use crate::view::ClusterView;

impl Clients {
    /// A client opens a vhost. One that is not there is refused under a lease alone; without one the client
    /// waits.
    pub(crate) fn open_vhost(
        &mut self,
        connection: ConnectionKey,
        vhost: &Name,
        view: &ClusterView,
    ) -> Result<VhostOpening, Refusal> {
        if let Some(id) = view.table.vhost(vhost) {
            return self.enter(connection, vhost, id).map(|()| VhostOpening::Now);
        }
        if view.has_lease() {
            return Err(Refusal::new(ReplyCode::NotAllowed, format!("vhost {vhost} not found")));
        }
        let until = view.now() + limits::PUBLISH_WAIT;
        self.openings.push(Opening { connection, vhost: vhost.clone(), until });
        Ok(VhostOpening::Later)
    }

    /// A lease is there, or the map changed, or time passed: gives the clients whose vhost can be told of now.
    pub(crate) fn take_openings(&mut self, view: &ClusterView) -> Vec<(ConnectionKey, Result<(), Refusal>)> {
        let mut told = Vec::new();
        for Opening { connection, vhost, until } in core::mem::take(&mut self.openings) {
            if self.find(connection).is_none() {
                continue;
            }
            if view.now() < until {
                match self.open_vhost(connection, &vhost, view) {
                    Ok(VhostOpening::Now) => told.push((connection, Ok(()))),
                    Ok(VhostOpening::Later) => self.wait_until(until),
                    Err(refusal) => told.push((connection, Err(refusal))),
                }
            } else {
                // nothing is wrong with the request: the client is to try again, here or elsewhere
                let text = refusals::no_view(None).text;
                told.push((connection, Err(Refusal::new(ReplyCode::ConnectionForced, text))));
            }
        }
        told
    }

    /// It waits no longer than it did.
    fn wait_until(&mut self, until: Instant) {
        if let Some(opening) = self.openings.last_mut() {
            opening.until = until;
        }
    }

    /// When the first of them has waited for long enough.
    pub(crate) fn openings_due(&self) -> Instant {
        self.openings.iter().map(|opening| opening.until).min().unwrap_or(Instant::FAR)
    }
}
