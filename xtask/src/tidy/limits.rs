//! Every bound in `model/limits.rs`, or in a part of it, is one that somebody keeps.

use anyhow::Result;

use super::tree::{Problem, Tree};
use crate::source::{code_only, line_of, words};

const LIMITS: &str = "crates/model/src/limits.rs";
const PARTS: &str = "crates/model/src/limits/";

pub(super) fn check(tree: &Tree<'_>) -> Result<Vec<Problem>> {
    if tree.file(LIMITS).is_none() {
        return Ok(vec![Problem::new(LIMITS, 1, "is missing")]);
    }
    let is_limits = |path: &str| path == LIMITS || path.starts_with(PARTS);
    let elsewhere: Vec<String> = tree
        .rust()
        .filter(|source| !is_limits(&source.path) && source.room().is_some())
        .map(|source| code_only(&source.text))
        .collect();
    let mut problems = Vec::new();
    for limits in tree.rust().filter(|source| is_limits(&source.path)) {
        let code = code_only(&limits.text);
        for (at, mark) in code.match_indices("pub const ") {
            let name: String =
                code[at + mark.len()..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if !elsewhere.iter().any(|code| words(code, &name).next().is_some()) {
                let what = format!("{name} is kept by nobody: use it or take it out");
                problems.push(Problem::new(&limits.path, line_of(&code, at), what));
            }
        }
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::tree_of;

    #[test]
    fn a_bound_that_is_only_named_in_a_comment_is_unused() {
        let tree = tree_of(&[
            (LIMITS, "pub const A: u8 = 1;\npub const B: u8 = 2;\n"),
            ("crates/model/src/limits/part.rs", "pub const C: u8 = A;\n"),
            ("crates/x/src/lib.rs", "// B\nuse limits::A;"),
        ]);
        let found = check(&tree).expect("no error");
        let unused = |path, line, name| {
            Problem::new(path, line, format!("{name} is kept by nobody: use it or take it out"))
        };
        assert_eq!(found, [unused(LIMITS, 2, "B"), unused("crates/model/src/limits/part.rs", 1, "C")]);
    }
}
