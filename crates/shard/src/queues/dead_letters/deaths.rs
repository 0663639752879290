//! What a dead letter says of its deaths: `x-death` with an entry for each pair of queue and reason, the latest
//! first; `x-first-death-*`, which never change; `x-last-death-*` (RabbitMQ 4.3: `mc:record_death/4`).
//!
//! Deaths that the broker wrote are continued; a client's own are thrown away at the first death (RabbitMQ 4).

use alloc::boxed::Box;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use leveret_model::{Arguments, Name, RoutingKey, Value};
use leveret_queue::Cause;

const DEATHS: &[u8] = b"x-death";
const FIRST: [&str; 3] = ["x-first-death-exchange", "x-first-death-queue", "x-first-death-reason"];
const LAST: [&str; 3] = ["x-last-death-exchange", "x-last-death-queue", "x-last-death-reason"];

/// A death that happens now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Death<'a> {
    pub(super) queue: &'a Name,
    pub(super) cause: Cause,
    /// Seconds since 1970.
    pub(super) at_s: u64,
    /// Where the message was published to.
    pub(super) exchange: &'a [u8],
    /// With which keys; those of BCC are nobody's business.
    pub(super) keys: &'a [RoutingKey],
    /// Its `expiration`, which it loses now.
    pub(super) expiration_ms: Option<u64>,
}

/// Where a message died before, and whether a consumer rejected it there; the latest first.
#[derive(Clone, Debug, Default)]
pub(super) struct PastDeaths(Vec<(Box<[u8]>, bool)>);

impl PastDeaths {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Nobody has touched the message since it died in this queue before, so it would go round for ever
    /// (RabbitMQ 4.3: `is_death_cycle`).
    pub(super) fn is_cycle(&self, queue: &Name) -> bool {
        let untouched = self.0.iter().take_while(|(_, rejected)| !rejected);
        untouched.into_iter().any(|(at, _)| **at == *queue.as_bytes())
    }
}

/// RabbitMQ's word for a cause.
fn reason(cause: Cause) -> &'static str {
    match cause {
        Cause::Expired => "expired",
        Cause::MaxLength | Cause::Refused => "maxlen",
        Cause::Rejected => "rejected",
        Cause::DeliveryLimit => "delivery_limit",
    }
}

/// Adds a death to the headers of a message, and says what deaths it has now. `known` says that the deaths that
/// stand there are the broker's.
pub(super) fn record(headers: &mut Arguments, known: bool, death: &Death<'_>) -> PastDeaths {
    let Death { queue, cause, .. } = *death;
    if !known {
        let ours = |key: &[u8]| key == DEATHS || FIRST.iter().chain(&LAST).any(|name| name.as_bytes() == key);
        headers.0.retain(|(key, _)| !ours(&key[..]));
    }
    let mut entries = take_entries(headers);
    let queue_text = queue.as_bytes();
    let same =
        |entry: &Arguments| is(entry, "queue", queue_text) && is(entry, "reason", reason(cause).as_bytes());
    let entry = match entries.iter().position(same) {
        Some(at) => counted(entries.remove(at)),
        None => new_entry(death),
    };
    entries.insert(0, entry);
    let past = entries.iter().map(|entry| (text_of(entry, "queue").into(), is(entry, "reason", b"rejected")));
    let past = PastDeaths(past.collect());
    let entries = entries.into_iter().map(Value::Table).collect();
    headers.0.push((RoutingKey::new(DEATHS), Value::Array(entries)));
    let now = || [text(death.exchange), text(queue_text), text(reason(cause).as_bytes())];
    if headers.get(FIRST[1]).is_none() {
        headers.0.extend(FIRST.iter().map(|name| RoutingKey::new(name.as_bytes())).zip(now()));
    }
    headers.0.retain(|(key, _)| !LAST.iter().any(|name| name.as_bytes() == &key[..]));
    headers.0.extend(LAST.iter().map(|name| RoutingKey::new(name.as_bytes())).zip(now()));
    past
}

/// The entries of `x-death`, which leaves the headers.
fn take_entries(headers: &mut Arguments) -> Vec<Arguments> {
    let Some(at) = headers.0.iter().position(|(key, _)| key[..] == *DEATHS) else { return Vec::new() };
    let Value::Array(entries) = headers.0.remove(at).1 else { return Vec::new() };
    let tables = entries.into_iter().filter_map(|entry| match entry {
        Value::Table(table) => Some(table),
        _ => None,
    });
    tables.collect()
}

fn new_entry(death: &Death<'_>) -> Arguments {
    let Death { queue, cause, at_s, exchange, keys, expiration_ms } = *death;
    let keys = keys.iter().map(|key| text(key)).collect();
    let mut entry = vec![
        ("count", Value::I64(1)),
        ("exchange", text(exchange)),
        ("queue", text(queue.as_bytes())),
        ("reason", text(reason(cause).as_bytes())),
        ("routing-keys", Value::Array(keys)),
        ("time", Value::Timestamp(at_s)),
    ];
    if let Some(expiration_ms) = expiration_ms {
        entry.push(("original-expiration", text(format!("{expiration_ms}").as_bytes())));
    }
    Arguments(entry.into_iter().map(|(key, value)| (RoutingKey::new(key.as_bytes()), value)).collect())
}

/// One more death in the same queue for the same reason: all else stays that of the first (RabbitMQ).
fn counted(mut entry: Arguments) -> Arguments {
    for (key, value) in &mut entry.0 {
        if key[..] == *b"count" {
            *value = Value::I64(value.as_integer().unwrap_or(0).saturating_add(1));
        }
    }
    entry
}

fn text(bytes: &[u8]) -> Value {
    Value::LongString(bytes.into())
}

fn text_of<'a>(entry: &'a Arguments, key: &str) -> &'a [u8] {
    entry.get(key).and_then(Value::as_bytes).unwrap_or_default()
}

fn is(entry: &Arguments, key: &str, value: &[u8]) -> bool {
    entry.get(key).and_then(Value::as_bytes) == Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn die(headers: &mut Arguments, known: bool, queue: &str, cause: Cause, at_s: u64) -> PastDeaths {
        let (queue, keys) = (Name::new(queue), [RoutingKey::new(b"key"), RoutingKey::new(b"copy")]);
        let death = Death { queue: &queue, cause, at_s, exchange: b"x", keys: &keys, expiration_ms: None };
        record(headers, known, &death)
    }

    /// Queue, reason, count and time of an entry.
    type Entry<'a> = (&'a [u8], &'a [u8], i64, Option<&'a Value>);

    fn entries(headers: &Arguments) -> Vec<Entry<'_>> {
        let Some(Value::Array(entries)) = headers.get("x-death") else { panic!("{headers:?}") };
        entries.iter().map(entry_of).collect()
    }

    fn entry_of(entry: &Value) -> Entry<'_> {
        let Value::Table(entry) = entry else { panic!("{entry:?}") };
        let count = entry.get("count").and_then(Value::as_integer).unwrap_or_default();
        (text_of(entry, "queue"), text_of(entry, "reason"), count, entry.get("time"))
    }

    #[test]
    fn a_pair_of_queue_and_reason_counts_and_moves_to_the_front() {
        let mut headers = Arguments::default();
        die(&mut headers, false, "a", Cause::Rejected, 1);
        die(&mut headers, true, "b", Cause::Rejected, 2);
        die(&mut headers, true, "a", Cause::Expired, 3);
        die(&mut headers, true, "a", Cause::Rejected, 4);
        let time = |at_s| Value::Timestamp(at_s);
        let (first, second, third) = (time(1), time(3), time(2));
        let expected: [Entry<'_>; 3] = [
            (b"a", b"rejected", 2, Some(&first)),
            (b"a", b"expired", 1, Some(&second)),
            (b"b", b"rejected", 1, Some(&third)),
        ];
        assert_eq!(entries(&headers), expected);
        assert_eq!(headers.get("x-first-death-queue"), Some(&text(b"a")));
        assert_eq!(headers.get("x-last-death-reason"), Some(&text(b"rejected")));
        assert_eq!(headers.0.len(), 7, "each header once");
    }

    #[test]
    fn deaths_that_a_client_wrote_are_thrown_away_at_the_first_one() {
        let mut headers = Arguments::default();
        die(&mut headers, false, "a", Cause::Rejected, 1);
        headers.0.push((RoutingKey::new(b"own"), Value::Bool(true)));
        die(&mut headers, false, "b", Cause::MaxLength, 2);
        assert_eq!(entries(&headers), [(&b"b"[..], &b"maxlen"[..], 1, Some(&Value::Timestamp(2)))]);
        assert_eq!(headers.get("x-first-death-queue"), Some(&text(b"b")));
        assert_eq!(headers.get("own"), Some(&Value::Bool(true)));
    }

    /// The usual retry: a consumer rejects, the message waits in another queue, and comes back.
    #[test]
    fn a_cycle_is_one_that_nobody_rejected_since() {
        let (mut headers, work, wait) = (Arguments::default(), Name::new("work"), Name::new("wait"));
        let past = die(&mut headers, false, "work", Cause::Rejected, 1);
        assert!(!past.is_cycle(&wait) && !past.is_cycle(&work));
        let past = die(&mut headers, true, "wait", Cause::Expired, 2);
        assert!(!past.is_cycle(&work), "it was rejected there");
        assert!(past.is_cycle(&wait));
        let past = die(&mut headers, true, "work", Cause::Expired, 3);
        assert!(past.is_cycle(&wait), "nobody has touched it since it waited there");
    }
}
