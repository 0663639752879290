//! Dialogues: frames in, frames out, against a scripted broker. One test per rule; each names its source.
//!
//! `says` is the client, `hears` what the connection answers, in order; `broker` holds what was asked of the host.

mod ack_timeouts;
mod argument_values;
mod channel_prefetch;
mod channels;
mod consuming;
mod copies;
mod flow;
mod gets;
mod handshake;
mod heartbeats;
mod leaving;
mod pauses;
mod publishing;
mod queue_names;
mod random;
mod refusals;
mod replies;
mod returns;
mod stuck;
mod support;
mod topology;
mod transactions;
