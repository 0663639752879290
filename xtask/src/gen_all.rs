//! `cargo xtask gen`: everything that is written by a program and checked in.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::process::output;
use crate::{readme, resp_gen, wire_gen};

pub(crate) fn write(root: &Path) -> Result<()> {
    run(root, false, cargo_run(root))
}

/// With a `leveret` that is built already none is built for this alone.
pub(crate) fn check(root: &Path, leveret: Option<&str>) -> Result<()> {
    run(root, true, leveret.map_or_else(|| cargo_run(root), Command::new))
}

fn cargo_run(root: &Path) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.args(["run", "--quiet", "--package", "leveret", "--"]).current_dir(root);
    cargo
}

fn run(root: &Path, check: bool, mut leveret: Command) -> Result<()> {
    wire_gen::run(check)?;
    let declaration =
        std::fs::read_to_string(root.join(resp_gen::DECLARATION)).context(resp_gen::DECLARATION)?;
    let (table, page) = resp_gen::render(&declaration)?;
    settle(root, resp_gen::TABLE, &wire_gen::format(root, &table)?, check)?;
    settle(root, resp_gen::PAGE, &page, check)?;
    let readme = std::fs::read_to_string(root.join("README.md")).context("README.md")?;
    settle(root, "README.md", &readme::rewrite(&readme)?, check)?;
    // The table of options lives in the binary, so the binary prints the page.
    let page = output(leveret.arg("print-config-docs"))?;
    settle(root, "docs/configuration.md", &page, check)
}

/// Writes the file, or demands that it is so already.
fn settle(root: &Path, file: &str, fresh: &str, check: bool) -> Result<()> {
    let path = root.join(file);
    let current = std::fs::read_to_string(&path).unwrap_or_default();
    if current == fresh {
        return Ok(());
    }
    ensure!(!check, "{file} is not current: run `cargo xtask gen`");
    println!("{file} rewritten");
    std::fs::write(&path, fresh).with_context(|| file.to_owned())
}
