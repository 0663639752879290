//! One node: what answers, and what stays gone.

use leveret_model::limits;
use leveret_model::session::{
    Answer, ByteList, Database, ExpireIf, Expiry, KeptAnswer, KeyCommand, Presence, SessionRefusal,
    SetAnswer, TimeForm,
};
use leveret_model::{Boot, ConnectionKey, Instant, NodeId, Seed, ShardId};
use leveret_sessions::{
    Asker, Clock, Config, Effects, EventKind, Home, Image, ImageError, Place, Request, Rules, Sessions, Slot,
    Wanted, image_head,
};

struct Node {
    sessions: Sessions,
    effects: Effects,
    now_ms: u64,
    connection: u32,
}

fn config() -> Config {
    Config {
        own: Home { node: NodeId(1), boot: Boot(1) },
        shards: 1,
        shard: ShardId(0),
        memory_max: 1 << 20,
        value_bytes_max: 1 << 20,
        gone_for_ms: 300_000,
        copies: 1,
        rules: Rules::default(),
        seed: Seed(7),
    }
}

impl Node {
    fn new() -> Self {
        Self::with(config())
    }

    fn with(config: Config) -> Self {
        let mut sessions = Sessions::new(config);
        sessions.want_events(true);
        Self { sessions, effects: Effects::default(), now_ms: 1_000, connection: 0 }
    }

    fn clock(&self) -> Clock {
        Clock { now: Instant::from_nanos(self.now_ms * 1_000_000), unix_origin_ms: 1_700_000_000_000 }
    }

    fn ask(&mut self, key: &str, command: &KeyCommand<'_>) -> KeptAnswer {
        self.ask_block(key, &[*command], false)
    }

    fn ask_block(&mut self, key: &str, commands: &[KeyCommand<'_>], block: bool) -> KeptAnswer {
        let connection = ConnectionKey { slot: self.connection, generation: 1 };
        let asker = Asker { connection, ..Asker::default() };
        let place = Place { vhost: "/", database: Database::default(), key: key.as_bytes() };
        let request = Request { asker, place, commands, block };
        let clock = self.clock();
        self.sessions.on_request(clock, &request, &mut self.effects).expect("one node knows at once").keep()
    }

    fn get(&mut self, key: &str) -> Option<String> {
        match self.ask(key, &KeyCommand::Get) {
            KeptAnswer::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            _ => None,
        }
    }

    fn set(&mut self, key: &str, value: &str, left_ms: i64) -> KeptAnswer {
        let expiry = if left_ms < 0 { Expiry::Unsaid } else { Expiry::In(left_ms) };
        self.ask(key, &set(value, expiry, Presence::Any))
    }

    fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        while self.sessions.next_time() <= self.clock().now {
            let clock = self.clock();
            self.sessions.on_time(clock, &mut self.effects);
        }
    }

    fn events(&mut self) -> Vec<EventKind> {
        self.effects.events.drain(..).map(|event| event.kind).collect()
    }

    fn walk(&self, pattern: &str) -> Vec<String> {
        let (mut keys, mut slot) = (Vec::new(), Slot::new(0));
        while let Some(from) = slot {
            let wanted = Wanted {
                vhost: "/",
                database: Database::default(),
                pattern: Some(pattern.as_bytes()),
                count: 10,
                kind: None,
            };
            slot = self.sessions.walk(self.clock(), from, &wanted, &mut keys);
        }
        keys.iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect()
    }
}

fn set<'a>(value: &'a str, expiry: Expiry, presence: Presence) -> KeyCommand<'a> {
    KeyCommand::Set { value: value.as_bytes(), expiry, presence, answer: SetAnswer::Status }
}

#[test]
fn a_logout_stays_a_logout() {
    let mut node = Node::new();
    assert_eq!(node.set("sess:a", "user", 60_000), KeptAnswer::Ok);
    assert_eq!(node.ask("sess:a", &KeyCommand::Destroy), KeptAnswer::Integer(1));
    // the slow request of another tab ends now
    assert_eq!(node.set("sess:a", "user", 60_000), KeptAnswer::Ok);
    assert_eq!(node.get("sess:a"), None);
    assert_eq!(node.ask("sess:a", &set("new", Expiry::Unsaid, Presence::Missing)), KeptAnswer::Nil);
    assert_eq!(node.sessions.counters().late_writes, 2);
    assert_eq!(node.events(), [EventKind::Created, EventKind::Destroyed]);
    node.pass(300_001);
    assert_eq!(node.set("sess:a", "other", 60_000), KeptAnswer::Ok);
    assert_eq!(node.get("sess:a").as_deref(), Some("other"));
}

#[test]
fn php_may_use_an_id_again_if_it_has_read_it() {
    let mut node = Node::new();
    let key = "PHPREDIS_SESSION:a";
    node.set(key, "user", 60_000);
    node.connection = 1;
    assert!(node.get(key).is_some());
    node.connection = 2;
    node.ask(key, &KeyCommand::Destroy);
    node.connection = 1;
    node.set(key, "late", 60_000);
    assert_eq!(node.get(key), None, "it had read before the logout");
    node.set(key, "anew", 60_000);
    assert_eq!(node.get(key).as_deref(), Some("anew"), "it has read since");
    let (shard, connection) = (ShardId(0), ConnectionKey { slot: 1, generation: 1 });
    node.ask(key, &KeyCommand::Destroy);
    node.get(key);
    node.sessions.on_closed(shard, connection);
    node.set(key, "closed", 60_000);
    assert_eq!(node.get(key), None, "what a closed connection read counts for nobody");
}

#[test]
fn locks_come_back_at_once() {
    let mut node = Node::new();
    let key = "PHPREDIS_SESSION:a_LOCK";
    let lock = |owner| set(owner, Expiry::In(30_000), Presence::Missing);
    assert_eq!(node.ask(key, &lock("me")), KeptAnswer::Ok);
    assert_eq!(node.ask(key, &lock("you")), KeptAnswer::Nil);
    assert_eq!(node.ask(key, &KeyCommand::DestroyIfEqual(Some(b"you"))), KeptAnswer::Integer(0));
    assert_eq!(node.ask(key, &KeyCommand::DestroyIfEqual(Some(b"me"))), KeptAnswer::Integer(1));
    assert_eq!(node.ask(key, &lock("you")), KeptAnswer::Ok);
    assert_eq!(node.sessions.sizes().gone, 0);
}

#[test]
fn a_session_expires_once_and_leaves_nothing_behind() {
    let mut node = Node::new();
    node.set("sess:a", "x", 5_000);
    node.set("sess:b", "x", 5_000);
    assert_eq!(node.ask("sess:a", &KeyCommand::Time(TimeForm::LeftMs)), KeptAnswer::Integer(5_000));
    node.now_ms += 5_001;
    assert_eq!(node.get("sess:a"), None, "a command does not wait for the sweep");
    node.pass(2_000);
    let sizes = node.sessions.sizes();
    assert_eq!((sizes.list, sizes.states, sizes.gone, sizes.bytes), (0, 0, 0, 0));
    let expired = node.events().into_iter().filter(|kind| *kind == EventKind::Expired).count();
    assert_eq!(expired, 2);
    assert_eq!(node.set("sess:a", "again", 5_000), KeptAnswer::Ok);
    assert_eq!(node.get("sess:a").as_deref(), Some("again"));
}

#[test]
fn touches_move_the_deadline_and_shrinking_counts_too() {
    let mut node = Node::new();
    node.set("sess:a", "x", 5_000);
    for _ in 0..10 {
        node.pass(4_000);
        let expire = KeyCommand::Expire { left_ms: 5_000, only: ExpireIf::default() };
        assert_eq!(node.ask("sess:a", &expire), KeptAnswer::Integer(1));
    }
    assert_eq!(node.sessions.counters().touches, 10);
    node.set("sess:a", "x", 100_000);
    node.set("sess:a", "x", 1_000);
    node.pass(3_000);
    assert_eq!(node.sessions.sizes().list, 0);
}

#[test]
fn a_block_is_one_commit() {
    let mut node = Node::new();
    node.set("sess:a", "x", -1);
    let block = [set("y", Expiry::Unsaid, Presence::Any), KeyCommand::Get, KeyCommand::StringLength];
    let answers = [KeptAnswer::Ok, KeptAnswer::Bytes(b"y"[..].into()), KeptAnswer::Integer(1)];
    assert_eq!(node.ask_block("sess:a", &block, true), KeptAnswer::Block(answers.to_vec()));
    assert_eq!(node.sessions.counters().commits, 1);
}

#[test]
fn crawlers_give_way_and_then_births_are_refused() {
    let mut node = Node::with(Config { memory_max: 20_000, ..config() });
    let value = "x".repeat(500);
    let mut born = 0;
    while node.set(&format!("sess:{born}"), &value, -1) == KeptAnswer::Ok {
        born += 1;
    }
    assert!((20..40).contains(&born), "{born}");
    assert!(node.get("sess:0").is_some());
    let refused = KeptAnswer::Refused(SessionRefusal::OutOfMemory);
    assert_eq!(node.set("sess:new", &value, -1), refused);
    node.pass(62_000);
    assert_eq!(node.set("sess:new", &value, -1), KeptAnswer::Ok);
    assert!(node.get("sess:0").is_some(), "it was used");
    assert_eq!(node.sessions.counters().evicted, 1);
    assert!(node.events().contains(&EventKind::Evicted));
    assert_eq!(node.set("sess:0", &"y".repeat(600), -1), KeptAnswer::Ok, "commits go on");
}

#[test]
fn a_walk_gives_every_key_once_and_a_flush_takes_all() {
    let mut node = Node::new();
    let mut keys: Vec<String> = (0..200).map(|at| format!("sess:{at}")).collect();
    for key in &keys {
        node.set(key, "x", -1);
    }
    node.set("other:1", "x", -1);
    let mut walked = node.walk("sess:*");
    walked.sort();
    keys.sort();
    assert_eq!(walked, keys);
    let clock = node.clock();
    assert_eq!(node.sessions.flush(clock, "/", Database::default(), &mut node.effects), 201);
    assert_eq!((node.walk("*").len(), node.sessions.count(Database::default())), (0, 0));
}

#[test]
fn an_image_brings_sessions_and_logouts_back() {
    let mut node = Node::new();
    node.set("sess:a", "a", 60_000);
    node.set("sess:b", "b", 10_000);
    node.set("sess:c", "c", -1);
    node.ask("sess:c", &KeyCommand::Destroy);
    let mut records = Vec::new();
    let count = node.sessions.append_image(node.clock(), &mut records);
    let file = [&image_head(node.clock().unix_ms(), NodeId(1), count)[..], &records].concat();

    let own = Home { node: NodeId(1), boot: Boot(2) };
    let mut next = Node::with(Config { own, ..config() });
    next.now_ms = node.now_ms + 20_000;
    let image = Image::read(&file).expect("an image");
    let clock = next.clock();
    assert_eq!(next.sessions.take_image(clock, &image), Ok(1));
    assert_eq!(next.get("sess:a").as_deref(), Some("a"));
    assert_eq!(next.ask("sess:a", &KeyCommand::Time(TimeForm::LeftMs)), KeptAnswer::Integer(40_000));
    assert_eq!(next.get("sess:b"), None, "it expired meanwhile");
    next.set("sess:c", "late", -1);
    assert_eq!(next.get("sess:c"), None, "it is gone");

    for at in 0..file.len() {
        let mut damaged = file.clone();
        damaged[at] ^= 1;
        assert!(Image::read(&damaged).is_err(), "byte {at}");
        assert!(Image::read(&file[..at]).is_err(), "cut at {at}");
    }
    let mut later = file;
    later[8] = 2;
    assert_eq!(Image::read(&later).err(), Some(ImageError::Version(2)));
}

#[test]
fn gone_entries_end() {
    let mut node = Node::new();
    for at in 0..2 * limits::SESSION_EXPIRE_PER_TURN {
        let key = format!("sess:{at}");
        node.set(&key, "x", -1);
        node.ask(&key, &KeyCommand::Destroy);
    }
    assert_eq!(node.sessions.sizes().gone, 2 * limits::SESSION_EXPIRE_PER_TURN);
    node.pass(300_001);
    assert_eq!(node.sessions.sizes().gone, 0);
}

#[test]
fn attributes_are_changed_one_by_one() {
    let mut node = Node::new();
    let fields = |slices| KeyCommand::SetFields { fields: ByteList::Slices(slices), counts: true };
    let bytes = |text: &str| KeptAnswer::Bytes(text.as_bytes().into());
    assert_eq!(node.ask("h:a", &fields(&[b"a", b"1", b"b", b"2"])), KeptAnswer::Integer(2));
    assert_eq!(node.ask("h:a", &fields(&[b"a", b"3", b"c", b"4"])), KeptAnswer::Integer(1));
    assert_eq!(node.ask("h:a", &KeyCommand::Get), KeptAnswer::Refused(SessionRefusal::WrongType));
    let all = KeptAnswer::Map(["a", "3", "b", "2", "c", "4"].map(bytes).to_vec());
    assert_eq!(node.ask("h:a", &KeyCommand::AllFields), all);
    let commits = node.sessions.counters().commits;
    assert_eq!(node.ask("h:a", &fields(&[b"a", b"3"])), KeptAnswer::Integer(0));
    assert_eq!(node.sessions.counters().commits, commits, "nothing has changed");
    let remove = KeyCommand::RemoveFields(ByteList::Slices(&[b"a", b"b", b"x"]));
    assert_eq!(node.ask("h:a", &remove), KeptAnswer::Integer(2));
    let last = KeyCommand::RemoveFields(ByteList::Slices(&[b"c"]));
    assert_eq!(node.ask("h:a", &last), KeptAnswer::Integer(1));
    assert_eq!(node.ask("h:a", &KeyCommand::Exists), KeptAnswer::Integer(0));
    assert_eq!(node.ask("h:a", &fields(&[b"a", b"1"])), KeptAnswer::Integer(0), "it has ended");
    assert_eq!(node.ask("h:a", &KeyCommand::FieldCount), KeptAnswer::Integer(0));
}

#[test]
fn attributes_have_bounds_and_what_is_refused_changes_nothing() {
    let mut node = Node::new();
    let set = |node: &mut Node, name: &[u8], value: &[u8]| {
        let slices = [&b"first"[..], b"1", name, value];
        node.ask("h:a", &KeyCommand::SetFields { fields: ByteList::Slices(&slices), counts: true })
    };
    let refused = KeptAnswer::Refused;
    assert_eq!(set(&mut node, &[b'n'; 256], b"x"), refused(SessionRefusal::FieldName));
    assert_eq!(set(&mut node, b"\0user", b"x"), refused(SessionRefusal::FieldName));
    assert_eq!(node.ask("h:a", &KeyCommand::Exists), KeptAnswer::Integer(0));
    assert_eq!(set(&mut node, &[b'n'; 255], b"x"), KeptAnswer::Integer(2));
    let large = vec![b'x'; config().value_bytes_max];
    assert_eq!(set(&mut node, b"large", &large), refused(SessionRefusal::TooLarge));
    for number in 2..limits::SESSION_ATTRIBUTES_MAX {
        assert_eq!(set(&mut node, number.to_string().as_bytes(), b""), KeptAnswer::Integer(1));
    }
    assert_eq!(set(&mut node, b"more", b""), refused(SessionRefusal::TooManyFields));
    let count = limits::SESSION_ATTRIBUTES_MAX as i64;
    assert_eq!(node.ask("h:a", &KeyCommand::FieldCount), KeptAnswer::Integer(count));
}

#[test]
fn reads_borrow_the_value() {
    let mut node = Node::new();
    node.set("sess:a", "value", -1);
    let place = Place { vhost: "/", database: Database::default(), key: b"sess:a" };
    let commands = [KeyCommand::Get];
    let request = Request { asker: Asker::default(), place, commands: &commands, block: false };
    let clock = node.clock();
    let answer = node.sessions.on_request(clock, &request, &mut node.effects);
    assert_eq!(answer, Some(Answer::Bytes(b"value")));
}
