//! What arrives on the exchange: routing key and body together, from strangers.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use leveret_model::limits::ANNOUNCEMENT_BYTES_MAX;
use serde::{Deserialize, Serialize};

use crate::announcement::{Announcement, VERSION};
use crate::message_error::MessageError;
use crate::name::{DoorName, InstanceName, ServiceName};
use crate::report::DoorReport;

/// The exchange that every participant shares.
pub const EXCHANGE: &str = "leveret.services";
/// Routing key of an [`Ask`].
pub const ASK_KEY: &str = "ask";

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// An instance about itself.
    Announcement(Box<Announcement>),
    /// A door about what it does.
    Report(DoorReport),
    /// A door that wants to know who is there.
    Ask(Ask),
    /// An operator to one instance.
    Command(ServiceName, InstanceName, Command),
}

/// "Who is there?"; every instance announces itself within 100 ms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Version of the text.
    pub v: u32,
    /// Who asks.
    pub door: DoorName,
}

/// What an operator may tell an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Command {
    /// Take nothing new, and keep running.
    Drain,
    /// Take requests again.
    Ready,
    /// Drain, then stop the process.
    Stop,
}

#[derive(Serialize, Deserialize)]
struct CommandText {
    v: u32,
    command: Command,
}

impl Ask {
    /// The question of this door.
    #[must_use]
    pub fn new(door: DoorName) -> Self {
        Self { v: VERSION, door }
    }

    /// As it is sent.
    #[must_use]
    pub fn to_body(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an ask has only types that JSON has")
    }
}

impl Command {
    /// As it is sent.
    #[must_use]
    pub fn to_body(self) -> Vec<u8> {
        let text = CommandText { v: VERSION, command: self };
        serde_json::to_vec(&text).expect("a command has only types that JSON has")
    }
}

/// Routing key of an instance's announcements.
#[must_use]
pub fn announce_key(service: &ServiceName, instance: &InstanceName) -> String {
    format!("announce.{service}.{instance}")
}

/// Routing key of a door's reports.
#[must_use]
pub fn door_key(door: &DoorName) -> String {
    format!("door.{door}")
}

/// Routing key of commands to an instance.
#[must_use]
pub fn command_key(service: &ServiceName, instance: &InstanceName) -> String {
    format!("command.{service}.{instance}")
}

/// Reads a message.
///
/// # Errors
/// [`MessageError`] says what is wrong with it.
pub fn parse(routing_key: &str, body: &[u8]) -> Result<Message, MessageError> {
    let mut words = routing_key.splitn(3, '.');
    match (words.next(), words.next(), words.next()) {
        (Some("announce"), Some(service), Some(instance)) => {
            let read = Announcement::parse(body)?;
            let same = read.service.as_str() == service && read.instance.as_str() == instance;
            if same { Ok(Message::Announcement(Box::new(read))) } else { Err(MessageError::OtherSender) }
        }
        (Some("door"), Some(door), None) => {
            let read = DoorReport::parse(body)?;
            if read.door.as_str() == door {
                Ok(Message::Report(read))
            } else {
                Err(MessageError::OtherSender)
            }
        }
        (Some("ask"), None, None) => Ok(Message::Ask(short(body)?)),
        (Some("command"), Some(service), Some(instance)) => {
            let service = ServiceName::new(service).map_err(|_| MessageError::Key)?;
            let instance = InstanceName::new(instance).map_err(|_| MessageError::Key)?;
            let CommandText { command, .. } = short(body)?;
            Ok(Message::Command(service, instance, command))
        }
        _ => Err(MessageError::Key),
    }
}

fn short<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, MessageError> {
    if body.len() > ANNOUNCEMENT_BYTES_MAX {
        return Err(MessageError::Long(body.len()));
    }
    serde_json::from_slice(body).map_err(|error| MessageError::Text(format!("{error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::announcement::State;

    #[test]
    fn each_kind_is_read_by_its_key() {
        let service = ServiceName::new("shop").expect("a name");
        let instance = InstanceName::new("a").expect("a name");
        let door = DoorName::new("d").expect("a name");
        let mut announcement =
            Announcement::new(service.clone(), instance.clone(), leveret_model::Boot(1), State::Ready);
        announcement.address = Some(([127, 0, 0, 1], 80).into());
        let body = announcement.to_body();
        assert_eq!(parse("announce.shop.a", &body), Ok(Message::Announcement(Box::new(announcement))));
        for key in ["announce.shop.b", "announce.sho.a"] {
            assert_eq!(parse(key, &body), Err(MessageError::OtherSender), "{key}");
        }
        let ask = Ask::new(door);
        assert_eq!(parse(ASK_KEY, &ask.to_body()), Ok(Message::Ask(ask)));
        let command = parse(&command_key(&service, &instance), &Command::Stop.to_body());
        assert_eq!(command, Ok(Message::Command(service, instance, Command::Stop)));
        for key in ["", "announce", "announce.shop", "ask.x", "door.a.b", "other"] {
            assert_eq!(parse(key, &body), Err(MessageError::Key), "{key}");
        }
        assert_eq!(parse("command.A.b", b"{}"), Err(MessageError::Key));
    }
}
