//! What commands write for people and pipes.

use std::io::Write as _;

use anyhow::Context as _;

/// Writes to standard output; a reader that has gone is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("standard output cannot be written; make room there, or send it elsewhere")
        }
        _ => Ok(()),
    }
}
