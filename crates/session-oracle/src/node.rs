//! Our machines, joined as a shard of a single node joins them.

use std::time::{Instant as Wall, SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use leveret_model::session::{Answer, Database, KeptAnswer, KeyCommand};
use leveret_model::{Boot, ConnectionKey, Instant, NodeId, Seed, ShardId};
use leveret_resp::host::{Figures, Host, Rename, Ticket, Walk};
use leveret_resp::{Config as RespConfig, Connection, Right};
use leveret_sessions::{
    Asker, Clock, Config, Effects, Home, Place, RenameStep, Renaming, Request, Rules, Sessions, Slot, Wanted,
};

/// One node of one shard.
pub(crate) struct Node {
    sessions: Sessions,
    effects: Effects,
    clients: Vec<(Connection, BytesMut)>,
    origin: Wall,
    unix_origin_ms: i64,
}

/// The node, as one connection sees it in one turn.
struct Turn<'a> {
    sessions: &'a mut Sessions,
    effects: &'a mut Effects,
    clock: Clock,
    connection: ConnectionKey,
    /// Answers that follow once the bytes are done with.
    later: Vec<(Ticket, Later)>,
}

enum Later {
    Walked(u64, Vec<Box<[u8]>>),
    Count(u64),
    Flushed,
    Answered(KeptAnswer),
}

impl Node {
    pub(crate) fn new(seed: Seed) -> Self {
        let config = Config {
            own: Home { node: NodeId(1), boot: Boot(1) },
            shards: 1,
            shard: ShardId(0),
            memory_max: 1 << 30,
            value_bytes_max: 1 << 20,
            gone_for_ms: 300_000,
            copies: 1,
            rules: Rules::with(&["*=free"]).expect("a rule"),
            seed,
        };
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        Self {
            sessions: Sessions::new(config),
            effects: Effects::default(),
            clients: Vec::new(),
            origin: Wall::now(),
            unix_origin_ms: unix.as_millis() as i64,
        }
    }

    pub(crate) fn connect(&mut self, number: u64) {
        let connection = Connection::new(RespConfig { number, guest: true });
        self.clients.push((connection, BytesMut::new()));
    }

    /// Sends one command, gives the bytes of its answer.
    pub(crate) fn ask(&mut self, at: usize, command: &[u8]) -> Vec<u8> {
        let now = Instant::from_nanos(self.origin.elapsed().as_nanos() as u64);
        let clock = Clock { now, unix_origin_ms: self.unix_origin_ms };
        self.sessions.on_time(clock, &mut self.effects);
        let (connection, received) = &mut self.clients[at];
        received.extend_from_slice(command);
        let mut out = Vec::new();
        let mut turn = Turn {
            sessions: &mut self.sessions,
            effects: &mut self.effects,
            clock,
            connection: ConnectionKey { slot: at as u32, generation: 1 },
            later: Vec::new(),
        };
        connection.on_bytes(received, clock.unix_ms(), &mut turn, &mut out);
        for (ticket, later) in turn.later {
            match later {
                Later::Walked(cursor, keys) => {
                    connection.on_walked(ticket, cursor, keys.iter().map(|key| &key[..]), &mut out);
                }
                Later::Count(count) => connection.on_answer(ticket, Answer::Integer(count as i64), &mut out),
                Later::Answered(answer) => connection.on_answer(ticket, answer.as_answer(), &mut out),
                Later::Flushed => connection.on_answer(ticket, Answer::Ok, &mut out),
            }
        }
        out
    }
}

impl Turn<'_> {
    fn request(
        &mut self,
        ticket: Ticket,
        database: Database,
        key: &[u8],
        commands: &[KeyCommand<'_>],
        block: bool,
    ) -> Option<Answer<'_>> {
        let asker =
            Asker { shard: ShardId(0), connection: self.connection, reply: ticket.reply, part: ticket.part };
        let place = Place { vhost: "/", database, key };
        let request = Request { asker, place, commands, block };
        self.sessions.on_request(self.clock, &request, self.effects)
    }
}

impl Host for Turn<'_> {
    fn login(&mut self, _: &[u8], _: &[u8]) {
        unreachable!("the script logs nobody in");
    }

    fn forget_login(&mut self) {}

    fn permits(&mut self, _: Right) -> bool {
        true
    }

    fn execute(
        &mut self,
        ticket: Ticket,
        database: Database,
        key: &[u8],
        command: &KeyCommand<'_>,
    ) -> Option<Answer<'_>> {
        self.request(ticket, database, key, &[*command], false)
    }

    fn execute_block(
        &mut self,
        ticket: Ticket,
        database: Database,
        key: &[u8],
        commands: &[KeyCommand<'_>],
    ) -> Option<Answer<'_>> {
        self.request(ticket, database, key, commands, true)
    }

    fn rename(&mut self, ticket: Ticket, database: Database, rename: &Rename<'_>) {
        let place = Place { vhost: "/", database, key: rename.old };
        let (mut renaming, mut request) = Renaming::begin(place, rename.new, rename.id, rename.form);
        let answer = loop {
            let asker = Asker { connection: self.connection, ..Asker::default() };
            let answer = self
                .sessions
                .on_request_bytes(self.clock, asker, &request.bytes, self.effects)
                .expect("ours");
            match renaming.on_answer(&answer.expect("one node answers at once")) {
                RenameStep::Ask(next) => request = next,
                RenameStep::Done(answer) | RenameStep::GoOn(answer, _) => break answer,
            }
        };
        self.later.push((ticket, Later::Answered(answer)));
    }

    fn walk(&mut self, ticket: Ticket, database: Database, walk: &Walk<'_>) {
        let mut keys = Vec::new();
        let wanted =
            Wanted { vhost: "/", database, pattern: walk.pattern, count: walk.count, kind: walk.kind };
        let mut slot = u16::try_from(walk.cursor).ok().and_then(Slot::new);
        while let Some(from) = slot.filter(|_| keys.len() < walk.count) {
            slot = self.sessions.walk(self.clock, from, &wanted, &mut keys);
        }
        let cursor = slot.map_or(0, |slot| u64::from(slot.number()));
        self.later.push((ticket, Later::Walked(cursor, keys)));
    }

    fn count(&mut self, ticket: Ticket, database: Database) {
        self.later.push((ticket, Later::Count(self.sessions.count(database))));
    }

    fn flush(&mut self, ticket: Ticket, database: Database) {
        self.sessions.flush(self.clock, "/", database, self.effects);
        self.later.push((ticket, Later::Flushed));
    }

    fn nodes(&mut self, _: Ticket) {
        unreachable!("Redis has no such command");
    }

    fn attach(&mut self, _: Database, _: Option<&[u8]>) -> bool {
        // RESET and HELLO end what was never begun
        false
    }

    fn figures(&mut self) -> Figures {
        Figures::default()
    }

    fn unknown_command(&mut self, _: &[u8]) {}
}
