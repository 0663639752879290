//! The link protocol between nodes: records and their batches, frames, authentication, credit.
//!
//! Read first: [`record`], which both a ring and a link carry; then docs/formats/link.md, which draws every
//! byte. Invariants: no input or output happens here; bytes, time and nonces are arguments. Nothing but the
//! fixed handshake messages is parsed before the peer has proved that it knows the secret.
#![no_std]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod batch;
mod codec;
pub mod credit;
pub mod fields;
pub mod frame;
#[doc(hidden)]
pub mod fuzzing;
pub mod handshake;
pub mod record;
pub mod sessions;

pub use batch::{Batch, Records};

pub use fields::Damage;
