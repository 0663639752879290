//! The thread's part in sessions: what it lends to their sockets.

use std::io;
use std::sync::Arc;

use leveret_model::{ConnectionKey, Instant, ShardId};
use leveret_sessions::Image;
use leveret_shard::{Effects, SESSION_SLOTS};

use super::{ShardThread, ToShardThread, Ways};
use crate::accept::{ACCEPTOR, warn_not_accepted};
use crate::log_limits::LogLimit;
use crate::session_sockets::{Carrier, SessionSockets, SessionWays, ToSessions};

impl ShardThread {
    fn with_sessions<R>(
        &mut self,
        now: Instant,
        call: impl FnOnce(&mut SessionSockets, &mut Carrier<'_>, &mut Effects) -> R,
    ) -> R {
        let Self { own, shard, poll, ways, .. } = self;
        let mut carrier = Carrier { own: own.shard, shard, registry: poll.registry(), ways, now };
        call(&mut self.sessions, &mut carrier, &mut self.effects)
    }

    /// Lets RESP clients in and reads their sockets.
    pub(super) fn read_sessions(&mut self, now: Instant) {
        self.with_sessions(now, |sessions, carrier, _| {
            sessions.accept(carrier);
            sessions.read(carrier);
        });
    }

    /// Writes their sockets. True if there is more to do that no event will tell of.
    pub(super) fn carry_sessions(&mut self, now: Instant) -> bool {
        self.with_sessions(now, SessionSockets::carry)
    }

    pub(super) fn take_for_sessions(&mut self, mail: ToSessions, now: Instant) {
        match mail {
            ToSessions::Listener(listener) => self.sessions.take_listener(listener, now),
            ToSessions::Client { stream, caller } => {
                self.with_sessions(now, |sessions, carrier, _| sessions.take_client(carrier, stream, caller));
            }
            ToSessions::Mail(mail) => self.shard.on_session_mail(mail),
            ToSessions::Leave { to } => {
                self.shard.leave_sessions();
                self.sessions.on_leave(to);
            }
            ToSessions::Stay => {
                self.shard.stay_sessions();
                self.sessions.on_stay();
            }
            ToSessions::EndClients { to } => {
                self.sessions.stop(self.poll.registry());
                self.sessions.on_leave(to);
            }
            ToSessions::Image { to } => {
                let mut records = Vec::new();
                let count = self.shard.append_session_image(&mut records);
                let _ = to.try_send((records, count));
            }
            ToSessions::TakeImage { image, to } => {
                let image = Image::read(&image).expect("it was read before");
                let taken = self.shard.take_session_image(&image).expect("it was read before");
                let _ = to.try_send(taken);
            }
            ToSessions::Held { bucket, to } => {
                // nobody listens any more if it took too long
                let _ = to.try_send(self.shard.held_sessions(bucket));
            }
            ToSessions::Kill { target, to } => {
                let number = self.sessions.operator_waits(to);
                self.shard.kill_session(number, &target);
            }
            ToSessions::Survey { bucket, survey, to } => {
                let number = self.sessions.survey_waits(to);
                self.shard.survey_sessions(number, bucket, &survey);
            }
        }
    }

    /// Where the check of a client's password is noted.
    pub(crate) fn password_check(&mut self, key: ConnectionKey) -> Option<&mut Option<Arc<()>>> {
        if key.slot >= SESSION_SLOTS {
            return self.sessions.password_check(key);
        }
        self.socket_mut(key).map(|socket| &mut socket.password_check)
    }
}

impl SessionWays for Ways {
    fn send(&self, to: ShardId, mail: ToSessions) {
        if let Some(address) = self.shards.get(usize::from(to.0)) {
            address.send(ToShardThread::Sessions(mail));
        }
    }

    fn place_client(&self) -> Option<ShardId> {
        self.clients.add_to_fewest()
    }

    fn client_gone(&self, shard: ShardId) {
        self.clients.gone(shard);
    }

    fn has_room(&self) -> bool {
        self.half_open.has_room()
    }

    fn handshake_begun(&self) {
        self.half_open.begun();
    }

    fn handshake_ended(&self) {
        if self.half_open.ended() {
            self.shards[usize::from(ACCEPTOR.0)].send(ToShardThread::RoomForHandshakes);
        }
    }

    fn warn_not_accepted(&self, complaints: &mut LogLimit, now: Instant, error: &io::Error) {
        warn_not_accepted(complaints, now, error);
    }
}
