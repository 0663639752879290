//! Import circles: files of one crate that use each other's items, so that none can be understood before the
//! others.
//!
//! An edge is a file's use of an item that another file defines. `mod` and `pub use` define nothing: a path
//! is followed through them to the definer. A private `use` is a use. Methods are not seen, since text does
//! not tell whose they are; a file that adds methods to another's type names the type. Tests do not count.
//! The record holds a crate's number of files in circles. `cargo xtask tidy --circles` prints them with their
//! edges.

mod modules;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};

use self::modules::{Modules, Segments};
use super::ratchet::{Measure, Measures};
use super::tree::{Problem, Tree};
use crate::source::line_of;

pub(super) fn check(tree: &Tree<'_>) -> anyhow::Result<Vec<Problem>> {
    super::ratchet::compare(tree, "circles", &measure(tree))
}

/// Files in circles, by crate.
pub(super) fn measure(tree: &Tree<'_>) -> Measures {
    let mut measures = Measures::new();
    for (package, root) in roots(tree) {
        let graph = Graph::read(tree, &root);
        let circles = graph.circles();
        let Some(first) = circles.first() else { continue };
        let steps = graph.shortest(first);
        let (path, line) = (steps[0].from.to_owned(), steps[0].edge.line);
        let steps: Vec<String> = steps.iter().map(Step::to_string).collect();
        let files: usize = circles.iter().map(BTreeSet::len).sum();
        let advice = format!(
            "files in import circles, such as {}; `cargo xtask tidy --circles` shows all",
            steps.join(", ")
        );
        // Library and program of one package count together.
        let measure =
            measures.entry(format!("circles {package}")).or_insert(Measure { path, line, number: 0, advice });
        measure.number += files;
    }
    measures
}

/// Every circle with the uses that close it, for whoever means to open one.
pub(super) fn print(tree: &Tree<'_>) {
    for (_, root) in roots(tree) {
        let graph = Graph::read(tree, &root);
        for circle in graph.circles() {
            println!("{root}: {} files", circle.len());
            for step in graph.steps(&circle) {
                println!("  {step}");
            }
        }
    }
}

/// Packages and the root files of their libraries and programs.
fn roots(tree: &Tree<'_>) -> impl Iterator<Item = (String, String)> {
    tree.rust().filter_map(|source| {
        let package = source.path.strip_suffix("/src/lib.rs").or(source.path.strip_suffix("/src/main.rs"))?;
        Some((package.to_owned(), source.path.clone()))
    })
}

#[derive(Debug)]
struct Edge {
    item: String,
    line: usize,
}

struct Step<'a> {
    from: &'a str,
    edge: &'a Edge,
    to: &'a str,
}

impl std::fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Step { from, edge, to } = self;
        write!(f, "{from}:{} uses {} of {to}", edge.line, edge.item)
    }
}

/// For each file the files that it uses, with the first use.
struct Graph(BTreeMap<String, BTreeMap<String, Edge>>);

impl Graph {
    fn read(tree: &Tree<'_>, root: &str) -> Self {
        let modules = Modules::read(tree, root);
        let mut edges: BTreeMap<String, BTreeMap<String, Edge>> = BTreeMap::new();
        for (at, module) in modules.all.iter().enumerate() {
            let Some(source) = tree.file(&module.file) else { continue };
            for mention in &module.mentions {
                let Some(Found::Item(definer, item)) = modules.resolve(at, &mention.path, 0) else {
                    continue;
                };
                let definer = &modules.all[definer].file;
                if *definer != module.file {
                    let uses = edges.entry(module.file.clone()).or_default();
                    let edge = || Edge { item, line: line_of(&source.text, mention.at) };
                    uses.entry(definer.clone()).or_insert_with(edge);
                }
            }
        }
        Self(edges)
    }

    /// Files that are reached from each other, largest circle first.
    fn circles(&self) -> Vec<BTreeSet<&str>> {
        let reached: BTreeMap<&str, BTreeSet<&str>> =
            self.0.keys().map(|file| (file.as_str(), self.reached(file))).collect();
        let back = |from: &str, to: &str| reached.get(to).is_some_and(|reached| reached.contains(from));
        let mut circles: BTreeSet<BTreeSet<&str>> = BTreeSet::new();
        for (from, files) in &reached {
            let circle: BTreeSet<&str> = files.iter().copied().filter(|to| back(from, to)).collect();
            if circle.len() > 1 {
                circles.insert(circle);
            }
        }
        let mut circles: Vec<_> = circles.into_iter().collect();
        circles.sort_by_key(|circle| std::cmp::Reverse(circle.len()));
        circles
    }

    fn reached(&self, from: &str) -> BTreeSet<&str> {
        let (mut found, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(file) = open.pop() {
            for used in self.0.get(file).into_iter().flat_map(BTreeMap::keys) {
                if found.insert(used.as_str()) {
                    open.push(used);
                }
            }
        }
        found
    }

    fn steps<'a>(&'a self, circle: &BTreeSet<&'a str>) -> Vec<Step<'a>> {
        let inside = self.0.iter().filter(|(from, _)| circle.contains(from.as_str()));
        let steps =
            inside.flat_map(|(from, uses)| uses.iter().map(move |(to, edge)| Step { from, edge, to }));
        steps.filter(|step| circle.contains(step.to)).collect()
    }

    /// A way round the circle with the fewest steps.
    fn shortest<'a>(&'a self, circle: &BTreeSet<&'a str>) -> Vec<Step<'a>> {
        let round = |start: &&'a str| {
            let mut came: BTreeMap<&str, Step<'a>> = BTreeMap::new();
            let mut open = std::collections::VecDeque::from([*start]);
            while let Some(from) = open.pop_front() {
                for (to, edge) in &self.0[from] {
                    let to = to.as_str();
                    if circle.contains(to) && !came.contains_key(to) {
                        came.insert(to, Step { from, edge, to });
                        open.push_back(to);
                    }
                }
            }
            let mut steps = Vec::new();
            let mut at = *start;
            while let Some(step) = came.remove(at) {
                at = step.from;
                steps.insert(0, step);
            }
            steps
        };
        circle.iter().map(round).min_by_key(Vec::len).unwrap_or_default()
    }
}

/// What a path leads to.
enum Found {
    Module(usize),
    /// The module that defines it, and its name.
    Item(usize, String),
}

/// Re-exports that are followed before a path is given up: names can lead in a ring.
const DEPTH_MAX: usize = 16;

impl Modules {
    /// Follows a path as it is written in `module`; `None` if it leaves the crate.
    fn resolve(&self, module: usize, path: &Segments, depth: usize) -> Option<Found> {
        if depth > DEPTH_MAX {
            return None;
        }
        let (first, rest) = path.split_first()?;
        let mut at = match first.as_str() {
            "crate" => Found::Module(0),
            "self" => Found::Module(module),
            "super" => Found::Module(self.all[module].parent?),
            name => self.lookup(module, name, depth)?,
        };
        for segment in rest {
            at = match (at, segment.as_str()) {
                (Found::Module(module), "super") => Found::Module(self.all[module].parent?),
                (Found::Module(module), "self") => Found::Module(module),
                // A name that no reader of text can find, as a macro makes it: its module's file counts as
                // the definer.
                (Found::Module(module), name) => {
                    self.lookup(module, name, depth).unwrap_or_else(|| Found::Item(module, name.to_owned()))
                }
                // Behind an item come its variants and methods.
                (item @ Found::Item(..), _) => return Some(item),
            };
        }
        Some(at)
    }

    fn lookup(&self, module: usize, name: &str, depth: usize) -> Option<Found> {
        let here = &self.all[module];
        if here.items.contains(name) {
            return Some(Found::Item(module, name.to_owned()));
        }
        if let Some(child) = here.children.get(name) {
            return Some(Found::Module(*child));
        }
        if let Some(path) = here.imports.get(name) {
            return self.resolve(module, path, depth + 1);
        }
        let by_glob = here.globs.iter().find_map(|glob| match self.resolve(module, glob, depth + 1)? {
            Found::Module(inner) if inner != module && depth < DEPTH_MAX => {
                self.lookup(inner, name, depth + 1)
            }
            _ => None,
        });
        let by_macro = || here.in_macros.contains(name).then(|| Found::Item(module, name.to_owned()));
        let a_macro = || self.macros.get(name).map(|definer| Found::Item(*definer, name.to_owned()));
        by_glob.or_else(by_macro).or_else(a_macro)
    }
}

#[cfg(test)]
mod tests;
