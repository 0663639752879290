//! RESP 2 and 3 as a machine: bytes and time in, bytes and calls of a [`Host`] out.
//!
//! Read first: [`Connection::on_bytes`], then `decode.rs` (bytes to arguments), `keys.rs` (arguments to a
//! [`KeyCommand`](leveret_model::session::KeyCommand)) and `replies.rs` (answers back in order). [`host`] is
//! the only door to the broker; no session and no socket is known here. `commands.txt` declares every
//! command.
//!
//! Invariants:
//! - *Order*: answers leave in the order of their commands, whenever the host gives them.
//! - *Once*: each command is answered once; an answer that comes late, or twice, finds nobody.
//! - *Bounds*: whatever a client sends, what is kept for it stays below `limits/sessions.rs`.
//! - *No panic*: any bytes give answers, or the end of the connection.
//! - *Bytes*: what Redis 7.0 says is said byte for byte; `commands.txt` lists where we differ.
#![no_std]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod arguments;
mod attach;
mod block;
mod client_info;
mod command;
mod connection;
mod decode;
mod encode;
mod entry;
pub mod host;
mod inline;
mod introspection;
mod keys;
mod login;
mod login_state;
mod native;
mod renames;
mod replies;
mod scripts;
mod table;
mod texts;
mod transactions;
mod walk;

pub use connection::{Config, Connection, State};
pub use encode::Protocol;
pub use entry::{Entry, Keys, Right};
pub use host::Host;
pub use table::{COMMANDS, Id};
