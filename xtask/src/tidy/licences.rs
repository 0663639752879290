//! Licences of everything that is linked, against the list in `deny.toml`, without a network.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::tree::{Problem, Tree};
use crate::process;

pub(super) fn check(tree: &Tree<'_>) -> Result<Vec<Problem>> {
    let deny = &tree.file("deny.toml").context("deny.toml is missing")?.text;
    let deny: toml::Table = deny.parse().context("deny.toml")?;
    let allowed: Vec<&str> =
        list(&deny, "licenses", "allow").iter().filter_map(toml::Value::as_str).collect();
    let banned = list(&deny, "bans", "deny");
    let metadata = process::output(
        Command::new("cargo").args(["metadata", "--format-version", "1", "--locked"]).current_dir(tree.root),
    )?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let mut problems = Vec::new();
    for package in packages {
        let text = |key: &str| package[key].as_str().unwrap_or_default();
        let who = format!("{} {}", text("name"), text("version"));
        if !satisfied(text("license"), &allowed) {
            let what = format!("{who} is under {:?}: not in the list", text("license"));
            problems.push(Problem::new("deny.toml", 1, what));
        }
        let is_ban =
            |entry: &&toml::Value| entry.get("name").and_then(toml::Value::as_str) == Some(text("name"));
        if let Some(ban) = banned.iter().find(is_ban)
            && let Some(user) = packages.iter().find(|user| depends(user, text("name")) && !wraps(ban, user))
        {
            let user = user["name"].as_str().unwrap_or_default();
            problems.push(Problem::new("deny.toml", 1, format!("{who} is banned, and {user} uses it")));
        }
    }
    Ok(problems)
}

fn depends(user: &serde_json::Value, name: &str) -> bool {
    user["dependencies"].as_array().is_some_and(|all| all.iter().any(|dependency| dependency["name"] == name))
}

/// The ban lets this package use what is banned (cargo-deny: `wrappers`).
fn wraps(ban: &toml::Value, user: &serde_json::Value) -> bool {
    let wrappers = ban.get("wrappers").and_then(toml::Value::as_array);
    wrappers.is_some_and(|all| all.iter().any(|wrapper| wrapper.as_str() == user["name"].as_str()))
}

fn list<'a>(table: &'a toml::Table, section: &str, key: &str) -> &'a [toml::Value] {
    table.get(section).and_then(|section| section.get(key)?.as_array()).map_or(&[], Vec::as_slice)
}

/// An SPDX expression with AND, OR, WITH, parentheses, and the old `/` for OR.
fn satisfied(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = tokens.as_slice();
    let value = any(&mut rest, allowed);
    value && rest.is_empty()
}

fn any(rest: &mut &[&str], allowed: &[&str]) -> bool {
    let mut value = all(rest, allowed);
    while let Some((&"OR", behind)) = rest.split_first() {
        *rest = behind;
        value |= all(rest, allowed);
    }
    value
}

fn all(rest: &mut &[&str], allowed: &[&str]) -> bool {
    let mut value = single(rest, allowed);
    while let Some((&"AND", behind)) = rest.split_first() {
        *rest = behind;
        value &= single(rest, allowed);
    }
    value
}

fn single(rest: &mut &[&str], allowed: &[&str]) -> bool {
    match **rest {
        ["(", ..] => {
            *rest = &rest[1..];
            let value = any(rest, allowed);
            let closed = rest.first() == Some(&")");
            *rest = rest.get(1..).unwrap_or_default();
            value && closed
        }
        [id, "WITH", exception, ..] => {
            *rest = &rest[3..];
            allowed.contains(&format!("{id} WITH {exception}").as_str()) || allowed.contains(&id)
        }
        [id, ..] => {
            *rest = &rest[1..];
            allowed.contains(&id)
        }
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_holds_if_one_choice_is_allowed_altogether() {
        let allowed = ["MIT", "Apache-2.0", "Unicode-3.0"];
        for good in [
            "MIT",
            "MIT/GPL-3.0",
            "GPL-2.0 OR MIT",
            "(MIT OR GPL-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception",
        ] {
            assert!(satisfied(good, &allowed), "{good}");
        }
        for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR GPL-2.0) AND ISC", "MIT ) OR ("] {
            assert!(!satisfied(bad, &allowed), "{bad}");
        }
    }
}
