//! Every method against a naive writer that reads the same table, and against the bytes that RabbitMQ writes.

use leveret_wire::method::ConnectionClose;
use leveret_wire::{
    EncodeMethod, FieldKind, METHODS, Method, MethodError, MethodField, MethodInfo, SentBy, decode_frame,
};
use proptest::prelude::*;

const RABBITMQ: &str = include_str!("rabbitmq/methods.txt");

/// Writes the payload of a method; `value` gives the bytes of a field without a string's length, a bit in the
/// first.
fn naive(info: &MethodInfo, mut value: impl FnMut(&MethodField) -> Vec<u8>) -> Vec<u8> {
    let mut out = [info.class_id.to_be_bytes(), info.method_id.to_be_bytes()].concat();
    let mut bits = 0;
    for (index, field) in info.fields.iter().enumerate() {
        let bytes = if field.name.is_empty() { reserved(field.kind) } else { value(field) };
        let after_bit = index > 0 && info.fields[index - 1].kind == FieldKind::Bit;
        match field.kind {
            FieldKind::Bit => {
                bits = if after_bit { bits + 1 } else { 0 };
                if bits == 0 {
                    out.push(0);
                }
                *out.last_mut().unwrap() |= (bytes[0] & 1) << bits;
                continue;
            }
            FieldKind::ShortString => out.push(bytes.len() as u8),
            FieldKind::LongString | FieldKind::Table => {
                out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
            }
            FieldKind::Octet | FieldKind::Short | FieldKind::Long | FieldKind::LongLong => {}
        }
        out.extend_from_slice(&bytes);
    }
    out
}

fn width(kind: FieldKind) -> usize {
    match kind {
        FieldKind::Bit | FieldKind::Octet => 1,
        FieldKind::Short => 2,
        FieldKind::Long => 4,
        FieldKind::LongLong => 8,
        FieldKind::ShortString | FieldKind::LongString | FieldKind::Table => 0,
    }
}

fn reserved(kind: FieldKind) -> Vec<u8> {
    vec![0; width(kind)]
}

fn checked(info: &MethodInfo, payload: &[u8]) {
    let method = Method::decode(payload).unwrap_or_else(|error| panic!("{}: {error}", info.name));
    assert_eq!(method.info(), info);
    assert_eq!(
        (method.class_id(), method.method_id(), method.name()),
        (info.class_id, info.method_id, info.name)
    );
    let mut again = Vec::new();
    method.encode_payload(&mut again);
    assert_eq!(again, payload, "{}", info.name);
    let mut frame = Vec::new();
    method.encode_frame(9, &mut frame);
    let frame = decode_frame(&frame, 0).unwrap().unwrap();
    assert_eq!((frame.head.channel, frame.payload), (9, payload));
    let malformed = MethodError::Malformed { class: info.class_id, method: info.method_id };
    for end in 4..payload.len() {
        assert_eq!(Method::decode(&payload[..end]), Err(malformed), "{} cut at {end}", info.name);
    }
    let longer = [payload, &[0]].concat();
    assert_eq!(Method::decode(&longer), Err(malformed), "{} with a byte too much", info.name);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_method_is_read_and_written_as_the_table_says(noise in proptest::collection::vec(any::<u8>(), 1_024)) {
        let mut bytes = noise.iter().cycle().copied();
        for info in METHODS {
            let payload = naive(info, |field| {
                let len = match field.kind {
                    FieldKind::ShortString | FieldKind::LongString | FieldKind::Table => usize::from(bytes.next().unwrap()),
                    fixed => width(fixed),
                };
                bytes.by_ref().take(len).collect()
            });
            checked(info, &payload);
        }
    }

    #[test]
    fn any_bytes_are_a_method_or_refused(
        row in 0..METHODS.len(), rest in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let info = &METHODS[row];
        let mut payload = naive(&MethodInfo { fields: &[], ..*info }, |_| vec![]);
        payload.extend_from_slice(&rest);
        if let Ok(method) = Method::decode(&payload) {
            prop_assert_eq!(method.info(), info);
        }
    }
}

/// The values are explained at the head of `rabbitmq/methods.txt`.
#[test]
fn every_method_is_the_bytes_that_rabbitmq_writes() {
    let lines: Vec<&str> = RABBITMQ.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines.len(), METHODS.len());
    for line in lines {
        let mut words = line.split(' ');
        let (name, hex, content) = (words.next().unwrap(), words.next().unwrap(), words.next().is_some());
        let payload: Vec<u8> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        let info = METHODS.iter().find(|info| info.name == name).unwrap();
        assert_eq!(info.content, content, "{name}");
        let mut bits = 0;
        let ours = naive(info, |field| match field.kind {
            FieldKind::Bit => {
                bits += 1;
                vec![bits % 2]
            }
            FieldKind::Octet => vec![9],
            FieldKind::Short | FieldKind::Long | FieldKind::LongLong => {
                (1..=width(field.kind) as u8).collect()
            }
            FieldKind::ShortString | FieldKind::LongString => field.name.into(),
            FieldKind::Table => b"\x01kS\0\0\0\x01v".into(),
        });
        assert_eq!(ours, payload, "{name}");
        checked(info, &payload);
    }
}

#[test]
fn ids_are_unique_and_found() {
    for info in METHODS {
        assert_eq!(MethodInfo::find(info.class_id, info.method_id), Some(info));
    }
    assert_eq!(MethodInfo::find(60, 41), None);
}

#[test]
fn what_is_no_method_is_unknown_and_less_than_ids_is_malformed() {
    assert_eq!(Method::decode(&[0, 60, 0, 41, 1]), Err(MethodError::Unknown { class: 60, method: 41 }));
    assert_eq!(Method::decode(&[0, 60, 0]), Err(MethodError::Malformed { class: 0, method: 0 }));
}

#[test]
fn a_ticket_and_spare_bits_of_old_clients_are_not_looked_at() {
    let method = Method::decode(b"\0\x32\0\x28\x12\x34\x01q\xFE").unwrap();
    let Method::QueueDelete(delete) = method else { panic!("{}", method.name()) };
    assert_eq!(
        (delete.queue, delete.if_unused, delete.if_empty, delete.no_wait),
        (&b"q"[..], false, true, true)
    );
}

#[test]
fn a_reply_text_that_is_too_long_is_cut_not_broken() {
    let text = "é".repeat(200);
    let close = ConnectionClose { reply_code: 541, reply_text: text.as_bytes(), class_id: 0, method_id: 0 };
    let mut payload = Vec::new();
    close.encode_payload(&mut payload);
    let Ok(Method::ConnectionClose(read)) = Method::decode(&payload) else { panic!() };
    assert_eq!(std::str::from_utf8(read.reply_text).unwrap(), "é".repeat(127));
}

#[test]
fn a_delivery_has_content_and_comes_from_the_server() {
    let deliver = METHODS.iter().find(|info| info.name == "basic.deliver").unwrap();
    assert_eq!((deliver.sent_by, deliver.content), (SentBy::Server, true));
}
