//! Commands in short.

use leveret_model::definition::{
    Binding, DestinationKind, ExchangeDefinition, ExchangeKind, QueueDefinition,
};
use leveret_model::directory::{Command, Reply};
use leveret_model::{Arguments, Name, RoutingKey, ShardAddress};

pub fn queue(name: &str, home: ShardAddress, durable: bool) -> Command {
    let definition = QueueDefinition { durable, ..QueueDefinition::new(Name::new("/"), Name::new(name)) };
    Command::DeclareQueue { definition: definition.into(), home, server_named: false }
}

pub fn delete_queue(name: &str) -> Command {
    let (vhost, name) = (Name::new("/"), Name::new(name));
    Command::DeleteQueue { vhost, name, if_unused: false, if_empty: false }
}

pub fn exchange(name: &str, kind: ExchangeKind, auto_delete: bool) -> Command {
    let definition = ExchangeDefinition::new(Name::new("/"), Name::new(name), kind);
    Command::DeclareExchange(ExchangeDefinition { auto_delete, ..definition })
}

pub fn delete_exchange(name: &str) -> Command {
    Command::DeleteExchange { vhost: Name::new("/"), name: Name::new(name), if_unused: false }
}

pub fn binding(source: &str, queue: &str, key: &str) -> Binding {
    Binding {
        vhost: Name::new("/"),
        source: Name::new(source),
        kind: DestinationKind::Queue,
        destination: Name::new(queue),
        key: RoutingKey::new(key.as_bytes()),
        arguments: Arguments::default(),
    }
}

pub fn code(reply: &Reply) -> u16 {
    match reply {
        Reply::Refused(refusal) => refusal.code.code(),
        _ => 0,
    }
}
