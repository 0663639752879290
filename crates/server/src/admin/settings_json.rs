//! Settings and arguments as JSON.

use leveret_model::definition::QueueDefinition;
use leveret_model::policy::{Policies, PolicySubject};
use leveret_model::{Arguments, RoutingKey, Value as Setting};
use serde_json::{Value, json};

/// A table of settings as an object.
pub(super) fn settings(settings: &Arguments) -> Value {
    let entry =
        |(key, value): &(RoutingKey, Setting)| (String::from_utf8_lossy(key).into_owned(), setting(value));
    Value::Object(settings.0.iter().map(entry).collect())
}

/// A value of a setting or an argument.
pub(super) fn setting(value: &Setting) -> Value {
    if let Some(number) = value.as_integer() {
        return number.into();
    }
    match value {
        Setting::Bool(on) => (*on).into(),
        // of another version; no setting of this one takes it
        other => other.as_bytes().map_or(Value::Null, |bytes| String::from_utf8_lossy(bytes).into()),
    }
}

/// The policy that counts for a queue, and what it sets.
pub(super) fn of_queue(policies: &Policies, queue: &QueueDefinition) -> (Value, Value) {
    let subject = PolicySubject::Queue(queue.arguments.settings().kind);
    match policies.best(&queue.vhost, &queue.name, subject).0 {
        Some(policy) => (policy.definition().name.as_str().into(), settings(&policy.definition().settings)),
        None => (Value::Null, json!({})),
    }
}
