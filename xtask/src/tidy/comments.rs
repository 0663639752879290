//! Comments fit beside the code: rustfmt wraps code at 110 columns and leaves comments alone.

use anyhow::Result;

use super::ratchet::{self, Measure, Measures};
use super::tree::{Problem, Tree};

/// Columns of a line that holds a comment alone. A little over rustfmt's 110, so that no word is broken for
/// its full stop.
const COLUMNS_MAX: usize = 112;

pub(super) fn check(tree: &Tree<'_>) -> Result<Vec<Problem>> {
    ratchet::compare(tree, "comments", &measure(tree))
}

/// Comment lines that are too wide, by package.
pub(super) fn measure(tree: &Tree<'_>) -> Measures {
    let mut wide = Measures::new();
    for source in tree.rust().filter(|source| !source.is_generated()) {
        let is_wide = |line: &str| line.trim_start().starts_with("//") && line.chars().count() > COLUMNS_MAX;
        let lines: Vec<usize> =
            source.text.lines().enumerate().filter(|(_, line)| is_wide(line)).map(|(at, _)| at + 1).collect();
        let Some(first) = lines.first() else { continue };
        let parts: Vec<&str> = source.path.split('/').collect();
        let package = parts[..if parts[0] == "crates" { 2 } else { 1 }].join("/");
        let measure = wide.entry(format!("comments {package}")).or_insert_with(|| Measure {
            path: source.path.clone(),
            line: *first,
            number: 0,
            advice: format!("comment lines wider than {COLUMNS_MAX} columns: wrap them"),
        });
        measure.number += lines.len();
    }
    wide
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::tree_of;

    #[test]
    fn only_wide_lines_of_comment_are_counted_and_a_package_counts_as_one() {
        let wide = format!("    /// {}\n// narrow\nlet a = \"{0}\";\n", "é".repeat(COLUMNS_MAX));
        let fits = format!("// {}\n", "é".repeat(COLUMNS_MAX - 3));
        let files = [
            ("crates/a/src/lib.rs", wide.as_str()),
            ("crates/a/tests/b.rs", &wide),
            ("xtask/src/c.rs", &fits),
        ];
        let found = measure(&tree_of(&files));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found["comments crates/a"].number, 2);
    }
}
