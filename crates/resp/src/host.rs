//! What a connection asks of the broker: the only door between this crate and the shard.
//!
//! A [`Host`] is called *during* `Connection::on_bytes`, with borrowed arguments. What it can say at once it
//! returns; the rest it answers later through a method of `Connection`, never from inside the call. Each
//! question carries a [`Ticket`], which comes back with the answer.

use alloc::boxed::Box;
use alloc::vec::Vec;

use leveret_model::session::{Answer, Database, KeyCommand, RenameForm};

use crate::entry::Right;

/// What an answer belongs to: a command of the connection, and a part of it if it asks for several keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Ticket {
    /// Counts the commands that waited for an answer, from 0.
    pub reply: u64,
    /// Counts its keys.
    pub part: u32,
}

/// What a `SCAN` looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk<'a> {
    /// Where to go on; 0 begins.
    pub cursor: u64,
    /// A glob pattern for keys.
    pub pattern: Option<&'a [u8]>,
    /// Keys that are wanted, about.
    pub count: usize,
    /// A type's name in lower or upper case.
    pub kind: Option<&'a [u8]>,
}

/// A session and the key that it is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rename<'a> {
    /// The key that it has.
    pub old: &'a [u8],
    /// The key that it is to have.
    pub new: &'a [u8],
    /// Of `SESSION.RENAME`, the same for each repeat; else empty.
    pub id: &'a [u8],
    /// Which command it is.
    pub form: RenameForm,
}

/// What `INFO` and `CONFIG GET` say beside what this crate knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Since the start.
    pub uptime_s: u64,
    /// RESP connections of the node.
    pub connections: u64,
    /// Bytes of sessions.
    pub used_bytes: u64,
    /// `session_memory`.
    pub max_bytes: u64,
    /// Sessions of each database that has some, and how many of these expire.
    pub keyspace: Vec<(Database, u64, u64)>,
    /// Lines of the section Leveret.
    pub lines: Vec<(&'static str, Box<str>)>,
}

/// The broker, as a RESP connection sees it.
pub trait Host {
    /// Check a login; `Connection::on_login` follows. `user` is `user` or `vhost:user`, as it came.
    fn login(&mut self, user: &[u8], password: &[u8]);

    /// The connection is as it was before its login (`RESET`).
    fn forget_login(&mut self);

    /// May the connection's user do this on `amq.leveret.sessions`?
    fn permits(&mut self, right: Right) -> bool;

    /// Do this to a key. `None`: `Connection::on_answer` follows. hot.
    fn execute(
        &mut self,
        ticket: Ticket,
        database: Database,
        key: &[u8],
        command: &KeyCommand<'_>,
    ) -> Option<Answer<'_>>;

    /// Do these to a key, as one commit: all, or none with one refusal. Answered with [`Answer::Block`] or
    /// [`Answer::Refused`].
    fn execute_block(
        &mut self,
        ticket: Ticket,
        database: Database,
        key: &[u8],
        commands: &[KeyCommand<'_>],
    ) -> Option<Answer<'_>>;

    /// Give a session another key; `Connection::on_answer` follows.
    fn rename(&mut self, ticket: Ticket, database: Database, rename: &Rename<'_>);

    /// List some keys; `Connection::on_walked` follows.
    fn walk(&mut self, ticket: Ticket, database: Database, walk: &Walk<'_>);

    /// Count the keys; `Connection::on_answer` follows.
    fn count(&mut self, ticket: Ticket, database: Database);

    /// Destroy all keys; `Connection::on_answer` follows.
    fn flush(&mut self, ticket: Ticket, database: Database);

    /// List the nodes that keep sessions; `Connection::on_answer` follows.
    fn nodes(&mut self, ticket: Ticket);

    /// Tell this connection of expired sessions by `Connection::push_expired`: of keys that match the pattern,
    /// or of none any more. False if too many connections are told already.
    fn attach(&mut self, database: Database, pattern: Option<&[u8]>) -> bool;

    /// For `INFO` and `CONFIG GET`.
    fn figures(&mut self) -> Figures;

    /// A command that is not in the table, for the counters.
    fn unknown_command(&mut self, name: &[u8]);
}
