//! A rename whose client goes, or whose old home dies, at any moment of it: one of the two keys is left.

use std::time::Duration;

use leveret_model::NodeId;

use crate::rig::{Client, Rig, command};

/// Shards of the nodes: the first has 0 and 1, the second 2, the third 3 to 5.
const COUNTS: [u8; 3] = [2, 1, 3];
/// Turns after which a rename of three nodes is over.
const TURNS: usize = 24;

fn set(rig: &mut Rig, client: Client, key: &str) {
    assert_eq!(rig.ask(client, &command(&["HSET", key, "user", "hare"])), ":1\r\n");
}

fn has(rig: &mut Rig, client: Client, key: &str) -> bool {
    let found = rig.ask(client, &command(&["HGET", key, "user"]));
    assert!(found == "$4\r\nhare\r\n" || found == "$-1\r\n", "{found}");
    found.starts_with("$4")
}

/// Sends a rename and lets so many turns pass; true if it was over by then.
fn begin(rig: &mut Rig, client: Client, words: &[&str], turns: usize) -> bool {
    rig.send(client, &command(words));
    (0..turns).any(|_| !rig.step())
}

#[test]
fn a_rename_is_whole_though_its_client_goes_at_any_turn() {
    for form in ["RENAME", "RENAMENX", "SESSION.RENAME"] {
        its_client_goes_at_any_turn(form);
    }
}

fn its_client_goes_at_any_turn(form: &str) {
    let mut rig = Rig::new(&COUNTS);
    let other = rig.connect(4, true);
    let (mut kept, mut renamed, mut over) = (0, 0, false);
    for turns in 0..TURNS {
        let client = rig.connect(turns % 3, true);
        let (old, new) = (format!("sess:old{turns}"), format!("sess:new{turns}"));
        set(&mut rig, other, &old);
        let words = [form, &old, &new, "1"];
        let words = if form == "SESSION.RENAME" { &words[..] } else { &words[..3] };
        over = begin(&mut rig, client, words, turns);
        rig.lose(client);
        rig.settle();
        let left = (has(&mut rig, other, &old), has(&mut rig, other, &new));
        assert!(left.0 != left.1, "{form} after {turns} turns: {left:?}");
        (kept, renamed) = (kept + usize::from(left.0), renamed + usize::from(left.1));
    }
    assert!(over && kept > 0 && renamed > 0, "{form} {kept} {renamed}: every turn was tried");
}

#[test]
fn a_renamenx_whose_client_goes_takes_no_key_of_somebody_else() {
    for turns in 0..TURNS {
        let mut rig = Rig::new(&COUNTS);
        let (other, client) = (rig.connect(4, true), rig.connect(turns % 3, true));
        set(&mut rig, other, "sess:old");
        assert_eq!(rig.ask(other, &command(&["HSET", "sess:new", "user", "fox"])), ":1\r\n");
        begin(&mut rig, client, &["RENAMENX", "sess:old", "sess:new"], turns);
        rig.lose(client);
        rig.settle();
        assert!(has(&mut rig, other, "sess:old"), "after {turns} turns");
        assert_eq!(rig.ask(other, &command(&["HGET", "sess:new", "user"])), "$3\r\nfox\r\n");
    }
}

#[test]
fn a_rename_is_whole_though_the_home_of_the_old_key_dies_at_any_turn() {
    let mut over = false;
    for turns in 0..TURNS {
        let mut rig = Rig::new(&COUNTS);
        let (client, home) = (rig.connect(0, true), rig.connect(2, true));
        for number in 0..4 {
            set(&mut rig, home, &format!("sess:old{number}"));
            let (old, new) = (format!("sess:old{number}"), format!("sess:new{number}"));
            if number < 3 {
                assert_eq!(rig.ask(client, &command(&["RENAME", &old, &new])), "+OK\r\n");
            } else {
                over = begin(&mut rig, client, &["RENAME", &old, &new], turns);
            }
        }
        rig.kill(NodeId(2));
        for _ in 0..12 {
            rig.wait(Duration::from_secs(1));
        }
        // whatever the rename was answered with
        rig.ask(client, "PING\r\n");
        let left = (has(&mut rig, client, "sess:old3"), has(&mut rig, client, "sess:new3"));
        assert!(left.0 != left.1, "after {turns} turns: {left:?}");
    }
    assert!(over, "every turn was tried");
}
