//! `cargo xtask ci`: the same script that runs elsewhere, so that nobody guesses.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::process;

pub(crate) fn run(root: &Path) -> Result<()> {
    process::demand(Command::new(root.join(".ci/run")).current_dir(root))
}
