//! `cargo xtask`: the one entrance for work on the tree.
//!
//! Read first: [`tidy`], the rules that the compiler does not check. Each subcommand has a file of its own.
#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};

mod ci;
mod gen_all;
mod icount;
mod process;
mod readme;
mod resp_gen;
mod soak;
mod source;
mod tidy;

#[allow(unreachable_pub, reason = "a module that stands alone")]
mod wire_gen;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  tidy [--ratchet|--circles]  check the rules that the compiler does not; --ratchet lowers the recorded numbers,
                              --circles prints each crate's import circles with the uses that close them
  gen [--check [LEVERET]]     write (or compare) the files that are generated; LEVERET is a built one that prints its page
  icount [--write] [NAME ...] count instructions per message under callgrind; compare with docs/proof/icount.md
  soak NAME [--hours N|--count N]
                              run a long test; names: sim, planted, cycles, leaves, chaos, door, side-by-side, powercut, kill, mutations
  ci                          what continuous integration runs (.ci/run)
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["tidy"] => tidy::run(&root()?, false),
        ["tidy", "--ratchet"] => tidy::run(&root()?, true),
        ["tidy", "--circles"] => tidy::print_circles(&root()?),
        ["gen"] => gen_all::write(&root()?),
        ["gen", "--check"] => gen_all::check(&root()?, None),
        ["gen", "--check", leveret] => gen_all::check(&root()?, Some(leveret)),
        ["icount", rest @ ..] => icount::run(&root()?, rest),
        ["soak", rest @ ..] => soak::run(&root()?, rest),
        ["ci"] => ci::run(&root()?),
        [] | ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(())
        }
        _ => bail!("cannot make sense of {:?}\n{USAGE}", arguments.join(" ")),
    }
}

/// The root of the tree that this program was built from.
fn root() -> Result<PathBuf> {
    let root =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the root")?.to_owned();
    ensure!(root.join("Cargo.toml").is_file(), "{} is not the tree any more", root.display());
    Ok(root)
}
