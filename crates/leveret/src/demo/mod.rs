//! `leveret demo`: nodes as processes on loopback that come, go and die, and every message counted.
//!
//! Two stories: [`elastic`], the one of `leveret demo`, in which nodes are asked to leave; [`failure`], in
//! which one is killed. Both enter every message into the [`ledger`] and end with its table (`report.rs`).

pub(crate) mod elastic;
pub(crate) mod failure;
mod ledger;
mod name_server;
mod nodes;
mod report;

/// Lets that time pass where nothing comes that could be waited for: another process is looked at again.
fn pause(time: std::time::Duration) {
    let _ = crossbeam_channel::never::<()>().recv_timeout(time);
}
