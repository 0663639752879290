//! The headers CC and BCC of a publish: further routing keys (RabbitMQ: sender-selected distribution).

use alloc::format;
use alloc::vec::Vec;

use leveret_model::{ReplyCode, RoutingKey};
use leveret_wire::{ContentHeader, FieldValue, Table, encode_arguments};

use crate::exception::{Exception, MethodId};

const CC: &[u8] = b"CC";
const BCC: &[u8] = b"BCC";

/// Is one of the headers there? Each must be an array; items that are no strings are passed over, as RabbitMQ
/// does.
pub(super) fn check(headers: Table<'_>) -> Result<bool, Exception> {
    let mut any = false;
    for name in [CC, BCC] {
        match headers.get(name) {
            None => {}
            Some(FieldValue::Array(_)) => any = true,
            Some(other) => {
                let (name, kind) = (name.escape_ascii(), other.type_name());
                let text = format!("invalid message: {{unacceptable_type_in_header,\"{name}\",{kind}}}");
                return Err(Exception::new(ReplyCode::PreconditionFailed, MethodId::PUBLISH, text));
            }
        }
    }
    Ok(any)
}

/// The keys in the headers of a content header; longer ones than a routing key can be match nothing.
pub(super) fn keys_of(header: &[u8]) -> Vec<RoutingKey> {
    let headers = ContentHeader::decode(header).ok().and_then(|header| header.properties.headers());
    let arrays = [CC, BCC].into_iter().filter_map(|name| match headers?.get(name)? {
        FieldValue::Array(items) => Some(items),
        _ => None,
    });
    let items = arrays.flat_map(|items| items.iter().map_while(Result::ok));
    let key = |item| match item {
        FieldValue::LongString(key) if key.len() <= usize::from(u8::MAX) => Some(RoutingKey::new(key)),
        _ => None,
    };
    items.filter_map(key).collect()
}

/// The same content header without BCC; untouched if there is none.
pub(super) fn without_bcc(header: Vec<u8>) -> Vec<u8> {
    let Ok(ContentHeader { body_size, properties, .. }) = ContentHeader::decode(&header) else {
        return header;
    };
    let Some(headers) = properties.headers().filter(|headers| headers.get(BCC).is_some()) else {
        return header;
    };
    // it was validated when it came
    let Ok(mut arguments) = headers.to_arguments() else { return header };
    arguments.0.retain(|(key, _)| key[..] != *BCC);
    let mut encoded = Vec::new();
    encode_arguments(&arguments, &mut encoded);
    let mut out = Vec::with_capacity(header.len());
    let mut basic = properties.to_basic();
    basic.headers = Some(Table(&encoded));
    basic.encode_payload(body_size, &mut out);
    out
}
