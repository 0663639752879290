//! `leveret`: one binary for the broker and for the people who run it.
//!
//! Read first: [`cli`], which lists the commands. `serve` goes on in [`serve`] with what [`config`] makes of
//! flags, environment and file. Exit codes: 0 done; 1 it could not be done; 2 the command line or the
//! configuration is wrong.

use std::process::ExitCode;

mod allocator;
mod cli;
mod client;
mod config;
mod demo;
mod door;
mod forget;
mod leave;
mod logging;
mod output;
mod policy;
mod queue;
mod rebalance;
mod run;
mod serve;
mod session;
mod status;
mod store;
mod web;

fn main() -> ExitCode {
    cli::run()
}
