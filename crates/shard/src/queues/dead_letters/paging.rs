//! Dead letters whose bytes are on the disk alone.

use super::Queues;
use super::outlet::Dead;
use crate::queues::reads::{Reader, Wanted, within_reach};

impl Queues {
    /// The front of a row is read, and some behind it; all wait. What the disk cannot give back, and has
    /// reported, is no letter any more, nor does it leave the list of damage.
    pub(super) fn read_letter(&mut self, dead: Dead) {
        let (queue, bytes) = (dead.queue, self.weight_of(&dead));
        let Some(position) = dead.stored_at.filter(|_| !self.arena.is_lost(dead.message)) else {
            self.out.departed.letters.advance(queue, bytes);
            return self.arena.release(dead.message);
        };
        let mut wanted = Wanted::from([(position, dead.message)]);
        for behind in self.out.departed.letters.behind(queue) {
            let Some(position) = behind.stored_at else { break };
            wanted.push((position, behind.message));
        }
        let wanted = within_reach(wanted.into_iter(), &self.arena);
        self.out.departed.letters.hold(dead);
        self.lists.paging.read((queue, Reader::Letters), wanted, &mut self.arena);
    }
}
