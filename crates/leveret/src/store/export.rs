//! `leveret store export`: the messages of a queue as lines of JSON, in order.
//!
//! A body that is UTF-8 is a string; any other is base 64 under another name. What cannot be read has a line
//! of its own.

use std::io::{BufWriter, ErrorKind, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use data_encoding::BASE64;
use leveret_store::{ColdMessage, QueueOnDisk};
use serde_json::{Map, Value, json};

use super::directory::{Directory, name_of};

pub(super) fn run(mut directory: Directory, wanted: &str) -> anyhow::Result<ExitCode> {
    for report in directory.reports() {
        eprintln!("leveret: {report}");
    }
    let queue = find(&directory.queues(), wanted)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut sound = true;
    let mut next = queue.first;
    while let Some(first) = next {
        let answer = directory.read(queue.queue, first);
        let mut lines: Vec<(u64, Value)> =
            answer.messages.iter().map(|message| (message.position.0, line(message))).collect();
        let damaged = answer.damaged.iter();
        lines.extend(
            damaged.map(|(first, last)| (first.0, json!({"damaged": {"first": first.0, "last": last.0}}))),
        );
        lines.sort_by_key(|(position, _)| *position);
        sound &= answer.damaged.is_empty();
        for (_, line) in lines {
            match writeln!(out, "{line}") {
                // whoever read has enough
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
                written => written
                    .context("standard output cannot be written; make room there, or send it elsewhere")?,
            }
        }
        next = answer.next;
    }
    match out.flush() {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            return Err(error)
                .context("standard output cannot be written; make room there, or send it elsewhere");
        }
        _ => {}
    }
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The queue of that id, or the only one of that name, or else the only one whose name contains the text.
fn find(queues: &[QueueOnDisk], wanted: &str) -> anyhow::Result<QueueOnDisk> {
    let by_id = queues.iter().find(|queue| queue.queue.ulid.to_string() == wanted);
    let named = |is_it: &dyn Fn(&str) -> bool| -> Vec<&QueueOnDisk> {
        queues.iter().filter(|queue| is_it(&name_of(queue).1)).collect()
    };
    let mut by_name = named(&|name| name == wanted);
    if by_name.is_empty() {
        by_name = named(&|name| name.contains(wanted));
    }
    match (by_id, &by_name[..]) {
        (Some(queue), _) => Ok(queue.clone()),
        (None, [queue]) => Ok((*queue).clone()),
        (None, []) => bail!("no queue is called {wanted}; `leveret store check` lists what there is"),
        (None, several) => {
            bail!("{} queues are called so; name one by its id from `leveret store check`", several.len())
        }
    }
}

fn line(message: &ColdMessage) -> Value {
    let mut fields = Map::new();
    let terms = &message.terms;
    fields.insert("position".into(), json!(message.position.0));
    fields.insert("stored_ms".into(), json!(terms.stored.0));
    fields.insert("expires_ms".into(), json!(terms.expires.map(|time| time.0)));
    fields.insert("due_ms".into(), json!(terms.due.map(|time| time.0)));
    fields.insert("priority".into(), json!(terms.priority));
    fields.insert("delivered_before".into(), json!(terms.delivered_before));
    fields.insert("deliveries".into(), json!(message.deliveries));
    let mut address = &message.address[..];
    bytes(&mut fields, "exchange", short_string(&mut address));
    bytes(&mut fields, "routing_key", short_string(&mut address));
    fields.insert("header_base64".into(), json!(BASE64.encode(&message.header)));
    bytes(&mut fields, "body", &message.body);
    Value::Object(fields)
}

/// Text as it is, other bytes in base 64.
fn bytes(fields: &mut Map<String, Value>, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => fields.insert(name.into(), json!(text)),
        Err(_) => fields.insert(format!("{name}_base64"), json!(BASE64.encode(bytes))),
    };
}

/// A length byte and as many bytes (AMQP 0-9-1 §4.2.5.3); all that is there if it is fewer.
fn short_string<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let Some((&length, rest)) = bytes.split_first() else { return &[] };
    let (text, rest) = rest.split_at_checked(usize::from(length)).unwrap_or((rest, &[]));
    *bytes = rest;
    text
}
