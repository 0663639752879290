//! Sessions of a shard: RESP connections, the second kind of client, and the machines of the parts that it
//! keeps.
//!
//! Read first: [`room`], then `host.rs` (what a connection asks) and `parts.rs` (which machine has a key). A
//! node has `limits::SESSION_PARTS` machines, however many shards it has, so that nodes of different sizes
//! agree on which machine keeps a bucket: part = bucket mod parts, shard = part mod shards. A request for a
//! part of another shard goes there as [`SessionMail`], and its answer comes back in the same way.
//!
//! Invariants
//! - *Off costs nothing*: without `session_listen` there is no room, no timer and no memory.
//! - *Own keys*: slots of RESP connections begin at [`SESSION_SLOTS`], so a `ConnectionKey` says which kind it
//!   is.
//! - *Order*: answers leave in the order of their commands, because `resp` holds those that come early.

mod attached;
mod clients;
mod config;
mod doors;
mod gathering;
mod host;
mod identity;
mod logins;
mod mail;
mod nodes;
mod on_attached;
mod on_mail;
mod on_peers;
mod on_questions;
mod on_renames;
mod on_surveys;
mod parts;
mod peers;
mod people;
mod presences;
mod questions;
mod renames;
mod report;
mod room;
mod selection;
mod shared;
mod surveys;
mod target;

pub use self::clients::{SESSION_SLOTS, SessionInterest};
pub use self::config::SessionConfig;
pub use self::mail::SessionMail;
pub use self::report::SessionReport;
pub(crate) use self::room::SessionRoom;
pub use self::selection::{SessionSelection, SessionSurvey, SessionTally};
pub use self::shared::SessionShared;
pub use self::target::{SessionTarget, session_shard};
