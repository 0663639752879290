use std::format;
use std::vec;

use leveret_model::{Boot, Incarnation, NodeId};
use proptest::prelude::*;

use super::hello::MAGIC;
use super::*;
use crate::sessions::{DataLinkKey, Round};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const OTHER: &[u8] = b"0123456789abcdef0123456789abcdeg";

fn hello(node: u128, purpose: Purpose) -> Hello {
    Hello {
        protocol: PROTOCOL,
        group: Name::new("warren"),
        node: NodeId(node),
        incarnation: Incarnation(1),
        boot: Boot(node as u64),
        shards: 2,
        name: Name::new("hare"),
        address: Name::new("127.0.0.1:25672"),
        purpose,
        capabilities: Capabilities::own(),
    }
}

fn data(index: u8) -> Purpose {
    Purpose::Data(DataLinkKey { round: Round(5), index })
}

fn secret(text: &[u8]) -> Secret {
    Secret::shared(text).unwrap()
}

fn dialer() -> Handshake {
    Handshake::dialer(secret(SECRET), hello(1, data(3)), [1; 32], b"", Instant::ZERO)
}

fn acceptor() -> Handshake {
    Handshake::acceptor(secret(SECRET), hello(2, Purpose::Control), [2; 32], b"", Instant::ZERO)
}

/// Carries output to and fro until both have an outcome, or nobody has anything to say.
fn meet(dialer: &mut Handshake, acceptor: &mut Handshake) -> (Outcome, Outcome) {
    let (mut at_dialer, mut at_acceptor) = (Outcome::More, Outcome::More);
    loop {
        let out = dialer.take_output();
        let back = acceptor.take_output();
        if out.is_empty() && back.is_empty() {
            return (at_dialer, at_acceptor);
        }
        if at_acceptor == Outcome::More && !out.is_empty() {
            at_acceptor = acceptor.on_bytes(&out).1;
        }
        if at_dialer == Outcome::More && !back.is_empty() {
            at_dialer = dialer.on_bytes(&back).1;
        }
    }
}

fn open(node: u128) -> Outcome {
    Outcome::Open(Box::new(hello(node, data(3))))
}

#[test]
fn two_nodes_with_one_secret_open_a_link_and_know_each_other() {
    assert_eq!(meet(&mut dialer(), &mut acceptor()), (open(2), open(1)));
}

#[test]
fn two_nodes_without_secrets_open_a_link() {
    let mut one = Handshake::dialer(Secret::None, hello(1, data(3)), [1; 32], b"", Instant::ZERO);
    let mut two = Handshake::acceptor(Secret::None, hello(2, Purpose::Control), [2; 32], b"", Instant::ZERO);
    assert_eq!(meet(&mut one, &mut two), (open(2), open(1)));
}

#[test]
fn a_wrong_or_missing_secret_is_refused_and_the_acceptor_learns_no_code() {
    for wrong in [secret(OTHER), Secret::None] {
        let mut one = Handshake::dialer(wrong, hello(1, data(3)), [1; 32], b"", Instant::ZERO);
        let outcome = meet(&mut one, &mut acceptor());
        assert_eq!(outcome, (Outcome::Refused(Refused::Secret), Outcome::More));
    }
}

#[test]
fn a_dialer_that_skips_the_check_is_refused_by_the_acceptor() {
    let mut two = acceptor();
    let stranger =
        Handshake::dialer(secret(OTHER), hello(1, data(3)), [1; 32], b"", Instant::ZERO).take_output();
    assert_eq!(two.on_bytes(&stranger), (stranger.len(), Outcome::More));
    let answer = two.take_output();
    let (their_hello, _) = answer.split_at(answer.len() - MAC_BYTES);
    let forger = Handshake::acceptor(secret(OTHER), hello(1, Purpose::Control), [1; 32], b"", Instant::ZERO);
    let mac = forger.mac(DIALER_LABEL, &stranger, their_hello);
    assert_eq!(two.on_bytes(&mac), (MAC_BYTES, Outcome::Refused(Refused::Secret)));
    assert!(two.take_output().is_empty());
}

#[test]
fn another_group_is_named_in_our_log_and_gets_no_answer() {
    let stranger = Hello { group: Name::new("fox"), ..hello(1, Purpose::Control) };
    let mut one = Handshake::dialer(secret(SECRET), stranger, [1; 32], b"", Instant::ZERO);
    let mut two = acceptor();
    let refused = two.on_bytes(&one.take_output()).1;
    assert_eq!(refused, Outcome::Refused(Refused::Group(Name::new("fox"))));
    assert!(two.take_output().is_empty());
}

#[test]
fn another_binding_is_refused() {
    let mut one =
        Handshake::dialer(secret(SECRET), hello(1, Purpose::Control), [1; 32], b"tls-1", Instant::ZERO);
    let mut two =
        Handshake::acceptor(secret(SECRET), hello(2, Purpose::Control), [2; 32], b"tls-2", Instant::ZERO);
    assert_eq!(meet(&mut one, &mut two), (Outcome::Refused(Refused::Secret), Outcome::More));
}

#[test]
fn a_dialer_that_gets_its_own_bytes_back_opens_nothing() {
    let mut one = dialer();
    let own = one.take_output();
    assert_eq!(one.on_bytes(&own), (own.len(), Outcome::More));
    // a code is now due; the attacker has none of ours with the acceptor's role
    let mac = one.mac(DIALER_LABEL, &own, &own);
    assert_eq!(one.on_bytes(&mac).1, Outcome::Refused(Refused::Secret));
}

#[test]
fn an_acceptor_that_gets_its_own_code_back_opens_nothing() {
    let mut two = acceptor();
    assert_eq!(two.on_bytes(&dialer().take_output()).1, Outcome::More);
    let answer = two.take_output();
    let reflected = &answer[answer.len() - MAC_BYTES..];
    assert_eq!(two.on_bytes(reflected).1, Outcome::Refused(Refused::Secret));
}

#[test]
fn a_node_that_dials_itself_finds_out_with_proof() {
    let me = hello(1, Purpose::Control);
    let mut one = Handshake::dialer(secret(SECRET), me.clone(), [1; 32], b"", Instant::ZERO);
    let mut two = Handshake::acceptor(secret(SECRET), me, [2; 32], b"", Instant::ZERO);
    assert_eq!(meet(&mut one, &mut two).0, Outcome::Refused(Refused::Myself));
}

#[test]
fn a_later_start_of_the_same_id_is_not_this_node() {
    let later = Hello { boot: Boot(99), ..hello(2, data(3)) };
    let mut one = Handshake::dialer(secret(SECRET), later, [1; 32], b"", Instant::ZERO);
    assert!(matches!(meet(&mut one, &mut acceptor()), (Outcome::Open(_), Outcome::Open(_))));
}

#[test]
fn a_replayed_dialer_is_refused() {
    let (mut one, mut two) = (dialer(), acceptor());
    let first = one.take_output();
    two.on_bytes(&first);
    one.on_bytes(&two.take_output());
    let second = one.take_output();
    assert_eq!(two.on_bytes(&second).1, open(1));
    // the same bytes to a later handshake of the acceptor, with a fresh nonce
    let mut later =
        Handshake::acceptor(secret(SECRET), hello(2, Purpose::Control), [3; 32], b"", Instant::ZERO);
    assert_eq!(later.on_bytes(&first).1, Outcome::More);
    assert_eq!(later.on_bytes(&second).1, Outcome::Refused(Refused::Secret));
}

#[test]
fn a_replayed_acceptor_is_refused() {
    let (mut one, mut two) = (dialer(), acceptor());
    two.on_bytes(&one.take_output());
    let answer = two.take_output();
    assert_eq!(one.on_bytes(&answer).1, open(2));
    let mut later = Handshake::dialer(secret(SECRET), hello(1, data(3)), [4; 32], b"", Instant::ZERO);
    assert_eq!(later.on_bytes(&answer).1, Outcome::Refused(Refused::Secret));
}

#[test]
fn a_changed_byte_anywhere_opens_nothing() {
    let (mut one, mut two) = (dialer(), acceptor());
    let first = one.take_output();
    two.on_bytes(&first);
    let answer = two.take_output();
    for at in 0..answer.len() {
        let mut changed = answer.clone();
        changed[at] ^= 1;
        let mut one = dialer();
        let outcome = one.on_bytes(&changed).1;
        assert!(!matches!(outcome, Outcome::Open(_)), "byte {at} of the answer");
    }
    for at in 0..first.len() {
        let mut changed = first.clone();
        changed[at] ^= 1;
        let (mut one, mut two) = (dialer(), acceptor());
        two.on_bytes(&changed);
        let outcome = one.on_bytes(&two.take_output()).1;
        assert!(!matches!(outcome, Outcome::Open(_)), "byte {at} of the first hello");
    }
}

#[test]
fn bytes_one_by_one_and_frames_behind_are_kept_apart() {
    let (mut one, mut two) = (dialer(), acceptor());
    for byte in one.take_output() {
        assert_eq!(two.on_bytes(&[byte]), (1, Outcome::More));
    }
    let mut answer = two.take_output();
    let length = answer.len();
    answer.extend_from_slice(b"frames");
    assert_eq!(one.on_bytes(&answer), (length, open(2)));
    let mut last = one.take_output();
    last.extend_from_slice(b"frames");
    assert_eq!(two.on_bytes(&last[..5]), (5, Outcome::More));
    assert_eq!(two.on_bytes(&last[5..]), (MAC_BYTES - 5, open(1)));
}

#[test]
fn a_handshake_cut_anywhere_waits_for_its_deadline() {
    let (mut one, mut two) = (dialer(), acceptor());
    let first = one.take_output();
    two.on_bytes(&first);
    let answer = two.take_output();
    for cut in 0..first.len() {
        assert_eq!(acceptor().on_bytes(&first[..cut]), (cut, Outcome::More));
    }
    for cut in 0..answer.len() {
        let mut one = dialer();
        assert_eq!(one.on_bytes(&answer[..cut]), (cut, Outcome::More));
        assert_eq!(one.deadline(), Instant::ZERO + limits::LINK_HANDSHAKE_TIMEOUT);
    }
}

#[test]
fn other_protocols_are_refused_at_their_first_byte() {
    for greeting in [&b"AMQP\0\0\x09\x01"[..], b"GET / HTTP/1.1", b"\x16\x03\x01", b"LEVERET1"] {
        let (_, outcome) = acceptor().on_bytes(greeting);
        assert_eq!(outcome, Outcome::Refused(Refused::NotALink));
    }
}

#[test]
fn a_hello_over_the_limit_is_refused_from_its_head() {
    let mut head = MAGIC.to_vec();
    head.extend_from_slice(&PROTOCOL.to_le_bytes());
    head.extend_from_slice(&(limits::LINK_HANDSHAKE_BYTES_MAX as u16).to_le_bytes());
    assert_eq!(acceptor().on_bytes(&head).1, Outcome::Refused(Refused::NotALink));
}

#[test]
fn the_largest_hello_fits() {
    let long = Name::new(&"x".repeat(255));
    let capabilities = Capabilities::of(&[Capability(u16::MAX); limits::CAPABILITIES_MAX + 1]);
    let names = hello(1, Purpose::Control);
    let largest = Hello { name: long.clone(), address: long.clone(), group: long, capabilities, ..names };
    let one = encode_hello(&largest, &[1; 32]);
    assert_eq!(hello_length(&one), Some(one.len()));
    assert!(one.len() + MAC_BYTES <= limits::LINK_HANDSHAKE_BYTES_MAX);
}

#[test]
fn a_protocol_that_is_too_old_or_two_versions_ahead_is_refused() {
    let versions =
        [(PROTOCOL, true), (PROTOCOL + 1, true), (PROTOCOL_OLDEST - 1, false), (PROTOCOL + 2, false)];
    for (protocol, opens) in versions {
        let me = Hello { protocol, ..hello(1, Purpose::Control) };
        let mut one = Handshake::dialer(secret(SECRET), me, [1; 32], b"", Instant::ZERO);
        let outcome = meet(&mut one, &mut acceptor()).1;
        assert_eq!(matches!(outcome, Outcome::Open(_)), opens, "{outcome:?}");
    }
}

#[test]
fn no_secret_is_shown_and_a_short_one_is_refused() {
    let shown = format!("{:?} {:?}", secret(SECRET), dialer());
    assert!(!shown.contains("0123456789abcdef") && !shown.contains("48, 49, 50"), "{shown}");
    assert_eq!(Secret::shared(b" short \n").unwrap_err(), SecretTooShort(5));
    let with_newline = [SECRET, b"\n"].concat();
    assert_eq!(secret(&with_newline).key(), SECRET);
}

proptest! {
    #[test]
    fn any_bytes_open_nothing(bytes in prop::collection::vec(any::<u8>(), 0..600), behind_magic in any::<bool>()) {
        let mut input = if behind_magic { MAGIC.to_vec() } else { vec![] };
        input.extend_from_slice(&bytes);
        for mut side in [dialer(), acceptor()] {
            let (consumed, outcome) = side.on_bytes(&input);
            prop_assert!(consumed <= input.len() && consumed <= limits::LINK_HANDSHAKE_BYTES_MAX);
            prop_assert!(!matches!(outcome, Outcome::Open(_)));
        }
    }

    #[test]
    fn hellos_come_back_as_they_were(
        node in any::<u128>(),
        (round, index) in any::<(u64, u8)>(),
        name in any::<std::string::String>(),
    ) {
        let mut hello = hello(node, Purpose::Data(DataLinkKey { round: Round(round), index }));
        hello.name = Name::new(&name);
        hello.capabilities = Capabilities::of(&[Capability::QUEUE_COMMANDS, Capability(round as u16)]);
        prop_assert_eq!(decode_hello(&encode_hello(&hello, &[7; 32])), Ok(hello));
    }
}
