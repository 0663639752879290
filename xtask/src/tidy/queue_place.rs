//! Whether a queue lives here or elsewhere is known in `queues/` alone: everyone else calls one method for
//! both.

use anyhow::Result;

use super::tree::{Problem, Tree};
use crate::source::{line_of, product_only, words};

const SHARD: &str = "crates/shard/src/";
const QUEUES: &str = "crates/shard/src/queues";
/// The enum that says where a queue lives; its variants are named outside `QUEUES` only to match on it.
const PLACE: &str = "Place";

pub(super) fn check(tree: &Tree<'_>) -> Result<Vec<Problem>> {
    // The rule begins with the room that it guards.
    if !tree.sources.iter().any(|source| source.path.starts_with(QUEUES)) {
        return Ok(Vec::new());
    }
    let others = tree.rust().filter(|source| {
        source.path.starts_with(SHARD) && !source.path.starts_with(QUEUES) && !source.is_test()
    });
    let mut problems = Vec::new();
    for source in others {
        let code = product_only(&source.text);
        for at in words(&code, PLACE).filter(|at| code[at + PLACE.len()..].starts_with("::")) {
            let what = "only queues/ matches on where a queue lives: give the home a method for both cases";
            problems.push(Problem::new(&source.path, line_of(&code, at), what));
        }
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::tree_of;

    const OUTSIDE: (&str, &str) = ("crates/shard/src/publish.rs", "// Place::Home\nfn f() { Place::Away }\n");

    #[test]
    fn a_place_outside_of_queues_is_found_once_there_is_a_queues() {
        assert_eq!(check(&tree_of(&[OUTSIDE])).expect("no error"), []);
        let inside = ("crates/shard/src/queues/places.rs", "fn f() { Place::Home }");
        let found = check(&tree_of(&[OUTSIDE, inside])).expect("no error");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].to_string().starts_with("crates/shard/src/publish.rs:2: "), "{found:?}");
    }
}
