//! `leveret store`: what a node has on its disk, read without a running node and without changing anything.
//!
//! Read first: [`Directory::open`], then `check.rs`. Records are found and read as a start would do it, by
//! the same code.

mod check;
mod directory;
mod export;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use self::directory::Directory;

/// What to do with a store.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Read every record and say what is damaged; exit code 1 if anything is
    Check(CheckArgs),
    /// Print the messages of a queue as lines of JSON
    Export(ExportArgs),
}

/// Flags of `leveret store check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Data directory of the node
    #[arg(value_name = "DIR")]
    directory: std::path::PathBuf,
}

/// Flags of `leveret store export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Data directory of the node
    #[arg(value_name = "DIR")]
    directory: std::path::PathBuf,
    /// The queue: its name, its id as `check` shows it, or a part of one name only
    #[arg(long, value_name = "QUEUE")]
    queue: String,
}

/// Does what the command line says.
pub(crate) fn run(command: &StoreCommand) -> anyhow::Result<ExitCode> {
    match command {
        StoreCommand::Check(args) => check::run(Directory::open(&args.directory)?),
        StoreCommand::Export(args) => export::run(Directory::open(&args.directory)?, &args.queue),
    }
}
