//! Pure rooms: time, seeds and bytes come in as arguments, so the simulator runs the code that serves.

use anyhow::{Context as _, Result};

use super::tree::{Problem, Tree};
use crate::source::{line_of, product_only, words};

/// Rooms without sockets, files, threads, clocks and randomness.
const PURE: &[&str] = &[
    "model", "wire", "amqp", "resp", "route", "sessions", "link", "auth", "store", "queue", "cluster",
    "shard", "client", "services",
];

/// Bans of a pure room's `clippy.toml`, beside those of the root's.
const BANS: &[&str] = &[
    "std::time::Instant",
    "std::time::Instant::now",
    "std::time::SystemTime",
    "std::time::SystemTime::now",
    "std::thread::spawn",
    "std::env::var",
    "std::fs::read",
    "std::fs::write",
    "std::fs::File",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::collections::HashMap",
    "std::collections::HashSet",
    "hashbrown::DefaultHashBuilder",
    "foldhash::fast::RandomState",
    "foldhash::quality::RandomState",
];

/// Words that no pure room says: hashers that are seeded from addresses or by the system.
const WORDS: &[&str] = &["RandomState", "DefaultHasher", "DefaultHashBuilder"];

pub(super) fn check(tree: &Tree<'_>) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    let root_bans = bans(tree.file("clippy.toml").map_or("", |file| &file.text)).context("clippy.toml")?;
    for room in PURE {
        let lib = format!("crates/{room}/src/lib.rs");
        if let Some(file) = tree.file(&lib)
            && !product_only(&file.text).contains("#![no_std]")
        {
            problems.push(Problem::new(&lib, 1, "a pure room starts with #![no_std]"));
        }
        let path = format!("crates/{room}/clippy.toml");
        let own = bans(tree.file(&path).map_or("", |file| &file.text)).with_context(|| path.clone())?;
        for ban in root_bans.iter().map(String::as_str).chain(BANS.iter().copied()) {
            if !own.iter().any(|own| own == ban) {
                problems.push(Problem::new(&path, 1, format!("does not ban {ban}")));
            }
        }
    }
    let pure = |room: &str| PURE.contains(&room);
    for source in tree.rust().filter(|source| source.room().is_some_and(pure) && !source.is_test()) {
        let code = product_only(&source.text);
        let banned = WORDS.iter().flat_map(|word| words(&code, word).map(move |at| (at, *word)));
        for (at, word) in banned.chain(code.match_indices("extern crate std")) {
            let what = format!("{word} in a pure room");
            problems.push(Problem::new(&source.path, line_of(&code, at), what));
        }
    }
    Ok(problems)
}

/// Paths that a `clippy.toml` bans.
fn bans(text: &str) -> Result<Vec<String>> {
    let table: toml::Table = text.parse()?;
    let lists =
        ["disallowed-methods", "disallowed-types"].iter().filter_map(|key| table.get(*key)?.as_array());
    let path =
        |entry: &toml::Value| entry.as_str().or_else(|| entry.get("path")?.as_str()).map(str::to_owned);
    Ok(lists.flatten().filter_map(path).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::tree_of;

    #[test]
    fn a_hasher_seeded_by_the_system_is_found_outside_tests_only() {
        let lib = "#![no_std]\nuse foldhash::fast::RandomState;\n#[cfg(test)]\nextern crate std;\n";
        let found = check(&tree_of(&[("crates/model/src/lib.rs", lib)])).expect("valid");
        let lines: Vec<String> =
            found.iter().map(ToString::to_string).filter(|line| line.contains(".rs")).collect();
        assert_eq!(lines, ["crates/model/src/lib.rs:2: RandomState in a pure room"]);
    }

    #[test]
    fn a_pure_room_repeats_the_bans_of_the_root() {
        let root = "disallowed-methods = [{ path = \"a::b\", reason = \"c\" }]";
        let tree = tree_of(&[("clippy.toml", root), ("crates/model/clippy.toml", "disallowed-types = []")]);
        let found = check(&tree).expect("valid");
        assert!(found.contains(&Problem::new("crates/model/clippy.toml", 1, "does not ban a::b")));
    }
}
