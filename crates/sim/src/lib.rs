//! The simulated driver: a whole cluster and its clients in one thread, by seed.
//!
//! Read first: [`run`], then `world.rs`; `process.rs`, `shard_host.rs` and `control_host.rs` carry the same
//! envelopes as the real driver, `network.rs` loses, delays and cuts, `client.rs` speaks AMQP, `oracle.rs`
//! knows what was promised and `invariants/` judges.
//!
//! Invariants: the seed decides everything, so the same seed gives the same trace hash; the machines under test
//! see nothing but their doors; a run says how much it judged, for what was not judged is not proven.

mod body;
mod channel;
mod client;
mod clients;
mod control_host;
mod dials;
mod disks;
mod event;
mod faults;
mod handshakes;
mod inject;
mod invariants;
mod later_version;
mod life;
mod lifetimes;
mod losses;
mod message_id;
mod network;
mod options;
mod oracle;
mod outcome;
mod planted;
mod policies;
mod process;
mod reads;
mod removals;
mod request;
mod scheduler;
mod shard_host;
mod stores;
mod strangers;
mod topology;
mod trace;
mod truth;
mod workload;
mod world;

pub use faults::{FaultCounts, FaultKind};
pub use invariants::Violation;
pub use options::Options;
pub use outcome::{Outcome, Traffic};
pub use planted::Planted;

/// Runs one seed to its end, or to the first broken promise.
#[must_use]
pub fn run(options: Options) -> Outcome {
    world::World::new(options).run()
}

/// The commit that is checked out, to be printed with a seed; `None` outside a repository.
#[must_use]
pub fn commit() -> Option<String> {
    let output = std::process::Command::new("git").args(["rev-parse", "HEAD"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
