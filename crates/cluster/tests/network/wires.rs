//! Links between nodes, and what befalls them: delays, cuts, kills, dials.

use leveret_cluster::{DialFailure, LinkKey, PeerHello};
use leveret_link::handshake::Capabilities;
use leveret_model::{Boot, Incarnation, Instant, Name, NodeId};

use crate::world::{At, What, World, ms};

pub struct TwoEnds {
    pub ends: [At; 2],
    /// Frames of each direction that a cut holds.
    pub held: [Vec<Vec<u8>>; 2],
    pub free_at: [Instant; 2],
}

impl World {
    /// kill -9: links are reset, the port refuses.
    pub fn kill(&mut self, at: At) {
        self.nodes[at].alive = false;
        self.live.retain(|&other| other != at);
        for other in self.live.clone() {
            if other != at {
                self.last_bad.insert((other.min(at), other.max(at)), Instant::FAR);
            }
        }
        self.reset_links_of(|ends| ends.contains(&at));
    }

    /// Cuts one direction.
    pub fn cut(&mut self, from: At, to: At) {
        self.cuts.insert((from, to));
    }

    /// Cuts both directions; with `reset` the links break at once.
    pub fn cut_both(&mut self, a: At, b: At, reset: bool) {
        self.cut(a, b);
        self.cut(b, a);
        if reset {
            self.reset_links_of(|ends| ends.contains(&a) && ends.contains(&b));
        }
    }

    fn reset_links_of(&mut self, which: impl Fn(&[At; 2]) -> bool) {
        let gone: Vec<LinkKey> =
            self.links.iter().filter(|(_, ends)| which(&ends.ends)).map(|(&link, _)| link).collect();
        for link in gone {
            let gone = self.links.remove(&link).expect("was listed");
            for (side, at) in gone.ends.into_iter().enumerate() {
                let due = (self.now + self.draw_delay()).max(gone.free_at[side]);
                self.push(due, What::LinkDown { link, at });
            }
        }
    }

    /// Ends all cuts.
    pub fn heal(&mut self) {
        self.note_cuts();
        self.cuts.clear();
        for link in self.links.keys().copied().collect::<Vec<_>>() {
            for side in 0..2 {
                let held = std::mem::take(&mut self.links.get_mut(&link).expect("is there").held[side]);
                for frame in held {
                    self.carry(link, side, frame);
                }
            }
        }
    }

    pub fn note_cuts(&mut self) {
        for &(a, b) in &self.cuts {
            let bad = self.last_bad.entry((a.min(b), a.max(b))).or_default();
            *bad = (*bad).max(self.now);
        }
        for at in self.live.clone() {
            if self.nodes[at].paused_until > self.now {
                for other in 0..self.nodes.len() {
                    let bad = self.last_bad.entry((at.min(other), at.max(other))).or_default();
                    *bad = (*bad).max(self.nodes[at].paused_until);
                }
            }
        }
    }

    /// The two could exchange frames all the time since then, directly or through one same live node.
    pub fn could_talk(&self, a: At, b: At, since: Instant) -> bool {
        let pair = |a: At, b: At| {
            let cut = self.cuts.contains(&(a, b)) || self.cuts.contains(&(b, a));
            !cut && self.last_bad.get(&(a.min(b), a.max(b))).is_none_or(|bad| *bad < since)
        };
        a == b
            || pair(a, b)
            || (0..self.nodes.len()).any(|m| {
                m != a && m != b && self.nodes[m].alive && self.nodes[m].listening && pair(a, m) && pair(m, b)
            })
    }

    /// A frame leaves one side of a link.
    pub fn carry(&mut self, link: LinkKey, side: usize, frame: Vec<u8>) {
        let delay = self.draw_delay();
        let Some(ends) = self.links.get_mut(&link) else { return };
        let (from, to) = (ends.ends[side], ends.ends[1 - side]);
        if let Some((of, at, frames)) = &mut self.heard
            && (*of, *at) == (from, to)
        {
            frames.push(frame.clone());
        }
        if self.cuts.contains(&(from, to)) {
            ends.held[side].push(frame);
            return;
        }
        let at = (self.now + delay).max(ends.free_at[side]);
        ends.free_at[side] = at;
        self.push(at, What::Frame { link, to, frame });
    }

    /// A link to somebody who proved the secret and says nothing.
    pub fn link_to_a_shadow(&mut self, at: At, name: &str) {
        self.counter += 1;
        let (link, boot) = (LinkKey(self.counter), Boot(self.random.next_u64()));
        let (node, incarnation) = (NodeId(self.random.next_u128()), Incarnation(1));
        let (address, name) = (name.to_owned(), Name::new(name));
        let capabilities = Capabilities::own();
        let hello = PeerHello { node, incarnation, boot, shards: 1, address, name, capabilities };
        self.nodes[at].control.on_link_up(self.now, link, hello, None);
        self.drain(at);
    }

    /// One side closes a link.
    pub fn hang_up(&mut self, at: At, link: LinkKey) {
        if let Some(ends) = self.links.remove(&link) {
            let (near, far) = if ends.ends[0] == at { (0, 1) } else { (1, 0) };
            // the other side sees the end unless the cut hides it
            if !self.cuts.contains(&(ends.ends[near], ends.ends[far])) {
                let due = (self.now + self.draw_delay()).max(ends.free_at[near]);
                self.push(due, What::LinkDown { link, at: ends.ends[far] });
            }
        }
    }

    pub fn dial(&mut self, at: At, address: String) {
        let there =
            (0..self.nodes.len()).rev().find(|&n| self.nodes[n].address == address && self.nodes[n].alive);
        let delay = self.draw_delay() + self.draw_delay();
        let due = self.now + delay;
        let Some(peer) = there else {
            let lingers = due < self.lingers_until;
            let failure = if lingers { DialFailure::Unreachable } else { DialFailure::Refused };
            self.push(due, What::DialFailed { at, address, failure });
            return;
        };
        if peer == at {
            self.push(due, What::DialFailed { at, address, failure: DialFailure::Myself });
        } else if self.cuts.contains(&(at, peer)) || self.cuts.contains(&(peer, at)) {
            let refused = self.cuts_refuse;
            let failure = if refused { DialFailure::Refused } else { DialFailure::Unreachable };
            let due = if refused { due } else { self.now + ms(1_000) };
            self.push(due, What::DialFailed { at, address, failure });
        } else if self.strangers.contains(&address) != self.strangers.contains(&self.nodes[at].address) {
            self.push(due, What::DialFailed { at, address, failure: DialFailure::Secret });
        } else {
            self.counter += 1;
            let link = LinkKey(self.counter);
            let (held, free_at) = ([Vec::new(), Vec::new()], [due; 2]);
            self.links.insert(link, TwoEnds { ends: [at, peer], held, free_at });
            self.push(due, What::LinkUp { link, at: peer, peer: at, dialled: None });
            self.push(due, What::LinkUp { link, at, peer, dialled: Some(address) });
        }
    }
}
