//! `leveret policy` at the admin socket: `policy set {…}`, `policy clear {"name": …}`, `policy list`.

use crossbeam_channel::bounded;
use leveret_model::definition::DEFAULT_VHOST;
use leveret_model::directory::{Command, Reply};
use leveret_model::policy::{ApplyTo, Pattern, Policies, Policy, PolicyDefinition, check_settings};
use leveret_model::{Arguments, Name, RoutingKey, Value as Setting, limits};
use serde_json::{Map, Value, json};

use super::settings_json::settings;
use super::{Admin, no_answer};
use crate::control_thread::ToControl;

impl Admin {
    pub(super) fn policy(&self, question: &str) -> Value {
        match question.split_once(' ').unwrap_or((question, "")) {
            ("list", "") => match self.policies() {
                Some(policies) => {
                    json!({ "policies": policies.iter().map(|one| shown(one)).collect::<Vec<_>>() })
                }
                None => no_answer("the control machine"),
            },
            ("set", text) => match definition(text) {
                Ok(policy) => self.command(Command::SetPolicy(policy.into())),
                Err(why) => json!({ "error": why }),
            },
            ("clear", text) => match name_in(text) {
                Ok(name) => self.command(Command::ClearPolicy { vhost: Name::new(DEFAULT_VHOST), name }),
                Err(why) => json!({ "error": why }),
            },
            _ => {
                json!({ "error": format!("unknown request 'policy {question}'; this node knows: set, clear, list") })
            }
        }
    }

    /// All policies, in their order.
    pub(super) fn policies(&self) -> Option<Policies> {
        let (to, answer) = bounded(1);
        self.control.send(ToControl::Policies { to });
        let mut policies = Policies::default();
        for policy in answer.recv_timeout(limits::ADMIN_WAIT).ok()? {
            policies.put(policy);
        }
        Some(policies)
    }

    /// Answered when every node that counts acts on it.
    fn command(&self, command: Command) -> Value {
        let (to, answer) = bounded(1);
        self.control.send(ToControl::Operator { command, to });
        match answer.recv_timeout(limits::OPERATOR_WAIT) {
            Ok(Reply::Refused(refusal)) => json!({ "error": refusal.text }),
            Ok(_) => json!({ "done": true }),
            Err(_) => no_answer("the control machine"),
        }
    }
}

/// A policy as `policy list` shows it, in the words of RabbitMQ's API.
fn shown(policy: &Policy) -> Value {
    let definition = policy.definition();
    json!({
        "vhost": definition.vhost.as_str(), "name": definition.name.as_str(), "pattern": &*definition.pattern,
        "apply-to": definition.apply_to.as_str(), "priority": definition.priority,
        "definition": settings(&definition.settings), "readable": policy.is_readable(),
    })
}

/// What an operator wrote, checked.
fn definition(text: &str) -> Result<PolicyDefinition, String> {
    let wanted: Value =
        serde_json::from_str(text).map_err(|error| format!("the request is no JSON: {error}"))?;
    let pattern = wanted["pattern"].as_str().ok_or("a policy has a pattern")?;
    Pattern::new(pattern).map_err(|why| format!("the pattern: {why}"))?;
    let apply_to = wanted["apply-to"].as_str().unwrap_or(ApplyTo::All.as_str());
    let apply_to = ApplyTo::from_name(apply_to).ok_or_else(|| {
        let known: Vec<&str> = ApplyTo::ALL.into_iter().map(ApplyTo::as_str).collect();
        format!("a policy applies to one of {}", known.join(", "))
    })?;
    let priority = match &wanted["priority"] {
        Value::Null => 0,
        priority => priority.as_i64().ok_or("the priority is no integer")?,
    };
    let entries = wanted["definition"].as_object().ok_or("the definition is no JSON object")?;
    let settings = arguments(entries)?;
    check_settings(&settings).map_err(|why| why.to_string())?;
    Ok(PolicyDefinition {
        vhost: Name::new(DEFAULT_VHOST),
        name: name_in(text)?,
        pattern: pattern.into(),
        apply_to,
        priority,
        settings,
    })
}

fn name_in(text: &str) -> Result<Name, String> {
    let wanted: Value =
        serde_json::from_str(text).map_err(|error| format!("the request is no JSON: {error}"))?;
    let name = wanted["name"].as_str().filter(|name| !name.is_empty()).ok_or("a policy has a name")?;
    Name::from_bytes(name.as_bytes()).map_err(|why| format!("the name is {why}"))
}

fn arguments(entries: &Map<String, Value>) -> Result<Arguments, String> {
    let entry = |(key, value): (&String, &Value)| {
        let value = match value {
            Value::Bool(on) => Setting::Bool(*on),
            Value::Number(number) => {
                let number = number
                    .as_i64()
                    .ok_or_else(|| format!("'{}' is too large or no integer", key.escape_debug()))?;
                Setting::I64(number)
            }
            Value::String(text) => Setting::LongString(text.as_bytes().into()),
            _ => Setting::Void,
        };
        if key.len() > leveret_model::SHORT_STRING_BYTES_MAX {
            return Err("a key is longer than 255 bytes".to_owned());
        }
        Ok((RoutingKey::new(key.as_bytes()), value))
    };
    entries.iter().map(entry).collect::<Result<_, _>>().map(Arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_policy_is_said_in_one_line() {
        for (text, says) in [
            ("{", "no JSON"),
            (r#"{"name":"p","definition":{"expires":1}}"#, "has a pattern"),
            (
                r#"{"name":"p","pattern":"(","definition":{"expires":1}}"#,
                "the pattern: it is no regular expression: unclosed group",
            ),
            (r#"{"name":"p","pattern":"","definition":{"expires":0}}"#, "'expires' takes an integer from 1"),
            (
                r#"{"name":"p","pattern":"","definition":{"expires":1.5}}"#,
                "'expires' is too large or no integer",
            ),
            (r#"{"name":"p","pattern":"","definition":{"expires":[1]}}"#, "'expires' takes an integer"),
            (
                r#"{"name":"p","pattern":"","definition":{"ha-mode":"all"}}"#,
                "unknown key 'ha-mode'; known keys: ",
            ),
            (r#"{"name":"p","pattern":"","definition":{}}"#, "a policy sets something"),
            (r#"{"name":"p","pattern":"","definition":[]}"#, "no JSON object"),
            (
                r#"{"name":"p","pattern":"","apply-to":"streams","definition":{"expires":1}}"#,
                "one of all, queues",
            ),
            (r#"{"name":"p","pattern":"","priority":"1","definition":{"expires":1}}"#, "no integer"),
            (r#"{"name":"","pattern":"","definition":{"expires":1}}"#, "has a name"),
        ] {
            let said = definition(text).expect_err(text);
            assert!(said.contains(says) && !said.contains('\n'), "{text}: {said}");
        }
    }

    #[test]
    fn a_policy_comes_back_with_the_types_that_it_was_written_with() {
        let text = r#"{"name":"p","pattern":"^q","priority":-2,"apply-to":"queues",
                       "definition":{"max-length":5,"overflow":"reject-publish"}}"#;
        let shown = shown(&Policy::new(definition(text).expect("it is a policy")));
        let written: Value = serde_json::from_str(text).expect("JSON");
        for key in ["name", "pattern", "priority", "apply-to", "definition"] {
            assert_eq!(shown[key], written[key], "{key}");
        }
    }
}
