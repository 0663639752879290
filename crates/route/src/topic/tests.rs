//! The trie and the brute force against the definition of a topic match.

use super::*;
use crate::bindings::Target;
use alloc::string::String;
use alloc::vec::Vec;
use leveret_model::{Arguments, RoutingKey};
use proptest::prelude::*;

/// A trie with its bindings; binding i has pattern i.
struct Bed {
    trie: Trie,
    bindings: Bindings,
    from: Vec<Slot<Bound>>,
}

impl Bed {
    fn new<P: AsRef<[u8]>>(patterns: impl IntoIterator<Item = P>) -> Self {
        let state = FixedState::with_seed(7);
        let mut bed =
            Self { trie: Trie::new(state.clone()), bindings: Bindings::new(state), from: Vec::new() };
        for pattern in patterns {
            bed.add(pattern.as_ref());
        }
        bed
    }

    fn add(&mut self, pattern: &[u8]) {
        let anywhere = core::num::NonZeroU32::MIN;
        let target = Target::Queue(Slot::from_number(anywhere));
        let key = RoutingKey::new(pattern);
        let slot = self.bindings.insert(Slot::from_number(anywhere), target, key, Arguments::default(), 0);
        self.from.push(slot);
        self.trie.insert(&mut self.bindings, slot);
    }

    fn remove(&mut self, at: usize) {
        let slot = self.from.remove(at);
        self.trie.remove(&mut self.bindings, slot);
        self.bindings.remove(slot);
    }

    /// Matched patterns in order, each once, and the steps.
    fn route(&self, key: &[u8]) -> (Vec<Vec<u8>>, usize) {
        let mut found = Vec::new();
        let steps = self.trie.route(&self.bindings, &self.from, key, &mut |slot: Slot<Bound>| {
            found.push(self.bindings[slot].key.to_vec());
        });
        found.sort();
        found.dedup();
        (found, steps)
    }

    fn naive(&self, key: &[u8]) -> Vec<Vec<u8>> {
        let patterns = self.from.iter().map(|slot| self.bindings[*slot].key.to_vec());
        let mut found: Vec<_> = patterns.filter(|pattern| naive(pattern, key)).collect();
        found.sort();
        found.dedup();
        found
    }
}

/// The definition itself, in time without bound.
fn naive(pattern: &[u8], key: &[u8]) -> bool {
    fn rest(pattern: &[&[u8]], key: &[&[u8]]) -> bool {
        match (pattern.split_first(), key.split_first()) {
            (None, None) => true,
            (None, Some(_)) => false,
            (Some((word, tail)), _) if *word == b"#" => (0..=key.len()).any(|skip| rest(tail, &key[skip..])),
            (Some(_), None) => false,
            (Some((word, tail)), Some((first, ahead))) => {
                (*word == b"*" || word == first) && rest(tail, ahead)
            }
        }
    }
    let words = |text| if text == b"" { Vec::new() } else { <[u8]>::split(text, |b| *b == b'.').collect() };
    rest(&words(pattern), &words(key))
}

fn pattern() -> impl Strategy<Value = String> {
    "([abc*#]|aa|)(\\.([abc*#]|)){0,5}"
}

fn key() -> impl Strategy<Value = String> {
    "([abc#*]|aa|)(\\.([abc]|)){0,6}"
}

proptest! {
    #[test]
    fn trie_and_single_patterns_agree_with_the_definition(
        patterns in prop::collection::btree_set(pattern(), 0..24),
        removed in prop::collection::vec(any::<prop::sample::Index>(), 0..16),
        keys in prop::collection::vec(key(), 1..12),
    ) {
        let mut bed = Bed::new(&patterns);
        let check = |bed: &Bed| {
            for key in keys.iter().map(String::as_bytes) {
                prop_assert_eq!(bed.route(key).0, bed.naive(key));
                for slot in &bed.from {
                    let pattern = &bed.bindings[*slot].key;
                    prop_assert_eq!(matches(pattern, key), naive(pattern, key));
                }
            }
            Ok(())
        };
        check(&bed)?;
        for index in removed {
            if !bed.from.is_empty() {
                bed.remove(index.index(bed.from.len()));
                check(&bed)?;
            }
        }
        while !bed.from.is_empty() {
            bed.remove(0);
        }
        prop_assert_eq!(bed.trie.nodes.len(), 1);
        prop_assert!(bed.trie.words.is_empty());
    }
}

#[test]
fn empty_words_count_and_the_empty_key_has_none() {
    let bed = Bed::new(["", "#", "*", "a.*.b", "a..b", "*.*"]);
    let found = |key: &str| bed.route(key.as_bytes()).0;
    assert_eq!(found(""), [&b""[..], b"#"]);
    assert_eq!(found("."), [&b"#"[..], b"*.*"]);
    assert_eq!(found("a..b"), [&b"#"[..], b"a.*.b", b"a..b"]);
}

#[test]
fn wildcards_in_a_routing_key_are_plain_words() {
    let bed = Bed::new(["a.b", "*", "#"]);
    assert_eq!(bed.route(b"a.#").0, [b"#"]);
    assert_eq!(bed.route(b"*").0, [b"#", b"*"]);
}

#[test]
fn ten_thousand_patterns_cost_the_steps_of_ten() {
    let patterns = |n: u32| (0..n).map(|i| alloc::format!("sensor.{i}.*"));
    let (few, many) = (Bed::new(patterns(10)), Bed::new(patterns(10_000)));
    assert_eq!(few.route(b"sensor.7.heat"), many.route(b"sensor.7.heat"));
    assert!(many.route(b"sensor.7.heat").1 <= 4);
}

#[test]
fn a_key_that_would_walk_for_ever_is_matched_by_brute_force() {
    // two `#` with something between cost the square of a key's words: 8,000 steps for 127, for each such pair
    let mut bed = Bed::new((0..600).map(|i| alloc::format!("#.a.{i}.#.b")));
    for pattern in ["#.a.#.b", "#.a.#.c", "#.*.#.b", "#.*.#.c"] {
        bed.add(pattern.as_bytes());
    }
    for (key, expected) in [
        ("a.".repeat(126) + "b", Vec::from([&b"#.*.#.b"[..], b"#.a.#.b"])),
        ("a.7.".repeat(63) + "b", Vec::from([&b"#.*.#.b"[..], b"#.a.#.b", b"#.a.7.#.b"])),
    ] {
        let (found, steps) = bed.route(key.as_bytes());
        assert_eq!(found, expected);
        assert_eq!(steps, TOPIC_STEPS_MAX + 1, "the walk was given up");
    }
}

#[test]
fn a_third_hash_is_refused() {
    assert_eq!(validate(b"#.a.#"), Ok(()));
    assert_eq!(validate(b"#.#.#").unwrap_err().code, ReplyCode::PreconditionFailed);
    assert_eq!(validate(b"a#.b#.#c.##"), Ok(()), "only a whole word is a wildcard");
}
