//! `leveret queue`: lists queues, and says of one what each of its settings is and who set it.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use leveret_model::limits::STATUS_ANSWER_WAIT;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::output;
use crate::policy::NodeArgs;
use crate::status::{table, tame};

/// What to do with queues.
#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// List the queues of the cluster; a queue that lives at another node is counted there alone
    Ls(LsArgs),
    /// Show the settings of one queue, and for each who set it: the declaration, or which policy
    Explain(ExplainArgs),
}

#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Name of the queue
    #[arg(value_name = "NAME")]
    name: String,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Queue {
    name: String,
    home: String,
    ready: Option<u64>,
    unacked: Option<u64>,
    consumers: Option<u64>,
    away: bool,
    policy: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Explained {
    name: String,
    home: String,
    shard: u64,
    away: bool,
    durable: bool,
    auto_delete: bool,
    exclusive: bool,
    settings: Vec<Setting>,
    policies: Vec<Matching>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Setting {
    setting: String,
    value: Value,
    set_by: String,
    policy: Option<String>,
    overruled: Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Matching {
    name: String,
    priority: i64,
    pattern: String,
}

/// Does it.
pub(crate) fn run(command: &QueueCommand) -> anyhow::Result<()> {
    match command {
        QueueCommand::Ls(args) => list(args),
        QueueCommand::Explain(args) => explain(args),
    }
}

fn list(args: &LsArgs) -> anyhow::Result<()> {
    let mut document = args.node.ask("queue ls", STATUS_ANSWER_WAIT)?;
    if args.json {
        return output::print(&format!("{:#}\n", document["queues"]));
    }
    let names = document["nodes"].take();
    let queues: Vec<Queue> = serde_json::from_value(document["queues"].take())
        .context("the node's answer is no list of queues")?;
    let count = |n: Option<u64>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
    let columns = ["queue", "home", "ready", "unacked", "consumers", "policy"];
    output::print(&table(&columns, &[2, 3, 4], &queues, |queue| {
        let mut home = names[&queue.home].as_str().unwrap_or(&queue.home).to_owned();
        if queue.away {
            home.push_str(" (down)");
        }
        let policy = queue.policy.clone().unwrap_or_default();
        let counts = [count(queue.ready), count(queue.unacked), count(queue.consumers)];
        let mut row = vec![queue.name.clone(), home];
        row.extend(counts);
        row.push(policy);
        row
    }))
}

fn explain(args: &ExplainArgs) -> anyhow::Result<()> {
    let request = format!("queue explain {}", json!({ "name": args.name }));
    let document = args.node.ask(&request, STATUS_ANSWER_WAIT)?;
    if args.json {
        return output::print(&format!("{document:#}\n"));
    }
    let queue = serde_json::from_value(document).context("the node's answer explains no queue")?;
    output::print(&render(&queue))
}

fn render(queue: &Explained) -> String {
    let kinds =
        [(queue.durable, "durable"), (queue.auto_delete, "auto-delete"), (queue.exclusive, "exclusive")];
    let kinds: Vec<&str> = kinds.into_iter().filter(|(is, _)| *is).map(|(_, kind)| kind).collect();
    let kinds = if kinds.is_empty() { "transient".to_owned() } else { kinds.join(", ") };
    let away = if queue.away { ", which is down" } else { "" };
    let (name, home) = (tame(&queue.name), tame(&queue.home));
    let mut text = format!("queue {name} ({kinds})\n  lives at {home}, shard {}{away}\n", queue.shard);
    text.push_str(&match &queue.policies[..] {
        [] => "  no policy matches its name\n".to_owned(),
        [policy, ..] => format!("  policy {}\n", shown(policy)),
    });
    for policy in queue.policies.iter().skip(1) {
        text.push_str(&format!("  also matches, and does not count: {}\n", shown(policy)));
    }
    text.push('\n');
    text.push_str(&table(&["setting", "value", "set by", "overruled"], &[], &queue.settings, |setting| {
        let mut set_by = setting.set_by.clone();
        if let Some(policy) = &setting.policy {
            set_by.push_str(&format!(" '{policy}'"));
        }
        vec![setting.setting.clone(), value(&setting.value), set_by, value(&setting.overruled)]
    }));
    text
}

fn shown(policy: &Matching) -> String {
    let Matching { name, priority, pattern } = policy;
    format!("'{}', priority {priority}, pattern '{}'", tame(name), tame(pattern))
}

fn value(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_explained_and_no_name_forges_a_line() {
        let evil = "p\u{1b}[2J\nqueue forged";
        let queue: Explained = serde_json::from_value(json!({
            "name": evil, "home": "hare", "shard": 1, "durable": true, "policy": evil,
            "settings": [
                { "setting": "max-length", "value": 5, "set_by": "policy", "policy": evil, "overruled": 9 },
                { "setting": "overflow", "value": null, "set_by": "default", "policy": null, "overruled": null },
            ],
            "policies": [
                { "name": evil, "priority": 7, "pattern": evil }, { "name": "low", "priority": 0, "pattern": "^q" },
            ],
        }))
        .expect("the document is valid");
        let text = render(&queue);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert!(text.lines().all(|line| !line.starts_with("queue forged")), "{text}");
        assert!(text.contains("lives at hare, shard 1\n") && text.contains("(durable)"), "{text}");
        assert!(text.contains("does not count: 'low', priority 0, pattern '^q'"), "{text}");
        let line = text.lines().find(|line| line.contains("max-length")).expect("a line");
        assert!(line.contains('5') && line.contains("policy 'p") && line.ends_with('9'), "{line}");
        let line = text.lines().find(|line| line.contains("overflow")).expect("a line");
        assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["overflow", "-", "default", "-"]);
    }
}
