//! `leveret leave`: tells a running node to hand its queues over and to stop, waits for that, or takes it back.
//! Its exit code is that of the node (docs/elasticity.md).

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use leveret_model::limits;
use serde_json::Value;

use crate::{config, output, status};

/// A node that leaves says a line much oftener than that.
const SILENT_MAX: Duration = Duration::from_secs(15);

/// Flags of `leveret leave`.
#[derive(Debug, clap::Args)]
pub(crate) struct LeaveArgs {
    /// Data directory of the node that is to leave [default: `$XDG_DATA_HOME/leveret`, else
    /// `~/.local/share/leveret`] [env: LEVERET_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Seconds that it has; then it stops with the queues that stayed
    #[arg(long, value_name = "SECONDS", default_value_t = limits::LEAVE_WITHIN.as_secs())]
    deadline: u64,
    /// Do not wait until it has stopped
    #[arg(long, conflicts_with_all = ["wait", "cancel"])]
    no_wait: bool,
    /// Wait for a leave that is under way too, instead of refusing to begin another: for a hook before the stop
    #[arg(long, conflicts_with = "cancel")]
    wait: bool,
    /// Take a leave back that is under way: the node lets clients in again, and stays
    #[arg(long, conflicts_with = "deadline")]
    cancel: bool,
}

/// Tells the node, then says what is left until the node is gone.
pub(crate) fn run(args: &LeaveArgs) -> anyhow::Result<ExitCode> {
    let data_dir = config::data_dir(args.data_dir.as_deref(), &config::environment())?;
    if args.cancel {
        return cancel(&data_dir);
    }
    if args.no_wait {
        let question = format!("leave {}", args.deadline);
        status::read(&status::ask(&data_dir, &question, limits::STATUS_ANSWER_WAIT)?)?;
        return output::print("the node leaves\n").map(|()| ExitCode::SUCCESS);
    }
    let word = if args.wait { "wait" } else { "follow" };
    follow(&data_dir, &format!("leave {} {word}", args.deadline))
}

fn cancel(data_dir: &Path) -> anyhow::Result<ExitCode> {
    let answer = status::ask(data_dir, "leave cancel", limits::STATUS_ANSWER_WAIT)?;
    let queues = status::read(&answer)?["queues"].as_u64().context("the node's answer says no number")?;
    output::print(&format!("the node stays: clients are let in again, and {queues} queues are here\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints what changes, until the node says how it ended.
fn follow(data_dir: &Path, question: &str) -> anyhow::Result<ExitCode> {
    let socket = status::send(data_dir, question, SILENT_MAX)?;
    let mut said = String::new();
    for line in BufReader::new(socket).lines() {
        let line = line.context("the node leaves and says nothing any more: see its log")?;
        let document = status::read(&line)?;
        let ended = &document["ended"];
        if !ended.is_null() {
            output::print(&ending(ended))?;
            let code = ended["code"].as_u64().and_then(|code| u8::try_from(code).ok());
            return Ok(code.context("the node ended with a code that is none")?.into());
        }
        let text = progress(&document);
        if text != said {
            output::print(&text)?;
            said = text;
        }
    }
    bail!("the node ended and did not say how: see its log and its exit code")
}

fn progress(document: &Value) -> String {
    match document["queues"].as_u64() {
        Some(queues) => format!("{queues} queues are here\n"),
        None if document["closing_clients"] == true => "its clients are sent to other nodes\n".to_owned(),
        None => String::new(),
    }
}

fn ending(ended: &Value) -> String {
    let text = ended["text"].as_str().unwrap_or_default();
    let [queues, lost] = ["queues", "lost"].map(|what| ended[what].as_u64().unwrap_or_default());
    match (queues, lost) {
        (0, 0) => format!("{text}\n"),
        _ => format!("{text}; {queues} queues and {lost} messages ended with it\n"),
    }
}
