//! One RESP connection: what it speaks, who is logged in, and what is done with each command.
//!
//! The way of a command: [`Connection::on_bytes`] finds its end, `on_command` looks it up in the table and
//! checks arity, login, permission and transaction in Redis's order (`processCommand`), then one of the rooms
//! beside this one does it: `login` (HELLO, AUTH, RESET), `introspection` (CLIENT, CONFIG, INFO …), `keys`
//! (arguments to a command on a key), `block` (MULTI), `walk` (SCAN).

use alloc::vec::Vec;

use bytes::{Buf as _, BytesMut};
use leveret_model::limits;
use leveret_model::session::{Answer, Database, KeyCommand};

use crate::block::Block;
use crate::client_info::ClientInfo;
use crate::command::{arity_fits, lookup, lookup_sub};
use crate::decode::{Allowed, Arguments, Decoded, Decoder};
use crate::encode::{self, Protocol};
use crate::entry::{Keys, Right};
use crate::host::{Host, Ticket};
use crate::keys;
use crate::login_state::{LoginState, PendingLogin};
use crate::replies::{Plan, Replies};
use crate::table::Id;
use crate::texts::{self, Text};

/// What a connection is told at its birth.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Its number for `CLIENT ID` and `HELLO`: from 1, never used again by this node.
    pub number: u64,
    /// True if it may do without a login: a peer on loopback while `guest` has its rights.
    pub guest: bool,
}

/// Whether a connection wants to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Yes.
    Reading,
    /// Not until an answer came or its output was taken; then `on_bytes` once more, with what is left.
    Paused,
    /// No more: close it once its output is written.
    Ended,
}

/// A connection of a client.
#[derive(Debug)]
pub struct Connection {
    pub(crate) config: Config,
    decoder: Decoder,
    pub(crate) replies: Replies,
    pub(crate) protocol: Protocol,
    pub(crate) database: Database,
    pub(crate) login: LoginState,
    pub(crate) block: Option<Block>,
    pub(crate) client: ClientInfo,
    /// It is told of expired sessions.
    pub(crate) attached: bool,
    pub(crate) ended: bool,
}

/// What one command is done with.
pub(crate) struct Step<'a, H> {
    pub(crate) host: &'a mut H,
    pub(crate) out: &'a mut Vec<u8>,
    /// Milliseconds since 1970.
    pub(crate) unix_ms: i64,
}

impl Connection {
    /// A connection that has said nothing yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            decoder: Decoder::default(),
            replies: Replies::default(),
            protocol: Protocol::default(),
            database: Database::default(),
            login: LoginState::new(config.guest),
            block: None,
            client: ClientInfo::default(),
            attached: false,
            ended: false,
        }
    }

    /// Takes commands off the front of `received` and appends answers to `out`, whose length counts as output
    /// that the client has not taken. `unix_ms` is the wall clock of the turn. hot.
    pub fn on_bytes<H: Host>(
        &mut self,
        received: &mut BytesMut,
        unix_ms: i64,
        host: &mut H,
        out: &mut Vec<u8>,
    ) -> State {
        while self.state(out) == State::Reading {
            let allowed = Allowed { logged_in: self.login.is_open() };
            match self.decoder.on_bytes(received, allowed) {
                Decoded::More => break,
                Decoded::Nothing(bytes) => {
                    self.decoder.next();
                    received.advance(bytes);
                }
                Decoded::Garbage(text) => {
                    let text = [b"ERR ", &text[..]].concat();
                    self.replies.ready(out, |out| encode::error(out, &text));
                    self.ended = true;
                }
                Decoded::Command(bytes) => {
                    // taken out, so that the arguments and the connection are borrowed side by side
                    let mut decoder = core::mem::take(&mut self.decoder);
                    let mut step = Step { host: &mut *host, out: &mut *out, unix_ms };
                    self.on_command(decoder.arguments(received), &mut step);
                    decoder.next();
                    self.decoder = decoder;
                    received.advance(bytes);
                }
            }
        }
        if self.ended {
            received.clear();
        }
        self.state(out)
    }

    /// An answer to [`Host::execute`] and its relatives. The state may change: see [`Connection::on_bytes`].
    pub fn on_answer(&mut self, ticket: Ticket, answer: Answer<'_>, out: &mut Vec<u8>) {
        self.replies.on_answer(ticket, answer, out);
    }

    /// An answer to [`Host::walk`]; cursor 0 ends the walk.
    pub fn on_walked<'a>(
        &mut self,
        ticket: Ticket,
        cursor: u64,
        keys: impl ExactSizeIterator<Item = &'a [u8]>,
        out: &mut Vec<u8>,
    ) {
        self.replies.on_walked(ticket, cursor, keys, out);
    }

    /// Whether it wants to be read, with `out` not taken yet.
    #[must_use]
    pub fn state(&self, out: &[u8]) -> State {
        if self.ended {
            // what was asked before is still answered
            if self.replies.is_empty() { State::Ended } else { State::Paused }
        } else {
            let held = self.login.is_pending() || self.replies.is_held() || self.replies.is_full();
            if held || out.len() >= limits::OUTPUT_BYTES_STOP { State::Paused } else { State::Reading }
        }
    }

    /// Room that the receive block should have for the command that is being read, bytes.
    #[must_use]
    pub fn wanted(&self) -> usize {
        self.decoder.wanted()
    }

    /// True once it may use sessions: past it the time for the login no longer counts.
    #[must_use]
    pub fn is_logged_in(&self) -> bool {
        self.login.is_open()
    }

    /// True while no command waits for an answer and no transaction is open: a good moment to end it.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.replies.is_empty() && self.block.is_none()
    }

    /// Ends it: no further command is taken.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// What the client says about itself.
    #[must_use]
    pub fn client(&self) -> &ClientInfo {
        &self.client
    }

    /// Looks the command up and checks what Redis checks, in its order. hot.
    fn on_command<H: Host>(&mut self, arguments: Arguments<'_>, step: &mut Step<'_, H>) {
        let id = match find(arguments) {
            Ok(id) => id,
            Err(Unfit::CrossProtocol) => {
                self.ended = true;
                return;
            }
            Err(Unfit::Unknown) => {
                step.host.unknown_command(arguments.get(0));
                return self.reject(step, &texts::unknown_command(arguments));
            }
            Err(Unfit::Other(text)) => return self.reject_named(arguments, step, &text),
        };
        let entry = id.entry();
        if !self.login.is_open() && !entry.early {
            return self.reject_named(arguments, step, &texts::NOAUTH);
        }
        if entry.right.is_some_and(|right| !step.host.permits(right)) {
            return self.reject(step, &texts::no_permission(entry));
        }
        if self.block.is_some() && !entry.now {
            return self.queue(id, arguments, step);
        }
        self.execute(id, arguments, step);
    }

    /// hot.
    fn execute<H: Host>(&mut self, id: Id, arguments: Arguments<'_>, step: &mut Step<'_, H>) {
        match id.entry().keys {
            Keys::One => self.one_key(id, arguments, step),
            Keys::Sum | Keys::Gather => self.many_keys(id, arguments, step),
            Keys::None => self.without_key(id, arguments, step),
        }
    }

    /// hot.
    fn one_key<H: Host>(&mut self, id: Id, arguments: Arguments<'_>, step: &mut Step<'_, H>) {
        let (key, command) = match keys::parse(id, arguments, step.unix_ms) {
            Ok(parsed) => parsed,
            Err(text) => return self.error(step.out, &text),
        };
        if key.len() > limits::SESSION_KEY_BYTES_MAX {
            return self.error(step.out, &texts::KEY_TOO_LONG);
        }
        // a load that also touches writes
        if let KeyCommand::Load { touch_ms: Some(_), .. } = command
            && !step.host.permits(Right::Write)
        {
            return self.reject(step, &texts::no_permission(id.entry()));
        }
        let ticket = self.replies.next_ticket();
        match step.host.execute(ticket, self.database, key, &command) {
            Some(answer) => {
                let protocol = self.protocol;
                self.replies.ready(step.out, |out| encode::answer(out, protocol, answer));
            }
            None => self.replies.wait(Plan::One, self.protocol),
        }
        if let KeyCommand::Load { touch_ms: Some(touch_ms), .. } = command {
            self.touch_loaded(key, touch_ms, step);
        }
    }

    /// Each key is asked for by itself; what comes at once is taken at once.
    fn many_keys<H: Host>(&mut self, id: Id, arguments: Arguments<'_>, step: &mut Step<'_, H>) {
        let too_long = |key: &[u8]| key.len() > limits::SESSION_KEY_BYTES_MAX;
        if arguments.from(1).any(too_long) {
            return self.error(step.out, &texts::KEY_TOO_LONG);
        }
        let count = arguments.count() - 1;
        let mut plan = if id.entry().keys == Keys::Sum {
            Plan::Sum { missing: count as u32, total: 0, refused: None }
        } else {
            Plan::Gather { missing: count as u32, parts: alloc::vec![None; count], bytes: 0 }
        };
        let mut ticket = self.replies.next_ticket();
        let command = keys::parse(id, arguments, step.unix_ms).map(|(_, command)| command);
        let command = match command {
            Ok(command) => command,
            Err(text) => return self.error(step.out, &text),
        };
        for (part, key) in arguments.from(1).enumerate() {
            ticket.part = part as u32;
            let Some(answer) = step.host.execute(ticket, self.database, key, &command) else { continue };
            if let Some(bytes) = plan.take(ticket.part, answer, self.protocol) {
                return self.replies.ready(step.out, |out| out.extend_from_slice(&bytes));
            }
        }
        self.replies.wait(plan, self.protocol);
    }

    fn without_key<H: Host>(&mut self, id: Id, arguments: Arguments<'_>, step: &mut Step<'_, H>) {
        match id {
            Id::Hello => self.hello(arguments, step),
            Id::Auth => self.auth(arguments, step),
            Id::Reset => self.reset(step),
            Id::Quit => {
                self.status(step.out, "OK");
                self.ended = true;
            }
            Id::Multi => self.multi(step),
            Id::Exec => self.exec(step),
            Id::Discard => self.discard(step),
            Id::Scan => self.scan(arguments, step),
            Id::Dbsize => {
                step.host.count(self.replies.next_ticket(), self.database);
                self.replies.wait_alone(Plan::One, self.protocol);
            }
            Id::Flushdb => self.flush(arguments, step),
            Id::Rename | Id::Renamenx | Id::SessionRename => self.rename(id, arguments, step),
            Id::SessionNodes => {
                step.host.nodes(self.replies.next_ticket());
                self.replies.wait(Plan::One, self.protocol);
            }
            Id::SessionAttach => self.attach(arguments.get(1), step),
            _ => {
                let mut bytes = Vec::new();
                self.local(id, arguments, step.host, &mut bytes);
                self.replies.ready(step.out, |out| out.extend_from_slice(&bytes));
            }
        }
    }

    /// The same, where the command may be EXEC: that also ends the transaction (Redis: `execCommandAbort`).
    fn reject_named<H: Host>(&mut self, arguments: Arguments<'_>, step: &mut Step<'_, H>, text: &Text) {
        if !arguments.get(0).eq_ignore_ascii_case(b"exec") {
            return self.reject(step, text);
        }
        self.block = None;
        self.error(step.out, &texts::exec_abort(text));
    }

    /// An error that also spoils an open transaction (Redis: `rejectCommand`).
    pub(crate) fn reject<H: Host>(&mut self, step: &mut Step<'_, H>, text: &Text) {
        if let Some(block) = &mut self.block {
            block.spoil();
        }
        self.error(step.out, text);
    }

    pub(crate) fn error(&mut self, out: &mut Vec<u8>, text: &[u8]) {
        self.replies.ready(out, |out| encode::error(out, text));
    }

    pub(crate) fn status(&mut self, out: &mut Vec<u8>, text: &str) {
        self.replies.ready(out, |out| encode::status(out, text));
    }

    /// The login that was asked for has been checked.
    pub fn on_login<H: Host>(&mut self, allowed: bool, host: &mut H, out: &mut Vec<u8>) {
        let Some(pending) = self.login.settle(allowed) else { return };
        let mut step = Step { host, out, unix_ms: 0 };
        match pending {
            _ if !allowed => self.error(step.out, &texts::WRONGPASS),
            PendingLogin::Auth => self.status(step.out, "OK"),
            PendingLogin::Hello(protocol) => self.hello_answer(protocol, &mut step),
        }
    }
}

/// Why a command is not even looked at.
enum Unfit {
    /// HTTP: a browser was made to send to us (Redis: `securityWarningCommand`). Nothing is answered.
    CrossProtocol,
    Unknown,
    Other(Text),
}

/// The line of the table for these arguments. hot.
fn find(arguments: Arguments<'_>) -> Result<Id, Unfit> {
    let name = arguments.get(0);
    let Some(mut id) = lookup(name) else {
        let http = name.eq_ignore_ascii_case(b"POST") || name.eq_ignore_ascii_case(b"Host:");
        return Err(if http { Unfit::CrossProtocol } else { Unfit::Unknown });
    };
    if id.entry().container && arguments.count() > 1 {
        let sub = lookup_sub(id.entry(), arguments.get(1));
        id = sub.ok_or_else(|| Unfit::Other(texts::unknown_subcommand(arguments)))?;
    }
    if arity_fits(id.entry(), arguments.count()) {
        Ok(id)
    } else {
        Err(Unfit::Other(texts::wrong_arity(id.entry())))
    }
}
