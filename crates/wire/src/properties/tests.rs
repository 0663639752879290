//! Content headers: round trips of arbitrary properties, and the odd ones by hand.

use std::vec;
use std::vec::Vec;

use proptest::collection::vec as vec_of;
use proptest::option;
use proptest::prelude::*;

use super::*;

type Texts = [Option<Vec<u8>>; 10];

fn texts() -> impl Strategy<Value = Texts> {
    let text = || option::of(vec_of(any::<u8>(), 0..20));
    [text(), text(), text(), text(), text(), text(), text(), text(), text(), text()]
}

fn properties(
    texts: &Texts,
    numbers: (Option<u8>, Option<u8>, Option<u64>),
    headers: bool,
) -> BasicProperties<'_> {
    let [t0, t1, t2, t3, t4, t5, t6, t7, t8, t9] = texts.each_ref().map(Option::as_deref);
    BasicProperties {
        content_type: t0,
        content_encoding: t1,
        headers: headers.then_some(Table(b"\x01kS\0\0\0\x01v")),
        delivery_mode: numbers.0,
        priority: numbers.1,
        correlation_id: t2,
        reply_to: t3,
        expiration: t4,
        message_id: t5,
        timestamp: numbers.2,
        kind: t6,
        user_id: t7,
        app_id: t8,
        cluster_id: t9,
    }
}

proptest! {
    #[test]
    fn properties_that_were_written_are_read_as_the_same(
        texts in texts(), numbers in any::<(Option<u8>, Option<u8>, Option<u64>)>(), headers in any::<bool>(), size in any::<u64>(),
    ) {
        let basic = properties(&texts, numbers, headers);
        let mut payload = vec![];
        basic.encode_payload(size, &mut payload);
        let header = ContentHeader::validate(&payload).unwrap();
        prop_assert_eq!((header.class_id, header.body_size), (CLASS_BASIC, size));
        prop_assert_eq!(ContentHeader::body_size(&payload), Some(size));
        prop_assert_eq!(header.properties.to_basic(), basic);
        let mut again = vec![];
        header.encode_payload(&mut again);
        prop_assert_eq!(&again, &payload);
        // cut anywhere, or with a byte too much, it is refused
        for end in 0..payload.len() {
            prop_assert!(ContentHeader::validate(&payload[..end]).is_err());
        }
        payload.push(0);
        prop_assert_eq!(ContentHeader::validate(&payload), Err(HeaderError::Malformed));
    }

    #[test]
    fn any_bytes_are_a_content_header_or_refused(bytes in vec_of(any::<u8>(), 0..60)) {
        if let Ok(header) = ContentHeader::decode(&bytes) {
            let _ = header.properties.validate();
            let _ = header.properties.to_basic();
        }
    }
}

/// A payload with these flag words and values.
fn payload(words: &[u16], values: &[u8]) -> Vec<u8> {
    let mut out = vec![0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5];
    words.iter().for_each(|word| out.extend_from_slice(&word.to_be_bytes()));
    out.extend_from_slice(values);
    out
}

#[test]
fn further_words_of_flags_are_read_as_long_as_they_are_empty() {
    let continued = payload(&[0x1001, 1, 0], &[2]);
    assert_eq!(ContentHeader::validate(&continued).unwrap().properties.delivery_mode(), Some(PERSISTENT));
    assert_eq!(ContentHeader::validate(&payload(&[0x1001, 0x8000], &[2])), Err(HeaderError::UnknownFlags));
    assert_eq!(ContentHeader::validate(&payload(&[1, 1], &[])), Err(HeaderError::Malformed));
}

#[test]
fn a_flag_that_no_property_has_is_refused() {
    assert_eq!(ContentHeader::decode(&payload(&[2], &[])), Err(HeaderError::UnknownFlags));
}

#[test]
fn a_weight_is_refused() {
    let mut bytes = payload(&[0], &[]);
    bytes[3] = 1;
    assert_eq!(ContentHeader::decode(&bytes), Err(HeaderError::Weight));
}

#[test]
fn headers_that_are_no_table_are_refused_only_when_looked_at() {
    let bytes = payload(&[0x2000], b"\0\0\0\x03\x01k!");
    let header = ContentHeader::decode(&bytes).unwrap();
    assert_eq!(header.properties.headers(), Some(Table(b"\x01k!")));
    assert_eq!(ContentHeader::validate(&bytes), Err(HeaderError::Headers(FieldError::UnknownType(b'!'))));
}
