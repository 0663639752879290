//! What a RESP connection asks: the door of `resp` to the machines of this shard and of the others.

use alloc::sync::Arc;
use alloc::vec::Vec;

use leveret_model::session::{Answer, Database, KeyCommand};
use leveret_model::{ConnectionKey, Instant, ShardId};
use leveret_resp::Right;
use leveret_resp::host::{Figures, Host, Rename, Ticket, Walk};
use leveret_sessions::{Asker, Clock, Place, Renaming, Request, encode_request};

use super::attached::{Attached, Interest};
use super::clients::Asked;
use super::gathering::{Gatherings, WalkStep};
use super::identity::Identity;
use super::mail::{SessionMail, announce};
use super::parts::{Parts, part_of};
use super::presences::PRESENCE_SHARD;
use super::renames::Renames;
use super::shared::SessionShared;

/// The room, as one connection sees it while its bytes are taken.
pub(super) struct SessionHost<'a> {
    pub(super) own: ShardId,
    pub(super) key: ConnectionKey,
    pub(super) clock: Clock,
    pub(super) started: Instant,
    pub(super) identity: &'a mut Identity,
    pub(super) asked: &'a mut Asked,
    pub(super) parts: &'a mut Parts,
    pub(super) gatherings: &'a mut Gatherings,
    pub(super) renames: &'a mut Renames,
    pub(super) attached: &'a mut Attached,
    pub(super) shared: &'a Arc<SessionShared>,
    pub(super) mail: &'a mut Vec<(ShardId, SessionMail)>,
}

impl SessionHost<'_> {
    fn asker(&self, ticket: Ticket) -> Asker {
        Asker { shard: self.own, connection: self.key, reply: ticket.reply, part: ticket.part }
    }

    /// hot.
    fn request(
        &mut self,
        ticket: Ticket,
        (database, key): (Database, &[u8]),
        commands: &[KeyCommand<'_>],
        block: bool,
    ) -> Option<Answer<'_>> {
        let asker = self.asker(ticket);
        let place = Place { vhost: self.identity.vhost(), database, key };
        let part = part_of(place.hid().bucket());
        let shard = self.parts.shard_of(part);
        if shard == self.own {
            let request = Request { asker, place, commands, block };
            let answer = self.parts.on_request(self.clock, part, &request)?;
            if let Answer::Moved(_) = answer {
                // it goes on under another key, as an answer that came later does
                let answer = answer.keep();
                self.mail.push((self.own, SessionMail::Answer { asker, answer }));
                return None;
            }
            return Some(answer);
        }
        self.asked.note(shard);
        let request = encode_request(place, commands, block).into();
        self.mail.push((shard, SessionMail::Request { asker, part, request }));
        None
    }

    /// A question to every shard of the node, whose numbers are added.
    fn ask_all(&mut self, ticket: Ticket, mail: impl Fn(Asker) -> SessionMail) {
        let asker = self.asker(ticket);
        let shards = self.parts.shards();
        self.gatherings.begin(asker, shards);
        for shard in (0..shards).map(ShardId) {
            self.mail.push((shard, mail(asker)));
        }
    }
}

impl Host for SessionHost<'_> {
    fn login(&mut self, user: &[u8], password: &[u8]) {
        self.identity.ask(user, password);
    }

    fn forget_login(&mut self) {
        self.identity.forget();
    }

    fn permits(&mut self, right: Right) -> bool {
        self.identity.permits(right)
    }

    fn execute(
        &mut self,
        ticket: Ticket,
        database: Database,
        key: &[u8],
        command: &KeyCommand<'_>,
    ) -> Option<Answer<'_>> {
        self.request(ticket, (database, key), core::slice::from_ref(command), false)
    }

    fn execute_block(
        &mut self,
        ticket: Ticket,
        database: Database,
        key: &[u8],
        commands: &[KeyCommand<'_>],
    ) -> Option<Answer<'_>> {
        self.request(ticket, (database, key), commands, true)
    }

    fn rename(&mut self, ticket: Ticket, database: Database, rename: &Rename<'_>) {
        let place = Place { vhost: self.identity.vhost(), database, key: rename.old };
        let (renaming, first) = Renaming::begin(place, rename.new, rename.id, rename.form);
        let asker = self.renames.begin(self.asker(ticket), renaming);
        let part = part_of(first.bucket);
        let shard = self.parts.shard_of(part);
        if shard != self.own {
            self.asked.note(shard);
        }
        self.mail.push((shard, SessionMail::Request { asker, part, request: first.bytes.into() }));
    }

    fn walk(&mut self, ticket: Ticket, database: Database, walk: &Walk<'_>) {
        let step = WalkStep::begin(self.asker(ticket), self.identity.vhost(), database, walk);
        self.mail.push((self.parts.shard_of(step.part()), SessionMail::Walk(step)));
    }

    fn count(&mut self, ticket: Ticket, database: Database) {
        self.ask_all(ticket, |asker| SessionMail::Count { asker, database });
    }

    fn flush(&mut self, ticket: Ticket, database: Database) {
        let vhost = self.identity.vhost().clone();
        self.ask_all(ticket, |asker| SessionMail::Flush { asker, vhost: vhost.clone(), database });
    }

    fn nodes(&mut self, ticket: Ticket) {
        let asker = self.asker(ticket);
        self.mail.push((PRESENCE_SHARD, SessionMail::Nodes { asker }));
    }

    fn attach(&mut self, database: Database, pattern: Option<&[u8]>) -> bool {
        let vhost = self.identity.vhost().clone();
        let interest = pattern.map(|pattern| Interest { vhost, database, pattern: pattern.into() });
        let done = self.attached.set(self.key, interest);
        if done {
            announce(self.attached, self.own, self.parts.shards(), self.mail);
        }
        done
    }

    fn figures(&mut self) -> Figures {
        let databases = (0..).map_while(Database::new);
        let sessions = databases.map(|database| (database, self.shared.sessions(database)));
        Figures {
            uptime_s: self.clock.now.since(self.started).as_secs(),
            connections: self.shared.connections(),
            used_bytes: self.shared.bytes(),
            max_bytes: self.shared.bytes_max(),
            // how many expire is not counted: clients show this line, and none decides by it
            keyspace: sessions.filter(|(_, count)| *count > 0).map(|(at, count)| (at, count, 0)).collect(),
            lines: Vec::new(),
        }
    }

    fn unknown_command(&mut self, _: &[u8]) {
        self.parts.note_unknown_command();
    }
}
