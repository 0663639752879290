//! `leveret serve`: runs a node until it is told to stop.
//!
//! Standard output gets one line for each fact that another program may wait for, the last of them `ready`; people
//! and log collectors read standard error.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};

use anyhow::Context as _;
use leveret_server::{Node, NodeConfig};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::cli::print;
use crate::config::{self, ServeArgs, Settings};
use crate::logging;

/// Loads the settings, starts the node, and waits for SIGTERM or SIGINT: a quick stop, exit code 0.
pub(crate) fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let result = serve(args);
    logging::flush();
    result
}

fn serve(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let loaded = config::load(args, &config::environment())?;
    let secret = config::read_secret(&loaded)?;
    let config::Loaded { settings, unknown_variables, .. } = loaded;
    logging::start(settings.log_format, settings.log_level.clone())?;
    logging::end_on_panic();
    for name in unknown_variables {
        tracing::warn!("{name} is no setting of leveret: see docs/configuration.md");
    }
    raise_descriptors();
    let data_dir = settings.data_dir.clone();
    let ready = Arc::new(AtomicBool::new(false));
    // Before any other thread: a signal must find its handler from the first moment.
    let stop = stop_signal(Arc::clone(&ready)).context("signals cannot be handled")?;
    let node = Node::start(&node_config(settings, secret))?;
    print(&format!("listening for AMQP on {}\n", node.listen()))?;
    print(&format!("listening for cluster on {}\n", node.cluster_listen()))?;
    print(&format!("admin socket {}\n", node.admin().display()))?;
    print(&format!(
        "data in {}; durable queues and persistent messages are kept in memory\n",
        data_dir.display()
    ))?;
    let others = match node.wait_ready() {
        Ok(others) => others,
        Err(error) => {
            node.stop();
            return Err(error.into());
        }
    };
    print(&match others {
        0 => "alone: no other node answered\n".to_owned(),
        1 => "joined 1 other node\n".to_owned(),
        n => format!("joined {n} other nodes\n"),
    })?;
    ready.store(true, Ordering::Release);
    print("ready\n")?;
    // The sender lives as long as the process, so this ends with a signal only.
    let _ = stop.recv();
    node.stop();
    Ok(ExitCode::SUCCESS)
}

/// As many connections as the system allows: the soft limit is for programs that use `select`.
fn raise_descriptors() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(%error, "the limit of open files stays as it is; connections beyond it will wait");
    }
}

/// Tells when to stop. A node that nobody could connect to yet holds nothing and ends at once.
fn stop_signal(ready: Arc<AtomicBool>) -> std::io::Result<Receiver<()>> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let (sender, receiver) = channel();
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for _ in signals.forever() {
            if !ready.load(Ordering::Acquire) || sender.send(()).is_err() {
                logging::flush();
                std::process::exit(0);
            }
        }
    })?;
    Ok(receiver)
}

fn node_config(settings: Settings, secret: Option<Vec<u8>>) -> NodeConfig {
    NodeConfig {
        name: settings.name.unwrap_or_else(|| default_name(settings.listen)),
        listen: settings.listen,
        cluster_listen: settings.cluster_listen,
        data_dir: settings.data_dir,
        group: settings.group,
        seeds: settings.seed.iter().map(SocketAddr::to_string).collect(),
        dns: settings.dns.map(|dns| (dns.name, dns.port)),
        dns_server: settings.dns_server,
        secret,
        shards: settings.shards,
        memory_bytes: settings.memory,
    }
}

/// Host name and client port; without the port if the system is to choose it.
fn default_name(listen: SocketAddr) -> String {
    let system = rustix::system::uname();
    let host = system.nodename().to_str().ok().filter(|name| !name.is_empty()).unwrap_or("leveret");
    match listen.port() {
        0 => host.to_owned(),
        port => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_without_a_name_is_called_after_host_and_port() {
        let name = |address: &str| default_name(address.parse().expect("an address"));
        assert!(name("127.0.0.1:5672").ends_with(":5672"));
        assert!(!name("127.0.0.1:0").contains(":0") && !name("127.0.0.1:0").is_empty());
    }
}
