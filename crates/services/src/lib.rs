//! Services, their instances, and the rules by which doors send requests to them.
//!
//! Read first: `docs/formats/services.md`, which draws the messages.
//! Invariant: no type here knows a socket, a file, a thread or a clock.
#![no_std]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod announcement;
mod message;
mod name;
mod report;

pub use announcement::{Announcement, AnnouncementError, Drain, Kind, Load, Scheme, State};
pub use message::{ASK_KEY, EXCHANGE};
pub use message::{Ask, Command, Message, MessageError, announce_key, command_key, door_key, parse};
pub use name::{DoorName, InstanceName, NameError, ServiceName};
pub use report::{Ack, DoorReport, ServiceCount};
