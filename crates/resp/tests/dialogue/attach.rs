//! SESSION.NODES and SESSION.ATTACH.

use leveret_model::limits;
use leveret_model::session::{Answer, KeptAnswer};

use crate::client::Dialogue;

fn attached() -> Dialogue {
    let mut dialogue = Dialogue::new(true);
    dialogue.send("HELLO 3\r\n");
    assert_eq!(dialogue.send("SELECT 2\r\nSESSION.ATTACH sess:*\r\n"), "+OK\r\n+OK\r\n");
    assert_eq!(dialogue.host.log, ["attach 2 Some(\"sess:*\")"]);
    dialogue
}

fn push(dialogue: &mut Dialogue) -> (bool, String) {
    let bytes = |text: &str| KeptAnswer::Bytes(text.as_bytes().into());
    let pairs = [bytes("cart"), bytes("1")];
    let taken = dialogue.connection.push_expired(b"sess:a", Answer::Map(&pairs), &mut dialogue.out);
    (taken, dialogue.taken())
}

#[test]
fn nodes_are_listed_in_the_order_of_the_commands() {
    let mut dialogue = Dialogue::new(true);
    assert_eq!(dialogue.send("SESSION.NODES\r\nPING\r\n"), "");
    let row = KeptAnswer::List(vec![KeptAnswer::Bytes((*b"hare").into())]);
    assert_eq!(dialogue.answer(0, Answer::List(&[row])), "*1\r\n*1\r\n$4\r\nhare\r\n+PONG\r\n");
}

#[test]
fn an_expired_session_is_pushed_between_answers() {
    let mut dialogue = attached();
    dialogue.send("GET sess:b\r\n");
    let pushed = ">3\r\n$7\r\nexpired\r\n$6\r\nsess:a\r\n%1\r\n$4\r\ncart\r\n$1\r\n1\r\n";
    assert_eq!(push(&mut dialogue), (true, pushed.to_owned()));
    assert_eq!(dialogue.answer(0, Answer::Nil), "_\r\n");
}

#[test]
fn only_resp_3_has_pushes_and_nobody_is_attached_past_the_bound() {
    let mut dialogue = Dialogue::new(true);
    let text = "-ERR SESSION.ATTACH needs RESP 3: send HELLO 3 first\r\n";
    assert_eq!(dialogue.send("SESSION.ATTACH *\r\n"), text);
    assert!(dialogue.host.log.is_empty());
    dialogue.send("HELLO 3\r\n");
    let refused = dialogue.send("*2\r\n$14\r\nSESSION.ATTACH\r\n$12\r\none too many\r\n");
    assert_eq!(refused, "-ERR too many connections are attached on this node\r\n");
    assert_eq!(push(&mut dialogue), (false, String::new()));
}

#[test]
fn reset_and_resp_2_end_it() {
    for end in ["RESET\r\n", "HELLO 2\r\n"] {
        let mut dialogue = attached();
        dialogue.send(end);
        assert_eq!(dialogue.host.log[1], "attach 2 None", "{end}");
        assert_eq!(push(&mut dialogue), (false, String::new()));
    }
}

#[test]
fn a_connection_that_does_not_read_is_told_nothing() {
    let mut dialogue = attached();
    dialogue.out = vec![b'x'; limits::OUTPUT_BYTES_STOP];
    assert!(!push(&mut dialogue).0);
}
