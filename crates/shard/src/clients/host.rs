//! `amqp::Host` for one connection of the shard.

use alloc::format;

use leveret_amqp::LoginRefused;
use leveret_amqp::host::{Host, Operation, Publish, Published};
use leveret_auth::{Mechanism, Origin, Verdict};
use leveret_model::{
    ChannelKey, ChannelNumber, ConnectionKey, ConsumerNumber, Held, Name, Refusal, ReplyCode, Settlement,
};

use crate::effects::PasswordJob;
use crate::ingress::{ChannelState, Routing};
use crate::shard::Machines;

/// The client is not told what was wrong (see [`leveret_auth::LoginRefused`]); the log is, and who it was.
pub(super) fn refusal(refused: leveret_auth::LoginRefused, user: &Name, mechanism: &str) -> LoginRefused {
    LoginRefused {
        reply: refused.refusal(mechanism),
        why: Name::new(&format!("user '{user}' over {mechanism}: {refused}")),
    }
}

/// The broker as one connection of the shard sees it: every machine of the shard but the connections.
#[derive(Debug)]
pub(crate) struct Broker<'a> {
    pub(crate) machines: &'a mut Machines,
    pub(crate) connection: ConnectionKey,
}

impl Host for Broker<'_> {
    type Channel = ChannelState;

    fn login(&mut self, mechanism: &str, response: &[u8]) {
        let Machines { view, clients, .. } = &mut *self.machines;
        let login = Mechanism::from_name(mechanism).and_then(|mechanism| mechanism.parse(response));
        let login = match login {
            Ok(login) => login,
            Err(error) => {
                return clients.logins.push((self.connection, Err(Refusal::from(error).into())));
            }
        };
        let origin = if clients.get(self.connection).loopback { Origin::Loopback } else { Origin::Remote };
        match clients.users.check(&login, origin, view.now()) {
            Verdict::Known => clients.logins.push((self.connection, Ok(login.user))),
            Verdict::Refused(refused) => {
                clients.logins.push((self.connection, Err(refusal(refused, &login.user, mechanism))));
            }
            Verdict::NeedsHash(job) => {
                let mechanism = mechanism.into();
                clients.passwords.push(PasswordJob { connection: self.connection, mechanism, job });
            }
        }
    }

    fn open_vhost(&mut self, vhost: &str) -> Result<(), Refusal> {
        let Machines { view, clients, .. } = &mut *self.machines;
        let id = view
            .table
            .vhost(vhost)
            .ok_or_else(|| Refusal::new(ReplyCode::NotAllowed, format!("vhost {vhost} not found")))?;
        let user = clients.get(self.connection).user.clone();
        let permissions = clients.users.enter(&user, vhost)?;
        let client = clients.get_mut(self.connection);
        client.permissions = Some(permissions);
        client.vhost = Some(id);
        client.vhost_name = Name::new(vhost);
        Ok(())
    }

    /// hot.
    fn publish(
        &mut self,
        channel: ChannelKey,
        state: &mut ChannelState,
        publish: Publish<'_>,
    ) -> Result<Published, Refusal> {
        let Machines { view, clients, queues, ingress, throttled, .. } = &mut *self.machines;
        ingress.publish(channel, state, &publish, &mut Routing { view, clients, queues, throttled })
    }

    fn may_publish(&mut self, _: ChannelKey, exchange: &[u8]) -> Result<(), Refusal> {
        let Machines { view, clients, .. } = &mut *self.machines;
        crate::ingress::may_publish(self.connection, exchange, view, clients)
    }

    fn request(&mut self, channel: ChannelKey, operation: Operation) {
        let (requests, mut rooms) = self.machines.requests();
        requests.begin(channel, operation, &mut rooms);
    }

    /// hot.
    fn settle(&mut self, channel: ChannelKey, held: Held, how: Settlement) {
        self.machines.queues.settle(channel, held, how);
    }

    fn channel_refused(&mut self, channel: ChannelNumber, code: ReplyCode, text: &Name) {
        self.machines.clients.note_refused(self.connection, channel, code, text);
    }

    /// The channel's consumers end; the connection gives back what it held right after this.
    fn channel_closed(&mut self, channel: ChannelKey, consumers: &[ConsumerNumber]) {
        let Machines { queues, egress, requests, .. } = &mut *self.machines;
        requests.forget_channel(channel);
        for number in consumers {
            egress.end_consumer(channel, *number, queues);
        }
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
