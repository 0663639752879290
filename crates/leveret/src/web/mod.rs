//! Requests in numbers: `leveret bench http`, `leveret demo web`, and the toy servers of the demonstration.
//!
//! Read first: [`load`], the clients that both have.

mod bench;
mod commands;
mod demo;
mod load;
mod toy;

pub(crate) use bench::run as bench;
pub(crate) use commands::{BenchCommand, DemoCommand};
pub(crate) use demo::run as demo;
pub(crate) use toy::{ToyArgs, run as toy};
