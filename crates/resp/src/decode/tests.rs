use super::*;
use proptest::prelude::*;
use redis_protocol::resp2::decode::decode as decode_resp2;
use redis_protocol::resp2::types::OwnedFrame;
use std::vec;

const OPEN: Allowed = Allowed { logged_in: true };

fn encode(arguments: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        bytes.extend(format!("${}\r\n", argument.len()).into_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

fn decode_all(bytes: &[u8], allowed: Allowed) -> (Decoded, Vec<Vec<u8>>) {
    let mut decoder = Decoder::default();
    let decoded = decoder.on_bytes(bytes, allowed);
    let arguments = decoder.arguments(bytes).from(0).map(<[u8]>::to_vec).collect();
    (decoded, arguments)
}

fn garbage_text(bytes: &[u8], allowed: Allowed) -> Option<std::string::String> {
    match decode_all(bytes, allowed).0 {
        Decoded::Garbage(text) => Some(std::string::String::from_utf8_lossy(&text).into_owned()),
        _ => None,
    }
}

#[test]
fn a_command_that_comes_byte_by_byte_is_the_same() {
    let bytes = encode(&[b"SET".to_vec(), b"key".to_vec(), vec![0; 100]]);
    let mut decoder = Decoder::default();
    for end in 0..bytes.len() {
        assert_eq!(decoder.on_bytes(&bytes[..end], OPEN), Decoded::More, "{end}");
    }
    assert_eq!(decoder.on_bytes(&bytes, OPEN), Decoded::Command(bytes.len()));
    let lengths: Vec<usize> = decoder.arguments(&bytes).from(0).map(<[u8]>::len).collect();
    assert_eq!(lengths, [3, 3, 100]);
}

#[test]
fn garbage_is_named_as_redis_names_it() {
    for (bytes, text) in [
        (&b"*x\r\n"[..], "Protocol error: invalid multibulk length"),
        (b"*4097\r\n", "Protocol error: invalid multibulk length"),
        (b"*1\r\n:3\r\n", "Protocol error: expected '$', got ':'"),
        (b"*1\r\n$-1\r\n", "Protocol error: invalid bulk length"),
        (b"*1\r\n$16777217\r\n", "Protocol error: invalid bulk length"),
        (b"*1\r\n$99999999999999999999\r\n", "Protocol error: invalid bulk length"),
        (b"SET \"a\r\n", "Protocol error: unbalanced quotes in request"),
    ] {
        assert_eq!(garbage_text(bytes, OPEN).as_deref(), Some(text), "{bytes:?}");
    }
    for (head, text) in [
        (&b"*"[..], "Protocol error: too big mbulk count string"),
        (b"*1\r\n$", "Protocol error: too big bulk count string"),
        (b"", "Protocol error: too big inline request"),
    ] {
        let bytes = [head, &[b'1'; 5_000]].concat();
        assert_eq!(garbage_text(&bytes, OPEN).as_deref(), Some(text));
    }
}

#[test]
fn before_the_login_less_is_allowed() {
    let allowed = Allowed { logged_in: false };
    let unauthenticated = |bytes: &[u8]| garbage_text(bytes, allowed);
    let count = "Protocol error: unauthenticated multibulk length";
    assert_eq!(unauthenticated(b"*11\r\n").as_deref(), Some(count));
    let length = "Protocol error: unauthenticated bulk length";
    assert_eq!(unauthenticated(b"*1\r\n$16385\r\n").as_deref(), Some(length));
    assert_eq!(unauthenticated(b"*10\r\n$16384\r\n"), None);
}

#[test]
fn what_means_nothing_is_skipped() {
    assert_eq!(decode_all(b"*0\r\n", OPEN).0, Decoded::Nothing(4));
    assert_eq!(decode_all(b"*-10\r\nPING\r\n", OPEN).0, Decoded::Nothing(6));
    assert_eq!(decode_all(b"\r\n", OPEN).0, Decoded::Nothing(2));
    assert_eq!(decode_all(b"   \n", OPEN).0, Decoded::Nothing(4));
}

proptest! {
    #[test]
    fn arguments_are_those_that_another_decoder_finds(
        arguments in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..12),
        tail in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        let mut bytes = encode(&arguments);
        let whole = bytes.len();
        bytes.extend(&tail);
        let (decoded, ours) = decode_all(&bytes, OPEN);
        prop_assert_eq!(decoded, Decoded::Command(whole));
        prop_assert_eq!(&ours, &arguments);
        let (frame, used) = decode_resp2(&bytes).expect("RESP").expect("whole");
        prop_assert_eq!(used, whole);
        let OwnedFrame::Array(frames) = frame else { panic!("an array") };
        let theirs: Vec<Vec<u8>> = frames
            .into_iter()
            .map(|frame| match frame {
                OwnedFrame::BulkString(bytes) => bytes,
                other => panic!("{other:?}"),
            })
            .collect();
        prop_assert_eq!(theirs, ours);
    }

    #[test]
    fn any_bytes_in_any_pieces_give_the_same(
        bytes in prop::collection::vec(prop::sample::select(&b"*$123-\r\n\"' aPING\0"[..]), 0..60),
        cut in 0usize..60,
    ) {
        let (whole, arguments) = decode_all(&bytes, OPEN);
        let mut decoder = Decoder::default();
        let mut decoded = decoder.on_bytes(&bytes[..cut.min(bytes.len())], OPEN);
        if decoded == Decoded::More {
            decoded = decoder.on_bytes(&bytes, OPEN);
        }
        prop_assert_eq!(&decoded, &whole);
        if matches!(decoded, Decoded::Command(_)) {
            let ours: Vec<Vec<u8>> = decoder.arguments(&bytes).from(0).map(<[u8]>::to_vec).collect();
            prop_assert_eq!(ours, arguments);
        }
    }
}
