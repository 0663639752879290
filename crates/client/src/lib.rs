//! An AMQP 0-9-1 client without a socket: bytes of the broker in, events out; requests in, bytes for the broker
//! out.
//!
//! The demo, tests and load rigs put it on whatever carries their bytes. It is no client for applications: no
//! TLS, no recovery, no heartbeats of its own.
//!
//! Read first: [`Connection`], a client that keeps to the protocol. Below it lies [`Inbox`], which only puts
//! together what comes: clients that break rules on purpose use it alone.
//!
//! Invariants:
//! - *In order*: events come out in the order in which the broker's bytes came, whatever they belong to.
//! - *Whole*: a message is one event, given out when its last byte is there.
//! - *Checked*: what AMQP 0-9-1 does not let a broker send is a [`Violation`], never a guess and never a panic.
#![no_std]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod assembly;
mod confirms;
mod connection;
mod inbox;
mod login;

use alloc::string::String;

pub use assembly::{Message, Origin};
pub use connection::{Answer, Connection, Event};
pub use inbox::{Inbox, Incoming};
pub use login::Login;

/// What the broker sent that AMQP 0-9-1 does not allow there. The connection is of no use any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Violation(pub String);

impl Violation {
    fn new(what: impl core::fmt::Display) -> Self {
        Self(alloc::format!("{what}"))
    }
}
