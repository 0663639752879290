//! Against the naive model: one vector of bytes.

use std::vec;
use std::vec::Vec;

use proptest::collection::vec as vec_of;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Own(usize),
    Shared(usize),
    Advance(usize),
    Release,
    Recycle,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0_usize..30_000).prop_map(Step::Own),
        3 => (0_usize..9_000).prop_map(Step::Shared),
        6 => (0_usize..40_000).prop_map(Step::Advance),
        1 => Just(Step::Release),
        1 => Just(Step::Recycle),
    ];
    vec_of(step, 0..60)
}

/// Bytes that no other call makes at the same place.
fn fresh(counter: &mut u32, len: usize) -> Vec<u8> {
    let mut next = || {
        *counter = counter.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (*counter >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn check(output: &Output, model: &[u8]) {
    assert_eq!(output.len(), model.len());
    assert_eq!(output.is_empty(), model.is_empty());
    assert!(output.iter().all(|chunk| !chunk.is_empty()));
    assert_eq!(output.iter().collect::<Vec<_>>().concat(), model);
    let mut few: [&[u8]; 3] = [&[]; 3];
    let count = output.chunks(&mut few);
    assert_eq!(count, output.iter().count().min(3));
    assert!(model.starts_with(&few[..count].concat()));
}

proptest! {
    #[test]
    fn an_output_is_a_queue_of_bytes(steps in steps()) {
        let (mut output, mut model, mut counter) = (Output::new(), vec![], 1);
        for step in steps {
            match step {
                Step::Own(len) => {
                    let bytes = fresh(&mut counter, len);
                    output.bytes().extend_from_slice(&bytes);
                    model.extend_from_slice(&bytes);
                }
                Step::Shared(len) => {
                    let bytes = fresh(&mut counter, len);
                    model.extend_from_slice(&bytes);
                    output.push_shared(Bytes::from(bytes));
                }
                Step::Advance(len) => {
                    let len = len.min(model.len());
                    output.advance(len);
                    model.drain(..len);
                }
                Step::Release => {
                    output.release_memory();
                    prop_assert!(!model.is_empty() || output.capacity() == 0);
                }
                Step::Recycle => {
                    let buffer = output.recycle();
                    prop_assert!(buffer.is_none() || model.is_empty());
                    output.adopt(buffer.unwrap_or_default());
                }
            }
            check(&output, &model);
        }
    }
}

#[test]
fn without_slices_it_is_one_chunk() {
    let mut output = Output::new();
    output.bytes().extend_from_slice(b"abc");
    output.advance(1);
    output.bytes().extend_from_slice(b"def");
    assert_eq!(output.iter().collect::<Vec<_>>(), [b"bcdef"]);
}

#[test]
fn a_slow_reader_costs_no_more_than_what_waits() {
    let mut output = Output::new();
    let waiting = 100_000;
    output.bytes().extend_from_slice(&vec![0; waiting]);
    for _ in 0..10_000 {
        output.bytes().extend_from_slice(&[0; 5_000]);
        output.push_shared(Bytes::from_static(&[0; 100]));
        output.advance(5_100);
    }
    assert_eq!(output.len(), waiting);
    assert!(output.capacity() <= 4 * (waiting + OUTPUT_SPENT_BYTES_MAX), "{} bytes", output.capacity());
}

#[test]
fn a_drained_buffer_goes_from_hand_to_hand() {
    let (mut first, mut second) = (Output::new(), Output::new());
    first.bytes().extend_from_slice(&[0; 1_000]);
    assert_eq!(first.recycle(), None, "not while bytes wait");
    first.advance(1_000);
    let buffer = first.recycle().unwrap();
    let place = buffer.as_ptr();
    second.adopt(buffer);
    second.bytes().push(1);
    assert_eq!((first.capacity(), second.bytes().as_ptr()), (0, place));
}

#[test]
fn advancing_too_far_leaves_it_empty() {
    let mut output = Output::new();
    output.bytes().push(1);
    output.push_shared(Bytes::from_static(b"23"));
    output.advance(10);
    assert!(output.is_empty());
}

#[test]
fn slices_of_blocks_are_copied_once_and_nothing_else_changes() {
    let block = Bytes::from(vec![7; 100_000]);
    let mut output = Output::new();
    output.bytes().extend_from_slice(b"own");
    output.push_shared(block.slice(10..5_000));
    assert_eq!(output.own_slices(1), 4_990);
    assert!(block.is_unique(), "it holds the block no more");
    let at = output.iter().nth(1).unwrap().as_ptr();
    assert_eq!(output.own_slices(1), 0);
    assert_eq!(output.iter().nth(1).unwrap().as_ptr(), at);
    assert_eq!(output.iter().flatten().count(), 3 + 4_990);
}
