//! Log lines on standard error: for people, or as JSON on request.
//!
//! Who logs waits for nobody: a thread of the log's own writes (`backlog.rs`). The filter is a list of targets
//! and levels, not patterns: it costs nothing at start and one comparison per call site later. Nothing on the
//! path of a message logs at all.

mod backlog;

use std::io::IsTerminal;
use std::panic::{PanicHookInfo, set_hook};

use leveret_model::limits;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use self::backlog::Backlog;
use crate::config::LogFormat;

static BACKLOG: Backlog = Backlog::new(limits::LOG_WRITE_EVERY);

/// Sets the process's log up. Called once, before any other thread starts; [`flush`] comes before the end.
pub(crate) fn start(format: LogFormat, filter: Targets) -> anyhow::Result<()> {
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(&BACKLOG);
    match format {
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init()?,
        LogFormat::Human => registry.with(lines.with_ansi(false)).try_init()?,
        LogFormat::Auto => registry.with(lines.with_ansi(std::io::stderr().is_terminal())).try_init()?,
    }
    std::thread::Builder::new().name("log".into()).spawn(|| BACKLOG.write_to(std::io::stderr()))?;
    Ok(())
}

/// Waits until all lines are written, or a second: nobody may be there who reads them.
pub(crate) fn flush() {
    BACKLOG.flush(limits::LOG_FLUSH_WAIT);
}

/// A panic is a bug of ours, and what the thread held may be half done: one line that says where, then the end
/// of the whole process. Without a hook a build that unwinds would go on without one of its shards.
pub(crate) fn end_on_panic() {
    set_hook(Box::new(|info| {
        tracing::error!("{}", last_words(info));
        flush();
        std::process::abort();
    }));
}

fn last_words(info: &PanicHookInfo<'_>) -> String {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("without a name");
    let place = info.location().map_or_else(|| "somewhere".to_owned(), ToString::to_string);
    let what = info.payload_as_str().unwrap_or("no words").replace('\n', " ");
    format!("panic in thread {thread} at {place}: {what}; this is a bug, the node ends")
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;

    const CHILD: &str = "LEVERET_TEST_PANIC";

    /// The test runs itself as a child process, whose thread panics while its main thread would wait for ever.
    #[test]
    fn a_panic_in_any_thread_is_one_line_and_the_end_of_the_process() {
        if std::env::var_os(CHILD).is_some() {
            start(LogFormat::Json, Targets::new().with_default(tracing::Level::INFO)).unwrap();
            end_on_panic();
            let thread = std::thread::Builder::new().name("shard-7".into());
            thread.spawn(|| panic!("two\nlines")).unwrap();
            loop {
                std::thread::park();
            }
        }
        let name = "logging::tests::a_panic_in_any_thread_is_one_line_and_the_end_of_the_process";
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        assert_eq!(child.status.signal(), Some(6), "SIGABRT: {child:?}");
        let said = String::from_utf8(child.stderr).unwrap();
        let expected = ["\"level\":\"ERROR\"", "thread shard-7 at ", "logging.rs", "two lines"];
        assert!(expected.iter().all(|part| said.contains(part)), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}
