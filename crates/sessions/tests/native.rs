//! `SESSION.LOAD`, `SESSION.COMMIT` and renames on one node: tokens, conflicts, REPLACE, removed names.

use leveret_model::session::{
    ByteList, Database, Expiry, KeptAnswer, KeyCommand, Presence, RenameForm, SessionRefusal, SetAnswer,
};
use leveret_model::{Boot, Instant, NodeId, Seed, ShardId};
use leveret_sessions::{
    Asker, Clock, Config, Effects, Home, Image, Place, RenameStep, Renaming, Request, Rules, Sessions,
    image_head,
};

struct Node {
    sessions: Sessions,
    effects: Effects,
}

fn place(key: &str) -> Place<'_> {
    Place { vhost: "/", database: Database::default(), key: key.as_bytes() }
}

const CLOCK: Clock = Clock { now: Instant::from_nanos(5_000_000_000), unix_origin_ms: 0 };

impl Node {
    fn new() -> Self {
        let config = Config {
            own: Home { node: NodeId(1), boot: Boot(1) },
            shards: 1,
            shard: ShardId(0),
            memory_max: 1 << 20,
            value_bytes_max: 1 << 16,
            gone_for_ms: 300_000,
            rules: Rules::default(),
            copies: 1,
            seed: Seed(3),
        };
        Self { sessions: Sessions::new(config), effects: Effects::default() }
    }

    fn ask(&mut self, key: &str, command: &KeyCommand<'_>) -> KeptAnswer {
        let request = Request {
            asker: Asker::default(),
            place: place(key),
            commands: core::slice::from_ref(command),
            block: false,
        };
        self.sessions.on_request(CLOCK, &request, &mut self.effects).expect("one node answers at once").keep()
    }

    /// Words with blanks between; `-` is empty.
    fn commit(&mut self, key: &str, words: &str) -> KeptAnswer {
        let words: Vec<&[u8]> =
            words.split(' ').map(|word| if word == "-" { b"" } else { word.as_bytes() }).collect();
        self.ask(key, &KeyCommand::Commit { arguments: ByteList::Slices(&words), redirected: false })
    }

    /// The token, and the names that were in conflict.
    fn committed(&mut self, key: &str, words: &str) -> (String, Vec<String>) {
        match self.commit(key, words) {
            KeptAnswer::List(items) => match &items[..] {
                [token, KeptAnswer::List(names)] => (text(token), names.iter().map(text).collect()),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    fn load(&mut self, key: &str, since: &str) -> Loaded {
        match self.ask(key, &KeyCommand::Load { since: since.as_bytes(), touch_ms: None }) {
            KeptAnswer::List(items) => {
                let [token, _, user, form, KeptAnswer::Map(pairs), KeptAnswer::List(removed)] = &items[..]
                else {
                    panic!("{items:?}")
                };
                Loaded {
                    token: text(token),
                    user: text(user),
                    form: text(form),
                    pairs: pairs
                        .chunks(2)
                        .map(|pair| format!("{}={}", text(&pair[0]), text(&pair[1])))
                        .collect(),
                    removed: removed.iter().map(text).collect(),
                }
            }
            other => panic!("{other:?}"),
        }
    }

    fn rename(&mut self, old: &str, new: &str, id: &str, form: RenameForm) -> KeptAnswer {
        self.rename_with(old, new, (id, form), |_, _| {})
    }

    /// `between` sees every step before it is asked.
    fn rename_with(
        &mut self,
        old: &str,
        new: &str,
        (id, form): (&str, RenameForm),
        mut between: impl FnMut(&mut Self, usize),
    ) -> KeptAnswer {
        let (mut renaming, mut request) = Renaming::begin(place(old), new.as_bytes(), id.as_bytes(), form);
        for step in 0..100 {
            between(self, step);
            let answer =
                self.sessions.on_request_bytes(CLOCK, Asker::default(), &request.bytes, &mut self.effects);
            match renaming.on_answer(&answer.expect("ours").expect("at once")) {
                RenameStep::Ask(next) => request = next,
                RenameStep::Done(answer) | RenameStep::GoOn(answer, _) => return answer,
            }
        }
        panic!("a rename without end");
    }
}

#[derive(Debug, PartialEq)]
struct Loaded {
    token: String,
    user: String,
    form: String,
    pairs: Vec<String>,
    removed: Vec<String>,
}

fn text(item: &KeptAnswer) -> String {
    match item {
        KeptAnswer::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        KeptAnswer::Word(word) => (*word).to_owned(),
        KeptAnswer::Nil => "-".to_owned(),
        other => panic!("{other:?}"),
    }
}

fn set(value: &[u8]) -> KeyCommand<'_> {
    let (expiry, presence, answer) = (Expiry::Unsaid, Presence::Any, SetAnswer::Status);
    KeyCommand::Set { value, expiry, presence, answer }
}

#[test]
fn two_commits_from_one_token_keep_what_each_changed() {
    let mut node = Node::new();
    let (token, _) = node.committed("s:a", "- 1 NEW PX 60000 USER hare SET 2 a 0 b 0");
    assert_eq!(node.committed("s:a", &format!("{token} 2 SET 1 a 1")).1, [""; 0]);
    assert_eq!(node.committed("s:a", &format!("{token} 3 SET 1 b 2")).1, [""; 0]);
    let loaded = node.load("s:a", "");
    assert_eq!(
        (loaded.pairs, loaded.user, loaded.form),
        (vec!["a=1".into(), "b=2".into()], "hare".into(), "full".into())
    );
    let KeptAnswer::Integer(fields) = node.ask("s:a", &KeyCommand::FieldCount) else { panic!() };
    assert_eq!(fields, 2, "the user is none of the client's");
}

#[test]
fn a_conflict_is_named_and_reject_does_nothing() {
    let mut node = Node::new();
    let (token, _) = node.committed("s:a", "- 1 NEW SET 1 a 0");
    node.committed("s:a", &format!("{token} 2 SET 1 a 1"));
    assert_eq!(node.committed("s:a", &format!("{token} 3 SET 2 a 2 b 2")).1, ["a"]);
    let rejected = node.commit("s:a", &format!("{token} 4 REJECT SET 2 a 3 c 3"));
    let name = |name: &str| KeptAnswer::Bytes(name.as_bytes().into());
    assert_eq!(rejected, KeptAnswer::Conflict(vec![name("a")]));
    assert_eq!(node.load("s:a", "").pairs, ["a=2", "b=2"]);
    assert_eq!(node.sessions.counters().conflicts, 2);
}

#[test]
fn since_gives_changes_and_removed_names_and_replace_spares_the_unseen() {
    let mut node = Node::new();
    let (first, _) = node.committed("s:a", "- 1 NEW SET 3 a 0 b 0 c 0");
    let (second, _) = node.committed("s:a", &format!("{first} 2 SET 1 d 1 DEL 1 a"));
    let loaded = node.load("s:a", &first);
    assert_eq!(
        (&loaded.form[..], loaded.pairs, loaded.removed),
        ("since", vec!["d=1".into()], vec!["a".into()])
    );
    assert_eq!(node.load("s:a", &second).pairs, [""; 0]);
    // its author has not seen d
    node.committed("s:a", &format!("{first} 3 REPLACE SET 1 b 5"));
    assert_eq!(node.load("s:a", "").pairs, ["b=5", "d=1"]);
    assert_eq!(node.commit("s:a", "abc 4"), KeptAnswer::Refused(SessionRefusal::Token));
}

#[test]
fn a_repeated_commit_is_applied_once() {
    let mut node = Node::new();
    let first = node.commit("s:a", "- 1 NEW SET 1 a 0");
    assert_eq!(node.commit("s:a", "- 1 NEW SET 1 a 0"), first);
    let second = node.commit("s:a", "- 2 SET 1 a 1");
    node.commit("s:a", "- 3 SET 1 a 2");
    assert_eq!(node.commit("s:a", "- 2 SET 1 a 1"), second);
    assert_eq!(node.load("s:a", "").pairs, ["a=2"]);
}

#[test]
fn what_has_ended_is_gone_and_its_key_is_taken() {
    let mut node = Node::new();
    let refused = KeptAnswer::Refused;
    assert_eq!(node.commit("s:a", "- 0 SET 1 a 1"), KeptAnswer::Nil);
    node.committed("s:a", "- 1 NEW SET 1 a 0");
    assert_eq!(node.commit("s:a", "- 2 NEW"), refused(SessionRefusal::Exists));
    node.ask("s:a", &KeyCommand::Destroy);
    assert_eq!(node.commit("s:a", "- 3 SET 1 a 1"), refused(SessionRefusal::Gone));
    assert_eq!(node.commit("s:a", "- 4 NEW"), refused(SessionRefusal::Exists));
    assert_eq!(node.ask("s:a", &KeyCommand::Load { since: b"", touch_ms: None }), KeptAnswer::Nil);
    node.ask("s:b", &set(b"text"));
    assert_eq!(node.commit("s:b", "- 5 SET 1 a 1"), refused(SessionRefusal::WrongType));
}

#[test]
fn a_renamed_session_is_under_the_new_key_and_the_old_one_leads_nowhere() {
    let mut node = Node::new();
    let (token, _) = node.committed("s:old", "- 1 NEW PX 60000 USER hare SET 1 a 0");
    let answer = node.rename("s:old", "s:new", "r1", RenameForm::Native);
    let loaded = node.load("s:new", "");
    assert_eq!(text(&answer), loaded.token);
    assert_eq!((loaded.pairs, loaded.user), (vec!["a=0".to_owned()], "hare".to_owned()));
    assert_eq!(node.rename("s:old", "s:new", "r1", RenameForm::Native), answer, "a repeat");
    let gone = KeptAnswer::Refused(SessionRefusal::Gone);
    assert_eq!(node.rename("s:old", "s:other", "r2", RenameForm::Native), gone);
    let missing = KeptAnswer::Refused(SessionRefusal::NoSuchKey);
    assert_eq!(node.rename("s:old", "s:other", "", RenameForm::Plain), missing);
    // who planted the old id is not logged in
    assert_eq!(node.ask("s:old", &KeyCommand::Exists), KeptAnswer::Integer(0));
    assert_eq!(node.ask("s:old", &KeyCommand::AllFields), KeptAnswer::Map(Vec::new()));
    let late = KeyCommand::SetFields { fields: ByteList::Slices(&[b"a", b"9"]), counts: true };
    node.ask("s:old", &late);
    assert_eq!(node.load("s:new", "").pairs, ["a=0"]);
    // a commit that began before is sent on by whoever has the connection, without its user
    let KeptAnswer::Moved(request) = node.commit("s:old", &format!("{token} 2 USER fox SET 1 b 1")) else {
        panic!("it is not sent on")
    };
    let answer = node.sessions.on_request_bytes(CLOCK, Asker::default(), &request, &mut node.effects);
    assert!(matches!(answer, Ok(Some(KeptAnswer::List(_)))));
    let loaded = node.load("s:new", "");
    assert_eq!((loaded.pairs, loaded.user), (vec!["a=0".to_owned(), "b=1".to_owned()], "hare".to_owned()));
}

#[test]
fn an_image_keeps_attributes_and_where_renamed_sessions_are() {
    let mut node = Node::new();
    let (token, _) = node.committed("s:old", "- 1 NEW PX 60000 USER hare SET 2 a 0 b 0");
    let answer = node.rename("s:old", "s:new", "r1", RenameForm::Native);
    let mut records = Vec::new();
    let count = node.sessions.append_image(CLOCK, &mut records);
    assert_eq!(count, 3, "a session, a gone entry, a rename");
    let file = [&image_head(CLOCK.unix_ms(), NodeId(1), count)[..], &records].concat();
    let mut next = Node::new();
    let image = Image::read(&file).expect("an image");
    assert_eq!(next.sessions.take_image(CLOCK, &image), Ok(1));
    assert!(
        matches!(next.rename("s:old", "s:new", "r1", RenameForm::Native), KeptAnswer::Bytes(_)),
        "a repeat"
    );
    let KeptAnswer::Moved(request) = next.commit("s:old", &format!("{token} 2 SET 1 c 1")) else {
        panic!("it is not sent on")
    };
    let moved = next.sessions.on_request_bytes(CLOCK, Asker::default(), &request, &mut next.effects);
    assert!(matches!(moved, Ok(Some(KeptAnswer::List(_)))));
    // the epoch is another one: whoever had the token of before the stop is told everything
    let since = next.load("s:new", &text(&answer));
    assert_eq!(
        (since.form.as_str(), since.pairs.as_slice()),
        ("full", &["a=0", "b=0", "c=1"].map(str::to_owned)[..])
    );
}

#[test]
fn a_change_or_a_logout_between_the_steps_of_a_rename_counts() {
    let mut node = Node::new();
    node.ask("s:old", &set(b"one"));
    let answer = node.rename_with("s:old", "s:new", ("", RenameForm::Plain), |node, step| {
        if step == 2 {
            node.ask("s:old", &set(b"two"));
        }
    });
    assert_eq!(answer, KeptAnswer::Ok);
    assert_eq!(node.ask("s:new", &KeyCommand::Get), KeptAnswer::Bytes(b"two"[..].into()));

    node.ask("s:third", &set(b"one"));
    let answer = node.rename_with("s:third", "s:fourth", ("", RenameForm::IfMissing), |node, step| {
        if step == 2 {
            node.ask("s:third", &KeyCommand::Destroy);
        }
    });
    assert_eq!(answer, KeptAnswer::Refused(SessionRefusal::NoSuchKey));
    assert_eq!(node.ask("s:fourth", &KeyCommand::Get), KeptAnswer::Nil, "the user has logged out");
    assert_eq!(node.ask("s:new", &KeyCommand::Exists), KeptAnswer::Integer(1));
}
