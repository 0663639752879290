//! `xtask/ratchet.txt`: what broke a rule when the rule came. Its numbers may only fall.
//!
//! `--ratchet` lowers them; nothing raises them but a hand that can be asked why.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::tree::{Problem, Tree};

const RATCHET: &str = "xtask/ratchet.txt";

/// A number that a rule wants lower.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Measure {
    pub(super) path: String,
    pub(super) line: usize,
    pub(super) number: usize,
    /// What is counted, and what to do about it.
    pub(super) advice: String,
}

/// Measures by what they measure; the first word is the kind.
pub(super) type Measures = BTreeMap<String, Measure>;

/// Compares the measures of one kind with the record: a new one, one that grew and one that shrank are
/// problems.
pub(super) fn compare(tree: &Tree<'_>, kind: &str, measures: &Measures) -> Result<Vec<Problem>> {
    Ok(differences(&read(tree.root)?, kind, measures))
}

/// Lowers the record to what is; nothing is added or raised.
pub(super) fn lower(tree: &Tree<'_>, measures: &Measures) -> Result<()> {
    let lines = read(tree.root)?.into_iter().filter_map(|(what, old)| {
        let number = measures.get(&what)?.number;
        Some(format!("{what} {}\n", old.min(number)))
    });
    std::fs::write(tree.root.join(RATCHET), lines.collect::<String>()).context(RATCHET)
}

fn differences(recorded: &BTreeMap<String, usize>, kind: &str, measures: &Measures) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (what, Measure { path, line, number, advice }) in measures {
        let text = match recorded.get(what) {
            None => format!("{what}: {number} {advice}"),
            Some(old) if number > old => format!("{what}: from {old} to {number} {advice}"),
            // Every branch that rewrites a comment would have to lower its crate's sum, and all would collide on that
            // line; whoever runs `--ratchet` next lowers it.
            Some(old) if number < old && kind != "comments" => {
                format!("{what}: from {old} down to {number}: `cargo xtask tidy --ratchet` records it")
            }
            Some(_) => continue,
        };
        problems.push(Problem::new(path, *line, text));
    }
    let of_kind = recorded.keys().filter(|what| what.split(' ').next() == Some(kind));
    for gone in of_kind.filter(|what| !measures.contains_key(*what)) {
        let text = format!("{gone} is in order now: `cargo xtask tidy --ratchet` records it");
        problems.push(Problem::new(RATCHET, 1, text));
    }
    problems
}

/// The record, read anew each time: it may just have been lowered.
fn read(root: &Path) -> Result<BTreeMap<String, usize>> {
    let text = std::fs::read_to_string(root.join(RATCHET)).unwrap_or_default();
    let entry = |line: &str| {
        let (what, number) = line.rsplit_once(' ').with_context(|| format!("{RATCHET}: {line:?}"))?;
        Ok((what.to_owned(), number.parse().with_context(|| format!("{RATCHET}: {line:?}"))?))
    };
    text.lines().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_new_rises_falls_or_is_gone_is_a_problem_and_another_kind_is_not() {
        let record = |name: &str, number| (name.to_owned(), number);
        let recorded =
            [("file same", 5), ("file up", 5), ("file down", 5), ("file gone", 5), ("circles x", 2)];
        let recorded = recorded.iter().map(|(name, number)| record(name, *number)).collect();
        let measure = |number| Measure { path: "p".to_owned(), line: 1, number, advice: "lines".to_owned() };
        let now = [("file same", 5), ("file up", 6), ("file down", 4), ("file new", 9)];
        let now = now.iter().map(|(name, number)| ((*name).to_owned(), measure(*number))).collect();
        let found: Vec<String> =
            differences(&recorded, "file", &now).iter().map(Problem::to_string).collect();
        let begins =
            ["p:1: file down: from 5 down to 4", "p:1: file new: 9 lines", "p:1: file up: from 5 to 6"];
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(begins.iter().zip(&found).all(|(begin, found)| found.starts_with(begin)), "{found:?}");
        assert!(found[3].starts_with("xtask/ratchet.txt:1: file gone is in order now"), "{found:?}");
    }
}
