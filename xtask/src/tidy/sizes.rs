//! Sizes: a file over 400 lines asks for a split, over 800 it needs a reason; a function fits on a screen.
//!
//! `xtask/ratchet.txt` records what was too long when the rule came; its numbers may only fall. `--ratchet` lowers
//! them, nothing raises them but a hand that can be asked why.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use super::{Problem, Tree};
use crate::source::{code_only, item_end, line_of, words};

/// Lines of a file that are fine.
const FILE_LINES_SOFT: usize = 400;
/// Lines of a file that need `Long because` in its first lines.
const FILE_LINES_HARD: usize = 800;
/// Lines of a function that are fine.
const FUNCTION_LINES_MAX: usize = 70;
/// The record.
const RATCHET: &str = "xtask/ratchet.txt";

/// What is too long, and by how much: `file PATH` or `function PATH NAME` to lines.
type Long = BTreeMap<String, usize>;

pub(super) fn check(tree: &Tree<'_>) -> Result<Vec<Problem>> {
    let recorded = read(tree)?;
    let (now, mut problems) = measure(tree);
    for (what, (path, line, lines)) in &now {
        match recorded.get(what) {
            None => problems.push(Problem::new(path, *line, format!("{what} has {lines} lines: split it"))),
            Some(old) if lines > old => {
                let text = format!("{what} grew from {old} to {lines} lines: split it");
                problems.push(Problem::new(path, *line, text));
            }
            Some(old) if lines < old => {
                let text = format!(
                    "{what} shrank from {old} to {lines} lines: `cargo xtask tidy --ratchet` records it"
                );
                problems.push(Problem::new(path, *line, text));
            }
            Some(_) => {}
        }
    }
    for gone in recorded.keys().filter(|what| !now.contains_key(*what)) {
        problems.push(Problem::new(
            RATCHET,
            1,
            format!("{gone} is short now: `cargo xtask tidy --ratchet` records it"),
        ));
    }
    Ok(problems)
}

/// Lowers the record to what is; nothing is added or raised.
pub(super) fn lower(tree: &Tree<'_>) -> Result<()> {
    let (now, _) = measure(tree);
    let lines = read(tree)?.into_iter().filter_map(|(what, old)| {
        let (_, _, lines) = now.get(&what)?;
        Some(format!("{what} {}\n", old.min(*lines)))
    });
    std::fs::write(tree.root.join(RATCHET), lines.collect::<String>()).context(RATCHET)
}

fn read(tree: &Tree<'_>) -> Result<Long> {
    // Read anew: it may just have been lowered.
    let text = std::fs::read_to_string(tree.root.join(RATCHET)).unwrap_or_default();
    let entry = |line: &str| {
        let (what, lines) = line.rsplit_once(' ').with_context(|| format!("{RATCHET}: {line:?}"))?;
        Ok((what.to_owned(), lines.parse().with_context(|| format!("{RATCHET}: {line:?}"))?))
    };
    text.lines().map(entry).collect()
}

type Measured = BTreeMap<String, (String, usize, usize)>;

fn measure(tree: &Tree<'_>) -> (Measured, Vec<Problem>) {
    let (mut long, mut problems) = (Measured::new(), Vec::new());
    for source in tree.rust().filter(|source| !source.is_generated()) {
        let lines = source.text.lines().count();
        let reason = source.text.lines().take(15).any(|line| line.contains("Long because"));
        if lines > FILE_LINES_HARD && !reason {
            let what =
                format!("{lines} lines need a reason: `Long because ...` in the first 15 lines, or a split");
            problems.push(Problem::new(&source.path, 1, what));
        }
        if lines > FILE_LINES_SOFT {
            long.insert(format!("file {}", source.path), (source.path.clone(), 1, lines));
        }
        for (name, line, lines) in functions(&source.text) {
            if lines > FUNCTION_LINES_MAX {
                let entry = long.entry(format!("function {} {name}", source.path));
                let (.., longest) = entry.or_insert_with(|| (source.path.clone(), line, lines));
                *longest = lines.max(*longest);
            }
        }
    }
    (long, problems)
}

/// Name, first line and number of lines of each function with a body.
fn functions(text: &str) -> Vec<(String, usize, usize)> {
    let code = code_only(text);
    let mut found = Vec::new();
    for start in words(&code, "fn") {
        let behind = code[start + 2..].trim_start();
        let name: String = behind.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let end = item_end(&code, start);
        if !name.is_empty() && code[..end].ends_with('}') {
            let first = line_of(&code, start);
            found.push((name, first, line_of(&code, end - 1) + 1 - first));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_measured_by_their_braces_not_by_text() {
        let text = "trait T { fn without(&self); }\nfn one(a: fn(u8) -> u8) -> [u8; 2] {\n    // }\n    let _ = \"}\";\n}\nfn two() {}\n";
        assert_eq!(functions(text), [("one".to_owned(), 2, 4), ("two".to_owned(), 6, 1)]);
    }
}
