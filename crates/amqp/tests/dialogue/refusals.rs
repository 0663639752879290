//! What is not built answers 540 and names it, straight from the declared table.

use leveret_model::Value;
use leveret_model::surface::{Feature, SURFACE, Status, find};
use leveret_wire::method::*;
use leveret_wire::{METHODS, Method, SentBy, Table};

use crate::support::{Talk, arguments};

fn refused<'m>(method: impl Into<Method<'m>>, id: (u16, u16), text: &str) {
    let mut talk = Talk::on_channel_1();
    talk.says(1, method);
    talk.hears_connection_close(540, id, &format!("NOT_IMPLEMENTED - {text} is not implemented yet"));
}

#[test]
fn flags_that_are_not_built_are_540() {
    let q = b"q";
    refused(
        QueueDeclare { queue: q, exclusive: true, ..Default::default() },
        (50, 10),
        "queue.declare with exclusive",
    );
    refused(
        QueueDeclare { queue: q, auto_delete: true, ..Default::default() },
        (50, 10),
        "queue.declare with auto-delete",
    );
    refused(QueueDeclare::default(), (50, 10), "empty queue name");
    refused(QueueDelete::default(), (50, 40), "empty queue name");
    refused(QueuePurge::default(), (50, 30), "empty queue name");
    refused(QueueBind { exchange: b"x", ..Default::default() }, (50, 20), "empty queue name");
    refused(QueueUnbind { exchange: b"x", ..Default::default() }, (50, 50), "empty queue name");
    refused(BasicConsume::default(), (60, 20), "empty queue name");
    refused(BasicGet::default(), (60, 70), "empty queue name");
    refused(
        ExchangeDeclare { exchange: b"x", kind: b"direct", auto_delete: true, ..Default::default() },
        (40, 10),
        "exchange.declare with auto-delete",
    );
    refused(BasicQos { global: true, ..Default::default() }, (60, 10), "basic.qos with global=true");
    refused(BasicQos { prefetch_size: 1, ..Default::default() }, (60, 10), "basic.qos with prefetch-size");
    refused(BasicRecover { requeue: false }, (60, 110), "basic.recover with requeue=false");
    refused(ChannelFlow { active: false }, (20, 20), "channel.flow with active=false");
    refused(TxSelect, (90, 10), "tx.select");
    refused(TxCommit, (90, 20), "tx.commit");
    refused(TxRollback, (90, 30), "tx.rollback");
}

#[test]
fn flow_that_asks_for_nothing_new_is_ok() {
    let mut talk = Talk::on_channel_1();
    talk.says(1, ChannelFlow { active: true });
    talk.hears(1, ChannelFlowOk { active: true });
}

#[test]
fn updating_the_secret_is_540() {
    let mut talk = Talk::open();
    talk.says(0, ConnectionUpdateSecret { new_secret: b"s", reason: b"r" });
    talk.hears_connection_close(
        540,
        (10, 70),
        "NOT_IMPLEMENTED - connection.update-secret is not implemented yet",
    );
}

/// Each argument of the table that is not built is refused by its name.
#[test]
fn arguments_that_are_not_built_are_540() {
    let mut seen = 0;
    for entry in SURFACE.iter().filter(|e| e.feature == Feature::Argument && e.status == Status::Later) {
        let table = arguments(&[("other", Value::Void), (entry.name, Value::I32(1))]);
        let arguments = Table(&table);
        let text = format!("argument {} of {}", entry.name, entry.place);
        match entry.place {
            "queue.declare" => {
                refused(QueueDeclare { queue: b"q", arguments, ..Default::default() }, (50, 10), &text);
            }
            "basic.consume" => {
                refused(BasicConsume { queue: b"q", arguments, ..Default::default() }, (60, 20), &text);
            }
            "exchange.declare" => refused(
                ExchangeDeclare { exchange: b"x", kind: b"direct", arguments, ..Default::default() },
                (40, 10),
                &text,
            ),
            other => panic!("{other} takes no arguments"),
        }
        seen += 1;
    }
    assert!(seen > 10);
}

/// The README is printed from the table, so no method may be missing there.
#[test]
fn every_method_that_a_client_may_ask_with_is_in_the_table() {
    for method in METHODS.iter().filter(|m| m.sent_by != SentBy::Server && !m.name.ends_with("-ok")) {
        assert!(find(method.name, Feature::Method, method.name.as_bytes()).is_some(), "{}", method.name);
    }
}
