//! Two ends with threads, and a network between them that reorders, loses and hides: the world of the property
//! test.
//!
//! Read first: [`World::step`]. A batch carries the name of the session that it was sent in, and so does each
//! link, so that what arrives in another one is seen.

use std::borrow::ToOwned;
use std::collections::VecDeque;
use std::string::String;
use std::vec;
use std::vec::Vec;

use core::mem;
use core::time::Duration;

use leveret_model::{Boot, Instant, NodeId, Seed, ShardAddress, ShardId, SplitMix};

use super::end::{End, LinkId, Shard, ShardMail, Tag, batch_of, tag_of};
use crate::sessions::{DataLinkKey, Deed, SessionNumber};

/// What travels over a link.
#[derive(Clone, Debug)]
enum Item {
    /// Records that say in which connection they were sent: (dialler's boot, round).
    Batch(Tag, ShardAddress, ShardId),
    Close,
}

#[derive(Debug)]
struct Link {
    tag: Tag,
    index: u8,
    /// Which start of each end has it: (side, boot).
    ends: [Boot; 2],
    open: [bool; 2],
    /// On their way to each side.
    flight: [VecDeque<Item>; 2],
    silent: bool,
}

/// A dial that was answered or will be.
#[derive(Clone, Copy, Debug)]
struct Dialled {
    from: Boot,
    node: NodeId,
    key: DataLinkKey,
}

pub(super) struct World {
    now: Instant,
    dice: SplitMix,
    ends: [End; 2],
    links: Vec<Link>,
    dials: Vec<Dialled>,
    boots: u64,
    /// Of so many faults one happens.
    hectic: usize,
}

fn address(side: usize) -> String {
    ["a", "b"][side].to_owned()
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = SplitMix::new(Seed(seed));
        let mut end = |node| End::new(NodeId(node), Boot(node as u64), 1 + dice.below(3) as u8);
        let ends = [end(1), end(2)];
        Self {
            now: Instant::ZERO,
            dice,
            ends,
            links: vec![],
            dials: vec![],
            boots: 10,
            hectic: [2, 12, 60][seed as usize % 3],
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.dice.below(bound as u64) as usize
    }

    /// One end hears of the other as it is, or as it was.
    pub(super) fn want(&mut self, side: usize) {
        let other = &self.ends[1 - side];
        let (node, boot, shards) = (other.node, other.boot, other.shards.len() as u8);
        self.ends[side].sessions.want(self.now, node, boot, shards, &address(1 - side));
    }

    fn restart(&mut self, side: usize) {
        for id in 0..self.links.len() {
            self.close(id, side);
        }
        self.boots += 1;
        let shards = self.ends[side].shards.len() as u8;
        self.ends[side] = End::new(self.ends[side].node, Boot(self.boots), shards);
    }

    fn close(&mut self, id: LinkId, side: usize) {
        let link = &mut self.links[id];
        if link.ends[side] == self.ends[side].boot && mem::take(&mut link.open[side]) {
            link.flight[side].clear();
            link.flight[1 - side].push_back(Item::Close);
        }
    }

    fn carry_deeds(&mut self, side: usize) {
        for deed in self.ends[side].sessions.take_deeds() {
            match deed {
                Deed::Dial { node, key, address: to } => {
                    assert_eq!((side, to), (0, address(1)), "the smaller id dials");
                    self.dials.push(Dialled { from: self.ends[side].boot, node, key });
                }
                Deed::Close(link) => self.close(link, side),
                Deed::Up { node, boot, session, links } => self.up(side, node, boot, session, &links),
                Deed::Down { node } => {
                    for shard in &mut self.ends[side].shards {
                        shard.mail.push_back(ShardMail::Down(node));
                    }
                }
            }
        }
    }

    fn up(&mut self, side: usize, node: NodeId, boot: Boot, session: SessionNumber, all: &[(u8, LinkId)]) {
        let count = self.ends[0].shards.len().max(self.ends[1].shards.len());
        let tag = self.links[all[0].1].tag;
        let of_round = |(at, (index, id)): (usize, &(u8, LinkId))| {
            let link = &self.links[*id];
            at == usize::from(*index)
                && link.index == *index
                && link.tag == tag
                && link.ends[1 - side] == boot
        };
        assert!(all.len() == count && all.iter().enumerate().all(of_round), "links of one round: {all:?}");
        let end = &mut self.ends[side];
        assert!(end.tags.values().all(|other| *other != tag), "{tag:?} began twice");
        end.tags.insert(session, tag);
        let shards = end.shards.len();
        for (at, shard) in end.shards.iter_mut().enumerate() {
            let own = all.iter().filter(|(index, _)| usize::from(*index) % shards == at).copied().collect();
            shard.mail.push_back(ShardMail::Up(node, boot, session, own));
        }
    }

    /// A dial under way is answered, or not.
    fn answer(&mut self, at: usize, fails: bool) {
        let dial = self.dials.swap_remove(at);
        if dial.from != self.ends[0].boot {
            return;
        }
        if fails {
            return self.ends[0].sessions.on_dial_failed(dial.node, dial.key);
        }
        let id = self.links.len();
        let ends = [self.ends[0].boot, self.ends[1].boot];
        let (tag, index) = ((ends[0], dial.key.round), dial.key.index);
        let flight = [VecDeque::new(), VecDeque::new()];
        self.links.push(Link { tag, index, ends, open: [true, true], flight, silent: false });
        // the acceptor believes in the link when the last bytes of the handshake are there, which may get lost
        let answered_by = (self.ends[1].node, self.ends[1].boot);
        self.ends[0].sessions.on_dialled(dial.node, answered_by, dial.key, id);
        if self.below(8) == 0 {
            self.links[id].open[1] = false;
            self.links[id].flight[0].push_back(Item::Close);
        } else {
            let (node, boot) = (self.ends[0].node, self.ends[0].boot);
            self.ends[1].sessions.on_accepted(node, boot, dial.key, id);
        }
    }

    /// The next item that is on its way to a side.
    fn arrive(&mut self, id: LinkId, side: usize) {
        let link = &mut self.links[id];
        let current = link.ends[side] == self.ends[side].boot && link.open[side];
        let owner = self.ends[side].shards.iter().position(|shard| shard.links.values().any(|of| *of == id));
        let (true, Some(owner)) = (current, owner) else {
            // it waits in the kernel while the link is gathered; nobody will read it if it is not
            if !current {
                link.flight[side].clear();
            }
            return;
        };
        let Some(item) = link.flight[side].pop_front() else { return };
        let peer = self.ends[1 - side].node;
        let Some((_, session)) = self.ends[side].shards[owner].arrivals.current(peer) else { return };
        match item {
            Item::Close => self.ends[side].lost.push_back(session),
            Item::Batch(tag, from, to) if usize::from(to.0) == owner => {
                self.ends[side].take(session, tag, from, &batch_of(tag));
            }
            Item::Batch(tag, from, to) => {
                let mail = ShardMail::Relayed(from, session, tag, batch_of(tag));
                self.ends[side].shards[usize::from(to.0)].mail.push_back(mail);
            }
        }
    }

    /// A shard's thread takes its next mail.
    fn shard_mail(&mut self, side: usize, at: usize) {
        match self.ends[side].shards[at].mail.pop_front() {
            None => {}
            Some(ShardMail::Up(node, boot, session, links)) => {
                let shard = &mut self.ends[side].shards[at];
                assert!(shard.links.is_empty(), "Down comes before the next Up");
                shard.links = links.into_iter().collect();
                for (from, batch) in shard.arrivals.on_up(node, boot, session) {
                    let tag = tag_of(&batch);
                    self.ends[side].take(session, tag, from, &batch);
                }
            }
            Some(ShardMail::Down(node)) => {
                let shard = &mut self.ends[side].shards[at];
                shard.arrivals.on_down(node);
                for id in mem::take(&mut shard.links).into_values() {
                    self.close(id, side);
                }
            }
            Some(ShardMail::Relayed(from, session, tag, batch)) => {
                let arrivals = &mut self.ends[side].shards[at].arrivals;
                if let Some((_, batch)) = arrivals.on_relayed(from, session, batch) {
                    self.ends[side].take(session, tag, from, &batch);
                }
            }
        }
    }

    /// A shard sends a batch on its own link to a shard of the other end.
    fn send(&mut self, side: usize, at: usize, to: u8) {
        let shard = &self.ends[side].shards[at];
        let Some(id) = shard.links.get(&(at as u8)).copied() else { return };
        let from = ShardAddress { node: self.ends[side].node, shard: ShardId(at as u8) };
        let link = &mut self.links[id];
        if link.open[side] && link.open[1 - side] && !link.silent {
            link.flight[1 - side].push_back(Item::Batch(link.tag, from, ShardId(to)));
        }
    }

    fn timers(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
        for side in 0..2 {
            if self.ends[side].sessions.next_deadline() <= self.now {
                self.ends[side].sessions.on_timer(self.now);
            }
        }
    }

    /// The kernels notice that a silent link's other end does not answer.
    fn probe(&mut self, id: LinkId) {
        if self.links[id].silent {
            for flight in &mut self.links[id].flight {
                flight.clear();
                flight.push_back(Item::Close);
            }
        }
    }

    pub(super) fn step(&mut self, calm: bool) {
        let (side, links, dials) = (self.below(2), self.links.len(), self.dials.len());
        let fault = !calm && self.below(self.hectic) == 0;
        match self.below(if fault {
            100
        } else if calm {
            70
        } else {
            88
        }) {
            0..30 if links > 0 => {
                // the last ones are those that live
                let id = links - 1 - self.below(links.min(12));
                self.arrive(id, side);
            }
            30..40 if dials > 0 => {
                let (at, fails) = (self.below(dials), !calm && self.below(6) == 0);
                self.answer(at, fails);
            }
            40..58 => {
                let at = self.below(self.ends[side].shards.len());
                self.shard_mail(side, at);
            }
            58..64 => {
                if let Some(session) = self.ends[side].lost.pop_front() {
                    let node = self.ends[1 - side].node;
                    self.ends[side].sessions.on_lost(self.now, node, session);
                }
            }
            64..68 => {
                let millis = 10 + self.dice.below(100);
                self.timers(millis);
            }
            68..70 if links > 0 => {
                let id = links - 1 - self.below(links.min(12));
                self.probe(id);
            }
            70..88 => {
                let at = self.below(self.ends[side].shards.len());
                let to = self.below(self.ends[1 - side].shards.len()) as u8;
                self.send(side, at, to);
            }
            88..91 if links > 0 => {
                // reset: what is on its way is lost
                let id = links - 1 - self.below(links.min(6));
                for flight in &mut self.links[id].flight {
                    flight.clear();
                    flight.push_back(Item::Close);
                }
            }
            91..94 if links > 0 => {
                let id = links - 1 - self.below(links.min(6));
                self.links[id].silent = true;
                self.links[id].flight.iter_mut().for_each(VecDeque::clear);
            }
            94 => self.restart(side),
            95 => {
                let node = self.ends[1 - side].node;
                self.ends[side].sessions.unwant(node);
            }
            96..100 => self.want(side),
            _ => {}
        }
        (0..2).for_each(|side| self.carry_deeds(side));
    }

    /// The one session that both ends have, every shard of both knows it, and every link of it is open.
    pub(super) fn common(&self) -> Option<Tag> {
        let sessions = self.ends.iter().enumerate().map(|(side, end)| {
            let (other, peer) = (&self.ends[1 - side], self.ends[1 - side].node);
            let of = |shard: &Shard| shard.arrivals.current(peer).filter(|(boot, _)| *boot == other.boot);
            let first = end.shards.first().and_then(of)?;
            let open = |id: &LinkId| {
                let link = &self.links[*id];
                let ends = |flight: &VecDeque<Item>| flight.iter().any(|item| matches!(item, Item::Close));
                link.open == [true, true] && !link.silent && !link.flight.iter().any(ends)
            };
            let all = !end.lost.contains(&first.1)
                && end.shards.iter().all(|shard| {
                    of(shard) == Some(first)
                        && shard.mail.iter().all(ShardMail::is_batch)
                        && shard.links.values().all(open)
                });
            all.then(|| end.tags[&first.1])
        });
        let tags: Vec<Option<Tag>> = sessions.collect();
        tags[0].filter(|_| tags[0] == tags[1])
    }

    /// Each shard of each end sends one batch to each of the other; gives how many that are.
    pub(super) fn send_all(&mut self) -> u64 {
        let mut sent = 0;
        for side in 0..2 {
            for at in 0..self.ends[side].shards.len() {
                for to in 0..self.ends[1 - side].shards.len() {
                    self.send(side, at, to as u8);
                    sent += 1;
                }
            }
        }
        sent
    }

    /// Batches that came to their shards, of all starts that still run.
    pub(super) fn got(&self) -> u64 {
        self.ends.iter().map(|end| end.got).sum()
    }
}
