//! Services, their instances, and the rules by which doors send requests to them.
//!
//! Read first: `docs/formats/services.md`, which draws the messages and names the rules T1 to T9. [`Table`]
//! keeps a door's rows (T1 to T4, T8), [`Snapshot`] is what requests read of it, [`Slot`] is the word that
//! makes an acknowledged drain true, [`retry`] and [`hold`] judge failed and waiting requests (T6, T7),
//! [`Supervised`] is the other end: one instance that announces itself, drains and stops. Invariant: no type
//! here knows a socket, a file, a thread or a clock.
#![no_std]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod announcement;
mod choice;
mod claims;
mod fence;
pub mod fuzzing;
pub mod hold;
mod latency;
mod message;
mod message_error;
mod name;
mod planted;
mod report;
pub mod retry;
mod slot;
mod snapshot;
mod supervised;
mod table;

pub use announcement::{Announcement, AnnouncementError, Drain, Kind, Load, Scheme, State, Terms};
pub use choice::{Choice, Wanted, rendezvous};
pub use claims::{Claim, Claims, Conflict};
pub use fence::{Fence, Network};
pub use latency::Latency;
pub use message::{ASK_KEY, EXCHANGE};
pub use message::{Ask, Command, Message, announce_key, command_key, door_key, parse};
pub use message_error::MessageError;
pub use name::{DoorName, InstanceName, NameError, ServiceName};
pub use planted::Planted;
pub use report::{Ack, DoorReport, ServiceCount};
pub use slot::{Opening, Slot};
pub use snapshot::{Candidate, ServiceView, Snapshot};
pub use supervised::{Effect, Event, Note, Phase, Settings, StopSignal, Supervised};
pub use table::{Row, RowKey, Table, TableConfig, TableEffect, TableNote, WhyNot};
