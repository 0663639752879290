//! The arena against a map of owned copies, and its promises about memory.

use bytes::Bytes;
use leveret_model::{Body, Message, limits};
use std::collections::BTreeMap;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

/// What a message must read as, and its owners.
struct Copy {
    address: Vec<u8>,
    header: Vec<u8>,
    body: Vec<u8>,
    refs: u32,
}

#[derive(Clone, Debug)]
enum Deed {
    Insert { address: usize, header: usize, body: usize, chunked: bool, refs: u32 },
    Retain(usize),
    Release(usize),
    ReleaseMost { keep_each: usize },
    Compact(usize),
    Own(usize),
}

fn deed() -> impl Strategy<Value = Deed> {
    let body = prop_oneof![6 => 0..200_usize, 3 => 1_000..20_000_usize, 1 => 250_000..300_000_usize];
    prop_oneof![
        12 => (0..40_usize, 0..60_usize, body, any::<bool>(), 1..4_u32).prop_map(
            |(address, header, body, chunked, refs)| Deed::Insert { address, header, body, chunked, refs }
        ),
        2 => any::<usize>().prop_map(Deed::Retain),
        8 => any::<usize>().prop_map(Deed::Release),
        1 => (1..9_usize).prop_map(|keep_each| Deed::ReleaseMost { keep_each }),
        2 => (0..2_000_000_usize).prop_map(Deed::Compact),
        2 => (0..100_000_usize).prop_map(Deed::Own),
    ]
}

fn filled(bytes: usize, with: u8) -> Vec<u8> {
    (0..bytes).map(|at| with.wrapping_add(at as u8)).collect()
}

fn body_of(message: Message<'_>) -> Vec<u8> {
    match message.body {
        Body::Flat(bytes) => bytes.to_vec(),
        Body::Chunks(chunks) => chunks.concat(),
    }
}

fn release(arena: &mut Arena, copies: &mut BTreeMap<u32, Copy>, message: u32) {
    arena.release(MessageRef(message));
    let copy = copies.get_mut(&message).expect("known");
    copy.refs -= 1;
    if copy.refs == 0 {
        copies.remove(&message);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Any deeds, then every message reads as its copy; block sums agree; in the end nothing is left.
    #[test]
    fn the_arena_keeps_what_a_map_of_copies_keeps(deeds in prop::collection::vec(deed(), 1..250)) {
        let mut arena = Arena::new();
        let mut copies: BTreeMap<u32, Copy> = BTreeMap::new();
        let pick = |copies: &BTreeMap<u32, Copy>, at: usize| {
            copies.keys().nth(at % copies.len().max(1)).copied()
        };
        for (number, deed) in deeds.into_iter().enumerate() {
            match deed {
                Deed::Insert { address, header, body, chunked, refs } => {
                    let with = number as u8;
                    let copy = Copy {
                        address: filled(address, with), header: filled(header, with ^ 0x55), body: filled(body, with ^ 0xaa), refs,
                    };
                    let chunks: Vec<Bytes> = copy.body.chunks(4_096).map(Bytes::copy_from_slice).collect();
                    let kept = if chunked { Body::Chunks(&chunks) } else { Body::Flat(&copy.body) };
                    let message = arena.insert(&Message::new(&copy.address, &copy.header, kept), refs);
                    prop_assert!(copies.insert(message.0, copy).is_none(), "a slot was given twice");
                }
                Deed::Retain(at) => if let Some(message) = pick(&copies, at) {
                    arena.retain(MessageRef(message), 2);
                    copies.get_mut(&message).expect("known").refs += 2;
                },
                Deed::Release(at) => if let Some(message) = pick(&copies, at) {
                    release(&mut arena, &mut copies, message);
                },
                Deed::ReleaseMost { keep_each } => {
                    let going = copies.keys().copied().enumerate().filter(|(at, _)| at % keep_each != 0);
                    for message in going.map(|(_, message)| message).collect::<Vec<_>>() {
                        while copies.contains_key(&message) {
                            release(&mut arena, &mut copies, message);
                        }
                    }
                }
                Deed::Compact(budget_bytes) => arena.compact(budget_bytes),
                Deed::Own(budget_bytes) => { arena.own_chunks(budget_bytes); }
            }
        }
        prop_assert_eq!(arena.messages(), copies.len() as u64);
        for (message, copy) in &copies {
            let stored = arena.get(MessageRef(*message));
            prop_assert_eq!(stored.address, &copy.address[..]);
            prop_assert_eq!(stored.header, &copy.header[..]);
            prop_assert_eq!(stored.body.len(), copy.body.len());
            prop_assert_eq!(body_of(stored), &copy.body[..]);
        }
        let capacities: usize = arena.blocks.iter().map(|block| block.bytes.len()).sum();
        let spares: usize = arena.spare.iter().map(Vec::len).sum();
        prop_assert_eq!(arena.block_bytes, (capacities + spares) as u64);
        while let Some(message) = copies.keys().next().copied() {
            release(&mut arena, &mut copies, message);
        }
        arena.compact(usize::MAX);
        prop_assert_eq!(arena.messages(), 0);
        prop_assert_eq!((arena.chunks.bytes(), arena.bytes_in_blocks()), (0, 0));
        prop_assert!(arena.blocks.iter().all(|block| block.live == 0));
        prop_assert!(arena.blocks.len() - arena.vacant.len() == 1, "only the open block is left");
    }
}

#[test]
fn a_survivor_in_each_block_does_not_pin_the_blocks() {
    let mut arena = Arena::new();
    let mut survivors = Vec::new();
    for number in 0..200_000_u32 {
        let body = number.to_le_bytes().repeat(64);
        let message = arena.insert(&Message::new(b"\0\x01q", b"header", Body::Flat(&body)), 1);
        if number % 1_000 == 0 {
            survivors.push((message, body));
        } else {
            arena.release(message);
        }
        if number % 500 == 0 {
            arena.compact(ARENA_BLOCK_BYTES);
        }
    }
    arena.compact(usize::MAX);
    let held = arena.bytes_held();
    assert!(held < 2_500_000, "{held} bytes for 200 messages");
    for (message, body) in survivors {
        assert_eq!(arena.get(message).body, Body::Flat(&body));
    }
}

#[test]
fn bodies_that_are_owned_hold_no_block() {
    let block = Bytes::from(filled(100_000, 1));
    let mut arena = Arena::new();
    let mut insert = |at: usize| {
        let chunks = [block.slice(at..at + 5_000), block.slice(at + 9_000..at + 9_500)];
        arena.insert(&Message::new(b"", b"", Body::Chunks(&chunks)), 1)
    };
    let messages: Vec<_> = (0..10).map(&mut insert).collect();
    arena.release(messages[3]);
    assert!(!block.is_unique());
    assert!(arena.own_chunks(20_000), "there are more");
    while arena.own_chunks(20_000) {}
    assert!(block.is_unique());
    assert!(!arena.own_chunks(1), "each is copied once");
    assert!(arena.bytes_in_blocks() == 0 && arena.chunks.bytes() > 0);
    assert_eq!(body_of(arena.get(messages[9])), [&block[9..5_009], &block[9_009..9_509]].concat());
    for (at, message) in messages.into_iter().enumerate() {
        if at != 3 {
            arena.release(message);
        }
    }
    assert_eq!((arena.chunks.bytes(), arena.bytes_in_blocks()), (0, 0));
}

#[test]
fn a_steady_flow_fills_the_same_block_again() {
    let mut arena = Arena::new();
    for _ in 0..100_000 {
        let message = arena.insert(&Message::new(b"\0\x01q", b"header", Body::Flat(&[7; 1_024])), 1);
        arena.release(message);
    }
    assert_eq!((arena.blocks.len(), arena.spare.len()), (1, 0));
}

#[test]
fn a_backlog_gives_its_memory_back_when_it_is_gone() {
    let mut arena = Arena::new();
    let backlog: Vec<_> = (0..300_000)
        .map(|_| arena.insert(&Message::new(b"\0\x01q", b"header", Body::Flat(&[1; 16])), 1))
        .collect();
    assert!(arena.bytes_held() > 300_000 * 50);
    for message in backlog {
        arena.release(message);
    }
    arena.compact(usize::MAX);
    let held = arena.bytes_held();
    assert!(held <= (ARENA_SPARE_BLOCKS as u64 + 2) * ARENA_BLOCK_BYTES as u64, "{held} bytes for nothing");
}

#[test]
#[should_panic(expected = "released more often than retained")]
fn a_release_too_many_is_a_bug_that_shows() {
    let mut arena = Arena::new();
    let message = arena.insert(&Message::new(b"", b"", Body::Flat(b"")), 1);
    arena.release(message);
    arena.release(message);
}

/// What a slot can count.
#[test]
fn as_many_owners_as_there_may_be_are_counted_beside_their_stores() {
    let mut arena = Arena::new();
    let kept =
        arena.insert(&Message::new(b"", b"", Body::Flat(b"shared")), limits::MESSAGE_OWNERS_MAX as u32);
    for _ in 0..limits::MESSAGE_OWNERS_MAX {
        arena.hold(kept);
    }
    // reads and letters
    arena.retain(kept, 1_000);
    for _ in 0..limits::MESSAGE_OWNERS_MAX + 1_000 {
        arena.release(kept);
    }
    assert_eq!(arena.get(kept).body, Body::Flat(b"shared"));
    for _ in 0..limits::MESSAGE_OWNERS_MAX {
        arena.unhold(kept);
    }
    assert_eq!(arena.messages(), 0);
}
