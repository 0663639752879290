//! Order, parts and bounds of answers.

use leveret_model::session::{Answer, SessionRefusal};
use leveret_resp::State;

use crate::client::Dialogue;

#[test]
fn answers_keep_the_order_of_their_commands() {
    let mut dialogue = Dialogue::new(true);
    assert_eq!(dialogue.send("GET a\r\nPING\r\nGET b\r\n"), "");
    assert_eq!(dialogue.answer(1, Answer::Bytes(b"second")), "");
    assert_eq!(dialogue.answer(0, Answer::Nil), "$-1\r\n+PONG\r\n$6\r\nsecond\r\n");
    assert!(dialogue.connection.is_idle());
}

#[test]
fn an_answer_that_comes_twice_finds_nobody() {
    let mut dialogue = Dialogue::new(true);
    dialogue.send("GET a\r\n");
    let ticket = dialogue.host.asked[0];
    assert_eq!(dialogue.answer(0, Answer::Nil), "$-1\r\n");
    dialogue.send("GET b\r\n");
    dialogue.connection.on_answer(ticket, Answer::Integer(1), &mut dialogue.out);
    assert_eq!(dialogue.taken(), "");
}

#[test]
fn what_several_keys_say_is_added_or_listed() {
    let mut dialogue = Dialogue::new(true);
    dialogue.send("DEL a b\r\nMGET c d\r\n");
    assert_eq!(dialogue.answer(1, Answer::Integer(1)), "");
    assert_eq!(dialogue.answer(0, Answer::Integer(1)), ":2\r\n");
    assert_eq!(dialogue.answer(1, Answer::Refused(SessionRefusal::WrongType)), "");
    assert_eq!(dialogue.answer(0, Answer::Bytes(b"c")), "*2\r\n$1\r\nc\r\n$-1\r\n");
}

#[test]
fn one_refused_key_refuses_the_sum() {
    let mut dialogue = Dialogue::new(true);
    dialogue.send("DEL a b\r\n");
    dialogue.answer(0, Answer::Refused(SessionRefusal::TryAgain));
    assert!(dialogue.answer(0, Answer::Integer(1)).starts_with("-TRYAGAIN "));
}

#[test]
fn values_over_16_mib_in_one_answer_are_refused() {
    let mut dialogue = Dialogue::new(true);
    dialogue.send("MGET a b\r\n");
    let half = vec![b'x'; 9 << 20];
    dialogue.answer(0, Answer::Bytes(&half));
    assert!(dialogue.answer(0, Answer::Bytes(&half)).starts_with("-ERR the answer is over 16 MiB"));
}

#[test]
fn with_128_commands_under_way_nothing_more_is_read() {
    let mut dialogue = Dialogue::new(true);
    dialogue.send("GET a\r\n".repeat(130));
    assert_eq!((dialogue.host.asked.len(), dialogue.state), (128, State::Paused));
    dialogue.answer(0, Answer::Nil);
    dialogue.go_on();
    assert_eq!((dialogue.host.asked.len(), dialogue.state), (128, State::Paused));
}

#[test]
fn a_client_that_does_not_take_its_answers_is_not_read() {
    let mut dialogue = Dialogue::new(true);
    let megabyte = "x".repeat(1 << 20);
    let command = format!("*2\r\n$4\r\nECHO\r\n${}\r\n{megabyte}\r\n", megabyte.len());
    dialogue.received.extend_from_slice(command.repeat(5).as_bytes());
    let Dialogue { connection, received, host, out, .. } = &mut dialogue;
    assert_eq!(connection.on_bytes(received, 0, host, out), State::Paused);
    assert!(out.len() < 4 << 20, "{}", out.len());
    assert!(!received.is_empty());
    dialogue.taken();
    dialogue.go_on();
    dialogue.go_on();
    assert_eq!(dialogue.state, State::Reading);
}

#[test]
fn garbage_is_answered_behind_what_is_owed_and_ends_the_connection() {
    let mut dialogue = Dialogue::new(true);
    assert_eq!(dialogue.send("GET a\r\n*1\r\n$-5\r\nGET b\r\n"), "");
    assert_eq!(dialogue.state, State::Paused);
    let said = dialogue.answer(0, Answer::Nil);
    assert_eq!(said, "$-1\r\n-ERR Protocol error: invalid bulk length\r\n");
    dialogue.go_on();
    assert_eq!((dialogue.state, dialogue.host.log.len()), (State::Ended, 1));
}

#[test]
fn http_is_closed_without_a_word() {
    for bytes in ["POST / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let mut dialogue = Dialogue::new(true);
        let said = dialogue.send(bytes);
        assert!(!said.contains("PONG") && !said.contains("unknown"), "{said}");
        assert_eq!(dialogue.state, State::Ended);
    }
}

#[test]
fn a_walk_lists_keys_and_a_cursor() {
    let mut dialogue = Dialogue::new(true);
    dialogue.send("SCAN 0 MATCH sess:* COUNT 100\r\n");
    assert_eq!(dialogue.host.log, ["walk from 0 count 100"]);
    let ticket = dialogue.host.asked.pop_front().expect("a walk");
    dialogue.connection.on_walked(ticket, 17, [&b"sess:a"[..]].into_iter(), &mut dialogue.out);
    assert_eq!(dialogue.taken(), "*2\r\n$2\r\n17\r\n*1\r\n$6\r\nsess:a\r\n");
}

#[test]
fn options_are_refused_in_words_of_redis() {
    let mut dialogue = Dialogue::new(true);
    for (command, text) in [
        ("SET a b NX XX", "ERR syntax error"),
        ("SET a b EX 0", "ERR invalid expire time in 'set' command"),
        ("SET a b EX x", "ERR value is not an integer or out of range"),
        ("SET a b EX 10 PX 10", "ERR syntax error"),
        ("SETEX a -1 b", "ERR invalid expire time in 'setex' command"),
        ("GET", "ERR wrong number of arguments for 'get' command"),
        ("EXPIRE a 1 NX XX", "ERR NX and XX, GT or LT options at the same time are not compatible"),
        ("EXPIRE a 1 YY", "ERR Unsupported option YY"),
        ("FOO a b", "ERR unknown command 'FOO', with args beginning with: 'a' 'b' "),
        ("CLIENT KILL x", "ERR unknown subcommand 'KILL'. Try CLIENT HELP."),
        ("CLIENT", "ERR wrong number of arguments for 'client' command"),
        ("EVALSHA abc 0", "NOSCRIPT No matching script. Please use EVAL."),
        ("SCAN x", "ERR invalid cursor"),
        ("SELECT 16", "ERR DB index is out of range"),
    ] {
        assert_eq!(dialogue.send(format!("{command}\r\n")), format!("-{text}\r\n"), "{command}");
    }
    assert_eq!(dialogue.host.log, ["unknown FOO"]);
}

#[test]
fn phpredis_may_unlock() {
    let mut dialogue = Dialogue::new(true);
    let sha1 = "B70C2384248f88e6b75b9f89241a180f856ad852";
    dialogue.send(format!("EVALSHA {sha1} 1 k_LOCK me\r\n"));
    assert_eq!(dialogue.host.log, ["0 k_LOCK DestroyIfEqual(Some([109, 101]))"]);
    assert_eq!(dialogue.answer(0, Answer::Integer(1)), ":1\r\n");
}

#[test]
fn a_key_of_more_than_512_bytes_is_refused() {
    let mut dialogue = Dialogue::new(true);
    let key = "k".repeat(513);
    assert!(dialogue.send(format!("GET {key}\r\n")).starts_with("-ERR a key of a session"));
    assert!(dialogue.send(format!("DEL a {key}\r\n")).starts_with("-ERR a key of a session"));
    assert!(dialogue.host.log.is_empty());
}
