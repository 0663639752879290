//! Every option of `leveret serve`, declared once.
//!
//! The name of the field is the TOML key; `--its-name` is the flag and `LEVERET_ITS_NAME` the variable. The
//! first line of the comment is the one-line help, the rest is the manual: meaning, unit, range, and what a
//! wrong value gets. Adding an option is adding an entry here; `cargo xtask gen` then rewrites
//! `docs/configuration.md`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use leveret_model::limits;
use leveret_server::SourceNetwork;
use tracing_subscriber::filter::Targets;

use super::values::{self, DnsName, Lifetime, LogFormat};

/// What holds when no source says anything.
#[derive(Debug)]
pub(crate) enum Fallback {
    /// This text, parsed like any other.
    Is(&'static str),
    /// These texts: a list.
    List(&'static [&'static str]),
    /// So many bytes.
    Bytes(u64),
    /// Worked out from the machine; the text says how.
    From(&'static str, fn(&super::Environment) -> Result<String, String>),
    /// Nothing; the text says what that means.
    Absent(&'static str),
}

/// What is known about an option without its type.
#[derive(Debug)]
pub(crate) struct Declared {
    /// TOML key; flag and variable are derived from it.
    pub(crate) key: &'static str,
    /// Between `LEVERET_` and the key in the variable's name: the same key means another thing to another
    /// command.
    pub(crate) scope: &'static str,
    /// Shape of the value, for people.
    pub(crate) shape: &'static str,
    /// May be given several times; in a file a list, in the environment with commas between.
    pub(crate) repeatable: bool,
    /// May stand in the file.
    pub(crate) in_file: bool,
    /// Without any source.
    pub(crate) fallback: Fallback,
    /// Lines of the comment: the first is the help, the rest the manual.
    pub(crate) doc: &'static [&'static str],
}

impl Declared {
    /// `cluster-listen`
    pub(crate) fn flag(&self) -> String {
        self.key.replace('_', "-")
    }

    /// `LEVERET_CLUSTER_LISTEN`
    pub(crate) fn variable(&self) -> String {
        format!("LEVERET_{}{}", self.scope, self.key.to_uppercase())
    }

    /// The one line for `--help`.
    pub(crate) fn help(&self) -> String {
        self.doc[0].trim().trim_end_matches('.').to_owned()
    }

    /// The lines behind the first.
    pub(crate) fn manual(&self) -> String {
        self.doc[1..]
            .iter()
            .map(|line| line.trim())
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// The default, for people.
    pub(crate) fn default_text(&self) -> String {
        match &self.fallback {
            Fallback::Is(text) | Fallback::From(text, _) | Fallback::Absent(text) => (*text).to_owned(),
            Fallback::List(texts) => texts.join(" and "),
            Fallback::Bytes(bytes) => values::show_bytes(*bytes),
        }
    }
}

/// The file itself: the one option that cannot stand in it.
pub(crate) static CONFIG: Declared = Declared {
    key: "config",
    scope: "",
    shape: "FILE",
    repeatable: false,
    in_file: false,
    fallback: Fallback::Absent("none"),
    doc: &[
        "TOML file with the options below.",
        "A file that cannot be read, is not TOML, or holds an unknown key is an error that names file, line and key.",
        "A pipe is read to its end, for 10 s at most.",
    ],
};

/// The options that may stand in any source.
pub(crate) fn all() -> impl Iterator<Item = &'static Declared> {
    std::iter::once(&CONFIG).chain(OPTIONS)
}

/// The option of that key.
///
/// # Panics
/// If there is none: keys are written in this crate only.
pub(crate) fn declared(key: &str) -> &'static Declared {
    all().find(|option| option.key == key).expect("keys come from the table")
}

/// Declares the options of a command: a struct with the values that hold, and the table. Behind `in` stands
/// the scope of the variables.
macro_rules! options {
    ($(#[doc = $what:literal])+ $settings:ident in $scope:literal;
     $($(#[doc = $doc:literal])+ $key:ident: $type:ty = $arity:ident($parse:path), $shape:literal, $fallback:expr;)+) => {
        $(#[doc = $what])+
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) struct $settings {
            $($(#[doc = $doc])+ pub(crate) $key: $type,)+
        }

        /// The table.
        pub(crate) static OPTIONS: &[$crate::config::options::Declared] = &[$($crate::config::options::Declared {
            key: stringify!($key),
            scope: $scope,
            shape: $shape,
            repeatable: matches!(stringify!($arity).as_bytes(), b"many"),
            in_file: true,
            fallback: $fallback,
            doc: &[$($doc),+],
        },)+];

        impl $settings {
            /// Asks the sources for each option in the table's order.
            pub(crate) fn from_sources(
                sources: &$crate::config::sources::Sources<'_>,
            ) -> Result<Self, $crate::config::sources::ConfigError> {
                let mut options = OPTIONS.iter();
                // Fields are evaluated as they are written, which is the table's order.
                let mut next = || options.next().expect("an option for each field");
                Ok(Self { $($key: sources.$arity(next(), $parse)?,)+ })
            }
        }
    };
}
pub(crate) use options;

options! {
    /// Every option of `leveret serve` with the value that holds.
    Settings in "";

    /// Address and port for AMQP clients; may be given several times.
    ///
    /// At most 16. Port 0 takes a free one; a line `listening for AMQP on ADDR:PORT` at start for each says
    /// which. `0.0.0.0` listens on every interface, and so does `[::]`, which alone takes IPv4 too. A port in
    /// use ends the start with exit code 1. On a machine without IPv6 a missing `[::1]` does not.
    listen: Vec<SocketAddr> = many(values::address), "ADDR:PORT",
        Fallback::List(&["127.0.0.1:5672", "[::1]:5672"]);

    /// User that the node has at its start, with all rights on the vhost `/`.
    ///
    /// There is no other user then, and it may come from other machines. It needs a password, by
    /// `default_password_file`. Without this, `RABBITMQ_DEFAULT_USER` in the environment counts.
    default_user: Option<String> = maybe(values::user), "NAME", Fallback::Absent("`guest`, whose password is `guest`");

    /// File with the password of the default user.
    ///
    /// 1 to 4096 bytes; one line end behind them does not count. Without this, `RABBITMQ_DEFAULT_PASS` in the
    /// environment counts. A pipe is read to its end, for 10 s at most.
    default_password_file: Option<PathBuf> = maybe(values::path), "FILE", Fallback::Absent("none");

    /// User who may log in from this machine only; may be given several times.
    ///
    /// `none` is nobody: then `guest` with its public password may come from everywhere that reaches the node.
    loopback_users: Vec<String> = many(values::user), "NAME", Fallback::List(&["guest"]);

    /// Network of proxies that name the client of each connection; may be given several times.
    ///
    /// At most 64. From there each connection must begin with a header of the PROXY protocol, version 1 or 2,
    /// and from nowhere else is one taken. The client's address is the one that logs, `status` and
    /// `loopback_users` see; a client of a proxy counts as one of this machine only if both are here.
    proxy_protocol_from: Vec<SourceNetwork> = many(values::source_network), "ADDR[/BITS]", Fallback::Absent("none");

    /// Address and port for the links to other nodes.
    ///
    /// Port 0 takes a free one, and the line `listening for cluster on ADDR:PORT` says which.
    /// Anything but loopback needs `secret_file`; without one the start is refused.
    cluster_listen: SocketAddr = one(values::address), "ADDR:PORT", Fallback::Is("127.0.0.1:25672");

    /// Directory of this node: identity, durable queues and messages, lock, admin socket.
    ///
    /// Made if it is missing, for the user only. A node that comes back with it is the same member, one without
    /// is a new one. Two nodes cannot share one: the second says so and ends with exit code 1. A copy of one
    /// stops both. Relative paths start at the working directory.
    data_dir: PathBuf = one(values::path), "DIR",
        Fallback::From("`$XDG_DATA_HOME/leveret`, else `~/.local/share/leveret`", values::user_data_dir);

    /// Name that people see; the node's id is drawn with its data directory.
    ///
    /// 1 to 255 letters, digits or `. _ - @ :`. Two nodes may have the same name.
    name: Option<String> = maybe(values::name), "NAME", Fallback::Absent("host name and client port, such as `web1:5672`");

    /// Group of nodes that this one belongs to.
    ///
    /// Spelt as `name`. Nodes of another group, and those with another secret, are refused on the first
    /// exchange.
    group: String = one(values::name), "GROUP", Fallback::Is("leveret");

    /// Cluster address of another node; may be given several times.
    ///
    /// At most 64. None need be up: the node dials them for ever, and serves alone meanwhile; but not beside
    /// a cluster that answers and does not take it in (full, or another secret). Its own address among them
    /// does no harm, so all nodes can have the same list.
    seed: Vec<SocketAddr> = many(values::address), "ADDR:PORT", Fallback::Absent("none: a single node");

    /// Host name whose addresses are the cluster addresses of other nodes.
    ///
    /// A and AAAA records are looked up each second, for ever, or SRV records of a name that begins with an
    /// underscore. Without a port, 25672.
    dns: Option<DnsName> = maybe(values::dns_name), "NAME[:PORT]", Fallback::Absent("none");

    /// File with cluster addresses of other nodes, one ADDR:PORT a line.
    ///
    /// Read each second, so whatever writes it can add and remove nodes. What follows # is a comment. A file
    /// that is missing or wrong is logged, and what it said last is still tried.
    seed_file: Option<PathBuf> = maybe(values::path), "FILE", Fallback::Absent("none");

    /// Zone in which this node registers itself and finds the others, by dynamic DNS.
    ///
    /// Needs `dns_key_file`. Written by RFC 2136 at the zone's primary: an SRV record `_leveret._tcp.ZONE` (of
    /// another group `_GROUP._tcp.ZONE`), the node's own name with its addresses, and once clients are let in
    /// its addresses under `dns_client_name`. Nothing else is touched; at SIGTERM they go first. See
    /// docs/clustering.md.
    dns_update: Option<String> = maybe(values::zone), "ZONE", Fallback::Absent("none");

    /// File with the TSIG key that may change the zone, as `tsig-keygen` writes it.
    ///
    /// hmac-sha256, hmac-sha384 or hmac-sha512, with a secret of 16 bytes at least.
    dns_key_file: Option<PathBuf> = maybe(values::path), "FILE", Fallback::Absent("none");

    /// Primary of the zone of `dns_update`.
    ///
    /// A secondary does not do.
    dns_primary: Option<SocketAddr> = maybe(values::address), "ADDR:PORT",
        Fallback::Absent("the one that the zone's SOA record names, on the port of `dns_server` or 53");

    /// The one name of all nodes for clients, within the zone of `dns_update`.
    ///
    /// Each node adds its own addresses to it and takes them out again.
    dns_client_name: Option<String> = maybe(values::zone), "NAME", Fallback::Absent("`mq.ZONE`, of another group `mq-GROUP.ZONE`");

    /// Address to register instead of those the node listens on; may be given several times.
    ///
    /// For nodes behind NAT, and for those that listen on every address and have several.
    dns_address: Vec<IpAddr> = many(values::ip), "ADDR",
        Fallback::Absent("that of the listener; of one on every address, the one from which the primary is reached");

    /// Time to live of the records, seconds.
    ///
    /// 1 to 86400. Give all nodes the same: a name has one time to live, the last one written.
    dns_ttl: u32 = one(values::dns_ttl), "SECONDS", Fallback::Is("5");

    /// DNS server to ask for `dns`, and for the zone's SOA record.
    ///
    /// Only together with `dns` or `dns_update`; without either the start is refused.
    dns_server: Option<SocketAddr> = maybe(values::address), "ADDR:PORT", Fallback::Absent("those of `/etc/resolv.conf`");

    /// File with the secret that all nodes of the group share.
    ///
    /// 32 to 4096 bytes; white space at its ends does not count. It proves itself over a link and is never
    /// sent. A pipe is read to its end, for 10 s at most.
    secret_file: Option<PathBuf> = maybe(values::path), "FILE", Fallback::Absent("none: links on loopback only");

    /// Event loops, each with a thread, its connections and its queues.
    ///
    /// 1 to 64.
    shards: u8 = one(values::shards), "N", Fallback::From("one per core, 16 at most", values::shards_of_machine);

    /// Memory for messages; above it publishers wait and everything else goes on.
    ///
    /// Bytes, or a number with `kB`, `MB`, `GB` (powers of 1000) or `KiB`, `MiB`, `GiB` (powers of 1024). 64
    /// MiB at least. What counts: messages in queues and on their way between nodes, messages that clients
    /// have begun, and output that they have not read. Above 80 % of it (32 MiB below it, if that is less)
    /// publishers of long queues wait; above it all publishers do. From three quarters of that
    /// 80 % mark on the bytes of persistent messages of durable queues leave memory once they are on the disk.
    /// Messages that are begun and unread
    /// output have a quarter of it (32 MiB at least); past that the connections that keep most for longest
    /// are closed with 320. The process takes more: its tables, a share of 12 % for blocks that messages
    /// share, and what is just read and written.
    memory: u64 = one(values::memory), "SIZE", Fallback::Bytes(limits::MEMORY_BYTES_MAX);

    /// Takes quorum queues and streams as classic queues: `true` or `false`.
    ///
    /// Without it a declare with `x-queue-type` `quorum` or `stream` is refused with 406. With it the queue is
    /// a classic one: it has one home and no replicas, and arguments of the other types mean nothing. The log
    /// warns of each name once.
    substitute_queue_types: bool = one(values::boolean), "true|false", Fallback::Is("false");

    /// How long a client may hold a delivery without an acknowledgement; `0s` is for ever.
    ///
    /// After that time the client's channel is closed with 406 and what it held is delivered again. A queue
    /// declared with `x-consumer-timeout`, or a consumer with that argument, has its own (milliseconds, 0 for
    /// none). The node looks once a minute, or oftener if this is less than 16 minutes; only the oldest
    /// delivery of a channel counts.
    consumer_timeout: Duration = one(values::duration), "TIME", Fallback::Is("30m");

    /// Whether queues move to nodes that have fewer of them: `true` or `false`.
    ///
    /// A node that has over 15 % more queues than the mean of all gives short ones (up to 1,000 messages and
    /// 1 MiB) to those below it, a few at a time, once nodes have been the same for five seconds; a queue that
    /// moved stays for ten minutes. `leveret rebalance` does it once, whatever stands here.
    rebalance: bool = one(values::boolean), "true|false", Fallback::Is("true");

    /// What SIGTERM does: `ephemeral` hands queues over first, `persistent` stops at once.
    ///
    /// A persistent node comes back with its durable queues and their persistent messages, which stay on its
    /// disk, and stays a member meanwhile; what is transient is gone. `leveret leave` hands everything over all
    /// the same. See `docs/persistence.md`.
    lifetime: Lifetime = one(values::lifetime), "LIFETIME", Fallback::Is("ephemeral");

    /// Time over which a node that leaves closes its clients, one after the other.
    ///
    /// So that they do not all reconnect at once. The last thing that a leave does, when the queues are gone.
    /// At most 20 ms for each client: few clients need less. `0s` closes all at once, and so does a second
    /// signal.
    leave_window: Duration = one(values::duration), "TIME", Fallback::Is("5s");

    /// Address and port for applications that keep their sessions here, over Redis's protocol.
    ///
    /// Port 0 takes a free one, and the line `listening for sessions on ADDR:PORT` says which. Redis's own port
    /// is 6379. From loopback clients may come without a login, as user guest; all others log in as a user of
    /// the broker. See `docs/sessions.md`.
    session_listen: Option<SocketAddr> = maybe(values::address), "ADDR:PORT", Fallback::Absent("none: sessions are off");

    /// Memory for sessions, beside that for messages.
    ///
    /// As `memory`. At the bound sessions that were never used again after their creation and are older than
    /// 60 s go first; then new ones are refused with `-OOM`, and changes and logouts go on to 110 %.
    session_memory: Option<u64> = maybe(values::memory), "SIZE", Fallback::Absent("a quarter of `memory`");

    /// Copies of each session on other nodes.
    ///
    /// 1, or 0: then a session is lost with its node.
    session_copies: u8 = one(values::session_copies), "N", Fallback::Is("1");

    /// Largest value of a session.
    ///
    /// 1 byte to 16 MiB, spelt as `memory`. A longer one is refused with `-ERR value is over
    /// session_bytes_max`.
    session_bytes_max: u64 = one(values::session_bytes), "SIZE", Fallback::Is("1MiB");

    /// How long a session that ended is remembered, so that no late write brings it back.
    ///
    /// 10s to 1h; longer than the longest request of an application.
    session_gone_for: Duration = one(values::session_gone_for), "TIME", Fallback::Is("5m");

    /// Which keys may be born again after they were deleted; may be given several times.
    ///
    /// `[DATABASE/]PATTERN=RULE`, the first that matches counts, before the built-in ones. `stays`: a late
    /// write is dropped. `reader`: a connection that has read the key since may write it anew. `free`: as in
    /// Redis, for locks and caches; `1/*=free` makes database 1 a plain cache.
    session_rule: Vec<String> = many(values::session_rule), "RULE", Fallback::Absent("those that are built in");

    /// How log lines look: `auto`, `human` or `json`.
    ///
    /// Logs go to standard error. `auto`: for people, with colours on a terminal. `human`: never with
    /// colours. `json`: one object a line.
    log_format: LogFormat = one(values::log_format), "FORMAT", Fallback::Is("auto");

    /// Which log lines are written.
    ///
    /// `off`, `error`, `warn`, `info`, `debug` or `trace`; or by part, such as `info,leveret_cluster=debug`.
    log_level: Targets = one(values::log_level), "LEVEL", Fallback::Is("info");
}
