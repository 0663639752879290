//! `cargo xtask tidy`: the rules of the house that the compiler does not check.
//!
//! Each rule is a file with one function that looks at the tree and names what is wrong: file, line, and what
//! to do. Read first: [`floors`], which says who may import whom.

mod circles;
mod comments;
mod dead;
mod docs;
mod floors;
mod licences;
mod limits;
mod open_structs;
mod purity;
mod queue_place;
mod ratchet;
mod sizes;
mod surface;
mod tree;
mod words;

use std::path::Path;

use anyhow::{Result, bail};

use self::tree::{Problem, Tree};
use crate::source;

/// A rule's name and its function.
type Rule = (&'static str, fn(&Tree<'_>) -> Result<Vec<Problem>>);

const RULES: &[Rule] = &[
    ("floors", floors::check),
    ("purity", purity::check),
    ("licences", licences::check),
    ("sizes", sizes::check),
    ("circles", circles::check),
    ("open structs", open_structs::check),
    ("comments", comments::check),
    ("queue place", queue_place::check),
    ("dead files", dead::check),
    ("words", words::check),
    ("limits", limits::check),
    ("documents", docs::check),
    ("surface", surface::check),
];

pub(crate) fn run(root: &Path, lower_ratchet: bool) -> Result<()> {
    let tree = Tree { root, sources: source::read_tree(root)? };
    if lower_ratchet {
        let measures = [sizes::measure, circles::measure, open_structs::measure, comments::measure];
        ratchet::lower(&tree, &measures.iter().flat_map(|measure| measure(&tree)).collect())?;
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

/// Prints the import circles of each crate with the uses that close them.
pub(crate) fn print_circles(root: &Path) -> Result<()> {
    circles::print(&Tree { root, sources: source::read_tree(root)? });
    Ok(())
}
