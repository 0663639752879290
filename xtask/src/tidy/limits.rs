//! Every bound in `model/limits.rs` is one that somebody keeps.

use anyhow::Result;

use super::{Problem, Tree};
use crate::source::{code_only, line_of, words};

const LIMITS: &str = "crates/model/src/limits.rs";

pub(super) fn check(tree: &Tree<'_>) -> Result<Vec<Problem>> {
    let Some(limits) = tree.file(LIMITS) else { return Ok(vec![Problem::new(LIMITS, 1, "is missing")]) };
    let code = code_only(&limits.text);
    let elsewhere: Vec<String> = tree
        .rust()
        .filter(|source| source.path != LIMITS && source.room().is_some())
        .map(|source| code_only(&source.text))
        .collect();
    let mut problems = Vec::new();
    for (at, mark) in code.match_indices("pub const ") {
        let name: String =
            code[at + mark.len()..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if !elsewhere.iter().any(|code| words(code, &name).next().is_some()) {
            let what = format!("{name} is kept by nobody: use it or take it out");
            problems.push(Problem::new(LIMITS, line_of(&code, at), what));
        }
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree_of;

    #[test]
    fn a_bound_that_is_only_named_in_a_comment_is_unused() {
        let tree = tree_of(&[
            (LIMITS, "pub const A: u8 = 1;\npub const B: u8 = 2;\n"),
            ("crates/x/src/lib.rs", "// B\nuse limits::A;"),
        ]);
        let found = check(&tree).expect("no error");
        assert_eq!(found, [Problem::new(LIMITS, 2, "B is kept by nobody: use it or take it out")]);
    }
}
