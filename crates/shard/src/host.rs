//! The broker as a connection sees it: `amqp::Host` for one connection of the shard.

use alloc::format;
use alloc::vec::Vec;

use leveret_amqp::LoginRefused;
use leveret_amqp::host::{Host, Operation, Publish, Published};
use leveret_auth::{Mechanism, Origin, Verdict};
use leveret_model::{
    ChannelKey, ChannelNumber, ConnectionKey, ConsumerNumber, Held, Name, Refusal, ReplyCode, Settlement,
    limits,
};

use crate::broker::Broker;
use crate::effects::{ChannelRefusal, PasswordJob};
use crate::publish::ChannelState;

/// The client is not told what was wrong (see [`leveret_auth::LoginRefused`]); the log is, and who it was.
pub(crate) fn refusal(refused: leveret_auth::LoginRefused, user: &Name, mechanism: &str) -> LoginRefused {
    LoginRefused {
        reply: refused.refusal(mechanism),
        why: Name::new(&format!("user '{user}' over {mechanism}: {refused}")),
    }
}

/// One connection's view of the broker.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) broker: &'a mut Broker,
    pub(crate) connection: ConnectionKey,
}

impl Host for View<'_> {
    type Channel = ChannelState;

    fn login(&mut self, mechanism: &str, response: &[u8]) {
        let login = Mechanism::from_name(mechanism).and_then(|mechanism| mechanism.parse(response));
        let login = match login {
            Ok(login) => login,
            Err(error) => {
                return self.broker.logins.push((self.connection, Err(Refusal::from(error).into())));
            }
        };
        let origin =
            if self.broker.meta(self.connection).loopback { Origin::Loopback } else { Origin::Remote };
        match self.broker.users.check(&login, origin, self.broker.now) {
            Verdict::Known => self.broker.logins.push((self.connection, Ok(login.user))),
            Verdict::Refused(refused) => {
                self.broker.logins.push((self.connection, Err(refusal(refused, &login.user, mechanism))));
            }
            Verdict::NeedsHash(job) => {
                let mechanism = mechanism.into();
                self.broker.passwords.push(PasswordJob { connection: self.connection, mechanism, job });
            }
        }
    }

    fn open_vhost(&mut self, vhost: &str) -> Result<(), Refusal> {
        let id = self
            .broker
            .table
            .vhost(vhost)
            .ok_or_else(|| Refusal::new(ReplyCode::NotAllowed, format!("vhost {vhost} not found")))?;
        let user = self.broker.meta(self.connection).user.clone();
        let permissions = self.broker.users.enter(&user, vhost)?;
        let meta = self.broker.meta_mut(self.connection);
        meta.permissions = Some(permissions);
        meta.vhost = Some(id);
        meta.vhost_name = Name::new(vhost);
        Ok(())
    }

    fn publish(
        &mut self,
        channel: ChannelKey,
        state: &mut ChannelState,
        publish: Publish<'_>,
    ) -> Result<Published, Refusal> {
        self.broker.publish(channel, state, &publish)
    }

    fn may_publish(&mut self, _: ChannelKey, exchange: &[u8]) -> Result<(), Refusal> {
        self.broker.may_publish(self.connection, exchange)
    }

    fn request(&mut self, channel: ChannelKey, operation: Operation) {
        self.broker.request(channel, operation);
    }

    fn settle(&mut self, channel: ChannelKey, held: Held, how: Settlement) {
        self.broker.settle(channel, held, how);
    }

    fn channel_refused(&mut self, channel: ChannelNumber, code: ReplyCode, text: &Name) {
        if self.broker.refused.first.len() == limits::COMPLAINTS_AT_ONCE as usize {
            self.broker.refused.more += 1;
            return;
        }
        let peer = self.broker.meta(self.connection).name.clone();
        self.broker.refused.first.push(ChannelRefusal { peer, channel, code, text: text.clone() });
    }

    fn channel_closed(&mut self, channel: ChannelKey, consumers: &[ConsumerNumber]) {
        let consumers = Vec::from(consumers);
        self.broker.channel_closed(channel, &consumers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_says_who_was_refused_and_why_and_the_client_hears_neither() {
        let user = Name::new("hare");
        let told = |refused| refusal(refused, &user, "PLAIN");
        let (invalid, remote) =
            (told(leveret_auth::LoginRefused::Invalid), told(leveret_auth::LoginRefused::LoopbackOnly));
        assert_eq!(invalid.reply, remote.reply);
        assert!(!invalid.reply.text.contains("hare"), "{}", invalid.reply.text);
        assert_eq!(invalid.why.as_str(), "user 'hare' over PLAIN: unknown user or wrong password");
        assert_eq!(remote.why.as_str(), "user 'hare' over PLAIN: the user can only log in via localhost");
    }
}
