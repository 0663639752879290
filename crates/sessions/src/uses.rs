//! That a session is used, because one that never was gives way first when memory is short.
//!
//! Home and replicator answer loads, each out of its own copy, and each may become the one that evicts. So
//! whichever sees the first load or commit tells the other by `TOUCHED`: once for a session, because from then
//! on it is one in use.

use crate::effects::Effects;
use crate::hid::Hid;
use crate::record::Record;
use crate::sessions::Sessions;
use crate::states::StateKey;
use crate::time::Ms;

impl Sessions {
    /// A load was answered out of a state here. hot.
    pub(crate) fn note_load(&mut self, key: StateKey, now: Ms) {
        self.counters.loads += 1;
        self.note_used(key, now);
    }

    /// hot.
    pub(crate) fn note_used(&mut self, key: StateKey, now: Ms) {
        if self.states.mark_used(key, now) {
            self.cluster.touched.insert(self.states.get(key).hid());
        }
    }

    /// As home to those that have copies, as one of these to the home.
    pub(crate) fn tell_touch(&self, hid: Hid, now: Ms, effects: &mut Effects) {
        let (Some(key), Some(row)) = (self.states.find(hid), self.list.get(hid)) else { return };
        let (life, left) = (self.states.id(key).life, self.states.get(key).deadline().left(now));
        let touched = Record::Touched { hid, life, left };
        if row.home != self.config.own {
            if self.cluster.members.is_counted(row.home.node) {
                effects.send(row.home.node, hid.bucket(), &touched);
            }
            return;
        }
        for keeper in self.cluster.copies.keepers(hid.bucket()) {
            effects.send(keeper, hid.bucket(), &touched);
        }
    }
}
