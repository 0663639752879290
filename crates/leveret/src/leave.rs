//! `leveret leave`: tells a running node to hand its queues over and to stop, and waits for that.

use std::time::{Duration, Instant};

use anyhow::bail;
use leveret_model::limits;
use serde_json::Value;

use crate::{config, output, status};

/// How often the node is asked what is left.
const ASK_EVERY: Duration = Duration::from_millis(200);

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
    #[arg(long)]
    no_wait: bool,
}

/// Tells the node, then says what is left until the node is gone.
pub(crate) fn run(args: &LeaveArgs) -> anyhow::Result<()> {
    let data_dir = config::data_dir(args.data_dir.as_deref(), &config::environment())?;
    let answer = status::ask(&data_dir, &format!("leave {}", args.deadline), limits::STATUS_ANSWER_WAIT)?;
    status::read(&answer)?;
    if args.no_wait {
        return output::print("the node leaves\n");
    }
    let until = Instant::now() + Duration::from_secs(args.deadline) + limits::STATUS_ANSWER_WAIT;
    let mut said = None;
    while Instant::now() < until {
        // no answer, or half of one: it has stopped, or does so now
        let answer = status::ask(&data_dir, "status", limits::STATUS_ANSWER_WAIT);
        let Ok(report) = answer.and_then(|answer| status::read(&answer)) else {
            return output::print(
                "the node has stopped; its log and exit code say whether something stayed\n",
            );
        };
        let left = queues_here(&report);
        if said != Some(left) {
            output::print(&format!("{left} queues are here\n"))?;
            said = Some(left);
        }
        // nothing comes there: this waits, and no longer
        let _ = crossbeam_channel::never::<()>().recv_timeout(ASK_EVERY);
    }
    bail!("the node still runs after its time: see its log")
}

/// Queues whose home is the node that was asked.
fn queues_here(report: &Value) -> usize {
    let own = &report["node"]["id"];
    let queues = report["queues"].as_array().map_or(&[][..], Vec::as_slice);
    queues.iter().filter(|queue| queue["home"] == *own).count()
}
