//! The clients of a shard: their connections, who they are, and what they keep in memory.

mod connections;
mod logins;
mod memory;
mod substituted;
mod vhosts;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use leveret_amqp::LoginRefused;
use leveret_auth::{Access, HashUpgrade, Hashed, Login, Mechanism, Origin, Permissions, Users, Verdict};
use leveret_model::{ChannelNumber, ConnectionKey, Instant, Name, Refusal, ReplyCode, limits};
use leveret_route::VhostId;

use crate::effects::{ChannelRefusal, ChannelRefusals, Effects, HeldBack, PasswordJob, SubstitutedQueue};

pub(crate) use self::connections::{ClientConnection, Connections};
pub(crate) use self::memory::ClientMemory;

use self::logins::refusal;
use self::substituted::Substituted;

/// Who a client is, beside the protocol's own state.
#[derive(Debug, Default)]
pub(crate) struct Client {
    generation: u32,
    pub(crate) name: String,
    pub(crate) loopback: bool,
    /// Once logged in.
    pub(crate) user: Name,
    /// What the user may do in the vhost.
    permissions: Option<Arc<Permissions>>,
    pub(crate) vhost: Option<VhostId>,
    pub(crate) vhost_name: Name,
    /// It has not taken any output for long.
    pub(crate) unread: bool,
    /// Its exclusive queues have ended, and it gets no more.
    over: bool,
    /// A channel of it holds as many messages as it may.
    pub(crate) held_back: bool,
}

/// A client that waits for its vhost.
#[derive(Debug)]
struct Opening {
    connection: ConnectionKey,
    vhost: Name,
    until: Instant,
}

/// All clients of a shard, and the users that they may log in as.
#[derive(Debug)]
pub(crate) struct Clients {
    /// By the connection's slot.
    clients: Vec<Client>,
    users: Users,
    /// Outcomes of logins, for their connections.
    logins: Vec<(ConnectionKey, Result<Name, LoginRefused>)>,
    /// Clients whose vhost cannot be told of yet.
    openings: Vec<Opening>,
    /// Passwords to hash off the shard.
    passwords: Vec<PasswordJob>,
    hash_upgrades: Vec<HashUpgrade>,
    /// Channels that were closed in this turn, for the log.
    refused: ChannelRefusals,
    substituted: Substituted,
    /// Channels that came to hold as much as they may in this turn, for the log.
    held_back: Vec<HeldBack>,
}

impl Clients {
    pub(crate) fn new(users: Users) -> Self {
        Self {
            clients: Vec::new(),
            users,
            logins: Vec::new(),
            openings: Vec::new(),
            passwords: Vec::new(),
            hash_upgrades: Vec::new(),
            refused: ChannelRefusals::default(),
            substituted: Substituted::default(),
            held_back: Vec::new(),
        }
    }

    pub(crate) fn accept(&mut self, connection: ConnectionKey, name: String, loopback: bool) {
        let slot = connection.slot as usize;
        if self.clients.len() <= slot {
            self.clients.resize_with(slot + 1, Client::default);
        }
        let generation = connection.generation;
        self.clients[slot] = Client { generation, name, loopback, ..Client::default() };
    }

    pub(crate) fn lost(&mut self, connection: ConnectionKey) {
        self.clients[connection.slot as usize] = Client::default();
    }

    /// Of a connection that is there. hot.
    pub(crate) fn get(&self, connection: ConnectionKey) -> &Client {
        &self.clients[connection.slot as usize]
    }

    pub(crate) fn get_mut(&mut self, connection: ConnectionKey) -> &mut Client {
        &mut self.clients[connection.slot as usize]
    }

    /// Of a connection that may be gone.
    pub(crate) fn find(&self, connection: ConnectionKey) -> Option<&Client> {
        let client = self.clients.get(connection.slot as usize)?;
        (client.generation == connection.generation).then_some(client)
    }

    /// A connection is over.
    pub(crate) fn note_over(&mut self, connection: ConnectionKey) {
        let client = self.get_mut(connection);
        if client.generation == connection.generation {
            client.over = true;
        }
    }

    /// A connection is there, and not over.
    pub(crate) fn may_own_queues(&self, connection: ConnectionKey) -> bool {
        self.find(connection).is_some_and(|client| !client.over)
    }

    /// May the connection's user do that?
    pub(crate) fn authorize(
        &self,
        connection: ConnectionKey,
        access: Access,
        kind: &str,
        name: &str,
    ) -> Result<(), Refusal> {
        let client = self.get(connection);
        match &client.permissions {
            Some(permissions) => permissions.check(access, kind, name, &client.vhost_name, &client.user),
            None => Err(no_vhost()),
        }
    }

    /// A client wants to log in; the outcome is given out by [`Clients::pop_login`], or a password is hashed
    /// first.
    pub(crate) fn login(
        &mut self,
        connection: ConnectionKey,
        mechanism: &str,
        response: &[u8],
        now: Instant,
    ) {
        let login = match Mechanism::from_name(mechanism).and_then(|mechanism| mechanism.parse(response)) {
            Ok(login) => login,
            Err(error) => return self.logins.push((connection, Err(Refusal::from(error).into()))),
        };
        let origin = if self.get(connection).loopback { Origin::Loopback } else { Origin::Remote };
        match self.users.check(&login, origin, now) {
            Verdict::Known => self.logins.push((connection, Ok(login.user))),
            Verdict::Refused(refused) => {
                self.logins.push((connection, Err(refusal(refused, &login.user, mechanism))));
            }
            Verdict::NeedsHash(job) => {
                self.passwords.push(PasswordJob { connection, mechanism: mechanism.into(), job });
            }
        }
    }

    /// The client is in a vhost if its user may enter it.
    fn enter(&mut self, connection: ConnectionKey, vhost: &str, id: VhostId) -> Result<(), Refusal> {
        let user = self.get(connection).user.clone();
        let permissions = self.users.enter(&user, vhost)?;
        let client = self.get_mut(connection);
        client.permissions = Some(permissions);
        client.vhost = Some(id);
        client.vhost_name = Name::new(vhost);
        Ok(())
    }

    /// A password was hashed.
    pub(crate) fn on_password(
        &mut self,
        connection: ConnectionKey,
        mechanism: &str,
        hashed: Hashed,
        now: Instant,
    ) {
        self.hash_upgrades.extend(hashed.upgrade());
        let user = hashed.user().clone();
        let result = self.users.on_hashed(hashed, now);
        self.logins.push((connection, result.map_err(|refused| refusal(refused, &user, mechanism))));
    }

    /// Another shard of the node has a better hash of a user's password.
    pub(crate) fn on_hash_upgrade(&mut self, upgrade: HashUpgrade) {
        self.users.on_upgrade(upgrade);
    }

    /// Who logged in, if the connection is still there.
    pub(crate) fn note_user(&mut self, connection: ConnectionKey, user: &Name) {
        let client = self.get_mut(connection);
        if client.generation == connection.generation {
            client.user = user.clone();
        }
    }

    /// The outcome of a login, for its connection.
    pub(crate) fn pop_login(&mut self) -> Option<(ConnectionKey, Result<Name, LoginRefused>)> {
        self.logins.pop()
    }

    /// A channel is closed for something that its client asked; for the log.
    /// Consumers of the connection pause, or go on, because of that channel. Each time is noted once.
    #[cold]
    pub(crate) fn note_held_back(&mut self, connection: ConnectionKey, full: Option<ChannelNumber>) {
        let client = self.get_mut(connection);
        let was = core::mem::replace(&mut client.held_back, full.is_some());
        if let Some(channel) = full.filter(|_| !was) {
            let peer = client.name.clone();
            if self.held_back.len() < limits::LOG_LINES_AT_ONCE as usize {
                self.held_back.push(HeldBack { peer, channel });
            }
        }
    }

    pub(crate) fn note_refused(
        &mut self,
        connection: ConnectionKey,
        channel: ChannelNumber,
        code: ReplyCode,
        text: &Name,
    ) {
        if self.refused.first.len() == limits::LOG_LINES_AT_ONCE as usize {
            self.refused.more += 1;
            return;
        }
        let peer = self.get(connection).name.clone();
        self.refused.first.push(ChannelRefusal { peer, channel, code, text: text.clone() });
    }

    /// A client declared a queue of a type that is not here.
    pub(crate) fn note_substituted(&mut self, connection: ConnectionKey, queue: &Name, kind: &'static str) {
        let client = self.get(connection);
        let (peer, vhost, name) = (client.name.clone(), client.vhost_name.clone(), queue.clone());
        self.substituted.note(SubstitutedQueue { peer, vhost, name, kind });
    }

    /// What the driver is to do, and to log.
    pub(crate) fn end_turn(&mut self, effects: &mut Effects) {
        effects.passwords.append(&mut self.passwords);
        effects.hash_upgrades.append(&mut self.hash_upgrades);
        effects.refused.first.clear();
        effects.refused.more = 0;
        core::mem::swap(&mut effects.refused, &mut self.refused);
        effects.substituted.append(&mut self.substituted.untold);
        effects.held_back.clear();
        effects.held_back.append(&mut self.held_back);
    }
}

/// For logins of RESP clients (`sessions/logins.rs`), which have no mechanism and answer in their own words.
impl Clients {
    pub(crate) fn check_login(&mut self, login: &Login, origin: Origin, now: Instant) -> Verdict {
        self.users.check(login, origin, now)
    }

    pub(crate) fn on_hashed(
        &mut self,
        hashed: Hashed,
        now: Instant,
    ) -> Result<Name, leveret_auth::LoginRefused> {
        self.users.on_hashed(hashed, now)
    }

    pub(crate) fn push_password(&mut self, job: PasswordJob) {
        self.passwords.push(job);
    }

    pub(crate) fn note_upgrade(&mut self, upgrade: Option<HashUpgrade>) {
        self.hash_upgrades.extend(upgrade);
    }

    pub(crate) fn session_permissions(&self, user: &Name, vhost: &str) -> Option<Arc<Permissions>> {
        self.users.enter(user, vhost).ok()
    }
}

pub(crate) fn no_vhost() -> Refusal {
    Refusal::new(ReplyCode::NotAllowed, "no vhost is open")
}
