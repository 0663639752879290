//! `leveret queue` at the admin socket: `queue ls` and `queue explain {"name": …}`.

use crossbeam_channel::bounded;
use leveret_cluster::QueueStatus;
use leveret_model::definition::{DEFAULT_VHOST, QueueDefinition};
use leveret_model::effective::{Effective, SetBy};
use leveret_model::known_arguments::KnownArgument;
use leveret_model::policy::{Policies, Policy, PolicyKey, PolicySubject};
use leveret_model::{Name, limits};
use serde_json::{Value, json};

use super::settings_json::setting;
use super::{Admin, document, no_answer};
use crate::control_thread::ToControl;

impl Admin {
    pub(super) fn queue(&self, question: &str) -> Value {
        match question.split_once(' ').unwrap_or((question, "")) {
            ("ls", "") => self.list_queues().unwrap_or_else(|silent| silent),
            ("explain", text) => self.explain(text),
            _ => {
                json!({ "error": format!("unknown request 'queue {question}'; this node knows: ls, explain") })
            }
        }
    }

    fn list_queues(&self) -> Result<Value, Value> {
        let (reports, overview) = (self.reports()?, self.overview_or()?);
        Ok(json!({
            "queues": document::queues(&self.facts, &reports, &overview),
            "nodes": document::names(&self.facts, &overview.nodes),
        }))
    }

    fn explain(&self, text: &str) -> Value {
        let wanted: Value = serde_json::from_str(text).unwrap_or_default();
        let name = wanted["name"].as_str().and_then(|name| Name::from_bytes(name.as_bytes()).ok());
        let Some(name) = name else { return json!({ "error": "a queue has a name of at most 255 bytes" }) };
        let (to, answer) = bounded(1);
        self.control.send(ToControl::QueueNamed { vhost: Name::new(DEFAULT_VHOST), name: name.clone(), to });
        let Ok(found) = answer.recv_timeout(limits::ADMIN_WAIT) else {
            return no_answer("the control machine");
        };
        let Some(queue) = found else {
            let text = format!(
                "no queue '{}' in vhost '{DEFAULT_VHOST}'; `leveret queue ls` lists them",
                name.escape_debug()
            );
            return json!({ "error": text });
        };
        let (Some(policies), Some(overview)) = (self.policies(), self.overview()) else {
            return no_answer("the control machine");
        };
        let home = queue.record.home.node;
        let node = overview.nodes.iter().find(|node| node.node == home);
        let home = node.map_or_else(|| self.facts.name.clone(), |node| node.name.to_string());
        explained(&queue, &home, &policies)
    }
}

/// What a queue does, and who said so.
fn explained(queue: &QueueStatus, home: &str, policies: &Policies) -> Value {
    let record = &queue.record;
    let definition: &QueueDefinition = &record.definition;
    let subject = PolicySubject::Queue(definition.arguments.settings().kind);
    let mut matching = policies.matching(&definition.vhost, &definition.name, subject);
    let policy = matching.next().map(|policy| policy.definition());
    let settings = definition.arguments.explained(policy);
    let settings =
        settings.iter().map(|(known, effective)| one(known, effective, policy.map(|policy| &*policy.name)));
    json!({
        "name": definition.name.as_str(), "vhost": definition.vhost.as_str(),
        "home": home, "home_id": document::whole(record.home.node), "shard": record.home.shard.0,
        "away": queue.masked, "durable": definition.durable, "auto_delete": definition.auto_delete,
        "exclusive": definition.exclusive.is_some(),
        "policy": policy.map(|policy| policy.name.as_str()),
        "settings": settings.collect::<Vec<Value>>(),
        "policies": policies
            .matching(&definition.vhost, &definition.name, subject)
            .map(|policy| lost_or_won(policy))
            .collect::<Vec<Value>>(),
    })
}

fn lost_or_won(policy: &Policy) -> Value {
    let definition = policy.definition();
    json!({
        "name": definition.name.as_str(), "priority": definition.priority, "pattern": &*definition.pattern,
    })
}

fn one(known: &KnownArgument, effective: &Effective<'_>, policy: Option<&str>) -> Value {
    let set_by = match effective.set_by {
        SetBy::Default => "default",
        SetBy::Argument => "argument",
        SetBy::Policy => "policy",
        SetBy::Both => "argument and policy",
    };
    let named = matches!(effective.set_by, SetBy::Policy | SetBy::Both);
    json!({
        "setting": PolicyKey::of_argument(known).map_or(known.key, |key| key.key),
        "argument": known.key,
        "value": effective.value.map(setting),
        "set_by": set_by,
        "policy": policy.filter(|_| named),
        "overruled": effective.overruled.map(setting),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use leveret_model::directory::QueueRecord;
    use leveret_model::policy::{ApplyTo, PolicyDefinition};
    use leveret_model::{Arguments, NodeId, QueueId, RoutingKey, ShardAddress, ShardId, Value as Setting};

    fn table(entries: &[(&str, i64)]) -> Arguments {
        let entry = |(key, value): &(&str, i64)| (RoutingKey::new(key.as_bytes()), Setting::I64(*value));
        Arguments(entries.iter().map(entry).collect())
    }

    #[test]
    fn each_setting_has_its_value_and_who_set_it_and_policies_that_lost_are_named() {
        let mut policies = Policies::default();
        for (name, priority) in [("low", 0), ("high", 7)] {
            let settings = table(&[("max-length", 5), ("message-ttl", 1_000), ("expires", 10)]);
            let (vhost, name, pattern) = (Name::new("/"), Name::new(name), "^q".into());
            let apply_to = ApplyTo::All;
            let policy = PolicyDefinition { vhost, name, pattern, apply_to, priority, settings };
            policies.put(Policy::new(policy).into());
        }
        let arguments = table(&[("x-max-length", 9), ("x-message-ttl", 500), ("x-expires", 10)]).into();
        let definition =
            QueueDefinition { arguments, ..QueueDefinition::new(Name::new("/"), Name::new("q1")) };
        let home = ShardAddress { node: NodeId(7), shard: ShardId(0) };
        let record = QueueRecord { definition: definition.into(), id: QueueId::default(), home, epoch: 0 };
        let told = explained(&QueueStatus { record, masked: false, stood: true }, "hare", &policies);
        assert_eq!((&told["home"], &told["policy"]), (&"hare".into(), &"high".into()));
        let names: Vec<&str> = told["policies"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|one| one["name"].as_str())
            .collect();
        assert_eq!(names, ["high", "low"]);
        let of = |setting: &str| {
            let all = told["settings"].as_array().expect("a list");
            all.iter().find(|one| one["setting"] == setting).expect("it is explained").clone()
        };
        for (setting, value, set_by, policy, overruled) in [
            ("max-length", json!(5), "policy", json!("high"), json!(9)),
            ("message-ttl", json!(500), "argument", Value::Null, json!(1_000)),
            ("expires", json!(10), "argument and policy", json!("high"), Value::Null),
            ("overflow", Value::Null, "default", Value::Null, Value::Null),
        ] {
            let told = of(setting);
            assert_eq!((&told["value"], &told["set_by"]), (&value, &set_by.into()), "{setting}");
            assert_eq!((&told["policy"], &told["overruled"]), (&policy, &overruled), "{setting}");
        }
    }
}
