use super::*;
use crate::tidy::tree::tree_of;

/// The circles of a crate `a` with these files under `src`.
fn circles(files: &[(&str, &str)]) -> Vec<Vec<String>> {
    let files: Vec<(String, &str)> =
        files.iter().map(|(path, text)| (format!("crates/a/src/{path}"), *text)).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    let tree = tree_of(&files);
    let graph = Graph::read(&tree, "crates/a/src/lib.rs");
    let name = |file: &&str| file.trim_start_matches("crates/a/src/").to_owned();
    graph.circles().iter().map(|circle| circle.iter().map(name).collect()).collect()
}

#[test]
fn two_files_that_use_each_others_items_are_a_circle() {
    let found = circles(&[
        ("lib.rs", "mod one; mod two;"),
        ("one.rs", "use crate::two::Two; pub struct One(Two);"),
        ("two.rs", "pub struct Two; impl Two { fn f(_: &crate::one::One) {} }"),
    ]);
    assert_eq!(found, [["one.rs", "two.rs"]]);
}

#[test]
fn a_module_and_a_re_export_are_followed_to_the_definer() {
    // `outer.rs` only passes `Two` on: it is no part of the circle, and `one.rs` is.
    let found = circles(&[
        ("lib.rs", "mod one; mod outer; pub use outer::Two;"),
        ("one.rs", "use crate::{Two as Other}; pub fn one() { Other::new() }"),
        ("outer.rs", "mod two; pub use self::two::*;"),
        ("outer/two.rs", "use crate::one; pub struct Two; fn f() { one::one() }"),
    ]);
    assert_eq!(found, [["one.rs", "outer/two.rs"]]);
}

#[test]
fn a_parent_that_uses_its_child_and_is_used_by_it_is_a_circle() {
    let parent = "mod child; struct Parent { child: child::Child }";
    let found = circles(&[
        ("lib.rs", "mod parent;"),
        ("parent/mod.rs", parent),
        ("parent/child.rs", "use super::Parent; pub struct Child;"),
    ]);
    assert_eq!(found, [["parent/child.rs", "parent/mod.rs"]]);
}

#[test]
fn a_parent_that_only_holds_its_children_is_in_no_circle() {
    let found = circles(&[
        ("lib.rs", "mod one; mod two; pub use one::One; pub struct Root;"),
        ("one.rs", "pub struct One(crate::Root);"),
        ("two.rs", "fn f(_: crate::One) {}"),
    ]);
    assert_eq!(found, Vec::<Vec<String>>::new());
}

#[test]
fn tests_comments_fields_and_other_crates_are_no_uses() {
    let found = circles(&[
        ("lib.rs", "mod one; mod two;"),
        (
            "one.rs",
            "//! [`crate::two::Two`]\npub struct One;\n#[cfg(test)]\nmod tests { use crate::two::Two; }",
        ),
        (
            "two.rs",
            "use crate::one::One; use two::One as Far; pub struct Two { one: u8 } fn f(t: Two) { t.one; }",
        ),
    ]);
    assert_eq!(found, Vec::<Vec<String>>::new());
}

#[test]
fn names_that_a_macro_makes_belong_to_the_file_that_calls_it() {
    let found = circles(&[
        ("lib.rs", "mod ids; mod one; pub use ids::*;"),
        ("ids.rs", "macro_rules! id { ($name:ident) => {} }\nid!(Made);\nfn f(_: crate::one::One) {}"),
        ("one.rs", "pub struct One; fn f(_: crate::Made) {}"),
    ]);
    assert_eq!(found, [["ids.rs", "one.rs"]]);
}

#[test]
fn the_shortest_way_round_names_each_step() {
    let files = [
        ("crates/a/src/lib.rs", "mod one; mod two; mod three;"),
        ("crates/a/src/one.rs", "use crate::two::Two;\npub struct One;"),
        ("crates/a/src/three.rs", "use crate::one::One;\npub struct Three;"),
        ("crates/a/src/two.rs", "\nuse crate::{three::Three, one::One};\npub struct Two;"),
    ];
    let measures = measure(&tree_of(&files));
    let measure = &measures["circles crates/a"];
    assert_eq!((measure.number, measure.line), (3, 1));
    let way = "crates/a/src/one.rs:1 uses Two of crates/a/src/two.rs, crates/a/src/two.rs:2 uses One of crates/a/src/one.rs;";
    assert!(measure.advice.contains(way), "{}", measure.advice);
}
