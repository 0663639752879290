//! Where nodes find each other: a registry gives seeds, and may be told of this node.
//!
//! A registry gives seeds, never truth: who answers there, authenticated, decides. Seeds that were given are
//! tried at once, whatever else does; that a node without any answer serves alone waits for the first answer of
//! every registry. What a registry said last is still tried when it fails: a running cluster needs none.
//!
//! Read first: the trait [`Registry`] in `driver`; then [`keep`], which drives one of them for as long as the
//! node runs.

mod board;
mod dns_update;
mod driver;
mod file;
mod name;
mod records;
mod verdict;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::{io, thread};

use leveret_model::{NodeId, limits};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{error, warn};

use self::board::Board;
use self::dns_update::{Own, Registrar};
use self::driver::Registry;
use self::file::SeedFile;
use self::name::DnsName;
use crate::control_thread::ToControl;
use crate::mailbox::MailTo;
use crate::node_config::{Discovery, NodeConfig};
use crate::registries::{Registries, Statuses, ToRegistry};

/// Who this node is, for a registry that it writes.
#[derive(Clone, Debug)]
pub(crate) struct Itself {
    pub(crate) node: NodeId,
    pub(crate) cluster: SocketAddr,
    pub(crate) clients: Vec<SocketAddr>,
}

type Drivers = Vec<(Box<dyn Registry>, UnboundedReceiver<ToRegistry>)>;

/// Makes the registries of the configuration.
///
/// # Errors
/// A name of this node in its zone that cannot be, in words.
fn drivers(config: &NodeConfig, itself: &Itself) -> Result<Vec<Box<dyn Registry>>, String> {
    let mut drivers: Vec<Box<dyn Registry>> = Vec::new();
    let Discovery { dns, seed_file, dns_update, dns_server, .. } = config.discovery.clone();
    if let Some((name, port)) = dns {
        drivers.push(Box::new(DnsName::new(name, port, dns_server)));
    }
    if let Some(path) = seed_file {
        drivers.push(Box::new(SeedFile::new(path)));
    }
    if let Some(update) = dns_update {
        let (node, cluster, clients) = (itself.node, itself.cluster, &itself.clients);
        let own = Own { node, name: &config.name, group: &config.group, cluster, clients };
        drivers.push(Box::new(Registrar::new(update, dns_server, &own)?));
    }
    Ok(drivers)
}

/// Checks what can be checked before anything runs.
///
/// # Errors
/// What cannot be, in words.
pub(crate) fn check(config: &NodeConfig, itself: &Itself) -> Result<(), String> {
    drivers(config, itself).map(|_| ())
}

/// Starts the registries' thread: the control thread hears of seeds, once if they were given, for ever if a
/// registry has them.
pub(crate) fn start(
    config: &NodeConfig,
    itself: &Itself,
    control: MailTo<ToControl>,
) -> io::Result<Registries> {
    let mut given = config.discovery.seeds.clone();
    given.truncate(limits::SEEDS_MAX);
    let count = drivers(config, itself).map_err(io::Error::other)?.len();
    let statuses = Arc::new(Statuses::default());
    if count == 0 {
        control.send(ToControl::Seeds(given));
        return Ok(Registries { mail: Vec::new(), statuses });
    }
    control.send(ToControl::FirstSeeds(given.clone()));
    let (mail, inboxes): (Vec<_>, Vec<_>) = (0..count).map(|_| unbounded_channel()).unzip();
    let (config, itself, shown) = (config.clone(), itself.clone(), Arc::clone(&statuses));
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let drivers = drivers(&config, &itself).map_err(io::Error::other);
        match runtime.and_then(|runtime| Ok((runtime, drivers?))) {
            Ok((runtime, drivers)) => {
                let drivers = drivers.into_iter().zip(inboxes).collect();
                runtime.block_on(keep_all(drivers, given, control, shown));
            }
            Err(error) => {
                warn!(%error, "no registry is asked: the system gives no event loop");
                control.send(ToControl::Seeds(given));
            }
        }
    };
    thread::Builder::new().name("registry".into()).spawn(work)?;
    Ok(Registries { mail, statuses })
}

async fn keep_all(drivers: Drivers, given: Vec<String>, control: MailTo<ToControl>, statuses: Arc<Statuses>) {
    let names = drivers.iter().map(|(driver, _)| driver.what()).collect();
    let board = Rc::new(Board::new(names, given, control, statuses));
    let tasks = LocalSet::new();
    for (index, (driver, inbox)) in drivers.into_iter().enumerate() {
        let board = Rc::clone(&board);
        tasks.spawn_local(keep(index, driver, inbox, board));
    }
    tasks.await;
}

/// Registers, asks for seeds, and does what the node says, until the node is gone.
async fn keep(
    index: usize,
    mut driver: Box<dyn Registry>,
    mut inbox: UnboundedReceiver<ToRegistry>,
    board: Rc<Board>,
) {
    let (mut ready, mut register_at, mut look_up_at) = (false, Instant::now(), Instant::now());
    loop {
        // What the node says comes first, also while a name server is silent: it may have to leave. Registered
        // before it looks: of nodes that start at once, the later one sees the earlier.
        let mail = if register_at <= Instant::now() {
            tokio::select! {
                biased;
                mail = inbox.recv() => mail,
                registered = driver.register(ready) => {
                    let wait = if registered.is_ok() { limits::REGISTER_EVERY } else { limits::REGISTER_AGAIN };
                    register_at = Instant::now() + wait + jitter();
                    board.on_registered(index, registered);
                    continue;
                }
            }
        } else if look_up_at <= Instant::now() {
            tokio::select! {
                biased;
                mail = inbox.recv() => mail,
                found = timeout(limits::LOOK_UP_WAIT, driver.seeds()) => {
                    board.on_found(index, found.unwrap_or_else(|_| Err("no answer in time".to_owned())));
                    look_up_at = Instant::now() + limits::LOOK_UP_EVERY;
                    continue;
                }
            }
        } else {
            tokio::select! {
                mail = inbox.recv() => mail,
                () = sleep_until(look_up_at.min(register_at)) => continue,
            }
        };
        match mail {
            Some(ToRegistry::Ready) => (ready, register_at) = (true, Instant::now()),
            Some(ToRegistry::Forgotten(node)) => {
                if let Err(error) = driver.forget(node).await {
                    warn!(registry = driver.what(), %node, %error, "records of a forgotten node may be left");
                }
            }
            Some(ToRegistry::Withdraw(done)) => {
                let withdrawn = timeout(limits::WITHDRAW_WAIT, driver.withdraw()).await;
                if let Err(error) = withdrawn.unwrap_or_else(|_| Err("no answer in time".to_owned())) {
                    error!(registry = driver.what(), %error, "records of this node may be left: delete them by hand, or start it again and stop it");
                }
                let _ = done.try_send(());
                if !stays(&mut inbox).await {
                    return;
                }
                register_at = Instant::now();
            }
            None => return,
        }
    }
}

/// This node has left the registry. True once it lets clients in again, false when it is gone.
async fn stays(inbox: &mut UnboundedReceiver<ToRegistry>) -> bool {
    while let Some(mail) = inbox.recv().await {
        match mail {
            ToRegistry::Ready => return true,
            ToRegistry::Withdraw(done) => drop(done.try_send(())),
            ToRegistry::Forgotten(_) => {}
        }
    }
    false
}

/// Nodes that failed together do not try again together.
fn jitter() -> std::time::Duration {
    let mut byte = [0];
    // without random bytes they do, which is slow and right
    let _ = getrandom::fill(&mut byte);
    limits::REGISTER_JITTER * u32::from(byte[0]) / 256
}

#[cfg(test)]
mod tests;
