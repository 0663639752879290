//! The headers CC and BCC of a publish.

use leveret_model::Value;
use leveret_wire::frame::write_header_frame;
use leveret_wire::method::*;
use leveret_wire::{BasicProperties, ContentHeader, Table};

use crate::support::{Call, Talk, arguments, body_frame, frame};

fn text(text: &str) -> Value {
    Value::LongString(text.as_bytes().into())
}

/// A publish with these headers; whole in one block, or frame by frame.
fn publishes(talk: &mut Talk, headers: &[(&str, Value)], whole: bool) {
    let table = arguments(headers);
    let properties =
        BasicProperties { headers: Some(Table(&table)), message_id: Some(b"7"), ..Default::default() };
    let mut payload = Vec::new();
    properties.encode_payload(1, &mut payload);
    let mut header = Vec::new();
    write_header_frame(&mut header, 1, &payload);
    let publish = BasicPublish { exchange: b"x", routing_key: b"k", mandatory: true, ..Default::default() };
    let frames = [frame(1, publish), header, body_frame(1, b"m")];
    if whole {
        talk.says_bytes(&frames.concat());
    } else {
        frames.iter().for_each(|frame| talk.says_bytes(frame));
    }
}

#[test]
fn further_keys_reach_the_broker_and_bcc_goes_no_further() {
    for whole in [true, false] {
        let mut talk = Talk::on_channel_1();
        let cc = Value::Array(vec![text("a"), Value::I32(1), text("b")]);
        let headers = [("n", Value::I8(1)), ("CC", cc.clone()), ("BCC", Value::Array(vec![text("c")]))];
        publishes(&mut talk, &headers, whole);
        let Some(Call::Publish { address, body, .. }) = talk.broker.calls.pop_front() else { panic!() };
        assert_eq!((address, body), (("x".into(), "k".into()), b"m".to_vec()));
        let (keys, header) = talk.broker.copies.pop().expect("further keys");
        assert_eq!(keys, ["a", "b", "c"], "items that are no strings are passed over");
        let header = ContentHeader::validate(&header).unwrap();
        assert_eq!((header.body_size, header.properties.message_id()), (1, Some(&b"7"[..])));
        let kept = header.properties.headers().unwrap().to_arguments().unwrap();
        assert_eq!((kept.get("CC"), kept.get("n")), (Some(&cc), Some(&Value::I8(1))));
        assert_eq!(kept.get("BCC"), None);
    }
}

#[test]
fn a_message_with_cc_alone_keeps_its_header_to_the_byte() {
    let mut talk = Talk::on_channel_1();
    let headers = [("CC", Value::Array(vec![text("a")]))];
    publishes(&mut talk, &headers, true);
    let (keys, header) = talk.broker.copies.pop().expect("further keys");
    let table = arguments(&headers);
    let mut expected = Vec::new();
    let properties =
        BasicProperties { headers: Some(Table(&table)), message_id: Some(b"7"), ..Default::default() };
    properties.encode_payload(1, &mut expected);
    assert_eq!((keys, header), (vec!["a".into()], expected));
}

#[test]
fn further_keys_that_are_no_array_are_406() {
    for (name, value, kind) in [("CC", text("a"), "longstr"), ("BCC", Value::I32(1), "signedint")] {
        for whole in [true, false] {
            let mut talk = Talk::on_channel_1();
            publishes(&mut talk, &[(name, value.clone())], whole);
            let text = format!(
                "PRECONDITION_FAILED - invalid message: {{unacceptable_type_in_header,\"{name}\",{kind}}}"
            );
            talk.hears_channel_close(1, 406, (60, 40), &text);
            assert!(talk.broker.copies.is_empty());
        }
    }
}
