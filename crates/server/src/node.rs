//! A node: its threads, from start to stop.

mod leave;

pub use self::leave::LeaveBy;

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, bounded, select};
use leveret_link::handshake::{Capabilities, Capability, Hello, PROTOCOL, Purpose, Secret};
use leveret_model::{Boot, Name, NodeId, Seed, limits};
use socket2::Socket;

use crate::admin::{Admin, NodeFacts};
use crate::busy::BusyShares;
use crate::client_ports::{SessionPort, bind, bind_client_ports, local, warn_if_nobody_gets_in};
use crate::clock;
use crate::control_thread::{ControlParts, ControlThread, ToControl};
use crate::data_dir::{AdminSocket, lock_data_dir, open_admin};
use crate::disk::{self, LogThread, StoreReports};
use crate::identity::{NodeIdentity, count_start};
use crate::join_report::JoinReport;
use crate::leave_desk::{LeaveStage, Leaves, leaves};
use crate::links::Identity;
use crate::mailbox::MailTo;
use crate::memory::NodeMemory;
use crate::node_config::NodeConfig;
use crate::registries::{Registries, ToRegistry};
use crate::registry::{self, Itself};
use crate::session_image;
use crate::shard_thread::ToShardThread;
use crate::start_error::StartError;
use crate::start_shards::{Started, random, start_shards};

/// A running node.
#[derive(Debug)]
pub struct Node {
    listen: Vec<SocketAddr>,
    cluster_listen: SocketAddr,
    session_listen: Option<SocketAddr>,
    admin: AdminSocket,
    admin_door: StdUnixListener,
    id: NodeId,
    control: MailTo<ToControl>,
    shards: Vec<MailTo<ToShardThread>>,
    threads: Vec<JoinHandle<u64>>,
    control_thread: Option<JoinHandle<()>>,
    ready: Receiver<Result<JoinReport, StartError>>,
    leaves: Leaves,
    registries: Registries,
    log: Option<LogThread>,
    image: session_image::Place,
    _lock: File,
}

impl Node {
    /// Starts all threads. The client port is bound at once and opened when the node is ready.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub fn start(config: &NodeConfig) -> Result<Self, StartError> {
        if config.secret.is_none() && !config.cluster_listen.ip().is_loopback() {
            return Err(StartError::NoSecret(config.cluster_listen));
        }
        let secret = config.secret.as_ref().map_or(Ok(Secret::None), |bytes| Secret::shared(bytes))?;
        let lock = lock_data_dir(&config.data_dir)?;
        let client_ports = bind_client_ports(&config.listen)?;
        let cluster_socket = bind(config.cluster_listen, "cluster", "--cluster-listen", false)?;
        let listen: Vec<SocketAddr> = client_ports.iter().map(|port| port.address).collect();
        warn_if_nobody_gets_in(&client_ports, config);
        let cluster_listen = local(&cluster_socket)?;
        let mut session_port = bind_sessions(config)?;
        let session_listen = session_port.as_ref().map(|port| port.address);
        listen_cluster(&cluster_socket, cluster_listen)?;
        let (admin, admin_listener) = open_admin(&config.data_dir)?;

        let hello = hello(config, cluster_listen)?;
        let id = hello.node;
        let image = session_image::Place { data_dir: config.data_dir.clone(), node: id };
        session_port.iter_mut().for_each(|port| port.image = image.take());
        let itself = Itself { node: id, cluster: cluster_listen, clients: listen.clone() };
        registry::check(config, &itself).map_err(StartError::Registration)?;
        let memory =
            Arc::new(NodeMemory::new(config.shards, config.memory_bytes, config.process.give_memory_back));
        let (control_loop, control) = ControlThread::prepare()?;
        let busy = Arc::new(BusyShares::new(config.shards));
        let started = start_shards(config, (&hello, session_listen), &control, (&memory, &busy))?;
        let Started { shards, threads, log, gate, restored, reports } = started;
        let (ready_sender, ready) = bounded(1);
        let admin_door = admin_listener.try_clone()?;
        let facts = Arc::new(facts(config, &hello, listen.clone(), session_listen, reports));
        let registries = registry::start(config, &itself, control.clone())?;
        let statuses = Arc::clone(&registries.statuses);
        let (leaves, leave) = leaves();
        Admin { facts, memory, busy, control: control.clone(), shards: shards.clone(), statuses, leave }
            .start(admin_listener)?;
        let parts = ControlParts {
            identity: Identity { hello, secret },
            client_ports,
            rebalance: config.rebalance,
            session_port,
            cluster_listener: cluster_socket.into(),
            shards: shards.clone(),
            seed: Seed(u64::from_le_bytes(random())),
            ready: ready_sender,
            registries: registries.clone(),
            restored,
            store: gate,
        };
        let work = move || ControlThread::new(control_loop, parts).run();
        let control_thread = Some(thread::Builder::new().name("control".into()).spawn(work)?);
        Ok(Self {
            listen,
            cluster_listen,
            session_listen,
            admin,
            admin_door,
            id,
            control,
            shards,
            threads,
            control_thread,
            ready,
            leaves,
            registries,
            log: Some(log),
            image,
            _lock: lock,
        })
    }

    /// Waits until clients are let in; gives whom it found by then, or nothing if it is to stop before.
    ///
    /// # Errors
    /// [`StartError::Listen`] if another process opened the client port first; then nobody can connect here,
    /// and the node is to be stopped. [`StartError::Ended`] if it ended by itself.
    pub fn wait_ready(&self, stop: &Receiver<()>) -> Result<Option<JoinReport>, StartError> {
        select! {
            recv(self.ready) -> ready => {
                let found = ready.unwrap_or(Err(StartError::Ended))?;
                self.registries.tell(&ToRegistry::Ready);
                self.leaves.desk.set(LeaveStage::Serving);
                Ok(Some(found))
            }
            recv(stop) -> _ => Ok(None),
        }
    }

    /// Where clients connect.
    #[must_use]
    pub fn listen(&self) -> &[SocketAddr] {
        &self.listen
    }

    /// Where other nodes connect.
    #[must_use]
    pub fn cluster_listen(&self) -> SocketAddr {
        self.cluster_listen
    }

    /// Where RESP clients connect, if sessions are on.
    #[must_use]
    pub fn session_listen(&self) -> Option<SocketAddr> {
        self.session_listen
    }

    /// The admin socket.
    #[must_use]
    pub fn admin(&self) -> &Path {
        &self.admin.0
    }

    /// This node's identity.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// A quick stop: no registry names this node any more, clients get 320, then every thread ends. Gives the
    /// messages that are lost with the node's memory.
    pub fn stop(mut self) -> u64 {
        // first, so that nobody is sent here while it stops
        self.registries.withdraw();
        for shard in &self.shards {
            shard.send(ToShardThread::Stop);
        }
        let messages = self.threads.drain(..).map(|thread| thread.join().unwrap_or(0)).sum();
        self.control.send(ToControl::Stop);
        if let Some(thread) = self.control_thread.take() {
            let _ = thread.join();
        }
        if let Some(log) = self.log.take() {
            disk::close(log);
        }
        let _ = rustix::net::shutdown(&self.admin_door, rustix::net::Shutdown::Both);
        messages
    }
}

/// Who this node is to others. Its start is counted on the disk before anybody hears of it.
fn hello(config: &NodeConfig, cluster_listen: SocketAddr) -> Result<Hello, StartError> {
    let draw = || NodeId(u128::from_le_bytes(random()));
    let NodeIdentity { node, incarnation } = count_start(&config.data_dir, draw)?;
    Ok(Hello {
        protocol: PROTOCOL,
        group: Name::new(&config.group),
        node,
        incarnation,
        boot: Boot(u64::from_le_bytes(random())),
        shards: config.shards,
        name: Name::new(&config.name),
        address: Name::new(&cluster_listen.to_string()),
        purpose: Purpose::Control,
        capabilities: capabilities(config),
    })
}

fn facts(
    config: &NodeConfig,
    hello: &Hello,
    listen: Vec<SocketAddr>,
    session_listen: Option<SocketAddr>,
    store: StoreReports,
) -> NodeFacts {
    NodeFacts {
        id: hello.node,
        name: config.name.clone(),
        listen,
        cluster_listen: hello.address.to_string(),
        sessions: session_listen.zip(config.sessions.as_ref().map(|sessions| sessions.memory_bytes)),
        // for people, who may be in another directory
        data_dir: std::path::absolute(&config.data_dir).unwrap_or_else(|_| config.data_dir.clone()),
        store,
        started: clock::now(),
    }
}

fn capabilities(config: &NodeConfig) -> Capabilities {
    match config.sessions {
        Some(_) => Capabilities::own().with(Capability::SESSIONS).with(Capability::SESSION_SURVEYS),
        None => Capabilities::own(),
    }
}

fn listen_cluster(socket: &Socket, address: SocketAddr) -> Result<(), StartError> {
    socket.listen(limits::LISTEN_BACKLOG).map_err(|error| StartError::Listen {
        what: "cluster",
        address,
        flag: "--cluster-listen",
        error,
    })
}

fn bind_sessions(config: &NodeConfig) -> Result<Option<SessionPort>, StartError> {
    let Some(sessions) = &config.sessions else { return Ok(None) };
    let socket = bind(sessions.listen, "session", "--session-listen", false)?;
    let address = local(&socket)?;
    Ok(Some(SessionPort { socket, address, image: None }))
}
