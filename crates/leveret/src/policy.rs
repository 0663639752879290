//! `leveret policy`: sets, clears and lists policies, over the admin socket of any node of a cluster.

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use leveret_model::limits::{ADMIN_REQUEST_BYTES_MAX, SESSION_ADMIN_WAIT, STATUS_ANSWER_WAIT};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::status::{ask, read, table};
use crate::{config, output};

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Set a policy, or write it over: it holds for every queue and exchange whose name its pattern matches
    Set(SetArgs),
    /// Clear a policy: what it set is as if it had never been
    Clear(ClearArgs),
    /// List the policies of the cluster, those of the highest priority first
    List(ListArgs),
}

#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// Name of the policy
    #[arg(value_name = "NAME")]
    name: String,
    /// Regular expression that is sought in names, as `^orders\.`; `.*` is every name
    #[arg(value_name = "PATTERN", allow_hyphen_values = true)]
    pattern: String,
    /// Settings as a JSON object, as `{"max-length": 1000, "overflow": "reject-publish"}`
    #[arg(value_name = "DEFINITION")]
    definition: String,
    /// Of the policies that match a name the one with the highest counts, and no other
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    priority: i64,
    /// What it may apply to
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = ApplyTo::All)]
    apply_to: ApplyTo,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ClearArgs {
    /// Name of the policy
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    node: NodeArgs,
}

/// Whom to ask.
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// Data directory of the node to ask [default: `$XDG_DATA_HOME/leveret`, else `~/.local/share/leveret`]
    /// [env: LEVERET_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
}

impl NodeArgs {
    /// Asks the node with one line, and gives its document.
    pub(crate) fn ask(&self, request: &str, wait: std::time::Duration) -> anyhow::Result<Value> {
        if request.len() > ADMIN_REQUEST_BYTES_MAX - 1 {
            bail!(
                "that is {} bytes for the node, {} is the most",
                request.len(),
                ADMIN_REQUEST_BYTES_MAX - 1
            );
        }
        let data_dir = config::data_dir(self.data_dir.as_deref(), &config::environment())?;
        read(&ask(&data_dir, request, wait)?)
    }
}

/// RabbitMQ's names; quorum queues and streams are not there.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ApplyTo {
    All,
    Queues,
    #[value(name = "classic_queues")]
    ClassicQueues,
    Exchanges,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Policy {
    name: String,
    pattern: String,
    apply_to: String,
    priority: i64,
    definition: Value,
    readable: bool,
}

/// Does it.
pub(crate) fn run(command: &PolicyCommand) -> anyhow::Result<()> {
    match command {
        PolicyCommand::Set(args) => set(args),
        PolicyCommand::Clear(args) => {
            args.node.ask(&format!("policy clear {}", json!({ "name": args.name })), SESSION_ADMIN_WAIT)?;
            output::print("cleared on all nodes\n")
        }
        PolicyCommand::List(args) => list(args),
    }
}

fn set(args: &SetArgs) -> anyhow::Result<()> {
    let definition: Value =
        serde_json::from_str(&args.definition).context("the definition is no JSON object")?;
    let apply_to = args.apply_to.to_possible_value();
    let request = json!({
        "name": args.name, "pattern": args.pattern, "definition": definition, "priority": args.priority,
        "apply-to": apply_to.as_ref().map(clap::builder::PossibleValue::get_name),
    });
    args.node.ask(&format!("policy set {request}"), SESSION_ADMIN_WAIT)?;
    output::print("set on all nodes\n")
}

fn list(args: &ListArgs) -> anyhow::Result<()> {
    let mut document = args.node.ask("policy list", STATUS_ANSWER_WAIT)?;
    if args.json {
        return output::print(&format!("{:#}\n", document["policies"]));
    }
    let policies: Vec<Policy> = serde_json::from_value(document["policies"].take())
        .context("the node's answer is no list of policies")?;
    let columns = ["priority", "name", "pattern", "applies to", "definition"];
    output::print(&table(&columns, &[0], &policies, |policy| {
        let mut pattern = policy.pattern.clone();
        if !policy.readable {
            pattern.push_str(" (this version cannot read it)");
        }
        let Policy { name, apply_to, priority, definition, .. } = policy;
        vec![priority.to_string(), name.clone(), pattern, apply_to.clone(), definition.to_string()]
    }))
}
