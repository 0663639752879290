//! Log lines on standard error: for people, or as JSON on request.
//!
//! The filter is a list of targets and levels, not patterns: it costs nothing at start and one comparison per call
//! site later. Nothing on the path of a message logs at all.

use std::io::IsTerminal;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogFormat;

/// Sets the process's log up. Called once, before any thread starts.
pub(crate) fn start(format: LogFormat, filter: Targets) -> anyhow::Result<()> {
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init()?,
        LogFormat::Human => registry.with(lines.with_ansi(false)).try_init()?,
        LogFormat::Auto => registry.with(lines.with_ansi(std::io::stderr().is_terminal())).try_init()?,
    }
    Ok(())
}
