//! `leveret demo`: nodes as processes on loopback that come, go and die, and everything counted.
//!
//! Three stories: [`elastic`], the one of `leveret demo`, in which nodes are asked to leave; [`failure`], in
//! which one is killed; [`sessions`], in which browsers go on meanwhile. The first two enter every message into
//! the [`ledger`] and end with its table (`report.rs`).

mod browser;
pub(crate) mod elastic;
pub(crate) mod failure;
mod ledger;
mod name_server;
mod nodes;
mod report;
pub(crate) mod sessions;

/// Lets that time pass where nothing comes that could be waited for: another process is looked at again.
fn pause(time: std::time::Duration) {
    let _ = crossbeam_channel::never::<()>().recv_timeout(time);
}
