//! Refuses a client's new definition when a bound of the cluster is met. `size` counts.

use leveret_model::{Arguments, limits};

use super::names::ObjectName;
use super::size::Bound;
use super::state::Directory;

impl Directory {
    /// The bound that a new queue would break.
    pub(crate) fn no_room_for_queue(&self, arguments: &Arguments) -> Option<Bound> {
        reached("queues", self.queues.count, limits::QUEUES_MAX).or_else(|| self.no_room_for(arguments))
    }

    /// The bound that a new binding to a queue would break.
    pub(crate) fn no_room_for_binding(&self, arguments: &Arguments) -> Option<Bound> {
        reached("bindings", self.bindings.count, limits::BINDINGS_MAX).or_else(|| self.no_room_for(arguments))
    }

    /// The bound that a new exchange would break. One that was deleted has its place already.
    pub(crate) fn no_room_for_exchange(&self, name: &ObjectName, arguments: &Arguments) -> Option<Bound> {
        let known = self.was_exchange(name);
        self.no_room_for_register().filter(|_| !known).or_else(|| self.no_room_for(arguments))
    }

    /// The bound that a new binding between exchanges would break.
    pub(crate) fn no_room_for_exchange_binding(&self, arguments: &Arguments) -> Option<Bound> {
        self.no_room_for_binding(arguments).or_else(|| self.no_room_for_register())
    }

    pub(super) fn no_room_for_register(&self) -> Option<Bound> {
        let what = "exchanges, bindings between them and policies, deleted ones included";
        reached(what, self.size.registers, limits::REGISTERS_MAX)
    }

    /// The sum may go past its bound by one definition, which came in one frame.
    pub(super) fn no_room_for(&self, arguments: &Arguments) -> Option<Bound> {
        let bound =
            reached("bytes of arguments", self.size.argument_bytes, limits::DEFINITION_ARGUMENT_BYTES_MAX);
        bound.filter(|_| !arguments.is_empty())
    }
}

fn reached(what: &'static str, count: usize, most: usize) -> Option<Bound> {
    (count >= most).then_some(Bound { what, most })
}

#[cfg(test)]
mod tests {
    use std::vec;

    use leveret_model::definition::{Binding, DestinationKind, ExchangeDefinition, ExchangeKind};
    use leveret_model::{Arguments, Incarnation, Name, NodeId, RoutingKey, Value};

    use super::super::known_registers;
    use super::super::map::{Op, Record};
    use super::super::names::BindingKey;
    use super::super::register::Stamp;
    use super::super::size::Size;
    use super::*;

    fn directory() -> Directory {
        Directory::new(NodeId(1), Incarnation(1))
    }

    fn arguments(bytes: usize) -> Arguments {
        let value = Value::LongString(vec![b'x'; bytes].into());
        Arguments(vec![(RoutingKey::new(b"note"), value)])
    }

    fn name(name: &str) -> ObjectName {
        ObjectName::new(&Name::new("/"), &Name::new(name))
    }

    fn exchange(called: &str, arguments: Arguments) -> ExchangeDefinition {
        let ObjectName { vhost, name } = name(called);
        let arguments = arguments.into();
        ExchangeDefinition { arguments, ..ExchangeDefinition::new(vhost, name, ExchangeKind::Direct) }
    }

    fn put(directory: &mut Directory, called: &str, value: Option<&ExchangeDefinition>) {
        let stamp: Stamp = directory.stamp();
        let deleted = if value.is_some() { 0 } else { stamp.lamport };
        let register = known_registers::exchange(&name(called), stamp, deleted, value);
        directory.write(Op::Put(Record::Register(register)));
        directory.refresh();
    }

    #[test]
    fn arguments_are_counted_while_their_definition_stands() {
        let mut directory = directory();
        put(&mut directory, "e", Some(&exchange("e", arguments(1000))));
        let full = directory.size.argument_bytes;
        assert!(full >= 1000);
        put(&mut directory, "e", Some(&exchange("e", arguments(1000))));
        assert_eq!(directory.size, Size { registers: 1, argument_bytes: full }, "written over");
        put(&mut directory, "e", None);
        assert_eq!(directory.size, Size { registers: 1, argument_bytes: 0 }, "its register stays");
    }

    #[test]
    fn what_has_no_arguments_is_let_in_when_those_of_others_fill_the_bound() {
        let mut directory = directory();
        directory.size.argument_bytes = limits::DEFINITION_ARGUMENT_BYTES_MAX;
        let most = limits::DEFINITION_ARGUMENT_BYTES_MAX;
        let bound = Some(Bound { what: "bytes of arguments", most });
        assert_eq!(directory.no_room_for_queue(&arguments(1)), bound);
        assert_eq!(directory.no_room_for_binding(&arguments(1)), bound);
        assert_eq!(directory.no_room_for_exchange(&name("e"), &arguments(1)), bound);
        assert_eq!(directory.no_room_for_queue(&Arguments::default()), None);
    }

    #[test]
    fn registers_are_bounded_and_an_exchange_that_was_there_has_its_place() {
        let mut directory = directory();
        put(&mut directory, "old", None);
        directory.size.registers = limits::REGISTERS_MAX;
        let none = Arguments::default();
        assert!(directory.no_room_for_exchange(&name("new"), &none).is_some());
        assert!(directory.no_room_for_exchange_binding(&none).is_some());
        assert_eq!(directory.no_room_for_exchange(&name("old"), &none), None);
        assert_eq!(directory.no_room_for_queue(&none), None, "queues have a bound of their own");
    }

    #[test]
    fn a_map_that_is_forgotten_counts_for_nothing() {
        let mut directory = directory();
        let binding = Binding {
            vhost: Name::new("/"),
            source: Name::new("a"),
            kind: DestinationKind::Exchange,
            destination: Name::new("b"),
            key: RoutingKey::new(b"k"),
            arguments: arguments(10),
        };
        let stamp = Stamp { lamport: 5, node: NodeId(2) };
        let records = vec![Record::Register(known_registers::exchange_binding(
            &BindingKey::of(&binding),
            stamp,
            Some(&binding),
        ))];
        let version = super::super::map::Version { incarnation: Incarnation(1), counter: 1 };
        directory.on_map(NodeId(2), version, records);
        assert_eq!(directory.size.registers, 1);
        directory.forget(NodeId(2));
        assert_eq!(directory.size, Size::default());
    }
}
