//! Every row of `docs/amqp-surface.md` names a test that is there and can pass, or says what is `later`.

use std::collections::HashSet;

use anyhow::Result;

use super::tree::{Problem, Tree};

const PAGE: &str = "docs/amqp-surface.md";
const DIALOGUES: &str = "tests/conformance/side-by-side/dialogues/";
const DEVIATIONS: &str = "tests/conformance/side-by-side/deviations.txt";

pub(super) fn check(tree: &Tree<'_>) -> Result<Vec<Problem>> {
    let Some(page) = tree.file(PAGE) else { return Ok(vec![Problem::new(PAGE, 1, "is missing")]) };
    let tests = tests(tree);
    let later = later(tree);
    let mut problems = Vec::new();
    let mut rows = 0;
    for (at, line) in page.text.lines().enumerate() {
        let Some((id, held_by)) = row(line) else { continue };
        rows += 1;
        let names: Vec<&str> = held_by.split('`').skip(1).step_by(2).collect();
        for name in names.iter().filter(|name| !tests.contains(*name)) {
            problems.push(Problem::new(PAGE, at + 1, format!("{id} names {name}, which is no test")));
        }
        let holds = names.iter().any(|name| tests.contains(name) && !later.contains(name));
        if !holds && !held_by.contains("later: ") {
            let what = format!("{id} names no test that can pass, and does not say `later: ...`");
            problems.push(Problem::new(PAGE, at + 1, what));
        }
    }
    if rows == 0 {
        problems.push(Problem::new(PAGE, 1, "has no rows `| S1.1 | tier | what | held by |`"));
    }
    Ok(problems)
}

/// Id and last cell of a row of the page.
fn row(line: &str) -> Option<(&str, &str)> {
    let cells: Vec<&str> =
        line.strip_prefix("| ").filter(|row| row.starts_with('S'))?.strip_suffix('|')?.split(" | ").collect();
    Some((*cells.first()?, *cells.last()?))
}

/// Names of dialogues, and of functions in Rust that a `#[test]` stands above.
fn tests<'a>(tree: &'a Tree<'_>) -> HashSet<&'a str> {
    let mut found = HashSet::new();
    for source in &tree.sources {
        if source.path.starts_with(DIALOGUES) {
            found.extend(source.text.lines().filter_map(|line| line.strip_prefix("== ")));
        }
        if source.is_rust() {
            let functions = source.text.split("#[test]").skip(1);
            found.extend(functions.filter_map(|text| text.split_once("fn ")?.1.split_once('(')).map(|f| f.0));
        }
    }
    found
}

/// Dialogues that wait for something that is not built.
fn later<'a>(tree: &'a Tree<'_>) -> HashSet<&'a str> {
    let lines = tree.file(DEVIATIONS).map_or("", |file| file.text.as_str()).lines();
    lines.filter_map(|line| line.split_once(" later: ")).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::tree_of;

    #[test]
    fn a_row_names_a_test_that_can_pass_or_says_later() {
        let page = "\
| id | tier | what | held by |
| S1.1 | C | `no-test` here | `get-empty` |
| S1.2 | C | b | `a_test`, `not_a_test` |
| S1.3 | C | c | `tx-commit` |
| S1.4 | C | d | later: transactions (`tx-commit`) |
| S1.5 | C | e | soon |
";
        let tree = tree_of(&[
            (PAGE, page),
            ("tests/conformance/side-by-side/dialogues/a.txt", "== get-empty\nwait\n== tx-commit\nwait\n"),
            (DEVIATIONS, "tx-commit later: transactions\n"),
            ("crates/x/tests/y.rs", "#[test]\nfn a_test() {}\nfn not_a_test() {}\n"),
        ]);
        let found: Vec<String> = check(&tree).expect("no error").iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "docs/amqp-surface.md:3: S1.2 names not_a_test, which is no test",
                "docs/amqp-surface.md:4: S1.3 names no test that can pass, and does not say `later: ...`",
                "docs/amqp-surface.md:6: S1.5 names no test that can pass, and does not say `later: ...`",
            ]
        );
    }
}
