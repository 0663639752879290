//! One start of a node: its shards' threads and its control thread, and when each has its turn.
//!
//! Invariant: threads of a process run in any order and with any pause between the halves of a shard's turn,
//! but one mailbox keeps its order, and mail that answers mail lies behind it.

use std::sync::Arc;
use std::time::Duration;

use leveret_auth::{Credential, Password, PasswordHash, Permissions, User, Users};
use leveret_cluster::{Config, Control, PeerHello};
use leveret_link::handshake::Capabilities;
use leveret_model::definition::DEFAULT_VHOST;
use leveret_model::{Boot, Incarnation, Instant, Name, NodeId, Seed, ShardAddress, ShardId};
use leveret_shard::{Pressure, Shard, ShardConfig};

use crate::control_host::{ControlHost, ControlMail};
use crate::event::{Actor, End, Event, HostId, ProcessId};
use crate::invariants::unknown_kept::View;
use crate::planted::Planted;
use crate::shard_host::{ShardHost, ShardMail};
use crate::world::Ways;

/// Shards of every node.
pub(crate) const SHARDS: u8 = 2;
/// argon2id with the smallest parameters there are, of "sim": a login in the simulator costs microseconds.
const HASH: &str =
    "$argon2id$v=19$m=8,t=1,p=1$BwcHBwcHBwcHBwcHBwcHBw$9oZaudjIrswZItTRTg1kuq3wfp/Bu0kw6XwQIEphN/k";
/// User and password of every client.
pub(crate) const USER: &str = "sim";
/// A thread that was woken has its turn within this.
const WAKE_MAX: Duration = Duration::from_micros(80);
/// Mail without an end: more in one mailbox than this is a leak.
const MAIL_MAX: usize = 50_000;

#[derive(Clone, Copy, Debug, Default)]
struct Turns {
    next: Option<(Instant, u64)>,
    token: u64,
    /// Between the halves of a turn.
    busy: bool,
    /// Woken meanwhile.
    again: bool,
}

/// A process.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) id: ProcessId,
    pub(crate) host: HostId,
    pub(crate) hello: PeerHello,
    pub(crate) shards: Vec<ShardHost>,
    pub(crate) control: ControlHost,
    /// Its clock is ahead of the world's by this: nobody may compare two nodes' times.
    clock: Duration,
    turns: Vec<Turns>,
    /// All threads stand still until then.
    pub(crate) still_until: Instant,
    /// A turn had to wait for that.
    pub(crate) was_put_off: bool,
    /// Shards are slow between the halves of their turns until then.
    pub(crate) starved_until: Instant,
}

impl Process {
    pub(crate) fn view(&self) -> View {
        View {
            name: self.hello.name.to_string(),
            is_later: self.control.later_version.is_some(),
            status: self.control.control.status(),
        }
    }

    /// Half of the starts find the data directory of the one before. The seeds of planted bugs were found
    /// without.
    fn identity(host: HostId, planted: Planted, ways: &mut Ways<'_>) -> (NodeId, Incarnation) {
        let fresh = NodeId(ways.schedule.dice.wide());
        let directory = ways.oracle.lifetimes.directory(host);
        let on_disk = ways.oracle.stores.disks.on;
        let again = directory.filter(|_| on_disk || planted == Planted::Nothing && fresh.0 & 1 == 1);
        again.map_or((fresh, Incarnation(1)), |(node, last)| (node, Incarnation(last.0 + 1)))
    }

    pub(crate) fn start(id: ProcessId, host: HostId, planted: Planted, ways: &mut Ways<'_>) -> Self {
        let (node, incarnation) = Self::identity(host, planted, ways);
        let hello = PeerHello {
            node,
            incarnation,
            boot: Boot(ways.schedule.dice.bits()),
            shards: SHARDS,
            address: host.address(),
            name: Name::new(&format!("n{}p{}", host.0, id.0)),
            capabilities: Capabilities::own(),
        };
        let clock = Duration::from_secs(1) + ways.schedule.dice.millis(0, 1_000_000_000);
        let now = ways.schedule.now + clock;
        let seed = Seed(ways.schedule.dice.bits());
        let config = Config {
            node,
            incarnation: hello.incarnation,
            boot: hello.boot,
            name: hello.name.clone(),
            shards: SHARDS,
            address: hello.address.clone(),
            seed,
            // each decides for its own queues: some do, some do not
            rebalance: seed.0.is_multiple_of(2),
            unix_ms_at_zero: 1_700_000_000_000_u64.saturating_sub(clock.as_millis() as u64),
        };
        let mut control = Control::new(now, config);
        planted.in_control(&mut control);
        let protocol = Arc::new(protocol(ways));
        let shard = |index: u8| {
            let own = ShardAddress { node, shard: ShardId(index) };
            let (seed, protocol) = (seed.part(u64::from(index) + 1), Arc::clone(&protocol));
            let mut shard = Shard::new(ShardConfig {
                own,
                boot: hello.boot,
                seed,
                protocol,
                users: users(),
                store: ways.oracle.stores.of_shard(),
                reply_key: core::array::from_fn(|at| (seed.0 >> (at % 8 * 8)) as u8),
            });
            shard.set_bounds(ways.oracle.buffers.bounds);
            shard.watch_routes();
            planted.in_shard(&mut shard);
            ShardHost::new(shard, (id, host), own, hello.boot)
        };
        let mut shards: Vec<ShardHost> = (0..SHARDS).map(shard).collect();
        if ways.oracle.stores.disks.on {
            let machines = shards.iter_mut().map(|host| &mut host.shard);
            ways.oracle.stores.disks.restore(now, host, &mut control, machines);
        }
        Self {
            id,
            host,
            shards,
            control: ControlHost::new(control, id, host, hello.clone()),
            clock,
            turns: vec![Turns::default(); usize::from(SHARDS) + 1],
            still_until: Instant::ZERO,
            was_put_off: false,
            starved_until: Instant::ZERO,
            hello,
        }
    }

    /// Its own clock.
    pub(crate) fn now(&self, world: Instant) -> Instant {
        world + self.clock
    }

    /// A point on its clock, as the world sees it.
    pub(crate) fn world_time(&self, local: Instant) -> Instant {
        if local == Instant::FAR { Instant::FAR } else { local - self.clock }
    }

    /// It may act on its view.
    pub(crate) fn has_lease(&self, world: Instant) -> bool {
        self.control.listening && self.control.control.status().lease > self.now(world)
    }

    /// A shard has done all that it could do with what it knows: no mail, no input, no turn under way or due.
    pub(crate) fn is_at_rest(&self, shard: usize, world: Instant) -> bool {
        let (turns, host) = (&self.turns[shard], &self.shards[shard]);
        let soon = world + WAKE_MAX;
        !turns.busy
            && world >= self.still_until
            && host.mail.is_empty()
            && host.ready.is_empty()
            && turns.next.is_none_or(|(at, _)| at > soon)
    }

    fn turns(&mut self, actor: Actor) -> &mut Turns {
        match actor {
            Actor::Shard(shard) => &mut self.turns[usize::from(shard)],
            Actor::Control => self.turns.last_mut().expect("made with the shards"),
        }
    }

    /// A thread has something to do.
    pub(crate) fn wake(&mut self, actor: Actor, ways: &mut Ways<'_>) {
        let turns = self.turns(actor);
        if turns.busy {
            turns.again = true;
            return;
        }
        let soon = ways.schedule.dice.micros(2, WAKE_MAX.as_micros() as u64);
        let at = ways.schedule.now + soon;
        self.turn_by(actor, at, ways);
    }

    fn turn_by(&mut self, actor: Actor, at: Instant, ways: &mut Ways<'_>) {
        let (process, at) = (self.id, at.max(self.still_until));
        let turns = self.turns(actor);
        if turns.busy || turns.next.is_some_and(|(next, _)| next <= at) {
            return;
        }
        turns.token += 1;
        let token = turns.token;
        turns.next = Some((at, token));
        ways.schedule.at(at, Event::Turn { process, actor, token });
    }

    /// All its shards hear how short of memory it is.
    pub(crate) fn set_pressure(&mut self, pressure: Pressure, ways: &mut Ways<'_>) {
        for shard in 0..SHARDS {
            self.shards[usize::from(shard)].pressure.now = pressure;
            self.wake(Actor::Shard(shard), ways);
        }
    }

    /// Connections may keep so much at their clients' will.
    pub(crate) fn set_clients_max(&mut self, bytes: u64, ways: &mut Ways<'_>) {
        for shard in 0..SHARDS {
            self.shards[usize::from(shard)].clients_max = bytes;
            self.wake(Actor::Shard(shard), ways);
        }
    }

    /// A client read what its kernel kept for it.
    pub(crate) fn has_room(&mut self, actor: Actor, ways: &mut Ways<'_>) {
        if let Actor::Shard(shard) = actor
            && self.shards[usize::from(shard)].waits_for_room()
        {
            self.wake(actor, ways);
        }
    }

    /// Something came to an end that a thread owns.
    pub(crate) fn arrived(&mut self, actor: Actor, end: End, ways: &mut Ways<'_>) {
        match actor {
            Actor::Shard(shard) => self.shards[usize::from(shard)].ready.push_back(end),
            Actor::Control => self.control.ready.push_back(end),
        }
        self.wake(actor, ways);
    }

    pub(crate) fn mail_control(&mut self, mail: ControlMail, ways: &mut Ways<'_>) {
        self.control.mail.push_back(mail);
        self.wake(Actor::Control, ways);
    }

    fn mail_shard(&mut self, shard: u8, mail: ShardMail, ways: &mut Ways<'_>) {
        let Some(host) = self.shards.get_mut(usize::from(shard)) else { return };
        host.mail.push_back(mail);
        if host.mail.len() > MAIL_MAX {
            ways.oracle.violation(
                ways.schedule.now,
                "buffers",
                format!("{} letters in a mailbox", host.mail.len()),
            );
        }
        self.wake(Actor::Shard(shard), ways);
    }

    /// A thread's turn begins, unless a later one was set meanwhile.
    pub(crate) fn on_turn(&mut self, actor: Actor, token: u64, ways: &mut Ways<'_>) {
        let turns = self.turns(actor);
        if turns.next.is_none_or(|(_, next)| next != token) {
            return;
        }
        turns.next = None;
        if ways.schedule.now < self.still_until {
            let until = self.still_until;
            self.was_put_off = true;
            return self.turn_by(actor, until, ways);
        }
        let now = self.now(ways.schedule.now);
        match actor {
            Actor::Control => {
                self.control.turn(now, ways);
                for (shard, mail) in std::mem::take(&mut self.control.to_shards) {
                    self.mail_shard(shard, mail, ways);
                }
                let deadline = self.world_time(self.control.next_deadline());
                if deadline < Instant::FAR {
                    self.turn_by(actor, deadline, ways);
                }
            }
            Actor::Shard(shard) => {
                self.turns(actor).busy = true;
                self.shards[usize::from(shard)].begin_turn(now, ways);
                let gap = self.gap(ways);
                ways.schedule.after(gap, Event::TurnGoesOn { process: self.id, shard });
            }
        }
    }

    /// A thread may be interrupted between taking its mail and reading its sockets.
    fn gap(&self, ways: &mut Ways<'_>) -> Duration {
        let dice = &mut ways.schedule.dice;
        if ways.schedule.now < self.starved_until && dice.chance(500) {
            dice.millis(1, 200)
        } else {
            dice.micros(1, 50)
        }
    }

    /// The second half of a shard's turn.
    pub(crate) fn on_turn_goes_on(&mut self, shard: u8, ways: &mut Ways<'_>) {
        if ways.schedule.now < self.still_until {
            return ways.schedule.at(self.still_until, Event::TurnGoesOn { process: self.id, shard });
        }
        let actor = Actor::Shard(shard);
        let all: u64 = self.shards.iter().map(|host| host.shard.kept_at_will()).sum();
        let host = &mut self.shards[usize::from(shard)];
        host.kept_elsewhere = all - host.shard.kept_at_will();
        let more = host.finish_turn(ways);
        let tells_others = std::mem::take(&mut host.tells_others);
        let (to_shards, to_control) =
            (std::mem::take(&mut host.to_shards), std::mem::take(&mut host.to_control));
        let deadline = host.next_deadline();
        let turns = self.turns(actor);
        turns.busy = false;
        let again = std::mem::take(&mut turns.again) || more;
        for (to, mail) in to_shards {
            self.mail_shard(to, mail, ways);
        }
        for mail in to_control {
            self.mail_control(mail, ways);
        }
        if again {
            self.wake(actor, ways);
        }
        for other in (0..SHARDS).filter(|other| tells_others && *other != shard) {
            self.wake(Actor::Shard(other), ways);
        }
        let deadline = self.world_time(deadline);
        if deadline < Instant::FAR {
            // timers of the real driver are never early
            self.turn_by(actor, deadline, ways);
        }
    }
}

fn users() -> Users {
    let mut users = Users::new([7; 32]);
    let hash = PasswordHash::from_phc(HASH).expect("the constant is a PHC string of argon2id");
    debug_assert!(hash.verify(&Password::new(USER.as_bytes())));
    let permissions = [(Name::new(DEFAULT_VHOST), Arc::new(Permissions::ALL))].into();
    users.put(
        Name::new(USER),
        User { credential: Credential::Hashed(hash), loopback_only: false, permissions },
    );
    users
}

/// What clients may have open, as drawn for the seed.
fn protocol(ways: &Ways<'_>) -> leveret_amqp::Config {
    let bounds = ways.oracle.buffers.protocol;
    leveret_amqp::Config {
        unacked_per_channel_max: bounds.unacked_max,
        deferred_bytes_max: bounds.deferred_max,
        deferred_per_connection_bytes_max: bounds.deferred_all_max,
        held_publish_bytes_max: bounds.held_max,
        ..leveret_amqp::Config::new("0.0.0", "sim")
    }
}
