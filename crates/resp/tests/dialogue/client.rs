//! A client and a scripted host.

use std::collections::VecDeque;

use bytes::BytesMut;
use leveret_model::session::{Answer, Database, KeptAnswer, KeyCommand};
use leveret_resp::host::{Figures, Host, Rename, Ticket, Walk};
use leveret_resp::{Config, Connection, Right, State};

/// The wall clock of every dialogue, ms since 1970.
pub(crate) const UNIX_MS: i64 = 1_700_000_000_000;

/// A host that notes what it is asked.
#[derive(Default)]
pub(crate) struct Script {
    /// Answers that are given at once; none left: the answer comes later.
    pub(crate) at_once: VecDeque<KeptAnswer>,
    /// What was asked and not answered at once.
    pub(crate) asked: VecDeque<Ticket>,
    /// Everything that was asked, in words.
    pub(crate) log: Vec<String>,
    /// Rights that the user lacks.
    pub(crate) forbidden: Vec<Right>,
    last: Option<KeptAnswer>,
}

impl Script {
    fn note(&mut self, ticket: Ticket, what: String) -> Option<Answer<'_>> {
        self.log.push(what);
        self.last = self.at_once.pop_front();
        if self.last.is_none() {
            self.asked.push_back(ticket);
        }
        self.last.as_ref().map(KeptAnswer::as_answer)
    }
}

impl Host for Script {
    fn login(&mut self, user: &[u8], password: &[u8]) {
        let (user, password) = (String::from_utf8_lossy(user), String::from_utf8_lossy(password));
        self.log.push(format!("login {user} {password}"));
    }

    fn forget_login(&mut self) {
        self.log.push("forget login".to_owned());
    }

    fn permits(&mut self, right: Right) -> bool {
        !self.forbidden.contains(&right)
    }

    fn execute(
        &mut self,
        ticket: Ticket,
        database: Database,
        key: &[u8],
        command: &KeyCommand<'_>,
    ) -> Option<Answer<'_>> {
        let key = String::from_utf8_lossy(key).into_owned();
        self.note(ticket, format!("{} {key} {command:?}", database.number()))
    }

    fn execute_block(
        &mut self,
        ticket: Ticket,
        database: Database,
        key: &[u8],
        commands: &[KeyCommand<'_>],
    ) -> Option<Answer<'_>> {
        let key = String::from_utf8_lossy(key).into_owned();
        self.note(ticket, format!("{} {key} block of {}", database.number(), commands.len()))
    }

    fn rename(&mut self, ticket: Ticket, _: Database, rename: &Rename<'_>) {
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.log.push(format!("rename {} {} {:?}", shown(rename.old), shown(rename.new), rename.form));
        self.asked.push_back(ticket);
    }

    fn walk(&mut self, ticket: Ticket, _: Database, walk: &Walk<'_>) {
        self.log.push(format!("walk from {} count {}", walk.cursor, walk.count));
        self.asked.push_back(ticket);
    }

    fn count(&mut self, ticket: Ticket, _: Database) {
        self.asked.push_back(ticket);
    }

    fn flush(&mut self, ticket: Ticket, _: Database) {
        self.asked.push_back(ticket);
    }

    fn nodes(&mut self, ticket: Ticket) {
        self.asked.push_back(ticket);
    }

    fn attach(&mut self, database: Database, pattern: Option<&[u8]>) -> bool {
        let shown = pattern.map(|pattern| String::from_utf8_lossy(pattern).into_owned());
        self.log.push(format!("attach {} {shown:?}", database.number()));
        pattern != Some(b"one too many")
    }

    fn figures(&mut self) -> Figures {
        Figures { max_bytes: 1_000, lines: vec![("session_nodes", "3".into())], ..Figures::default() }
    }

    fn unknown_command(&mut self, name: &[u8]) {
        self.log.push(format!("unknown {}", String::from_utf8_lossy(name)));
    }
}

/// A connection and the two ends of its dialogue.
pub(crate) struct Dialogue {
    pub(crate) connection: Connection,
    pub(crate) host: Script,
    pub(crate) received: BytesMut,
    pub(crate) out: Vec<u8>,
    pub(crate) state: State,
}

impl Dialogue {
    pub(crate) fn new(guest: bool) -> Self {
        Self {
            connection: Connection::new(Config { number: 7, guest }),
            host: Script::default(),
            received: BytesMut::new(),
            out: Vec::new(),
            state: State::Reading,
        }
    }

    /// Sends bytes, gives what came back.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> String {
        self.received.extend_from_slice(bytes.as_ref());
        self.go_on()
    }

    /// The driver comes back with what is left.
    pub(crate) fn go_on(&mut self) -> String {
        self.state = self.connection.on_bytes(&mut self.received, UNIX_MS, &mut self.host, &mut self.out);
        self.taken()
    }

    /// The host answers the oldest question, or number `at` of those that are open.
    pub(crate) fn answer(&mut self, at: usize, answer: Answer<'_>) -> String {
        let ticket = self.host.asked.remove(at).expect("a question is open");
        self.connection.on_answer(ticket, answer, &mut self.out);
        self.taken()
    }

    pub(crate) fn login(&mut self, allowed: bool) -> String {
        self.connection.on_login(allowed, &mut self.host, &mut self.out);
        self.taken()
    }

    pub(crate) fn taken(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.out)).into_owned()
    }
}
