//! What rules look at, and what they find.

use std::fmt;
use std::path::Path;

use crate::source::Source;

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

#[cfg(test)]
pub(crate) fn tree_of(files: &[(&str, &str)]) -> Tree<'static> {
    let mut sources: Vec<Source> = files
        .iter()
        .map(|(path, text)| Source { path: (*path).to_owned(), text: (*text).to_owned() })
        .collect();
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    Tree { root: Path::new("/nowhere"), sources }
}
