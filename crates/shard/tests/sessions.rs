//! Sessions in a node of two shards: bytes of RESP clients in, bytes out, mail between the shards carried by hand.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use leveret_auth::{Credential, Password, Permissions, Salt, User, Users};
use leveret_model::{Boot, ConnectionKey, Instant, Name, NodeId, Seed, ShardAddress, ShardId, limits};
use leveret_sessions::{Home, Rules};
use leveret_shard::{
    Caller, Effects, SessionConfig, SessionInterest, SessionShared, Shard, ShardConfig, Store,
};

/// 2026-11-29, 12:00 UTC.
const UNIX_MS: u64 = 1_795_953_600_000;
const SHARDS: u8 = 2;

/// A node, and the bytes that its clients have been sent.
struct Node {
    shards: Vec<Shard>,
    shared: Arc<SessionShared>,
    now: Instant,
}

#[derive(Clone, Copy)]
struct Client {
    shard: usize,
    key: ConnectionKey,
}

impl Node {
    fn new() -> Self {
        Self::with(SHARDS, 1 << 30)
    }

    fn with(shards: u8, memory_bytes: u64) -> Self {
        let shared = Arc::new(SessionShared::new(shards, memory_bytes));
        let shard = |shard: u8| {
            let mut users = Users::new([7; 32]);
            users.put(
                Name::new("default"),
                User {
                    credential: Credential::Unhashed(Password::new(b"secret")),
                    loopback_only: false,
                    permissions: [(Name::new("/"), Arc::new(Permissions::ALL))].into(),
                },
            );
            let mut machine = Shard::new(ShardConfig {
                own: ShardAddress { node: NodeId(1), shard: ShardId(shard) },
                seed: Seed(1),
                protocol: Arc::new(leveret_amqp::Config::new("0.1.0", "test")),
                users,
                store: Store::Memory,
            });
            let config = SessionConfig {
                home: Home { node: NodeId(1), boot: Boot(1) },
                shards,
                memory_bytes,
                value_bytes_max: 1 << 20,
                gone_for_ms: 300_000,
                rules: Rules::default(),
                copies: 1,
                shared: Arc::clone(&shared),
            };
            machine.open_sessions(Seed(u64::from(shard)), config);
            machine
        };
        Self { shards: (0..shards).map(shard).collect(), shared, now: Instant::from_nanos(1_000_000_000) }
    }

    fn begin_turn(&mut self) {
        let since = self.now.as_nanos() / 1_000_000;
        self.shared.set_wall_clock(self.now, UNIX_MS + since);
        self.shards.iter_mut().for_each(|shard| shard.begin_turn(self.now));
    }

    /// A client from this machine, or from another one.
    fn connect(&mut self, shard: usize, loopback: bool) -> Client {
        self.begin_turn();
        let name = "127.0.0.1:5 -> 127.0.0.1:6379".to_owned();
        let key = self.shards[shard].accept_session(Caller { name, loopback }).expect("sessions are on");
        Client { shard, key }
    }

    /// Sends bytes, and gives what comes back once all is quiet.
    fn ask(&mut self, client: Client, bytes: &str) -> String {
        self.begin_turn();
        let mut received = BytesMut::from(bytes.as_bytes());
        loop {
            let interest = self.shards[client.shard].on_session_bytes(client.key, &mut received);
            self.settle();
            let again =
                matches!(self.shards[client.shard].session_interest(client.key), SessionInterest::Read(_));
            if interest != SessionInterest::Stop || !again || received.is_empty() {
                break;
            }
        }
        let out = self.shards[client.shard].session_output(client.key).expect("it is there");
        String::from_utf8(std::mem::take(out)).expect("text")
    }

    /// Ends turns, and carries mail between shards and password jobs until there is none.
    fn settle(&mut self) {
        loop {
            let mut mail = Vec::new();
            let mut jobs = Vec::new();
            for (at, shard) in self.shards.iter_mut().enumerate() {
                let mut effects = Effects::default();
                shard.end_turn(&mut effects);
                mail.append(&mut effects.session_mail);
                jobs.extend(effects.passwords.into_iter().map(|job| (at, job)));
            }
            if mail.is_empty() && jobs.is_empty() {
                return;
            }
            for (to, mail) in mail {
                self.shards[usize::from(to.0)].on_session_mail(mail);
            }
            for (at, job) in jobs {
                let hashed = job.job.run(&Salt::default());
                self.shards[at].on_password(job.connection, &job.mechanism, hashed);
            }
        }
    }

    /// Time passes, and every timer that is due is run.
    fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
        self.begin_turn();
        for shard in &mut self.shards {
            while shard.next_deadline() <= self.now {
                shard.on_timer();
            }
        }
        self.settle();
    }

    fn report(&self) -> leveret_shard::SessionReport {
        let mut all = leveret_shard::SessionReport::default();
        self.shards.iter().for_each(|shard| all.add(&shard.session_report().expect("sessions are on")));
        all
    }
}

fn command(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    format!("*{}\r\n{}", words.len(), words.concat())
}

#[test]
fn what_one_shard_was_told_every_shard_answers() {
    let mut node = Node::new();
    let clients = [node.connect(0, true), node.connect(1, true)];
    for number in 0..40 {
        let (key, value) = (format!("sess:{number}"), format!("value {number}"));
        let set = command(&["SET", &key, &value, "EX", "60"]);
        assert_eq!(node.ask(clients[number % 2], &set), "+OK\r\n");
        for client in clients {
            let wanted = format!("${}\r\n{value}\r\n", value.len());
            assert_eq!(node.ask(client, &command(&["GET", &key])), wanted);
        }
    }
    assert_eq!(node.ask(clients[0], "DBSIZE\r\n"), ":40\r\n");
    // both shards keep some of them, so both ways were gone
    assert!(node.shards.iter().all(|shard| shard.session_report().expect("on").states > 5));
    assert_eq!(node.ask(clients[1], "FLUSHDB\r\n"), "+OK\r\n");
    assert_eq!(node.ask(clients[1], "DBSIZE\r\n"), ":0\r\n");
}

#[test]
fn answers_of_a_pipeline_leave_in_order_though_keys_are_of_several_shards() {
    let mut node = Node::new();
    let client = node.connect(0, true);
    let mut pipeline = String::new();
    let mut wanted = String::new();
    for number in 0..20 {
        let value = format!("{number}");
        pipeline += &command(&["SET", &format!("k{number}"), &value]);
        pipeline += &command(&["GET", &format!("k{number}")]);
        pipeline += "PING\r\n";
        wanted += &format!("+OK\r\n${}\r\n{value}\r\n+PONG\r\n", value.len());
    }
    pipeline += "DBSIZE\r\n";
    wanted += ":20\r\n";
    assert_eq!(node.ask(client, &pipeline), wanted);
    let keys: Vec<String> = (0..20).map(|number| format!("k{number}")).collect();
    let words: Vec<&str> = ["DEL"].into_iter().chain(keys.iter().map(String::as_str)).collect();
    assert_eq!(node.ask(client, &command(&words)), ":20\r\n");
}

#[test]
fn a_scan_finds_each_key_of_every_shard_once() {
    let mut node = Node::new();
    let client = node.connect(1, true);
    for number in 0..60 {
        node.ask(client, &command(&["SET", &format!("sess:{number}"), "x"]));
        node.ask(client, &command(&["SET", &format!("other:{number}"), "x"]));
    }
    let (mut cursor, mut found) = ("0".to_owned(), Vec::new());
    loop {
        let answer = node.ask(client, &command(&["SCAN", &cursor, "MATCH", "sess:*", "COUNT", "7"]));
        let lines: Vec<&str> = answer.split("\r\n").collect();
        cursor = lines[2].to_owned();
        found.extend(
            lines[3..].iter().filter(|line| line.starts_with("sess:")).map(|line| (*line).to_owned()),
        );
        if cursor == "0" {
            break;
        }
    }
    found.sort();
    let mut wanted: Vec<String> = (0..60).map(|number| format!("sess:{number}")).collect();
    wanted.sort();
    assert_eq!(found, wanted);
}

#[test]
fn a_session_expires_without_a_client_and_no_shard_wakes_without_one() {
    let mut node = Node::new();
    let client = node.connect(0, true);
    assert!(node.shards.iter().all(|shard| shard.next_deadline() == Instant::FAR));
    for number in 0..8 {
        node.ask(client, &command(&["SET", &format!("k{number}"), "x", "PX", "5000"]));
    }
    node.wait(Duration::from_millis(4_900));
    assert_eq!(node.report().states, 8);
    node.wait(Duration::from_millis(1_200));
    assert_eq!((node.report().states, node.report().counters.expired), (0, 8));
    assert_eq!(node.ask(client, "DBSIZE\r\n"), ":0\r\n");
}

#[test]
fn points_in_time_come_back_as_they_were_set_from_any_shard() {
    let mut node = Node::new();
    let clients = [node.connect(0, true), node.connect(1, true)];
    let at = format!("{}", UNIX_MS + 123_457);
    for number in 0..6 {
        let key = format!("k{number}");
        assert_eq!(node.ask(clients[0], &command(&["SET", &key, "x", "PXAT", &at])), "+OK\r\n");
        node.wait(Duration::from_micros(1_000_700));
        for client in clients {
            assert_eq!(node.ask(client, &command(&["PEXPIRETIME", &key])), format!(":{at}\r\n"));
        }
    }
}

#[test]
fn from_elsewhere_nobody_does_anything_without_a_login() {
    let mut node = Node::new();
    let client = node.connect(0, false);
    let noauth = "-NOAUTH Authentication required.\r\n";
    assert_eq!(node.ask(client, &command(&["GET", "k"])), noauth);
    // guest is for loopback alone, and a wrong password for nobody
    for login in [&["AUTH", "guest", "guest"][..], &["AUTH", "wrong"], &["AUTH", "nobody", "secret"]] {
        let said = node.ask(client, &command(login));
        assert!(said.starts_with("-WRONGPASS"), "{login:?}: {said}");
    }
    assert_eq!(node.ask(client, &command(&["GET", "k"])), noauth);
    // the default user; what is sent behind the login waits for it
    let pipeline = command(&["AUTH", "secret"]) + &command(&["SET", "k", "v"]) + &command(&["GET", "k"]);
    assert_eq!(node.ask(client, &pipeline), "+OK\r\n+OK\r\n$1\r\nv\r\n");
    assert_eq!(node.ask(client, "RESET\r\n"), "+RESET\r\n");
    assert_eq!(node.ask(client, &command(&["GET", "k"])), noauth);
}

#[test]
fn hello_logs_in_and_changes_the_protocol() {
    let mut node = Node::new();
    let client = node.connect(1, false);
    let said = node.ask(client, "HELLO 3\r\n");
    assert!(said.starts_with("-NOAUTH HELLO must be called"), "{said}");
    let said = node.ask(client, &command(&["HELLO", "3", "AUTH", "default", "secret", "SETNAME", "app"]));
    assert!(said.starts_with("%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n"), "{said}");
    assert_eq!(node.ask(client, &command(&["GET", "k"])), "_\r\n");
}

#[test]
fn a_wrong_password_does_not_take_the_rights_of_a_guest() {
    let mut node = Node::new();
    let client = node.connect(0, true);
    assert!(node.ask(client, &command(&["AUTH", "wrong"])).starts_with("-WRONGPASS"));
    assert_eq!(node.ask(client, &command(&["SET", "k", "v"])), "+OK\r\n");
    assert_eq!(node.ask(client, &command(&["AUTH", "guest", "guest"])), "+OK\r\n");
    // sessions of a vhost where the user may nothing
    let said = node.ask(client, &command(&["AUTH", "other:guest", "guest"]));
    assert!(said.starts_with("-WRONGPASS"), "{said}");
}

#[test]
fn a_login_that_does_not_come_ends_the_connection_and_one_that_came_does_not() {
    let mut node = Node::new();
    let (silent, there) = (node.connect(0, false), node.connect(0, false));
    assert_eq!(node.ask(there, &command(&["AUTH", "secret"])), "+OK\r\n");
    node.wait(limits::HANDSHAKE_TIMEOUT);
    assert_eq!(node.shards[0].session_interest(silent.key), SessionInterest::Ended);
    assert!(matches!(node.shards[0].session_interest(there.key), SessionInterest::Read(_)));
    assert_eq!(node.shards[0].next_deadline(), Instant::FAR);
}

#[test]
fn a_late_write_does_not_bring_a_session_back_and_is_counted() {
    let mut node = Node::new();
    let (browser, other) = (node.connect(0, true), node.connect(1, true));
    node.ask(browser, &command(&["SET", "sess:a", "hare", "EX", "60"]));
    assert_eq!(node.ask(other, &command(&["GET", "sess:a"])), "$4\r\nhare\r\n");
    assert_eq!(node.ask(browser, &command(&["DEL", "sess:a"])), ":1\r\n");
    assert_eq!(node.ask(other, &command(&["SET", "sess:a", "hare", "EX", "60"])), "+OK\r\n");
    assert_eq!(node.ask(other, &command(&["GET", "sess:a"])), "$-1\r\n");
    assert_eq!((node.report().counters.late_writes, node.report().gone), (1, 1));
}

#[test]
fn memory_is_bounded_and_what_is_there_still_changes() {
    let mut node = Node::with(1, 16 * 64 * 1024);
    let client = node.connect(0, true);
    let value = "x".repeat(1_000);
    let mut refused = 0;
    for number in 0..2_000 {
        let said = node.ask(client, &command(&["SET", &format!("k{number}"), &value, "EX", "600"]));
        refused += u32::from(said.starts_with("-OOM"));
    }
    assert!(refused > 500, "{refused}");
    assert!(node.report().bytes <= 16 * 64 * 1024, "{}", node.report().bytes);
    let other = "y".repeat(1_000);
    assert_eq!(node.ask(client, &command(&["SET", "k0", &other, "EX", "600"])), "+OK\r\n");
    assert_eq!(node.ask(client, &command(&["DEL", "k0"])), ":1\r\n");
}

#[test]
fn a_connection_that_is_gone_leaves_nothing_behind() {
    let mut node = Node::new();
    for _ in 0..100 {
        let client = node.connect(0, true);
        node.ask(client, &command(&["GET", "k"]));
        node.shards[0].on_session_lost(client.key);
        node.settle();
    }
    assert_eq!((node.report().connections, node.report().waiting), (0, 0));
    let client = node.connect(0, true);
    assert_eq!(node.ask(client, "CLIENT ID\r\n"), format!(":{}\r\n", 100 * u64::from(SHARDS) + 1));
}
