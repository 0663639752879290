//! Messages whose bytes are on the disk alone, and a disk that has them.

use leveret_model::Terms;

use super::ruled::{Ruled, at_ms, number};
use super::*;
use crate::PageOut;

/// A message that a store keeps.
pub(super) fn persistent(body: &[u8]) -> Message<'_> {
    Message { terms: Terms::new(true, 0, None), ..Message::new(b"", b"", Body::Flat(body)) }
}

/// What the disk has of a message that is paged out.
fn from_disk(arena: &Arena, message: MessageRef, name: u64) -> Vec<u8> {
    let mut body = name.to_le_bytes().to_vec();
    body.resize(arena.weight_bytes(message), 0);
    body
}

/// Reads what a queue wants; false if that is nothing.
fn read(queue: &mut Queue, arena: &mut Arena, name: impl Fn(Position) -> u64) -> bool {
    let wanted = queue.wanted(arena);
    for (position, message) in &wanted {
        let body = from_disk(arena, *message, name(*position));
        arena.page_in(*message, &persistent(&body));
        queue.note_read(*position);
    }
    !wanted.is_empty()
}

fn page_out(queue: &mut Queue, arena: &mut Arena, (bytes, keep, loose): (u64, u64, bool)) {
    queue.page_out(bytes, keep, arena);
    if loose {
        queue.page_out_loose(bytes, arena);
    }
}

impl Bench {
    pub(super) fn page_out(&mut self, bytes: u64, keep: u64, loose: bool) {
        page_out(&mut self.queue, &mut self.arena, (bytes, keep, loose));
    }

    /// Dispatches, and reads what is next in line as often as it is to be read.
    pub(super) fn dispatch_reading(&mut self, budget: usize) -> DispatchOutcome {
        let Self { queue, arena, outputs, .. } = self;
        let mut all = queue.dispatch(budget, Instant::ZERO, arena, outputs);
        while queue.front_waits(arena) && queue.wants_dispatch() && all.delivered < budget {
            assert!(!all.more, "it has to wait for the disk");
            // here a place is also the name
            assert!(read(queue, arena, |position| position.0), "what is next is wanted");
            let outcome = queue.dispatch(budget - all.delivered, Instant::ZERO, arena, outputs);
            all = DispatchOutcome { delivered: all.delivered + outcome.delivered, ..outcome };
        }
        // one more may wait for the disk, and is none to come at once
        all.more |= queue.front_waits(arena) && queue.wants_dispatch();
        all
    }

    pub(super) fn get_reading(&mut self, holder: &ConsumerKey, no_ack: bool) -> Option<Taken> {
        loop {
            match self.queue.get_here(holder, no_ack, Instant::ZERO, &mut self.arena) {
                Ok(taken) => return taken,
                Err(WaitsForDisk) => assert!(read(&mut self.queue, &mut self.arena, |position| position.0)),
            }
        }
    }
}

impl Ruled {
    pub(super) fn page_out(&mut self, bytes: u64, keep: u64, loose: bool) {
        page_out(&mut self.queue, &mut self.arena, (bytes, keep, loose));
    }

    pub(super) fn dispatch_reading(&mut self, budget: usize) -> DispatchOutcome {
        let Self { queue, arena, outputs, disk, now, .. } = self;
        let mut all = queue.dispatch(budget, *now, arena, outputs);
        while queue.front_waits(arena)
            && queue.wants_dispatch()
            && all.delivered + all.dropped < budget
            && read(queue, arena, |position| disk[&position])
        {
            let left = budget - all.delivered - all.dropped;
            let outcome = queue.dispatch(left, *now, arena, outputs);
            all = DispatchOutcome {
                delivered: all.delivered + outcome.delivered,
                dropped: all.dropped + outcome.dropped,
                ..outcome
            };
        }
        all
    }

    /// Everything is read before: a get that has to wait looks anew who is late by then.
    pub(super) fn get_reading(&mut self) -> Option<Taken> {
        let Self { queue, arena, disk, now, .. } = self;
        while read(queue, arena, |position| disk[&position]) {}
        queue.get_here(&local(0), true, *now, arena).expect("all is here")
    }

    /// A dead letter is read where it died.
    pub(super) fn read_departed(&mut self, left: &Departure) {
        if self.arena.is_paged_out(left.message)
            && let Some(position) = left.position
        {
            let body = from_disk(&self.arena, left.message, self.disk[&position]);
            self.arena.page_in(left.message, &persistent(&body));
        }
    }
}

/// Whether the bytes of each ready message are here.
fn here(bench: &Bench) -> Vec<bool> {
    let line = bench.queue.entries(Instant::ZERO);
    line.map(|entry| !bench.arena.is_paged_out(entry.message)).collect()
}

#[test]
fn the_back_goes_first_and_the_front_stays() {
    let mut bench = Bench::new();
    bench.append(6);
    assert!(bench.queue.page_out(1, 16, &mut bench.arena) > 0);
    assert_eq!(here(&bench), [true, true, true, true, true, false]);
    bench.append(2);
    bench.page_out(u64::MAX, 16, false);
    assert_eq!(here(&bench), [true, true, false, false, false, false, false, false]);
    assert_eq!(bench.queue.page_out(u64::MAX, 16, &mut bench.arena), 0, "all that may go is gone");
    assert_eq!(bench.arena.paged_out(), 6);
    bench.queue.subscribe(plain(local(1))).expect("no exclusive ones");
    let outcome = bench.queue.dispatch(10, Instant::ZERO, &mut bench.arena, &mut bench.outputs);
    assert_eq!((outcome.delivered, outcome.more), (2, false), "the third waits for the disk");
    assert!(!bench.queue.touch() || bench.queue.wants_dispatch());
    assert_eq!(bench.dispatch_reading(10).delivered, 6);
    assert_eq!(bench.arena.paged_out(), 0);
}

#[test]
fn what_a_store_has_not_yet_stays_and_so_does_what_is_transient() {
    let mut bench = Bench::new();
    bench.append(1);
    let held = bench.queue.entries(Instant::ZERO).next().expect("a message").message;
    bench.arena.hold(held);
    let transient = bench.arena.insert(&Message::new(b"", b"", Body::Flat(&[0; 8])), 1);
    let _ = bench.queue.append(transient, 8);
    bench.page_out(u64::MAX, 0, true);
    assert_eq!(here(&bench), [true, true]);
    bench.arena.unhold(held);
    bench.page_out(u64::MAX, 0, true);
    assert_eq!(here(&bench), [false, true], "it is stored now");
}

#[test]
fn a_message_of_two_queues_goes_with_the_last_of_them() {
    let mut arena = Arena::new();
    let shared = arena.insert(&persistent(&[7; 100]), 2);
    let PageOut::Done(apart, 0) = arena.page_out(shared) else { panic!("it goes for one of them") };
    assert!(arena.is_paged_out(apart) && !arena.is_paged_out(shared));
    assert_eq!((arena.weight_bytes(apart), arena.terms(apart)), (100, arena.terms(shared)));
    let PageOut::Done(last, bytes) = arena.page_out(shared) else { panic!("it goes for the other too") };
    assert!(last == shared && bytes > 100 && arena.is_paged_out(shared));
    let chunks = [vec![1; 3_000].into(), vec![2; 3_000].into()];
    arena.page_in(apart, &Message { body: Body::Chunks(&chunks), ..persistent(&[]) });
    assert_eq!(arena.get(apart).body.len(), 6_000);
    for message in [shared, apart] {
        arena.release(message);
    }
    assert_eq!((arena.messages(), arena.paged_out()), (0, 0));
}

#[test]
fn what_the_disk_lost_leaves_and_the_rest_is_served() {
    for lost in 1..=4 {
        let mut bench = Bench::new();
        bench.append(4);
        bench.page_out(u64::MAX, 0, false);
        let all = bench.queue.wanted(&bench.arena);
        for (position, message) in all {
            let body = from_disk(&bench.arena, message, position.0);
            if position.0 == lost {
                bench.arena.lose(message);
            } else {
                bench.arena.page_in(message, &persistent(&body));
            }
        }
        let got: Vec<u64> = core::iter::from_fn(|| bench.get_reading(&local(0), false))
            .map(|taken| taken.position.0)
            .collect();
        assert_eq!(got, (1..=4).filter(|position| *position != lost).collect::<Vec<_>>());
        assert_eq!(bench.arena.messages(), 3);
    }
}

#[test]
fn what_is_late_leaves_without_being_read() {
    let mut bench = Ruled::new(vec![number("x-message-ttl", 5)]);
    for _ in 0..3 {
        assert!(bench.append(Terms::new(true, 0, None), 8));
    }
    bench.page_out(u64::MAX, 0, false);
    bench.now = at_ms(1_010);
    assert!(bench.queue.touch());
    let outcome = bench.queue.dispatch(10, bench.now, &mut bench.arena, &mut bench.outputs);
    assert_eq!((outcome.dropped, bench.arena.paged_out()), (3, 3));
    let causes = [1, 2, 3].map(|name| (name, Cause::Expired));
    assert_eq!(bench.departed(), causes);
}
