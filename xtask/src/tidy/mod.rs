//! `cargo xtask tidy`: the rules of the house that the compiler does not check.
//!
//! Each rule is a file with one function that looks at the tree and names what is wrong: file, line, and what to do.
//! Read first: [`floors`], which says who may import whom.

mod dead;
mod docs;
mod floors;
mod licences;
mod limits;
mod purity;
mod sizes;
mod words;

use std::fmt;
use std::path::Path;

use anyhow::{Result, bail};

use crate::source::{self, Source};

/// The tree under inspection.
pub(crate) struct Tree<'a> {
    pub(crate) root: &'a Path,
    pub(crate) sources: Vec<Source>,
}

impl Tree<'_> {
    /// A file by its path from the root.
    pub(crate) fn file(&self, path: &str) -> Option<&Source> {
        self.sources
            .binary_search_by(|source| source.path.as_str().cmp(path))
            .ok()
            .map(|at| &self.sources[at])
    }

    /// Rust files.
    pub(crate) fn rust(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter().filter(|source| source.is_rust())
    }
}

/// Something that must be put right.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    path: String,
    line: usize,
    what: String,
}

impl Problem {
    pub(crate) fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// A rule's name and its function.
type Rule = (&'static str, fn(&Tree<'_>) -> Result<Vec<Problem>>);

const RULES: &[Rule] = &[
    ("floors", floors::check),
    ("purity", purity::check),
    ("licences", licences::check),
    ("sizes", sizes::check),
    ("dead files", dead::check),
    ("words", words::check),
    ("limits", limits::check),
    ("documents", docs::check),
];

pub(crate) fn run(root: &Path, lower_ratchet: bool) -> Result<()> {
    let tree = Tree { root, sources: source::read_tree(root)? };
    if lower_ratchet {
        sizes::lower(&tree)?;
    }
    let mut found = 0;
    for (name, rule) in RULES {
        let problems = rule(&tree)?;
        for problem in &problems {
            println!("{problem} [{name}]");
        }
        found += problems.len();
    }
    if found > 0 {
        bail!("tidy: {found} to put right");
    }
    println!("tidy: {} files, {} rules, nothing to put right", tree.sources.len(), RULES.len());
    Ok(())
}

#[cfg(test)]
pub(crate) fn tree_of(files: &[(&str, &str)]) -> Tree<'static> {
    let mut sources: Vec<Source> = files
        .iter()
        .map(|(path, text)| Source { path: (*path).to_owned(), text: (*text).to_owned() })
        .collect();
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    Tree { root: Path::new("/nowhere"), sources }
}
