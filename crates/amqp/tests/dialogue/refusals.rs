//! What is not built answers 540 and names it, straight from the declared table.

use leveret_model::surface::{Feature, SURFACE, Status, find};
use leveret_model::{Refusal, ReplyCode, Value};
use leveret_wire::frame::write_header_frame;
use leveret_wire::method::*;
use leveret_wire::{BasicProperties, METHODS, Method, SentBy, Table};

use crate::support::{Call, Talk, arguments, body_frame, frame};

fn refused<'m>(method: impl Into<Method<'m>>, id: (u16, u16), text: &str) {
    refused_with(method, id, &format!("NOT_IMPLEMENTED - {text} is not implemented yet"));
}

fn refused_with<'m>(method: impl Into<Method<'m>>, id: (u16, u16), text: &str) {
    let mut talk = Talk::on_channel_1();
    talk.says(1, method);
    talk.hears_connection_close(540, id, text);
}

/// A method with one thing in it that is not built.
fn with_flag(place: &str, flag: &str) -> (Method<'static>, (u16, u16)) {
    match (place, flag) {
        ("basic.qos", "prefetch-size") => {
            (BasicQos { prefetch_size: 1, ..Default::default() }.into(), (60, 10))
        }
        ("basic.recover", "requeue=false") => (BasicRecover { requeue: false }.into(), (60, 110)),
        ("basic.publish", "immediate") => {
            (BasicPublish { immediate: true, ..Default::default() }.into(), (60, 40))
        }
        _ => panic!("{place} with {flag} has no dialogue"),
    }
}

/// What RabbitMQ answers 540 to as well, with its text.
fn as_rabbitmq(place: &str, flag: &str) -> Option<&'static str> {
    Some(match (place, flag) {
        ("basic.qos", "prefetch-size") => "prefetch_size!=0 (1)",
        ("basic.recover", "requeue=false") => "requeue=false",
        ("basic.publish", "immediate") => "immediate=true",
        _ => return None,
    })
}

/// Each flag of the table that is not built is refused by its name.
#[test]
fn flags_that_are_not_built_are_540() {
    for entry in SURFACE.iter().filter(|e| e.feature == Feature::Flag && e.status == Status::Later) {
        let (method, id) = with_flag(entry.place, entry.name);
        match as_rabbitmq(entry.place, entry.name) {
            Some(text) => refused_with(method, id, &format!("NOT_IMPLEMENTED - {text}")),
            None => refused(method, id, &format!("{} with {}", entry.place, entry.name)),
        }
    }
}

/// A publish of one byte with these properties; whole in one block, or frame by frame.
fn publishes(talk: &mut Talk, properties: &BasicProperties<'_>, whole: bool) {
    let mut payload = Vec::new();
    properties.encode_payload(1, &mut payload);
    let mut frames = vec![frame(1, BasicPublish { routing_key: b"k", ..Default::default() }), Vec::new()];
    write_header_frame(&mut frames[1], 1, &payload);
    frames.push(body_frame(1, b"x"));
    if whole {
        talk.says_bytes(&frames.concat());
    } else {
        frames.iter().for_each(|frame| talk.says_bytes(frame));
    }
}

/// A property or header that is not built has to be refused by its name: none is left. Names that only look
/// like those of the broker are the client's own.
#[test]
fn no_property_or_header_of_a_publish_is_left_unbuilt() {
    let of_publish = |feature| matches!(feature, Feature::Header | Feature::Property);
    let unbuilt: Vec<_> = SURFACE
        .iter()
        .filter(|e| of_publish(e.feature) && e.status == Status::Later)
        .map(|e| e.name)
        .collect();
    assert!(unbuilt.is_empty(), "{unbuilt:?} are dropped in silence");
    let here = arguments(&[("Cc", Value::Void), ("BCC-not", Value::Void), ("x-match", Value::Bool(true))]);
    for whole in [true, false] {
        let mut talk = Talk::on_channel_1();
        publishes(&mut talk, &BasicProperties { headers: Some(Table(&here)), ..Default::default() }, whole);
        assert!(matches!(talk.broker.calls.pop_front(), Some(Call::Publish { .. })));
    }
}

/// RabbitMQ 3.10.8 and 4.3.6, both seen: the bounds and the texts.
#[test]
fn an_expiration_is_a_number_of_milliseconds() {
    for right in ["0", "+5", "-0", "007", "315360000000"] {
        let mut talk = Talk::on_channel_1();
        let properties = BasicProperties { expiration: Some(right.as_bytes()), ..Default::default() };
        publishes(&mut talk, &properties, true);
        assert!(matches!(talk.broker.calls.pop_front(), Some(Call::Publish { .. })), "{right}");
    }
    for (wrong, why) in [
        ("soon", "no_integer"),
        ("", "no_integer"),
        (" 5", "no_integer"),
        ("5 ", "{leftover_string,\" \"}"),
        ("5.5", "{leftover_string,\".5\"}"),
        ("-1", "{value_negative,-1}"),
        ("315360000001", "{value_too_large,315360000001}"),
        ("99999999999999999999", "{value_too_large,99999999999999999999}"),
    ] {
        for whole in [true, false] {
            let mut talk = Talk::on_channel_1();
            let properties = BasicProperties { expiration: Some(wrong.as_bytes()), ..Default::default() };
            publishes(&mut talk, &properties, whole);
            let text = format!("PRECONDITION_FAILED - invalid expiration '{wrong}': {why}");
            talk.hears_channel_close(1, 406, (60, 40), &text);
        }
    }
}

/// RabbitMQ: validated user-id.
#[test]
fn a_user_id_is_that_of_the_login() {
    for whole in [true, false] {
        let mut talk = Talk::on_channel_1();
        let claims = |user_id| BasicProperties { user_id: Some(user_id), ..Default::default() };
        publishes(&mut talk, &claims(b"guest"), whole);
        assert!(matches!(talk.broker.calls.pop_front(), Some(Call::Publish { .. })));
        publishes(&mut talk, &claims(b"boss"), whole);
        let text = "PRECONDITION_FAILED - user_id property set to 'boss' but authenticated user was 'guest'";
        talk.hears_channel_close(1, 406, (60, 40), text);
    }
}

/// RabbitMQ 4.3 looks at the expiration and the headers before the user-id.
#[test]
fn the_user_id_is_looked_at_after_the_expiration() {
    let mut talk = Talk::on_channel_1();
    let both = BasicProperties { user_id: Some(b"boss"), expiration: Some(b"soon"), ..Default::default() };
    publishes(&mut talk, &both, true);
    let text = "PRECONDITION_FAILED - invalid expiration 'soon': no_integer";
    talk.hears_channel_close(1, 406, (60, 40), text);
}

/// RabbitMQ's order of checks: a user without the right, or with a wrong name, hears of that and not of the
/// properties.
#[test]
fn what_is_wrong_with_the_exchange_comes_before_the_properties() {
    for properties in [
        BasicProperties { user_id: Some(b"boss"), ..Default::default() },
        BasicProperties { expiration: Some(b"soon"), ..Default::default() },
    ] {
        for whole in [true, false] {
            let mut talk = Talk::on_channel_1();
            talk.broker.exchange = Some(Refusal::new(ReplyCode::NotFound, "no exchange 'x'"));
            publishes(&mut talk, &properties, whole);
            talk.hears_channel_close(1, 404, (60, 40), "NOT_FOUND - no exchange 'x'");
        }
    }
}

/// RabbitMQ: a client may renew its secret at any time; users with a password of ours have none that expires.
#[test]
fn a_new_secret_is_acknowledged_and_the_connection_goes_on() {
    let mut talk = Talk::on_channel_1();
    talk.says(0, ConnectionUpdateSecret { new_secret: b"s", reason: b"r" });
    talk.hears(0, ConnectionUpdateSecretOk);
    talk.says(1, ConfirmSelect::default());
    talk.hears(1, ConfirmSelectOk);
}

/// Each argument of the table that is not built is refused by its name.
#[test]
fn arguments_that_are_not_built_are_540() {
    let mut seen = 0;
    for entry in SURFACE.iter().filter(|e| e.feature == Feature::Argument && e.status == Status::Later) {
        let table = arguments(&[("other", Value::Void), (entry.name, Value::I32(1))]);
        let arguments = Table(&table);
        let text = format!("{} with argument {}", entry.place, entry.name);
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
    assert!(seen > 0);
}

/// The README is printed from the table, so no method may be missing there.
#[test]
fn every_method_that_a_client_may_ask_with_is_in_the_table() {
    for method in METHODS.iter().filter(|m| m.sent_by != SentBy::Server && !m.name.ends_with("-ok")) {
        assert!(find(method.name, Feature::Method, method.name.as_bytes()).is_some(), "{}", method.name);
    }
}
