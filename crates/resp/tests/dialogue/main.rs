//! Dialogues with a connection: bytes in, bytes out, and a host that answers when it is told to.

mod client;

mod answers;
mod attach;
mod introspection;
mod login;
mod transactions;
