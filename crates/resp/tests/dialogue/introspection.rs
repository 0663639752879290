//! What clients ask before they start.

use crate::client::Dialogue;

#[test]
fn info_has_what_clients_look_for() {
    let mut dialogue = Dialogue::new(true);
    let said = dialogue.send("INFO\r\n");
    for line in ["redis_version:7.0.15", "redis_mode:standalone", "loading:0", "role:master"] {
        assert!(said.contains(&format!("{line}\r\n")), "{line} is not in {said}");
    }
    assert!(said.contains("# Leveret\r\nsession_nodes:3\r\n"), "{said}");
    let said = dialogue.send("INFO REPLICATION\r\n");
    assert!(said.contains("role:master") && !said.contains("redis_version"), "{said}");
    dialogue.send("HELLO 3\r\n");
    assert!(dialogue.send("INFO server\r\n").starts_with('='));
}

#[test]
fn config_get_knows_three_names() {
    let mut dialogue = Dialogue::new(true);
    assert_eq!(dialogue.send("CONFIG GET maxmemory\r\n"), "*2\r\n$9\r\nmaxmemory\r\n$4\r\n1000\r\n");
    assert_eq!(dialogue.send("CONFIG GET port\r\n"), "*0\r\n");
    assert!(dialogue.send("CONFIG GET *\r\n").starts_with("*6\r\n"));
    dialogue.send("HELLO 3\r\n");
    assert_eq!(dialogue.send("CONFIG GET save\r\n"), "%1\r\n$4\r\nsave\r\n$0\r\n\r\n");
}

#[test]
fn a_client_may_name_itself_and_its_library() {
    let mut dialogue = Dialogue::new(true);
    assert_eq!(dialogue.send("CLIENT GETNAME\r\n"), "$-1\r\n");
    assert_eq!(dialogue.send("client setinfo LIB-NAME redis-py\r\n"), "+OK\r\n");
    assert_eq!(&dialogue.connection.client().library[..], b"redis-py");
    assert!(
        dialogue
            .send("*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$3\r\na b\r\n")
            .starts_with("-ERR Client names")
    );
    assert_eq!(dialogue.send("CLIENT ID\r\n"), ":7\r\n");
}

#[test]
fn quit_is_answered_and_ends() {
    let mut dialogue = Dialogue::new(false);
    assert_eq!(dialogue.send("QUIT\r\nPING\r\n"), "+OK\r\n");
    assert_eq!(dialogue.state, leveret_resp::State::Ended);
}
