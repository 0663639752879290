//! The kinds of registers that this version acts on: what their keys and values say.

use alloc::string::String;

use leveret_model::Name;
use leveret_model::RoutingKey;
use leveret_model::definition::{Binding, DestinationKind, ExchangeDefinition, ExchangeKind};
use leveret_model::policy::PolicyDefinition;
use prost::Message as _;

use super::names::{BindingKey, ObjectName};
use super::register::{Register, RegisterKey, RegisterKind, Stamp};
use crate::encoding::{self, messages};

/// What a register is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Exchange(ObjectName),
    ExchangeBinding(BindingKey),
    Policy(ObjectName),
}

/// Exchanges of one name and of two types met: two declares that did not know of each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Retyped {
    pub(crate) name: ObjectName,
    /// The type that the shards had.
    pub(crate) was: ExchangeKind,
    /// The type that they have now.
    pub(crate) is: ExchangeKind,
}

/// What the register is about; none if its kind is of a later version, or its key cannot be read.
pub(crate) fn subject(key: &RegisterKey) -> Option<Subject> {
    match key.kind {
        RegisterKind::EXCHANGE => object_name(key).map(Subject::Exchange),
        RegisterKind::POLICY => object_name(key).map(Subject::Policy),
        RegisterKind::EXCHANGE_BINDING => {
            let key = messages::ExchangeBindingKey::decode(&key.key[..]).ok()?;
            Some(Subject::ExchangeBinding(BindingKey {
                vhost: encoding::name(&key.vhost).ok()?,
                source: encoding::name(&key.source).ok()?,
                kind: DestinationKind::Exchange,
                destination: encoding::name(&key.destination).ok()?,
                key: RoutingKey::new(&key.key),
                arguments: key.arguments.into(),
            }))
        }
        _ => None,
    }
}

fn object_name(key: &RegisterKey) -> Option<ObjectName> {
    let messages::ObjectName { vhost, name } = messages::ObjectName::decode(&key.key[..]).ok()?;
    Some(ObjectName { vhost: encoding::name(&vhost).ok()?, name: encoding::name(&name).ok()? })
}

fn object_key(kind: RegisterKind, name: &ObjectName) -> RegisterKey {
    let key = messages::ObjectName { vhost: text(&name.vhost), name: text(&name.name) };
    RegisterKey { kind, key: key.encode_to_vec().into() }
}

/// The key of an exchange's register.
pub(crate) fn exchange_key(name: &ObjectName) -> RegisterKey {
    object_key(RegisterKind::EXCHANGE, name)
}

/// The key of a policy's register.
pub(crate) fn policy_key(name: &ObjectName) -> RegisterKey {
    object_key(RegisterKind::POLICY, name)
}

/// A write of a policy's register; none clears it.
pub(crate) fn policy(name: &ObjectName, stamp: Stamp, policy: Option<&PolicyDefinition>) -> Register {
    let value = policy.map(|policy| messages::Policy::from(policy).encode_to_vec().into());
    Register { key: policy_key(name), stamp, deleted: 0, value }
}

/// The policy in a register's value; none as for [`exchange_in`].
pub(crate) fn policy_in(value: &[u8]) -> Option<PolicyDefinition> {
    (&messages::Policy::decode(value).ok()?).try_into().ok()
}

/// A write of an exchange's register.
pub(crate) fn exchange(
    name: &ObjectName,
    stamp: Stamp,
    deleted: u64,
    value: Option<&ExchangeDefinition>,
) -> Register {
    let value = value.map(|exchange| messages::ExchangeDefinition::from(exchange).encode_to_vec().into());
    Register { key: exchange_key(name), stamp, deleted, value }
}

/// The exchange in a register's value; none if a later version wrote it in a way that this one cannot hold.
pub(crate) fn exchange_in(value: &[u8]) -> Option<ExchangeDefinition> {
    (&messages::ExchangeDefinition::decode(value).ok()?).try_into().ok()
}

/// The key of the register of a binding between exchanges.
pub(crate) fn exchange_binding_key(key: &BindingKey) -> RegisterKey {
    let key = messages::ExchangeBindingKey {
        vhost: text(&key.vhost),
        source: text(&key.source),
        destination: text(&key.destination),
        key: key.key.to_vec(),
        arguments: key.arguments.to_vec(),
    };
    RegisterKey { kind: RegisterKind::EXCHANGE_BINDING, key: key.encode_to_vec().into() }
}

/// A write of the register of a binding between exchanges; none unbinds it.
pub(crate) fn exchange_binding(key: &BindingKey, stamp: Stamp, binding: Option<&Binding>) -> Register {
    let value = binding.map(|binding| messages::Binding::from(binding).encode_to_vec().into());
    Register { key: exchange_binding_key(key), stamp, deleted: 0, value }
}

/// The binding in a register's value; none as for [`exchange_in`].
pub(crate) fn exchange_binding_in(value: &[u8]) -> Option<Binding> {
    (&messages::Binding::decode(value).ok()?).try_into().ok()
}

/// This version can act on the value, or it is deleted.
pub(crate) fn is_understood(register: &Register) -> bool {
    let Some(value) = &register.value else { return subject(&register.key).is_some() };
    match subject(&register.key) {
        Some(Subject::Exchange(name)) => {
            exchange_in(value).is_some_and(|exchange| exchange.name == name.name)
        }
        Some(Subject::ExchangeBinding(key)) => {
            exchange_binding_in(value).is_some_and(|binding| BindingKey::of(&binding) == key)
        }
        Some(Subject::Policy(name)) => policy_in(value).is_some_and(|policy| policy.name == name.name),
        None => false,
    }
}

/// Bytes of the arguments in a register's value; all of it if its kind is not known.
pub(crate) fn argument_bytes(register: &Register) -> usize {
    let Some(value) = &register.value else { return 0 };
    let known = match register.key.kind {
        RegisterKind::EXCHANGE => exchange_in(value).map(|exchange| exchange.arguments.weight_bytes()),
        RegisterKind::EXCHANGE_BINDING => {
            exchange_binding_in(value).map(|binding| binding.arguments.weight_bytes())
        }
        RegisterKind::POLICY => {
            policy_in(value).map(|policy| policy.pattern.len() + policy.settings.weight_bytes())
        }
        _ => None,
    };
    known.unwrap_or(value.len())
}

fn text(name: &Name) -> String {
    name.as_str().into()
}
