//! The session lease (S2): whether this node may say anything about sessions.
//!
//! Membership gives a lease by time (pings that were echoed). It is not enough: while the node was silent
//! others went on without it. So after each loss every counted peer must once tell its map (SYNC), before
//! anything is said. A peer that tells its map counts the asker from then on, so nothing is answered behind
//! its back.

use alloc::vec::Vec;

use crate::stamp::Home;

#[derive(Default)]
pub(crate) struct Sync {
    lease: bool,
    /// Number of the questions that are under way.
    round: u64,
    asked: Vec<Home>,
    told: Vec<Home>,
}

impl Sync {
    pub(crate) fn with_lease() -> Self {
        Self { lease: true, ..Self::default() }
    }

    /// Membership's lease; true if it was lost just now.
    pub(crate) fn set_lease(&mut self, lease: bool) -> bool {
        let lost = self.lease && !lease;
        self.lease = lease;
        if lost {
            self.round += 1;
            self.asked.clear();
            self.told.clear();
        }
        lost
    }

    /// What this peer told counts no longer: its link broke, or it is Down.
    pub(crate) fn forget(&mut self, peer: Home) {
        self.asked.retain(|other| *other != peer);
        self.told.retain(|other| *other != peer);
    }

    /// Peers to be asked now; each once.
    pub(crate) fn ask(&mut self, counted: impl Iterator<Item = Home>) -> Vec<Home> {
        if !self.lease {
            return Vec::new();
        }
        let new: Vec<Home> = counted.filter(|peer| !self.asked.contains(peer)).collect();
        self.asked.extend(&new);
        new
    }

    pub(crate) const fn round(&self) -> u64 {
        self.round
    }

    /// A peer has told all it had.
    pub(crate) fn on_told(&mut self, peer: Home, round: u64) {
        if round == self.round && self.asked.contains(&peer) && !self.told.contains(&peer) {
            self.told.push(peer);
        }
    }

    /// May something be said?
    pub(crate) fn has_lease(&self, mut counted: impl Iterator<Item = Home>) -> bool {
        self.lease && counted.all(|peer| self.told.contains(&peer))
    }
}
