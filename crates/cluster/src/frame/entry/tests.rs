//! Entries through bytes and back, of kinds that are known and of kinds that are not.

use leveret_model::definition::DestinationKind;
use leveret_model::{NodeId, QueueId};
use proptest::prelude::*;
use std::string::String;

use std::vec;

use super::*;
use crate::directory::names::BindingKey;
use crate::encoding::nouns::tests::{any_name, any_shard, binding, exchange, queue};

fn sent(op: &Op) -> Op {
    let bytes = op_out(op.clone()).encode_to_vec();
    op_in(Entry::decode(&bytes[..]).unwrap()).unwrap()
}

/// Floats that are no numbers are not equal, but they print alike.
fn shown(op: &Op) -> String {
    std::format!("{op:?}")
}

fn queue_id() -> impl Strategy<Value = QueueId> {
    any::<(u32, u128)>().prop_map(|(generation, ulid)| QueueId { generation, ulid: Ulid(ulid) })
}

fn to(kind: DestinationKind) -> impl Strategy<Value = Binding> {
    binding().prop_map(move |binding| Binding { kind, ..binding })
}

fn stamp() -> impl Strategy<Value = Stamp> {
    any::<(u64, u128)>().prop_map(|(lamport, node)| Stamp { lamport, node: NodeId(node) })
}

fn bytes() -> impl Strategy<Value = Box<[u8]>> {
    prop::collection::vec(any::<u8>(), 0..20).prop_map(Into::into)
}

fn owned() -> impl Strategy<Value = Op> {
    let record = (queue(), queue_id(), any_shard(), any::<(u64, bool)>()).prop_map(
        |(definition, id, home, (epoch, standing))| {
            let record = QueueRecord { definition: definition.into(), id, home, epoch };
            Op::Put(Record::Queue { record, standing })
        },
    );
    let bound = (queue_id(), any::<(u64, u64)>(), to(DestinationKind::Queue)).prop_map(
        |(queue, (epoch, lamport), binding)| Op::Put(Record::Binding { queue, epoch, lamport, binding }),
    );
    let proposal = (any::<u128>(), any_name(), any_name(), prop::option::of(exchange())).prop_map(
        |(id, vhost, name, value)| {
            Op::Put(Record::Proposal { id: Ulid(id), name: ObjectName { vhost, name }, value })
        },
    );
    let unknown = (4u32.., bytes(), bytes())
        .prop_map(|(kind, key, value)| Op::Put(Record::Unknown { kind, key, value }));
    prop_oneof![record, bound, proposal, unknown]
}

fn dropped() -> impl Strategy<Value = Op> {
    prop_oneof![
        queue_id().prop_map(|id| Op::Drop(Dropped::Queue(id))),
        (queue_id(), to(DestinationKind::Queue))
            .prop_map(|(id, binding)| Op::Drop(Dropped::Binding(id, binding.into()))),
        any::<u128>().prop_map(|id| Op::Drop(Dropped::Proposal(Ulid(id)))),
        (4u32.., bytes()).prop_map(|(kind, key)| Op::Drop(Dropped::Unknown(kind, key))),
    ]
}

fn register() -> impl Strategy<Value = Op> {
    let put = |register| Op::Put(Record::Register(register));
    let exchange =
        (exchange(), stamp(), any::<(u64, bool)>()).prop_map(move |(exchange, stamp, (deleted, present))| {
            let name = ObjectName::new(&exchange.vhost, &exchange.name);
            put(known_registers::exchange(&name, stamp, deleted, present.then_some(&exchange)))
        });
    let binding =
        (to(DestinationKind::Exchange), stamp(), any::<bool>()).prop_map(move |(binding, stamp, present)| {
            let key = BindingKey::of(&binding);
            put(known_registers::exchange_binding(&key, stamp, present.then_some(&binding)))
        });
    let unknown = (3u32.., bytes(), stamp(), any::<u64>(), prop::option::of(bytes())).prop_map(
        move |(kind, key, stamp, deleted, value)| {
            let key = RegisterKey { kind: RegisterKind(kind), key };
            put(register::Register { key, stamp, deleted, value })
        },
    );
    prop_oneof![exchange, binding, unknown]
}

proptest! {
    #[test]
    fn entries_come_back_as_they_were(op in prop_oneof![owned(), dropped(), register()]) {
        prop_assert_eq!(shown(&sent(&op)), shown(&op));
    }

    /// So a register is about the same thing at every node.
    #[test]
    fn the_key_of_a_register_says_what_it_is_about(exchange in exchange(), binding in to(DestinationKind::Exchange)) {
        use crate::directory::known_registers::{Subject, exchange_binding_key, exchange_key, subject};
        let name = ObjectName::new(&exchange.vhost, &exchange.name);
        prop_assert_eq!(subject(&exchange_key(&name)), Some(Subject::Exchange(name)));
        let key = BindingKey::of(&binding);
        prop_assert_eq!(subject(&exchange_binding_key(&key)), Some(Subject::ExchangeBinding(key)));
    }
}

#[test]
fn an_entry_of_no_form_and_a_known_kind_that_cannot_be_read_are_damage() {
    assert_eq!(op_in(Entry { form: None }), Err(Damage::Value("form of entry")));
    let wrong = |kind, value| Entry { form: Some(EntryForm::Owned(Owned { kind, key: vec![0xff], value })) };
    for kind in [kind::QUEUE, kind::QUEUE_BINDING, kind::EXCHANGE_PROPOSAL] {
        assert_eq!(op_in(wrong(kind, None)), Err(Damage::Value("entry of a map")), "{kind}");
        assert_eq!(op_in(wrong(kind, Some(vec![0xff]))), Err(Damage::Value("entry of a map")), "{kind}");
    }
    for kind in [RegisterKind::EXCHANGE, RegisterKind::EXCHANGE_BINDING] {
        let register = Register { kind: kind.0, key: vec![0xff], ..Register::default() };
        let entry = Entry { form: Some(EntryForm::Register(register)) };
        assert_eq!(op_in(entry), Err(Damage::Value("key of register")), "{kind:?}");
    }
}
