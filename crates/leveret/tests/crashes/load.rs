//! A client that publishes with confirms and acknowledges what it got, until its node is gone; and what it
//! finds once the node is back.

use std::collections::VecDeque;

use ::lapin::BasicProperties;
use ::lapin::message::BasicGetMessage;
use ::lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, QueueBindOptions, QueueDeclareOptions,
};
use ::lapin::types::FieldTable;
use leveret_model::SplitMix;

use super::lapin::Session;
use super::ledger::{Ledger, Number, QUEUES, body, goes_to_both};

/// Publishes that wait for their confirm at once.
const WINDOW: usize = 64;
const EXCHANGE: &str = "amq.fanout";
/// What a queue keeps, so that a long run does not read an ever longer one.
const KEPT_MAX: usize = 300;

/// Durable queues, and bindings that outlive a crash too.
pub(crate) fn declare(session: &Session) {
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    for queue in QUEUES {
        let none = FieldTable::default();
        session.done(session.channel.queue_declare(queue.into(), options, none.clone()));
        let (exchange, bind) = (EXCHANGE.into(), QueueBindOptions::default());
        session.done(session.channel.queue_bind(queue.into(), exchange, "".into(), bind, none));
    }
}

/// What was taken from a queue and is to be acknowledged.
#[derive(Debug)]
struct Held {
    queue: usize,
    number: Number,
    tag: u64,
}

/// Reads both queues to their end and compares; what it takes is held by the session.
///
/// # Errors
/// What is wrong.
pub(crate) fn check(session: &Session, ledger: &mut Ledger) -> Result<Taken, String> {
    let mut held = VecDeque::new();
    for (queue, name) in QUEUES.iter().enumerate() {
        let get =
            || session.done(session.channel.basic_get((*name).into(), BasicGetOptions { no_ack: false }));
        let mut found = Vec::new();
        while let Some(message) = get() {
            let number = number_of(name, &message)?;
            held.push_back(Held { queue, number, tag: message.delivery_tag });
            found.push(number);
        }
        ledger.check(queue, &found)?;
    }
    Ok(Taken(held))
}

fn number_of(queue: &str, message: &BasicGetMessage) -> Result<Number, String> {
    let Some((head, _)) = message.data.split_first_chunk() else {
        return Err(format!("{queue}: a body of {} bytes", message.data.len()));
    };
    let number = Number::from_be_bytes(*head);
    if message.data != body(number) {
        return Err(format!("{queue}: {number} came back as another message"));
    }
    if !message.redelivered {
        return Err(format!("{queue}: {number} may have been delivered before, and is not marked so"));
    }
    Ok(number)
}

/// What a session took out of the queues.
#[derive(Debug)]
pub(crate) struct Taken(VecDeque<Held>);

/// Publishes and acknowledges until the node is gone. `enough` is called once that many were confirmed.
pub(crate) fn run(
    session: &Session,
    ledger: &mut Ledger,
    Taken(mut taken): Taken,
    random: &mut SplitMix,
    (confirms, enough): (usize, impl FnOnce()),
) {
    let mut enough = Some(enough);
    let (mut confirmed, mut waiting) = (0, VecDeque::new());
    loop {
        while waiting.len() < WINDOW {
            if (taken.len() > KEPT_MAX || random.below(3) > 0)
                && let Some(Held { queue, number, tag }) = taken.pop_front()
            {
                ledger.ack(queue, number);
                let ack = session.channel.basic_ack(tag, BasicAckOptions::default());
                if session.wait(ack).is_err() {
                    return;
                }
            }
            let number = ledger.publish();
            let both = goes_to_both(number);
            let (exchange, key) = if both { (EXCHANGE, "") } else { ("", QUEUES[0]) };
            let persistent = BasicProperties::default().with_delivery_mode(2);
            let (options, body) = (BasicPublishOptions::default(), body(number));
            let channel = &session.channel;
            let publish = channel.basic_publish(exchange.into(), key.into(), options, &body, persistent);
            let Ok(answer) = session.wait(publish) else { return };
            waiting.push_back((number, answer));
        }
        let (number, answer) = waiting.pop_front().expect("the window is full");
        match session.wait(answer) {
            Ok(answer) if answer.is_ack() => ledger.confirm(number),
            _ => return,
        }
        confirmed += 1;
        if confirmed == confirms
            && let Some(enough) = enough.take()
        {
            enough();
        }
    }
}
