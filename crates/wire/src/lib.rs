//! The bytes of AMQP 0-9-1: frames, methods, content headers, field tables, and the list of bytes to be
//! written.
//!
//! Read first: [`frame`], where a frame is drawn. Then [`method`], generated from `methods.txt` by `cargo xtask
//! gen`.
//!
//! Invariants:
//! - *No state*: what is decoded borrows from the bytes that came; nothing is kept between two calls.
//! - *No copy*: bodies, headers and tables stay slices of the input; only [`field::Table::to_arguments`] makes
//!   values.
//! - *No panic*: any bytes give a value or an error (fuzzed, see [`fuzzing`]).
//! - *No recursion on input*: nesting is counted against `limits::TABLE_DEPTH_MAX` before anything descends.
#![no_std]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod client;
mod codec;
pub mod content;
pub mod field;
pub mod frame;
#[doc(hidden)]
pub mod fuzzing;
pub mod method;
pub mod output;
pub mod properties;
mod spec;

pub use content::{
    PublishFields, decode_ack, decode_publish, write_body_frames, write_body_frames_shared, write_deliver,
};
pub use field::{Array, FieldError, FieldValue, Table, encode_arguments};
pub use frame::{
    Frame, FrameError, FrameHead, FrameKind, HEARTBEAT, PROTOCOL_HEADER, ProtocolHeader, decode_frame,
    decode_head,
};
pub use method::{METHODS, Method};
pub use output::{Output, own_slices};
pub use properties::{BasicProperties, ContentHeader, HeaderError, Properties};
pub use spec::{EncodeMethod, FieldKind, MethodError, MethodField, MethodInfo, SentBy};
