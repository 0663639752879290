//! Mail of other shards of the node.

use leveret_model::ConnectionKey;
use leveret_model::session::Answer;
use leveret_resp::host::Ticket;

use super::gathering::WalkStep;
use super::host::SessionHost;
use super::mail::SessionMail;
use super::room::SessionRoom;

impl SessionRoom {
    pub(super) fn on_mail(&mut self, mail: SessionMail) {
        let clock = self.clock();
        match mail {
            SessionMail::Request { asker, part, request } => {
                let taken = self.parts.on_request_bytes(clock, part, asker, &request);
                taken.expect("another shard of this process wrote it");
            }
            SessionMail::Answer { asker, answer } => self.on_answer(asker, &answer),
            SessionMail::Count { asker, database } => {
                let number = Some(self.parts.count(database));
                self.mail.push((asker.shard, SessionMail::Part { asker, number }));
            }
            SessionMail::Flush { asker, vhost, database } => {
                self.parts.flush(clock, &vhost, database);
                self.ask_flush(asker, &vhost, database);
            }
            SessionMail::Part { asker, number } => {
                if let Some(total) = self.gatherings.add(asker, number.unwrap_or(0)) {
                    let count = i64::try_from(total).unwrap_or(i64::MAX);
                    let answer = if number.is_some() { Answer::Integer(count) } else { Answer::Ok };
                    self.clients.on_answer(asker, &answer.keep());
                }
            }
            SessionMail::Walk(step) => self.on_walk(step),
            SessionMail::Nodes { asker } => self.list_nodes(asker),
            SessionMail::Attached { shard, interests } => self.on_attached_here(shard, interests),
            SessionMail::AttachedThere { node, interests } => self.on_attached_there(node, interests),
            SessionMail::Expired(expired) => {
                // at most once: if that connection has gone meanwhile, nobody is told
                self.push_here(&expired);
            }
            SessionMail::Closed { shard, connection } => self.parts.on_closed(shard, connection),
        }
        self.give_answers();
    }

    fn on_walk(&mut self, mut step: WalkStep) {
        match step.slot() {
            Some(from) if step.cursor().is_none() => {
                step.advance(self.clock(), &mut self.parts);
                self.ask_walk(from, step);
            }
            _ => self.pass_on(step),
        }
    }

    /// To the next shard, or back to whoever asked.
    pub(super) fn pass_on(&mut self, step: WalkStep) {
        match step.cursor() {
            Some(cursor) if step.asker.shard == self.own.shard => self.end_walk(&step, cursor),
            Some(_) => self.mail.push((step.asker.shard, SessionMail::Walk(step))),
            // also to itself: other clients have their turn between two steps
            None => self.mail.push((self.parts.shard_of(step.part()), SessionMail::Walk(step))),
        }
    }

    fn end_walk(&mut self, step: &WalkStep, cursor: u64) {
        let asker = step.asker;
        let Some(client) = self.clients.get_mut(asker.connection) else { return };
        let ticket = Ticket { reply: asker.reply, part: asker.part };
        let keys = step.keys.iter().map(|key| &key[..]);
        client.connection.on_walked(ticket, cursor, keys, &mut client.out);
        self.clients.touch(asker.connection);
    }

    /// A login was checked.
    pub(super) fn on_login(&mut self, key: ConnectionKey, allowed: bool) {
        let clock = self.clock();
        let Self { own, clients, parts, gatherings, renames, attached, shared, mail, started, .. } = self;
        let Some(client) = clients.get_mut(key) else { return };
        let mut host = SessionHost {
            own: own.shard,
            key,
            clock,
            started: *started,
            identity: &mut client.identity,
            asked: &mut client.asked,
            parts,
            gatherings,
            renames,
            attached,
            shared,
            mail,
        };
        client.connection.on_login(allowed, &mut host, &mut client.out);
        clients.touch(key);
    }
}
