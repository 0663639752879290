//! Who may import whom. Walls stand where knowledge must not cross; imports run downward only.

use anyhow::{Context as _, Result};

use super::tree::{Problem, Tree};

/// Each room and the rooms that it may import, bottom floor first. `queue` knows no bytes and no connection,
/// `amqp` knows no queue, `cluster` and `shard` never see each other; only `server` and the app touch the
/// system.
pub(super) const ROOMS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("wire", &["model"]),
    // One AMQP client for the demo, the simulator, rigs and tests; sockets stay with its users.
    ("client", &["model", "wire"]),
    ("amqp", &["model", "wire"]),
    ("resp", &["model"]),
    ("route", &["model", "wire"]),
    ("sessions", &["model"]),
    ("link", &["model"]),
    ("auth", &["model", "wire"]),
    ("store", &["model"]),
    ("queue", &["model"]),
    ("cluster", &["model", "link", "auth"]),
    ("session-oracle", &["model", "resp", "sessions"]),
    ("shard", &["model", "wire", "amqp", "resp", "route", "sessions", "link", "auth", "queue"]),
    (
        "server",
        &["model", "wire", "amqp", "route", "sessions", "link", "auth", "store", "queue", "cluster", "shard"],
    ),
    ("sim", &["model", "wire", "client", "amqp", "route", "link", "auth", "queue", "cluster", "shard"]),
    // The load generator has a codec of its own on purpose: what it measures must not help to measure.
    ("bench", &[]),
    ("services", &["model"]),
    ("bus", &["model", "services"]),
    ("door", &["model", "services", "bus"]),
    ("leveret", &["model", "wire", "link", "store", "server", "bench", "client", "services", "bus", "door"]),
];

/// Rooms that any room's tests and examples may import too, if they lie below it.
const FOR_TESTS: &[&str] = &["client"];

pub(super) fn check(tree: &Tree<'_>) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    let workspace = workspace_dependencies(tree)?;
    for manifest in &tree.sources {
        let Some(room) = manifest.room().filter(|room| manifest.path == format!("crates/{room}/Cargo.toml"))
        else {
            continue;
        };
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            problems.push(Problem::new(
                &manifest.path,
                1,
                "a room without a floor: enter it in xtask/src/tidy/floors.rs",
            ));
            continue;
        };
        let table: toml::Table = manifest.text.parse().with_context(|| manifest.path.clone())?;
        let package = table.get("package").and_then(|package| package.get("name")?.as_str());
        if package.is_some_and(|name| name != "leveret" && name != format!("{PREFIX}{room}")) {
            let what = format!("the package of {room} is called {PREFIX}{room}, so that imports are seen");
            problems.push(Problem::new(&manifest.path, 1, what));
        }
        let below = ROOMS.iter().map(|(name, _)| *name).take_while(|name| *name != room);
        let for_tests: Vec<&str> = below.filter(|name| FOR_TESTS.contains(name)).collect();
        for Import { key, room: imported, for_tests: is_for_tests } in imports(&table, &workspace) {
            let imported = imported.as_str();
            // a room's tests may ask for its own features
            let by_tests = is_for_tests && (imported == room || for_tests.contains(&imported));
            if !allowed.contains(&imported) && !by_tests {
                let own_table = format!(".{key}]");
                let mut lines = manifest.text.lines();
                let line = lines.position(|line| line.starts_with(&key) || line.ends_with(&own_table));
                let what = format!("{room} may not import {imported} (xtask/src/tidy/floors.rs)");
                problems.push(Problem::new(&manifest.path, line.unwrap_or(0) + 1, what));
            }
        }
    }
    Ok(problems)
}

/// A room among a manifest's dependencies.
struct Import {
    /// What the manifest calls it.
    key: String,
    room: String,
    /// A dev-dependency.
    for_tests: bool,
}

/// What the packages of rooms are called by.
const PREFIX: &str = "leveret-";

/// The root's table, from which manifests inherit.
fn workspace_dependencies(tree: &Tree<'_>) -> Result<toml::Table> {
    let Some(root) = tree.file("Cargo.toml") else { return Ok(toml::Table::new()) };
    let root: toml::Table = root.text.parse().context("Cargo.toml")?;
    let table = root.get("workspace").and_then(|workspace| workspace.get("dependencies")?.as_table());
    Ok(table.cloned().unwrap_or_default())
}

/// Rooms in any of a manifest's dependency tables, whatever they are called there.
fn imports(table: &toml::Table, workspace: &toml::Table) -> Vec<Import> {
    let mut found = Vec::new();
    for (key, value) in table {
        let Some(inner) = value.as_table() else { continue };
        if key.ends_with("dependencies") {
            found.extend(inner.iter().filter_map(|(name, value)| {
                let room = package(name, value, workspace).strip_prefix(PREFIX)?.to_owned();
                Some(Import { key: name.clone(), room, for_tests: key == "dev-dependencies" })
            }));
        } else if key == "target" {
            let tables = inner.values().filter_map(toml::Value::as_table);
            found.extend(tables.flat_map(|table| imports(table, workspace)));
        }
    }
    found
}

/// The package behind a dependency: its own name, unless the manifest or the workspace renames it.
fn package<'a>(name: &'a str, dependency: &'a toml::Value, workspace: &'a toml::Table) -> &'a str {
    let renamed = |value: &'a toml::Value| value.get("package")?.as_str();
    renamed(dependency).or_else(|| renamed(workspace.get(name)?)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::tree_of;

    #[test]
    fn an_import_upward_is_found_in_every_kind_of_dependency() {
        let manifest = "[dependencies]\nleveret-model.workspace = true\nleveret-wire.workspace = true\n\
                        [target.'cfg(unix)'.dev-dependencies]\nleveret-shard.workspace = true\n";
        let problems = check(&tree_of(&[("crates/queue/Cargo.toml", manifest)])).expect("valid TOML");
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].to_string().starts_with("crates/queue/Cargo.toml:3: queue may not import wire"));
    }

    #[test]
    fn an_import_under_another_name_is_found() {
        let root =
            "[workspace.dependencies]\ny = { package = \"leveret-server\", path = \"crates/server\" }\n";
        let manifest = "[dependencies]\nx = { package = \"leveret-queue\", path = \"../queue\" }\ny.workspace = true\n\
                        [dev-dependencies.z]\npackage = \"leveret-sim\"\n";
        let problems = check(&tree_of(&[("Cargo.toml", root), ("crates/amqp/Cargo.toml", manifest)]));
        let problems: Vec<String> = problems.expect("valid TOML").iter().map(Problem::to_string).collect();
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(
            problems[0].starts_with("crates/amqp/Cargo.toml:2: amqp may not import queue"),
            "{problems:?}"
        );
        assert!(
            problems[1].starts_with("crates/amqp/Cargo.toml:3: amqp may not import server"),
            "{problems:?}"
        );
        assert!(problems[2].contains("amqp may not import sim"), "{problems:?}");
    }

    #[test]
    fn the_client_is_for_tests_of_the_rooms_above_it_only() {
        let product = "[dependencies]\nleveret-client.workspace = true\n";
        let tests = "[dev-dependencies]\nleveret-client.workspace = true\n";
        let count = |path: &str, text: &str| check(&tree_of(&[(path, text)])).expect("valid TOML").len();
        assert_eq!(count("crates/shard/Cargo.toml", tests), 0);
        assert_eq!(count("crates/shard/Cargo.toml", product), 1);
        assert_eq!(count("crates/wire/Cargo.toml", tests), 1, "wire lies below the client");
    }

    #[test]
    fn a_package_that_hides_its_room_is_found() {
        let manifest = "[package]\nname = \"hutch\"\n";
        let problems = check(&tree_of(&[("crates/queue/Cargo.toml", manifest)])).expect("valid TOML");
        assert_eq!(problems.len(), 1, "{problems:?}");
    }

    #[test]
    fn a_room_imports_only_rooms_below_it() {
        for (at, (room, imports)) in ROOMS.iter().enumerate() {
            for import in *imports {
                assert!(
                    ROOMS[..at].iter().any(|(below, _)| below == import),
                    "{room} imports {import} from above"
                );
            }
        }
    }
}
