//! HELLO, AUTH, RESET, and who is logged in.

use alloc::vec::Vec;

use crate::arguments::{is, parse_integer};
use crate::client_info::ClientInfo;
use crate::connection::{Connection, Step};
use crate::decode::Arguments;
use crate::encode::{self, Protocol};
use crate::host::Host;
use crate::introspection::REDIS_VERSION;
use crate::login_state::{LoginState, PendingLogin};
use crate::texts;

impl Connection {
    /// `AUTH [user] password`
    pub(crate) fn auth<H: Host>(&mut self, arguments: Arguments<'_>, step: &mut Step<'_, H>) {
        let (user, password) = match arguments.count() {
            2 => (&b"default"[..], arguments.get(1)),
            3 => (arguments.get(1), arguments.get(2)),
            _ => return self.error(step.out, &texts::SYNTAX),
        };
        self.login.begin(PendingLogin::Auth);
        step.host.login(user, password);
    }

    /// `HELLO [version [AUTH user password] [SETNAME name]]` (Redis 7.0: `helloCommand`)
    pub(crate) fn hello<H: Host>(&mut self, arguments: Arguments<'_>, step: &mut Step<'_, H>) {
        let mut protocol = None;
        if arguments.count() > 1 {
            protocol = match parse_integer(arguments.get(1)) {
                Some(2) => Some(Protocol::Resp2),
                Some(3) => Some(Protocol::Resp3),
                Some(_) => return self.error(step.out, &texts::NOPROTO),
                None => return self.error(step.out, &texts::PROTOCOL_NOT_AN_INTEGER),
            };
        }
        let mut credentials = None;
        let mut at = 2;
        while at < arguments.count() {
            let left = arguments.count() - at - 1;
            let option = arguments.get(at);
            if is(option, "AUTH") && left >= 2 {
                credentials = Some((arguments.get(at + 1), arguments.get(at + 2)));
                at += 3;
            } else if is(option, "SETNAME") && left >= 1 {
                if let Err(text) = self.client.set_name(arguments.get(at + 1)) {
                    return self.error(step.out, &text);
                }
                at += 2;
            } else {
                return self.error(step.out, &texts::hello_option(option));
            }
        }
        match credentials {
            Some((user, password)) => {
                self.login.begin(PendingLogin::Hello(protocol));
                step.host.login(user, password);
            }
            None => self.hello_answer(protocol, step),
        }
    }

    /// What a `HELLO` says that went well.
    pub(crate) fn hello_answer<H: Host>(&mut self, protocol: Option<Protocol>, step: &mut Step<'_, H>) {
        if !self.login.is_open() {
            return self.error(step.out, &texts::HELLO_NOAUTH);
        }
        self.protocol = protocol.unwrap_or(self.protocol);
        if self.protocol == Protocol::Resp2 {
            self.detach(step.host);
        }
        let (protocol, number) = (self.protocol, self.config.number);
        self.replies.ready(step.out, |out| write_hello(out, protocol, number));
    }

    /// `RESET`: as after the connect (Redis 7.0: `resetCommand`).
    pub(crate) fn reset<H: Host>(&mut self, step: &mut Step<'_, H>) {
        self.block = None;
        self.detach(step.host);
        self.protocol = Protocol::default();
        self.database = leveret_model::session::Database::default();
        // Redis forgets the name alone; the library stays what it is
        self.client = ClientInfo { name: [].into(), ..core::mem::take(&mut self.client) };
        self.login = LoginState::new(self.config.guest);
        step.host.forget_login();
        self.status(step.out, "RESET");
    }
}

fn write_hello(out: &mut Vec<u8>, protocol: Protocol, number: u64) {
    encode::map(out, protocol, 7);
    let pair = |out: &mut Vec<u8>, name: &str, value: &str| {
        encode::bulk(out, name.as_bytes());
        encode::bulk(out, value.as_bytes());
    };
    pair(out, "server", "redis");
    pair(out, "version", REDIS_VERSION);
    encode::bulk(out, b"proto");
    encode::integer(out, protocol.number());
    encode::bulk(out, b"id");
    encode::integer(out, number as i64);
    pair(out, "mode", "standalone");
    pair(out, "role", "master");
    encode::bulk(out, b"modules");
    encode::array(out, 0);
}
