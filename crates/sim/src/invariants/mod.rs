//! The promises, one file each, but for `no_phantom`: a delivery is judged where it comes in (`oracle.rs`,
//! `channel.rs`, and `client.rs` for consumers that were never asked for). A violation names its promise.
//!
//! | file | promise |
//! |---|---|
//! | `no_phantom` | nothing is delivered that was not published, nor twice without `redelivered` |
//! | `order` | first deliveries come in publish order, what was given back before what stands behind it |
//! | `unacked_returns` | what a channel held when it died is delivered again |
//! | `confirmed_kept` | each queue that a confirmed message was routed to delivers it, unless its home died |
//! | `disk_kept` | with disks: what is confirmed and persistent was delivered or is on one |
//! | `stored_first` | a confirmed persistent message is stored by each durable queue that has it |
//! | `one_home` | a queue incarnation has one home always, a name one while views agree |
//! | `exclusive` | an exclusive queue has one user and ends with its connection |
//! | `bindings` | a confirmed publish misses no binding that was acked in reach |
//! | `directories` | all directories are equal 2 s after the last fault |
//! | `authentication` | who is believed on a link is who is there |
//! | `buffers` | every buffer stays under its limit |
//! | `left_empty` | a node that says that it has left is home to nothing |
//! | `liveness` | 10 s after the last fault everything is answered, known and delivered |

use leveret_model::Instant;

pub(crate) mod authentication;
pub(crate) mod bindings;
pub(crate) mod buffers;
pub(crate) mod confirmed_kept;
pub(crate) mod directories;
pub(crate) mod disk_kept;
pub(crate) mod exclusive;
pub(crate) mod left_empty;
pub(crate) mod liveness;
pub(crate) mod one_home;
pub(crate) mod order;
pub(crate) mod stored_first;
pub(crate) mod unacked_returns;
pub(crate) mod unknown_kept;

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When it was seen.
    pub at: Instant,
    /// Which promise of the table above.
    pub invariant: &'static str,
    /// What was seen.
    pub text: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {:.6} s: {}", self.invariant, self.at.as_nanos() as f64 / 1e9, self.text)
    }
}
