//! MULTI and EXEC.

use leveret_model::session::{Answer, KeptAnswer, SessionRefusal};

use crate::client::Dialogue;

#[test]
fn a_block_on_one_key_is_asked_for_as_one() {
    let mut dialogue = Dialogue::new(true);
    let said = dialogue.send("MULTI\r\nSET a 1\r\nPING\r\nDEL a a\r\nSET a 1 EX 0\r\nEXEC\r\n");
    assert_eq!(said, format!("+OK\r\n{}", "+QUEUED\r\n".repeat(4)));
    assert_eq!(dialogue.host.log, ["0 a block of 3"]);
    let answers = [KeptAnswer::Ok, KeptAnswer::Integer(1), KeptAnswer::Integer(0)];
    assert_eq!(
        dialogue.answer(0, Answer::Block(&answers)),
        "*4\r\n+OK\r\n+PONG\r\n:1\r\n-ERR invalid expire time in 'set' command\r\n"
    );
}

#[test]
fn a_refused_block_is_one_error() {
    let mut dialogue = Dialogue::new(true);
    dialogue.send("MULTI\r\nSET a 1\r\nEXEC\r\n");
    assert!(dialogue.answer(0, Answer::Refused(SessionRefusal::TryAgain)).starts_with("-TRYAGAIN "));
}

#[test]
fn two_keys_or_two_databases_cross() {
    for second in ["SET b 1", "SELECT 3\r\nSET a 1", "DEL a b"] {
        let mut dialogue = Dialogue::new(true);
        dialogue.send(format!("MULTI\r\nSET a 1\r\n{second}\r\n"));
        let text = "-CROSSSLOT Keys in request don't hash to the same slot\r\n";
        assert_eq!(dialogue.send("EXEC\r\n"), text);
        dialogue.send("GET a\r\n");
        assert_eq!(dialogue.host.log, ["0 a Get"], "the database is as it was");
    }
}

#[test]
fn an_error_in_a_block_spoils_it() {
    for wrong in ["GET", "FOO", "SCAN 0", "CLIENT KILL"] {
        let mut dialogue = Dialogue::new(true);
        dialogue.send(format!("MULTI\r\nSET a 1\r\n{wrong}\r\n"));
        let text = "-EXECABORT Transaction discarded because of previous errors.\r\n";
        assert_eq!(dialogue.send("EXEC\r\n"), text, "{wrong}");
        assert_eq!(dialogue.send("EXEC\r\n"), "-ERR EXEC without MULTI\r\n");
    }
}

#[test]
fn a_block_holds_64_commands() {
    let mut dialogue = Dialogue::new(true);
    dialogue.send("MULTI\r\n");
    dialogue.send("GET a\r\n".repeat(64));
    assert!(dialogue.send("GET a\r\n").starts_with("-ERR a transaction holds"));
    assert!(dialogue.send("EXEC\r\n").starts_with("-EXECABORT"));
}

#[test]
fn an_empty_block_and_a_discarded_one_ask_nothing() {
    let mut dialogue = Dialogue::new(true);
    assert_eq!(dialogue.send("MULTI\r\nEXEC\r\n"), "+OK\r\n*0\r\n");
    assert_eq!(dialogue.send("MULTI\r\nGET a\r\nDISCARD\r\n"), "+OK\r\n+QUEUED\r\n+OK\r\n");
    assert_eq!(dialogue.send("DISCARD\r\n"), "-ERR DISCARD without MULTI\r\n");
    assert_eq!(dialogue.send("MULTI\r\nMULTI\r\n"), "+OK\r\n-ERR MULTI calls can not be nested\r\n");
    assert!(dialogue.host.log.is_empty());
}
