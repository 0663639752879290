//! What can be measured. Each scenario turns its arguments into cases and measures one round of one.

pub(super) mod churn;
pub(super) mod disk;
pub(super) mod fanout;
pub(super) mod idle;
pub(super) mod latency;
mod plan;
mod round;

pub(super) mod start;
mod threads;
pub(super) mod throughput;
mod topology;

use super::args::FlowArgs;

/// How a case's name tells of acknowledgements and persistence.
fn manner(flow: &FlowArgs) -> String {
    use super::args::AckMode;
    let acks = match flow.ack {
        AckMode::Auto => "automatic ack".to_owned(),
        AckMode::Confirm => {
            let FlowArgs { in_flight, prefetch, ack_every, .. } = flow;
            format!("confirms ({in_flight} in flight), ack of each {ack_every}, prefetch {prefetch}")
        }
    };
    format!("{}, {acks}", if flow.persistent { "persistent" } else { "transient" })
}

/// A size as people write it.
fn size(bytes: usize) -> String {
    match bytes {
        _ if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} B"),
    }
}
