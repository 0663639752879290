//! `leveret forget NODE`: a node that is down will not come back, so the cluster keeps nothing for it any more.

use anyhow::{Context as _, bail};
use leveret_model::limits::{ADMIN_REQUEST_BYTES_MAX, STATUS_ANSWER_WAIT};

use crate::status::{ask, read};
use crate::{config, output};

/// Flags of `leveret forget`.
#[derive(Debug, clap::Args)]
pub(crate) struct ForgetArgs {
    /// Name of the node, or the first 8 digits of its id or more
    #[arg(value_name = "NODE")]
    node: String,
    /// Data directory of the node to tell [default: `$XDG_DATA_HOME/leveret`, else `~/.local/share/leveret`]
    /// [env: LEVERET_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
}

/// Makes the cluster forget a node that is down for good.
pub(crate) fn run(args: &ForgetArgs) -> anyhow::Result<()> {
    let data_dir = config::data_dir(args.data_dir.as_deref(), &config::environment())?;
    let request = format!("forget {}", args.node);
    if request.len() > ADMIN_REQUEST_BYTES_MAX - 1 || request.contains(char::is_control) {
        bail!("'{}' is no name of a node; `leveret status` lists names and ids", args.node.escape_debug());
    }
    let document = read(&ask(&data_dir, &request, STATUS_ANSWER_WAIT)?)?;
    let name = document["forgotten"]["name"].as_str().context("the node's answer is not one to forget")?;
    let id = document["forgotten"]["id"].as_str().unwrap_or_default();
    output::print(&format!("forgotten: {name} ({})\n", id.get(..8).unwrap_or(id)))
}
