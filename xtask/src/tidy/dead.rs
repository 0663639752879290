//! Rust files that no target reaches: they compile nowhere and rot.

use std::collections::BTreeSet;

use anyhow::Result;

use super::tree::{Problem, Tree};
use crate::source::{code_only, words};

pub(super) fn check(tree: &Tree<'_>) -> Result<Vec<Problem>> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<String> =
        tree.rust().map(|source| source.path.clone()).filter(|path| is_target(path)).collect();
    while let Some(path) = open.pop() {
        if let Some(source) = tree.file(&path)
            && reached.insert(path.clone())
        {
            open.extend(children(&path, &source.text));
        }
    }
    let dead = tree.rust().filter(|source| !reached.contains(&source.path));
    Ok(dead.map(|source| Problem::new(&source.path, 1, "no `mod` reaches this file")).collect())
}

/// Files that cargo takes as the root of a target.
fn is_target(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    // Behind the package's directory: `crates/NAME`, `adapters/NAME`, `xtask`, `fuzz`.
    let inside = if matches!(parts[0], "crates" | "adapters") { parts.get(2..) } else { parts.get(1..) };
    matches!(
        inside.unwrap_or_default(),
        ["build.rs"]
            | ["src", "lib.rs" | "main.rs"]
            | ["tests" | "examples" | "benches" | "fuzz_targets", _]
            | ["tests" | "examples" | "benches", _, "main.rs"]
            | ["src", "bin", _]
            | ["src", "bin", _, "main.rs"]
    )
}

/// Paths that the file's `mod name;`, `#[path]` and `include!` may lead to.
fn children(path: &str, text: &str) -> Vec<String> {
    let (directory, file) = path.rsplit_once('/').unwrap_or(("", path));
    let base = match file {
        "mod.rs" | "lib.rs" | "main.rs" => directory.to_owned(),
        _ if is_target(path) => directory.to_owned(),
        _ => format!("{directory}/{}", file.trim_end_matches(".rs")),
    };
    let code = code_only(text);
    let mut found = Vec::new();
    // A `mod name;` inside `mod outer { ... }` lies one directory deeper.
    let mut bases = vec![base.clone()];
    for at in words(&code, "mod") {
        let behind = code[at + 3..].trim_start();
        let name: String = behind.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        match behind[name.len()..].trim_start().chars().next() {
            Some('{') => bases.push(format!("{base}/{name}")),
            Some(';') => {
                let both = |base: &String| [format!("{base}/{name}.rs"), format!("{base}/{name}/mod.rs")];
                found.extend(bases.iter().flat_map(both));
            }
            _ => {}
        }
    }
    for mark in ["#[path = \"", "include!(\""] {
        let quoted = text.match_indices(mark).filter_map(|(at, _)| text[at + mark.len()..].split('"').next());
        found.extend(quoted.map(|relative| resolve(directory, relative)));
    }
    found
}

/// A relative path without `..`.
pub(super) fn resolve(directory: &str, relative: &str) -> String {
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in relative.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::tree_of;

    #[test]
    fn a_file_without_a_mod_is_found_and_the_others_are_not() {
        let tree = tree_of(&[
            ("crates/a/src/lib.rs", "mod one;\n// mod gone;\n#[path = \"../odd/three.rs\"]\nmod x;"),
            ("crates/a/src/one.rs", "mod inner { mod deep; }"),
            ("crates/a/src/one/inner/deep.rs", ""),
            ("crates/a/odd/three.rs", ""),
            ("crates/a/src/gone.rs", ""),
            ("crates/a/tests/whole.rs", ""),
            ("crates/a/tests/large/main.rs", "mod part;"),
            ("crates/a/tests/large/part.rs", ""),
            ("xtask/src/main.rs", ""),
        ]);
        let found = check(&tree).expect("no error");
        assert_eq!(found, [Problem::new("crates/a/src/gone.rs", 1, "no `mod` reaches this file")]);
    }
}
