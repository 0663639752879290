//! `leveret rebalance`: tells a running node to give queues to nodes that have fewer of them.

use leveret_model::limits;

use crate::{config, output, status};

/// Flags of `leveret rebalance`.
#[derive(Debug, clap::Args)]
pub(crate) struct RebalanceArgs {
    /// Data directory of the node [default: `$XDG_DATA_HOME/leveret`, else `~/.local/share/leveret`]
    /// [env: LEVERET_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
}

/// Tells the node; the queues move behind that.
pub(crate) fn run(args: &RebalanceArgs) -> anyhow::Result<()> {
    let data_dir = config::data_dir(args.data_dir.as_deref(), &config::environment())?;
    let answer = status::ask(&data_dir, "rebalance", limits::STATUS_ANSWER_WAIT)?;
    status::read(&answer)?;
    output::print("short queues move to nodes that have fewer; `leveret status` shows where they are\n")
}
