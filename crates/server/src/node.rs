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
use leveret_model::{Boot, Name, NodeId, Seed, ShardAddress, ShardId, limits};
use leveret_sessions::Home;
use leveret_shard::{SessionConfig, SessionShared, Shard, ShardConfig, Store};

use crate::accept::ClientCounts;
use crate::admin::{Admin, NodeFacts};
use crate::busy::BusyShares;
use crate::client_ports::{SessionPort, bind, bind_client_ports, local, warn_if_nobody_gets_in};
use crate::clock;
use crate::control_thread::{ControlParts, ControlThread, ToControl};
use crate::data_dir::{AdminSocket, lock_data_dir, open_admin};
use crate::default_user::users_of_shard;
use crate::half_open::HalfOpen;
use crate::identity::{NodeIdentity, count_start};
use crate::join_report::JoinReport;
use crate::leave_desk::{LeaveStage, Leaves, leaves};
use crate::links::Identity;
use crate::mailbox::MailTo;
use crate::memory::NodeMemory;
use crate::node_config::{NodeConfig, SessionSettings};
use crate::passwords::Passwords;
use crate::registries::{Registries, ToRegistry};
use crate::registry::{self, Itself};
use crate::session_image;
use crate::session_sockets::SessionSockets;
use crate::shard_thread::{self, ShardThread, ToShardThread, Ways};
use crate::source_network::SourceNetwork;
use crate::start_error::StartError;

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
        let behind_proxies = !config.proxy_protocol_from.is_empty();
        warn_if_nobody_gets_in(&client_ports, &config.default_user, &config.loopback_users, behind_proxies);
        let cluster_listen = local(&cluster_socket)?;
        let mut session_port = bind_sessions(config)?;
        let session_listen = session_port.as_ref().map(|port| port.address);
        let (what, address, flag) = ("cluster", cluster_listen, "--cluster-listen");
        let wrong = |error| StartError::Listen { what, address, flag, error };
        cluster_socket.listen(limits::LISTEN_BACKLOG).map_err(wrong)?;
        let (admin, admin_listener) = open_admin(&config.data_dir)?;

        let hello = hello(config, cluster_listen)?;
        let id = hello.node;
        let image = session_image::Place { data_dir: config.data_dir.clone(), node: id };
        session_port.iter_mut().for_each(|port| port.image = image.take());
        let itself = Itself { node: id, cluster: cluster_listen, clients: listen.clone() };
        registry::check(config, &itself).map_err(StartError::Registration)?;
        let memory = Arc::new(NodeMemory::new(config.shards, config.memory_bytes, config.give_memory_back));
        let (control_loop, control) = ControlThread::prepare()?;
        let busy = Arc::new(BusyShares::new(config.shards));
        let (shards, threads) = start_shards(config, (&hello, session_listen), &control, (&memory, &busy))?;
        let (ready_sender, ready) = bounded(1);
        let admin_door = admin_listener.try_clone()?;
        let facts = Arc::new(facts(config, &hello, listen.clone(), session_listen));
        let registries = registry::start(config, &itself, control.clone())?;
        let statuses = Arc::clone(&registries.statuses);
        let (leaves, leave) = leaves();
        let (to_control, to_shards) = (control.clone(), shards.clone());
        Admin { facts, memory, busy, control: to_control, shards: to_shards, statuses, leave }
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
) -> NodeFacts {
    NodeFacts {
        id: hello.node,
        name: config.name.clone(),
        listen,
        cluster_listen: hello.address.to_string(),
        sessions: session_listen.zip(config.sessions.as_ref().map(|sessions| sessions.memory_bytes)),
        // for people, who may be in another directory
        data_dir: std::path::absolute(&config.data_dir).unwrap_or_else(|_| config.data_dir.clone()),
        started: clock::now(),
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the kernel gives random bytes: without them no identity is unique");
    bytes
}

type ShardThreads = (Vec<MailTo<ToShardThread>>, Vec<JoinHandle<u64>>);

/// Starts the shards' threads; all addresses are there before the first one runs.
fn start_shards(
    config: &NodeConfig,
    (hello, session_listen): (&Hello, Option<SocketAddr>),
    control: &MailTo<ToControl>,
    (memory, busy): (&Arc<NodeMemory>, &Arc<BusyShares>),
) -> Result<ShardThreads, StartError> {
    let mut prepared = Vec::new();
    let mut shards = Vec::new();
    for _ in 0..config.shards {
        let (event_loop, address) = shard_thread::prepare()?;
        prepared.push(event_loop);
        shards.push(address);
    }
    let passwords = Passwords::new();
    let half_open = Arc::new(HalfOpen::default());
    let clients = Arc::new(ClientCounts::new(config.shards));
    passwords.answer_to(shards.clone());
    let mut protocol = leveret_amqp::Config::new(env!("CARGO_PKG_VERSION"), &config.group);
    protocol.substitute_queue_types = config.clients.substitute_queue_types;
    protocol.consumer_timeout = config.clients.consumer_timeout;
    let protocol = Arc::new(protocol);
    let process_key: [u8; 32] = random();
    let user = config.default_user.to_user(&random(), &config.loopback_users);
    let proxies: Arc<[SourceNetwork]> = config.proxy_protocol_from.as_slice().into();
    let shared = config.sessions.as_ref();
    let shared = shared.map(|sessions| Arc::new(SessionShared::new(config.shards, sessions.memory_bytes)));
    let mut threads = Vec::new();
    for (index, event_loop) in prepared.into_iter().enumerate() {
        let own = ShardAddress { node: hello.node, shard: ShardId(index as u8) };
        let mut shard = Shard::new(ShardConfig {
            own,
            boot: hello.boot,
            seed: Seed(u64::from_le_bytes(random())),
            protocol: Arc::clone(&protocol),
            users: users_of_shard(process_key, user.clone()),
            store: Store::Memory,
            reply_key: random(),
        });
        if let Some((sessions, shared)) = config.sessions.as_ref().zip(shared.as_ref()) {
            let seed = Seed(u64::from_le_bytes(random()));
            shard.open_sessions(seed, &session_config(sessions, (hello, session_listen), shared));
        }
        let sessions = SessionSockets::new(shared.clone());
        let ways = Ways {
            shards: shards.clone(),
            control: control.clone(),
            passwords: passwords.clone(),
            memory: Arc::clone(memory),
            half_open: Arc::clone(&half_open),
            clients: Arc::clone(&clients),
            busy: Arc::clone(busy),
            proxies: Arc::clone(&proxies),
        };
        let boot = hello.boot;
        let work = move || ShardThread::new(event_loop, (shard, own), boot, ways, sessions).run();
        threads.push(thread::Builder::new().name(format!("shard-{index}")).spawn(work)?);
    }
    Ok((shards, threads))
}

fn capabilities(config: &NodeConfig) -> Capabilities {
    match config.sessions {
        Some(_) => Capabilities::own().with(Capability::SESSIONS),
        None => Capabilities::own(),
    }
}

fn session_config(
    settings: &SessionSettings,
    (hello, listen): (&Hello, Option<SocketAddr>),
    shared: &Arc<SessionShared>,
) -> SessionConfig {
    SessionConfig {
        home: Home { node: hello.node, boot: hello.boot },
        name: hello.name.clone(),
        address: Name::new(&session_address(hello, listen.unwrap_or(settings.listen)).to_string()),
        shards: hello.shards,
        memory_bytes: settings.memory_bytes,
        value_bytes_max: settings.value_bytes_max,
        gone_for_ms: settings.gone_for.as_millis() as u64,
        rules: settings.rules.clone(),
        copies: settings.copies,
        shared: Arc::clone(shared),
    }
}

/// Where clients reach the session listener. One that listens on all addresses is reached where other nodes
/// reach this one.
fn session_address(hello: &Hello, mut listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified()
        && let Ok(cluster) = hello.address.parse::<SocketAddr>()
    {
        listen.set_ip(cluster.ip());
    }
    listen
}

fn bind_sessions(config: &NodeConfig) -> Result<Option<SessionPort>, StartError> {
    let Some(sessions) = &config.sessions else { return Ok(None) };
    let socket = bind(sessions.listen, "session", "--session-listen", false)?;
    let address = local(&socket)?;
    Ok(Some(SessionPort { socket, address, image: None }))
}
