//! Commands that a connection answers by itself: PING, ECHO, SELECT, CLIENT, COMMAND, CONFIG, INFO.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use leveret_model::glob_matches;
use leveret_model::session::Database;

use crate::arguments::{is, parse_integer};
use crate::connection::Connection;
use crate::decode::Arguments;
use crate::encode::{self, Protocol};
use crate::host::{Figures, Host};
use crate::table::{COMMANDS, Id};
use crate::texts::{self, Text};

/// The version that clients are told; some refuse to start without one that they know.
pub(crate) const REDIS_VERSION: &str = "7.0.15";

impl Connection {
    /// Writes the answer to a command that needs no key and no other node.
    pub(crate) fn local<H: Host>(
        &mut self,
        id: Id,
        arguments: Arguments<'_>,
        host: &mut H,
        out: &mut Vec<u8>,
    ) {
        match id {
            Id::Ping => match arguments.count() {
                1 => encode::status(out, "PONG"),
                2 => encode::bulk(out, arguments.get(1)),
                _ => encode::error(out, &texts::wrong_arity(id.entry())),
            },
            Id::Echo => encode::bulk(out, arguments.get(1)),
            Id::Select => match select(arguments.get(1)) {
                Ok(database) => {
                    self.database = database;
                    encode::status(out, "OK");
                }
                Err(text) => encode::error(out, &text),
            },
            Id::ClientId => encode::integer(out, self.config.number as i64),
            Id::ClientGetname if self.client.name.is_empty() => encode::nil(out, self.protocol),
            Id::ClientGetname => encode::bulk(out, &self.client.name),
            Id::ClientSetname => done(out, self.client.set_name(arguments.get(2))),
            Id::ClientSetinfo => done(out, self.client.set_info(arguments.get(2), arguments.get(3))),
            Id::CommandCount => encode::integer(out, COMMANDS.len() as i64),
            Id::CommandDocs => encode::map(out, self.protocol, 0),
            Id::Command | Id::CommandInfo => encode::array(out, 0),
            Id::ConfigGet => config(out, self.protocol, arguments, &host.figures()),
            Id::Info => encode::verbatim(out, self.protocol, &info(arguments, &host.figures())),
            _ => unreachable!("{} is not done here", id.entry().name),
        }
    }
}

fn done(out: &mut Vec<u8>, result: Result<(), Text>) {
    match result {
        Ok(()) => encode::status(out, "OK"),
        Err(text) => encode::error(out, &text),
    }
}

fn select(number: &[u8]) -> Result<Database, Text> {
    let number = parse_integer(number).and_then(|number| i32::try_from(number).ok());
    let number = number.ok_or(texts::NOT_AN_INTEGER)?;
    u8::try_from(number).ok().and_then(Database::new).ok_or(texts::DATABASE_OUT_OF_RANGE)
}

fn config(out: &mut Vec<u8>, protocol: Protocol, arguments: Arguments<'_>, figures: &Figures) {
    let known = [
        ("maxmemory", format!("{}", figures.max_bytes)),
        ("notify-keyspace-events", String::new()),
        ("save", String::new()),
    ];
    let wanted = |name: &str| {
        arguments.from(2).any(|pattern| glob_matches(&pattern.to_ascii_lowercase(), name.as_bytes()))
    };
    let found: Vec<_> = known.iter().filter(|(name, _)| wanted(name)).collect();
    encode::map(out, protocol, found.len());
    for (name, value) in found {
        encode::bulk(out, name.as_bytes());
        encode::bulk(out, value.as_bytes());
    }
}

/// A section's name and what writes it.
type Section = (&'static str, fn(&mut String, &Figures));

const SECTIONS: [Section; 6] = [
    ("Server", |text, figures| {
        let _ = write!(text, "redis_version:{REDIS_VERSION}\r\nredis_mode:standalone\r\n");
        let _ = write!(text, "uptime_in_seconds:{}\r\n", figures.uptime_s);
    }),
    ("Clients", |text, figures| {
        let _ = write!(text, "connected_clients:{}\r\n", figures.connections);
    }),
    ("Memory", |text, figures| {
        let (used, most) = (figures.used_bytes, figures.max_bytes);
        let _ = write!(text, "used_memory:{used}\r\nmaxmemory:{most}\r\nmaxmemory_policy:volatile-ttl\r\n");
    }),
    ("Persistence", |text, _| text.push_str("loading:0\r\n")),
    // every node answers for the whole cluster, so each is a master for clients that look for one
    ("Replication", |text, _| text.push_str("role:master\r\nconnected_slaves:0\r\n")),
    ("Keyspace", |text, figures| {
        for (database, keys, expires) in &figures.keyspace {
            let number = database.number();
            let _ = write!(text, "db{number}:keys={keys},expires={expires},avg_ttl=0\r\n");
        }
    }),
];

/// `INFO [section ...]`: sections by their names, all of them for none, `all`, `default` and `everything`.
fn info(arguments: Arguments<'_>, figures: &Figures) -> String {
    let all = arguments.count() == 1
        || arguments.from(1).any(|word| is(word, "ALL") || is(word, "DEFAULT") || is(word, "EVERYTHING"));
    let wanted = |name: &str| all || arguments.from(1).any(|word| word.eq_ignore_ascii_case(name.as_bytes()));
    let mut text = String::new();
    let begin = |text: &mut String, name: &str| {
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        let _ = write!(text, "# {name}\r\n");
    };
    for (name, write) in SECTIONS.iter().filter(|(name, _)| wanted(name)) {
        begin(&mut text, name);
        write(&mut text, figures);
    }
    if wanted("Leveret") {
        begin(&mut text, "Leveret");
        for (name, value) in &figures.lines {
            let _ = write!(text, "{name}:{value}\r\n");
        }
    }
    text
}
