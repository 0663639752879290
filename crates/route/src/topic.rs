//! Topic exchanges (AMQP 0-9-1 §3.1.3.3): words divided by dots, `*` for one word, `#` for any number, none included.
//!
//! A trie over words. The words below all nodes share one table, keyed by (node, word), so a step costs one look-up however
//! many bindings there are. Empty words count: "a..b" has three; the empty key has no word at all (RabbitMQ likewise).
//!
//! Invariant: each node but the root has a binding at it or below it.

use alloc::boxed::Box;
use alloc::format;
use core::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use leveret_model::limits::{TOPIC_HASHES_MAX, TOPIC_STEPS_MAX};
use leveret_model::{Refusal, ReplyCode};

use crate::bindings::{Bindings, Bound};
use crate::slots::{Slot, Slots};

/// The words of a key that are still ahead; `None` behind the last one.
type Rest<'a> = Option<&'a [u8]>;

/// The index of a topic exchange.
#[derive(Debug)]
pub(crate) struct Trie {
    nodes: Slots<Node>,
    root: Slot<Node>,
    /// Children by a plain word.
    words: HashTable<Slot<Node>>,
    state: FixedState,
}

#[derive(Debug)]
struct Node {
    parent: Option<Slot<Node>>,
    /// The word that leads here.
    word: Box<[u8]>,
    star: Option<Slot<Node>>,
    hash: Option<Slot<Node>>,
    /// Children by a plain word.
    words: u32,
    /// The chain of the bindings that end here.
    first: Option<Slot<Bound>>,
}

impl Node {
    fn new(parent: Option<Slot<Self>>, word: &[u8]) -> Self {
        Self { parent, word: word.into(), star: None, hash: None, words: 0, first: None }
    }

    fn is_empty(&self) -> bool {
        self.first.is_none() && self.words == 0 && self.star.is_none() && self.hash.is_none()
    }
}

impl Trie {
    pub(crate) fn new(state: FixedState) -> Self {
        let mut nodes = Slots::new();
        let root = nodes.insert(Node::new(None, b""));
        Self { nodes, root, words: HashTable::new(), state }
    }

    pub(crate) fn insert(&mut self, bindings: &mut Bindings, slot: Slot<Bound>) {
        let mut node = self.root;
        let mut rest = words(&bindings[slot].key);
        while let Some((word, tail)) = split(rest) {
            node = self.child(node, word).unwrap_or_else(|| self.add_child(node, word));
            rest = tail;
        }
        bindings.chain(&mut self.nodes[node].first, slot);
    }

    pub(crate) fn remove(&mut self, bindings: &mut Bindings, slot: Slot<Bound>) {
        let mut node = self.root;
        let mut rest = words(&bindings[slot].key);
        while let Some((word, tail)) = split(rest) {
            let Some(child) = self.child(node, word) else { return };
            node = child;
            rest = tail;
        }
        bindings.unchain(&mut self.nodes[node].first, slot);
        while let Some(parent) = self.nodes[node].parent.filter(|_| self.nodes[node].is_empty()) {
            self.remove_child(parent, node);
            node = parent;
        }
    }

    /// hot: the bindings whose pattern matches, some of them perhaps twice. Returns the steps taken; at
    /// [`TOPIC_STEPS_MAX`] the walk ends and all patterns are compared one by one.
    pub(crate) fn route(
        &self,
        bindings: &Bindings,
        from: &[Slot<Bound>],
        key: &[u8],
        found: &mut impl FnMut(Slot<Bound>),
    ) -> usize {
        let mut walk = Walk { trie: self, bindings, steps: 0, found };
        if walk.visit(self.root, words(key)).is_none() {
            for slot in from.iter().copied().filter(|slot| matches(&bindings[*slot].key, key)) {
                (walk.found)(slot);
            }
        }
        walk.steps
    }

    fn child(&self, node: Slot<Node>, word: &[u8]) -> Option<Slot<Node>> {
        match word {
            b"*" => self.nodes[node].star,
            b"#" => self.nodes[node].hash,
            _ => self.word_child(node, word),
        }
    }

    fn word_child(&self, node: Slot<Node>, word: &[u8]) -> Option<Slot<Node>> {
        let is_it =
            |child: &Slot<Node>| self.nodes[*child].parent == Some(node) && *self.nodes[*child].word == *word;
        self.words.find(self.hash(Some(node), word), is_it).copied()
    }

    fn add_child(&mut self, parent: Slot<Node>, word: &[u8]) -> Slot<Node> {
        let child = self.nodes.insert(Node::new(Some(parent), word));
        match word {
            b"*" => self.nodes[parent].star = Some(child),
            b"#" => self.nodes[parent].hash = Some(child),
            _ => {
                self.nodes[parent].words += 1;
                let (nodes, state) = (&self.nodes, &self.state);
                let rehash = |slot: &Slot<Node>| word_hash(state, nodes[*slot].parent, &nodes[*slot].word);
                self.words.insert_unique(word_hash(state, Some(parent), word), child, rehash);
            }
        }
        child
    }

    fn remove_child(&mut self, parent: Slot<Node>, child: Slot<Node>) {
        let node = self.nodes.remove(child);
        match &*node.word {
            b"*" => self.nodes[parent].star = None,
            b"#" => self.nodes[parent].hash = None,
            word => {
                self.nodes[parent].words -= 1;
                if let Ok(entry) = self.words.find_entry(self.hash(Some(parent), word), |slot| *slot == child)
                {
                    entry.remove();
                }
            }
        }
    }

    fn hash(&self, parent: Option<Slot<Node>>, word: &[u8]) -> u64 {
        word_hash(&self.state, parent, word)
    }
}

fn word_hash(state: &FixedState, parent: Option<Slot<Node>>, word: &[u8]) -> u64 {
    state.hash_one((parent.map_or(0, Slot::number), word))
}

/// One walk through the trie, depth first. Its depth is at most the words of a key and of a pattern: 256 and a few.
struct Walk<'a, F> {
    trie: &'a Trie,
    bindings: &'a Bindings,
    steps: usize,
    found: &'a mut F,
}

impl<F: FnMut(Slot<Bound>)> Walk<'_, F> {
    /// `None` when the steps are used up.
    fn visit(&mut self, node: Slot<Node>, rest: Rest<'_>) -> Option<()> {
        self.steps += 1;
        if self.steps > TOPIC_STEPS_MAX {
            return None;
        }
        let at = &self.trie.nodes[node];
        if let Some(hash) = at.hash {
            let mut ahead = rest;
            self.visit(hash, ahead)?;
            while let Some((_, tail)) = split(ahead) {
                ahead = tail;
                self.visit(hash, ahead)?;
            }
        }
        let Some((word, tail)) = split(rest) else {
            self.bindings.chained(at.first).for_each(&mut *self.found);
            return Some(());
        };
        if at.words > 0
            && let Some(child) = self.trie.word_child(node, word)
        {
            self.visit(child, tail)?;
        }
        match at.star {
            Some(star) => self.visit(star, tail),
            None => Some(()),
        }
    }
}

/// One pattern against one key without the trie: back to the last `#` on a mismatch, so the cost is words times words.
fn matches(pattern: &[u8], key: &[u8]) -> bool {
    let (mut pattern, mut key) = (words(pattern), words(key));
    let mut retry: Option<(Rest<'_>, Rest<'_>)> = None;
    loop {
        match (split(pattern), split(key)) {
            (Some((b"#", tail)), _) => {
                retry = Some((tail, key));
                pattern = tail;
                continue;
            }
            (Some((expected, pattern_tail)), Some((word, key_tail)))
                if expected == b"*" || expected == word =>
            {
                (pattern, key) = (pattern_tail, key_tail);
                continue;
            }
            (None, None) => return true,
            _ => {}
        }
        let Some((after_hash, from)) = retry else { return false };
        let Some((_, tail)) = split(from) else { return false };
        retry = Some((after_hash, tail));
        (pattern, key) = (after_hash, tail);
    }
}

fn words(key: &[u8]) -> Rest<'_> {
    (!key.is_empty()).then_some(key)
}

fn split(rest: Rest<'_>) -> Option<(&[u8], Rest<'_>)> {
    let rest = rest?;
    Some(match memchr::memchr(b'.', rest) {
        Some(dot) => (&rest[..dot], Some(&rest[dot + 1..])),
        None => (rest, None),
    })
}

/// Does the pattern keep to [`TOPIC_HASHES_MAX`]?
pub(crate) fn validate(key: &[u8]) -> Result<(), Refusal> {
    let hashes = key.split(|byte| *byte == b'.').filter(|word| *word == b"#").count();
    if hashes <= TOPIC_HASHES_MAX {
        return Ok(());
    }
    let key = key.escape_ascii();
    let text = format!("binding key '{key}' has {hashes} '#' words; at most {TOPIC_HASHES_MAX} are allowed");
    Err(Refusal::new(ReplyCode::PreconditionFailed, text))
}

#[cfg(test)]
mod tests;
