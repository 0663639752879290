//! Sizes: a file over 400 lines asks for a split, over 800 it needs a reason; a function fits on a screen.

use anyhow::Result;

use super::ratchet::{self, Measure, Measures};
use super::tree::{Problem, Tree};
use crate::source::{Source, code_only, item_end, line_of, words};

/// Lines of a file that are fine.
const FILE_LINES_SOFT: usize = 400;
/// Lines of a file that need `Long because` in its first lines.
const FILE_LINES_HARD: usize = 800;
/// Lines of a function that are fine.
const FUNCTION_LINES_MAX: usize = 70;

pub(super) fn check(tree: &Tree<'_>) -> Result<Vec<Problem>> {
    let (files, functions): (Measures, Measures) =
        measure(tree).into_iter().partition(|(what, _)| what.starts_with("file "));
    let mut problems = ratchet::compare(tree, "file", &files)?;
    problems.extend(ratchet::compare(tree, "function", &functions)?);
    problems.extend(written(tree).filter_map(without_reason));
    Ok(problems)
}

fn written<'a>(tree: &'a Tree<'_>) -> impl Iterator<Item = &'a Source> {
    tree.rust().filter(|source| !source.is_generated())
}

fn without_reason(source: &Source) -> Option<Problem> {
    let lines = source.text.lines().count();
    let reason = source.text.lines().take(15).any(|line| line.contains("Long because"));
    (lines > FILE_LINES_HARD && !reason).then(|| {
        let what =
            format!("{lines} lines need a reason: `Long because ...` in the first 15 lines, or a split");
        Problem::new(&source.path, 1, what)
    })
}

/// What is too long: `file PATH` or `function PATH NAME`, in lines.
pub(super) fn measure(tree: &Tree<'_>) -> Measures {
    let mut long = Measures::new();
    let measure = |path: &str, line, number| Measure {
        path: path.to_owned(),
        line,
        number,
        advice: "lines: split it".to_owned(),
    };
    for source in written(tree) {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_SOFT {
            long.insert(format!("file {}", source.path), measure(&source.path, 1, lines));
        }
        for (name, line, lines) in functions(&source.text) {
            if lines > FUNCTION_LINES_MAX {
                let entry = long.entry(format!("function {} {name}", source.path));
                let longest = entry.or_insert_with(|| measure(&source.path, line, lines));
                longest.number = lines.max(longest.number);
            }
        }
    }
    long
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
