//! Documents: links lead somewhere, files that are named exist, generated lists are current.

use anyhow::Result;

use super::dead::resolve;
use super::tree::{Problem, Tree};
use crate::readme;
use crate::source::{Source, line_of};

pub(super) fn check(tree: &Tree<'_>) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for page in tree.sources.iter().filter(|source| source.path.ends_with(".md")) {
        for (at, target) in links(&page.text) {
            if let Some(what) = broken(tree, page, target) {
                problems.push(Problem::new(&page.path, line_of(&page.text, at), what));
            }
        }
        for (at, path) in named_files(&page.text) {
            if !exists(tree, path) {
                let what = format!("names {path}, which is not there");
                problems.push(Problem::new(&page.path, line_of(&page.text, at), what));
            }
        }
    }
    match tree.file("README.md") {
        Some(page) if readme::rewrite(&page.text)? == page.text => {}
        Some(page) => problems.push(Problem::new(
            &page.path,
            1,
            "the list of what is missing is old: `cargo xtask gen`",
        )),
        None => problems.push(Problem::new("README.md", 1, "is missing")),
    }
    Ok(problems)
}

/// Position and target of each `[text](target)`, outside code blocks.
fn links(text: &str) -> Vec<(usize, &str)> {
    let target = |(at, _): (usize, &str)| Some((at, text[at + 2..].split_once(')')?.0));
    let prose = |(at, _): &(usize, &str)| !text[..*at].matches("\n```").count().is_multiple_of(2);
    text.match_indices("](").filter(|found| !prose(found)).filter_map(target).collect()
}

fn broken(tree: &Tree<'_>, page: &Source, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let directory = page.path.rsplit_once('/').map_or("", |(directory, _)| directory);
    let path = if file.is_empty() { page.path.clone() } else { resolve(directory, file) };
    if !exists(tree, &path) {
        return Some(format!("the link to {target} leads nowhere"));
    }
    let found = tree.file(&path);
    let known = |page: &Source| page.text.lines().filter_map(heading).any(|slug| slug == anchor);
    (!anchor.is_empty() && !found.is_some_and(known)).then(|| format!("{path} has no heading #{anchor}"))
}

/// The anchor that a heading gets.
fn heading(line: &str) -> Option<String> {
    let title = line.strip_prefix('#')?.trim_start_matches('#').strip_prefix(' ')?;
    let kept = title.to_lowercase().replace(' ', "-");
    Some(kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect())
}

/// Paths from the root in backticks: `crates/...`, `docs/...` and the like, without blanks and patterns.
fn named_files(text: &str) -> Vec<(usize, &str)> {
    const TOPS: &[&str] = &["crates/", "docs/", "xtask/", "tests/", "fuzz/", ".ci/"];
    let quoted =
        text.match_indices('`').filter_map(|(at, _)| Some((at + 1, text[at + 1..].split_once('`')?.0)));
    let path = |(_, path): &(usize, &str)| {
        TOPS.iter().any(|top| path.starts_with(top))
            && !path.contains(|c: char| c.is_whitespace() || "*<>{…".contains(c))
    };
    quoted.filter(path).collect()
}

fn exists(tree: &Tree<'_>, path: &str) -> bool {
    let path = path.trim_end_matches('/');
    tree.file(path).is_some()
        || tree.sources.iter().any(|source| source.path.starts_with(&format!("{path}/")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::tree_of;

    #[test]
    fn links_anchors_and_named_files_are_followed() {
        let page = "# A Title, here\n[ok](#a-title-here) [ok](b.md) [bad](c.md) [bad](b.md#x)\n`docs/b.md` `docs/no.md`\n";
        let tree = tree_of(&[("docs/a.md", page), ("docs/b.md", "")]);
        let found: Vec<String> = check(&tree).expect("no error").iter().map(ToString::to_string).collect();
        assert_eq!(
            found[..3],
            [
                "docs/a.md:2: the link to c.md leads nowhere",
                "docs/a.md:2: docs/b.md has no heading #x",
                "docs/a.md:3: names docs/no.md, which is not there"
            ]
        );
    }
}
