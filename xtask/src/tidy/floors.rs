//! Who may import whom. Walls stand where knowledge must not cross; imports run downward only.

use anyhow::{Context as _, Result};

use super::{Problem, Tree};

/// Each room and the rooms that it may import, bottom floor first. `queue` knows no bytes and no connection, `amqp`
/// knows no queue, `cluster` and `shard` never see each other; only `server` and the app touch the system.
pub(super) const ROOMS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("wire", &["model"]),
    ("amqp", &["model", "wire"]),
    ("route", &["model", "wire"]),
    ("link", &["model"]),
    ("auth", &["model", "wire"]),
    ("queue", &["model"]),
    ("cluster", &["model", "link", "auth"]),
    ("shard", &["model", "wire", "amqp", "route", "link", "auth", "queue"]),
    ("server", &["model", "wire", "amqp", "route", "link", "auth", "queue", "cluster", "shard"]),
    ("sim", &["model", "wire", "amqp", "route", "link", "auth", "queue", "cluster", "shard"]),
    ("leveret", &["model", "wire", "link", "server"]),
];

pub(super) fn check(tree: &Tree<'_>) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
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
        for imported in imports(&table) {
            if !allowed.contains(&imported.as_str()) {
                let line =
                    manifest.text.lines().position(|line| line.starts_with(&format!("leveret-{imported}")));
                let what = format!("{room} may not import {imported} (xtask/src/tidy/floors.rs)");
                problems.push(Problem::new(&manifest.path, line.unwrap_or(0) + 1, what));
            }
        }
    }
    Ok(problems)
}

/// Rooms named in any of a manifest's dependency tables.
fn imports(table: &toml::Table) -> Vec<String> {
    let mut found = Vec::new();
    for (key, value) in table {
        let Some(inner) = value.as_table() else { continue };
        if key.ends_with("dependencies") {
            found.extend(inner.keys().filter_map(|name| name.strip_prefix("leveret-")).map(str::to_owned));
        } else if key == "target" {
            found.extend(inner.values().filter_map(toml::Value::as_table).flat_map(imports));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree_of;

    #[test]
    fn an_import_upward_is_found_in_every_kind_of_dependency() {
        let manifest = "[dependencies]\nleveret-model.workspace = true\nleveret-wire.workspace = true\n\
                        [target.'cfg(unix)'.dev-dependencies]\nleveret-shard.workspace = true\n";
        let problems = check(&tree_of(&[("crates/queue/Cargo.toml", manifest)])).expect("valid TOML");
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].to_string().starts_with("crates/queue/Cargo.toml:3: queue may not import wire"));
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
