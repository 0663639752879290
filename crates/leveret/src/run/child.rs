//! The process under an instance: its start, its signals, its end.
//!
//! The process is started through this program itself (`run-child`), which asks the kernel for SIGTERM at the
//! death of its parent and then becomes the command. That needs no unsafe code between fork and exec.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{
    Pid, Signal, WaitOptions, getppid, kill_process, kill_process_group, set_parent_process_death_signal,
    test_kill_process, wait,
};
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

use crate::config::ConfigError;

/// Exit code of a command that cannot be started, as in a shell.
const NOT_FOUND: u8 = 127;
/// A process that is not ours is looked at each.
const WATCH_EVERY: Duration = Duration::from_millis(100);

/// The command with `{port}` filled in.
pub(super) fn filled(command: &[OsString], port: u16) -> Result<Vec<OsString>, ConfigError> {
    command.iter().map(|word| fill(word, port)).collect()
}

fn fill(word: &OsStr, port: u16) -> Result<OsString, ConfigError> {
    let bytes = word.as_bytes();
    let mut filled = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(open) = rest.iter().position(|byte| *byte == b'{') {
        let (before, behind) = rest.split_at(open);
        filled.extend_from_slice(before);
        let close = behind.iter().position(|byte| *byte == b'}');
        let name = close.map(|close| &behind[1..close]).filter(|name| {
            !name.is_empty() && name.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'_')
        });
        match name {
            Some(b"port") => filled.extend_from_slice(port.to_string().as_bytes()),
            Some(name) => {
                let name = String::from_utf8_lossy(name);
                return Err(ConfigError::new(format!(
                    "{{{name}}} in the command is unknown: there is {{port}}"
                )));
            }
            // Anything else in braces is the application's.
            None => {
                filled.push(b'{');
                rest = &behind[1..];
                continue;
            }
        }
        rest = &behind[name.map_or(1, <[u8]>::len) + 2..];
    }
    filled.extend_from_slice(rest);
    Ok(OsString::from_vec(filled))
}

/// Signals of this process.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Stream,
    interrupt: Stream,
    children: Stream,
    passed_on: Vec<(Stream, Signal)>,
}

impl Signals {
    pub(super) fn catch() -> anyhow::Result<Self> {
        let catch = |kind| signal(kind).context("signals cannot be handled");
        let passed_on = [Signal::HUP, Signal::USR1, Signal::USR2, Signal::WINCH, Signal::TTIN, Signal::TTOU];
        let passed_on =
            passed_on.into_iter().map(|passed| Ok((catch(SignalKind::from_raw(passed.as_raw()))?, passed)));
        Ok(Self {
            terminate: catch(SignalKind::terminate())?,
            interrupt: catch(SignalKind::interrupt())?,
            children: catch(SignalKind::child())?,
            passed_on: passed_on.collect::<anyhow::Result<_>>()?,
        })
    }
}

/// What the process or an operator did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// SIGTERM or SIGINT came.
    Terminate,
    /// The process has ended.
    Exited(i32),
    /// Look again.
    Nothing,
}

/// The process.
#[derive(Debug)]
pub(super) struct Child {
    signals: Signals,
    process: Process,
}

#[derive(Debug)]
enum Process {
    /// Started here, leader of a group of its own.
    Own(Pid),
    /// Somebody else's; it is watched.
    Foreign(Pid),
    /// Nothing to watch: the address alone is announced.
    Unknown,
    Ended,
}

impl Child {
    pub(super) fn start(command: &[OsString], port: u16, signals: Signals) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let mut starter = Command::new(program);
        starter.arg("run-child").arg("--").args(command).process_group(0);
        if port != 0 {
            starter.env("PORT", port.to_string());
        }
        let started = starter.spawn().context("the command cannot be started")?;
        let pid = Pid::from_raw(i32::try_from(started.id())?).context("a process has an id")?;
        Ok(Self { signals, process: Process::Own(pid) })
    }

    pub(super) fn watch(pid: Option<i32>) -> anyhow::Result<Self> {
        let process = pid.and_then(Pid::from_raw).map_or(Process::Unknown, Process::Foreign);
        Ok(Self { signals: Signals::catch()?, process })
    }

    /// Whose figures are read.
    pub(super) fn pid(&self) -> Option<i32> {
        match self.process {
            Process::Own(pid) | Process::Foreign(pid) => Some(pid.as_raw_nonzero().get()),
            Process::Unknown | Process::Ended => None,
        }
    }

    /// SIGTERM to the process itself: it knows how to end its own.
    pub(super) fn terminate(&self) {
        if let Process::Own(pid) = self.process {
            // It may have ended in this moment; its end comes by itself.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// SIGKILL to the whole group.
    pub(super) fn kill(&self) {
        if let Process::Own(pid) = self.process {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }

    /// The next thing that happens.
    pub(super) async fn woken(&mut self) -> Woken {
        let watched = matches!(self.process, Process::Foreign(_));
        let Signals { terminate, interrupt, children, passed_on } = &mut self.signals;
        let [hangup, one, two, window, input, output] = &mut passed_on[..] else {
            unreachable!("six signals are passed on")
        };
        let passed = tokio::select! {
            _ = terminate.recv() => return Woken::Terminate,
            _ = interrupt.recv() => return Woken::Terminate,
            _ = children.recv() => return self.reap(),
            () = tokio::time::sleep(WATCH_EVERY), if watched => return self.look(),
            _ = hangup.0.recv() => hangup.1,
            _ = one.0.recv() => one.1,
            _ = two.0.recv() => two.1,
            _ = window.0.recv() => window.1,
            _ = input.0.recv() => input.1,
            _ = output.0.recv() => output.1,
        };
        if let Process::Own(pid) = self.process {
            let _ = kill_process(pid, passed);
        }
        Woken::Nothing
    }

    /// As process 1 of a container this one inherits every orphan, and must collect it.
    fn reap(&mut self) -> Woken {
        let mut woken = Woken::Nothing;
        while let Ok(Some((ended, status))) = wait(WaitOptions::NOHANG) {
            if matches!(self.process, Process::Own(pid) if pid == ended) {
                self.process = Process::Ended;
                // As a shell says it.
                let by_signal = || status.terminating_signal().map_or(1, |signal| 128 + signal);
                woken = Woken::Exited(status.exit_status().unwrap_or_else(by_signal));
            }
        }
        woken
    }

    fn look(&mut self) -> Woken {
        match self.process {
            Process::Foreign(pid)
                if test_kill_process(pid).is_err_and(|error| error == rustix::io::Errno::SRCH) =>
            {
                self.process = Process::Ended;
                Woken::Exited(0)
            }
            _ => Woken::Nothing,
        }
    }
}

/// `leveret run-child`: becomes the command.
pub(crate) fn exec(command: &[OsString]) -> anyhow::Result<ExitCode> {
    let parent = getppid();
    set_parent_process_death_signal(Some(Signal::TERM))
        .context("the kernel takes no signal for the parent's death")?;
    if getppid() != parent {
        // The parent died before the kernel knew what to do about it.
        return Ok(ExitCode::FAILURE);
    }
    let (program, arguments) = command.split_first().context("there is no command")?;
    let error = Command::new(program).args(arguments).exec();
    eprintln!("leveret: {} cannot be started: {error}", program.to_string_lossy().escape_debug());
    Ok(ExitCode::from(NOT_FOUND))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_filled_in_and_other_braces_are_left_alone() {
        for (word, expected) in [
            ("{port}", "8000"),
            ("127.0.0.1:{port}", "127.0.0.1:8000"),
            ("{port}{port}", "80008000"),
            ("{\"a\":{}}", "{\"a\":{}}"),
            ("a{", "a{"),
            ("{Port}", "{Port}"),
        ] {
            assert_eq!(fill(OsStr::new(word), 8000).expect("fine"), expected, "{word}");
        }
        let error = fill(OsStr::new("x{prot}"), 8000).expect_err("a typing error").to_string();
        assert!(error.contains("{prot}") && error.contains("{port}"), "{error}");
    }
}
