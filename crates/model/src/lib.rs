//! Nouns of the broker: what every other room talks about, and nothing that acts.
//!
//! Read first: [`directory`], which fixes the doors between the control machine and the shards.
//! Invariant: no type here knows a socket, a file, a thread or a clock.
#![no_std]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod arguments;
mod consuming;
pub mod definition;
pub mod directory;
mod glob;
mod holding;
mod ids;
pub mod known_arguments;
pub mod limits;
mod message;
mod name;
mod paused;
pub mod refusals;
mod reply;
mod seed;
pub mod session;
pub mod settings;
pub mod surface;
mod time;

pub use arguments::{Arguments, Value};
pub use consuming::{ConsumerTerms, MessageRule, MessageState, Settlement, Unread};
pub use glob::glob_matches;
pub use holding::{Held, QueueHandle};
pub use ids::*;
pub use message::{Body, Message, OwnedMessage, Terms};
pub use name::{Name, NameError, RoutingKey, SHORT_STRING_BYTES_MAX};
pub use paused::Paused;
pub use reply::{Refusal, ReplyCode, Scope};
pub use seed::{Seed, SplitMix};
pub use time::Instant;
