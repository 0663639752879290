//! Words that do not stay in the tree, and names that say nothing.

use anyhow::Result;

use super::tree::{Problem, Tree};
use crate::source::{code_only, line_of, words};

/// Notes to oneself; an issue or a sentence of explanation takes their place. Split, so that this file passes.
const NOTES: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Names under which anything can hide.
const EMPTY_NAMES: &[&str] = &["common", "utils", "util", "helpers", "helper", "manager", "misc"];

/// Kinds of files that people write.
const WRITTEN: &[&str] = &[".rs", ".md", ".toml", ".py", ".js", ".sh", "/run"];

pub(super) fn check(tree: &Tree<'_>) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for source in tree.sources.iter().filter(|source| WRITTEN.iter().any(|end| source.path.ends_with(end))) {
        for note in NOTES {
            for at in words(&source.text, note) {
                let what = format!("{note}: do it, or say in a sentence why not");
                problems.push(Problem::new(&source.path, line_of(&source.text, at), what));
            }
        }
        if !source.is_rust() {
            continue;
        }
        let code = code_only(&source.text);
        for at in words(&code, "dbg").filter(|at| code[at + 3..].starts_with('!')) {
            problems.push(Problem::new(&source.path, line_of(&code, at), "dbg! is for your desk"));
        }
        let mut named = source.path.trim_end_matches(".rs").split('/');
        let inline = words(&code, "mod").filter_map(|at| code[at + 3..].split_whitespace().next());
        let mut inline = inline.map(|name| name.trim_end_matches([';', '{']));
        if let Some(name) = named
            .find(|name| EMPTY_NAMES.contains(name))
            .or_else(|| inline.find(|name| EMPTY_NAMES.contains(name)))
        {
            problems.push(Problem::new(
                &source.path,
                1,
                format!("{name:?} says nothing: name what is in it"),
            ));
        }
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::tree_of;

    #[test]
    fn notes_and_empty_names_are_found_and_parts_of_words_are_not() {
        let note = format!("// {}: later\nfn a() {{ dbg!(1); }}\nmod {} {{}}\n", NOTES[0], "utils");
        let tree = tree_of(&[("crates/a/src/lib.rs", &note), ("docs/a.md", "mktemp /tmp/x.XXXXXX")]);
        assert_eq!(check(&tree).expect("no error").len(), 3);
    }
}
