//! AMQP 0-9-1 connections and channels as machines: bytes and time in, bytes and calls of a [`Host`] out.
//!
//! Read first: [`Connection::on_bytes`], then `channel/publish.rs` (a message in) and `channel/deliver.rs` (one out).
//! [`host`] is the only door to the broker; no queue and no socket is known here.
//!
//! Invariants:
//! - *One at a time*: a channel has at most one operation or held publish under way; what comes behind it on that channel
//!   is deferred as bytes and replayed in order through the same code (`channel/deferred.rs`).
//! - *Level*: what an exception closes is `ReplyCode::scope`, nothing else (`exception.rs`).
//! - *Bounds*: whatever a client sends, what is kept for it stays below `model/limits.rs`.
//! - *No panic*: any bytes give frames, an exception, or the end of the connection.
#![no_std]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod channel;
mod channels;
mod config;
mod connection;
mod ending;
mod exception;
#[doc(hidden)]
pub mod fuzzing;
mod gets;
mod handshake;
mod heartbeat;
pub mod host;
mod stuck;
mod surface;
mod turn;

pub use config::{Client, Config};
pub use connection::{Connection, Kept, NotTaken, Vanished, Waiting};
pub use ending::{Ended, LoginRefused, State};
pub use host::Host;
