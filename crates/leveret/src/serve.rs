//! `leveret serve`: runs a node until it is told to stop.

use crate::config::{self, ServeArgs};
use crate::logging;

/// Loads the settings, starts the log, and runs the node.
pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<()> {
    let config::Loaded { settings, unknown_variables } = config::load(args, &config::environment())?;
    let _secret = config::read_secret(&settings)?;
    logging::start(settings.log_format, settings.log_level.clone())?;
    for name in unknown_variables {
        tracing::warn!("{name} is no setting of leveret");
    }
    anyhow::bail!("the server is not linked in yet")
}
