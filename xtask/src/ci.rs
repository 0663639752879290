//! `cargo xtask ci`: the same script that runs elsewhere, so that nobody guesses.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

pub(crate) fn run(root: &Path) -> Result<()> {
    crate::demand(Command::new(root.join(".ci/run")).current_dir(root))
}
