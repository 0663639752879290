//! What an operator asks of sessions over the admin socket: a list, and the end of one.

use alloc::vec::Vec;

use leveret_model::limits;
use leveret_model::session::{KeptAnswer, KeyCommand};
use leveret_sessions::{Asker, Bucket, HeldSession, Place, Request};

use crate::shard::Shard;

use super::parts::part_of;
use super::room::SessionRoom;
use super::target::{OPERATOR, SessionTarget};

impl SessionRoom {
    fn kill(&mut self, number: u64, target: &SessionTarget) {
        let (clock, part) = (self.clock(), part_of(target.bucket()));
        let asker = Asker { shard: self.own.shard, connection: OPERATOR, reply: number, part: 0 };
        let found;
        let place = match target {
            SessionTarget::Key { vhost, database, key } => Place { vhost, database: *database, key },
            SessionTarget::Hid(hid) => match self.parts.place_of(part, *hid) {
                Some((vhost, database, key)) => {
                    found = (vhost, key);
                    Place { vhost: &found.0, database, key: &found.1 }
                }
                None => return self.surveys.killed.push((number, KeptAnswer::Nil)),
            },
        };
        let request = Request { asker, place, commands: &[KeyCommand::Destroy], block: false };
        if let Some(answer) = self.parts.on_request(clock, part, &request) {
            self.surveys.killed.push((number, answer.keep()));
        }
        self.give_answers();
    }
}

impl Shard {
    /// Sessions of a bucket whose state is here, at most `limits::SESSION_LIST_PAGE`; none if the bucket is of
    /// another shard.
    #[must_use]
    pub fn held_sessions(&self, bucket: Bucket) -> Vec<HeldSession> {
        let Some(room) = &self.sessions else { return Vec::new() };
        room.parts.held(room.clock(), bucket, limits::SESSION_LIST_PAGE)
    }

    /// Ends a session, as `DEL` would; [`Effects::session_killed`](crate::Effects::session_killed) has the
    /// answer under this number.
    pub fn kill_session(&mut self, number: u64, target: &SessionTarget) {
        if let Some(room) = &mut self.sessions {
            room.kill(number, target);
        }
    }
}
