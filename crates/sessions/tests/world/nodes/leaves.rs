//! Nodes that leave: they hand over what they have, let no client ask any more, and stop.

use super::{Closing, Nodes, STEP_MS, What, home};

impl Nodes {
    /// It said that it leaves.
    pub(super) fn leaves(&self, at: usize) -> bool {
        self.fault.is_some_and(|(fault, _)| fault.node == at && fault.what == What::Leave)
    }

    /// Who has nothing left stops, and is away for a while. Who got rid of nothing in 10 s stops all the same.
    pub(super) fn end_leave(&mut self) {
        let Some((fault, until)) = self.fault.filter(|(fault, _)| fault.what == What::Leave) else { return };
        let clock = self.clock(fault.node);
        let node = &mut self.nodes[fault.node];
        let Some(sessions) = &mut node.sessions else { return };
        let over = sessions.handover().over;
        match self.closing {
            Closing::Open if over => self.closing = Closing::Asked,
            // the last births are answered, and go too
            Closing::Asked if sessions.sizes().waiting == 0 => {
                self.closing = Closing::Closed;
                sessions.leave(clock, &mut node.effects);
                self.flush(fault.node);
            }
            _ => {}
        }
        if over && self.closing == Closing::Closed && self.is_over(fault.node) {
            let own = home(fault.node, self.nodes[fault.node].boot);
            let homes = self.nodes.iter().filter_map(|node| node.sessions.as_ref());
            let still = homes.map(|sessions| sessions.count_at(own)).sum();
            self.left.push((self.now - self.leave_began, still));
            self.log.push(format!("{} ms: left", self.now_ms()));
            self.drop_parcels(fault.node);
            self.nodes[fault.node].sessions = None;
            self.nodes[fault.node].died_at = self.now;
            self.fault = Some((fault, self.now + fault.lasts_ms));
        } else {
            // it goes on until then
            self.fault = Some((fault, until.max(self.now + STEP_MS)));
        }
    }

    fn is_over(&self, at: usize) -> bool {
        self.nodes[at].sessions.as_ref().is_some_and(|sessions| sessions.handover().over)
    }

    /// Clients can ask it.
    pub(crate) fn accepts(&self, at: usize) -> bool {
        self.runs(at) && !(self.leaves(at) && self.closing != Closing::Open)
    }
}
