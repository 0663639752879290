//! The clients of the world: they come, act, lose their connections and come again.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::client::{Client, Phase};
use crate::event::{ClientId, End, Event, HostId};
use crate::faults::FaultKind;
use crate::network::{HostState, Owner, Purpose};
use crate::topology::{Base, ENDING, base_of};
use crate::workload::Role;
use crate::world::{Ways, World, ways};

impl World {
    pub(crate) fn new_client(&mut self, role: Role, late: Duration) {
        let id = ClientId(self.clients.len() as u32);
        self.clients.push(Client::new(id, role));
        self.schedule.after(late, Event::ClientConnects(id));
        self.schedule.after(late, Event::ClientActs(id));
    }

    pub(crate) fn connect(&mut self, id: ClientId) {
        let mut ways = ways!(self);
        let client = &mut self.clients[id.0 as usize];
        if client.phase != Phase::Away {
            return;
        }
        let host = HostId(ways.schedule.dice.below(usize::from(self.hosts)) as u8);
        let HostState::Runs(process) = ways.network.hosts[host.index()] else {
            let late = ways.schedule.dice.millis(50, 400);
            return self.schedule.after(late, Event::ClientConnects(id));
        };
        let dialler = (Owner::Client(id), None);
        let end = ways.network.open(ways.schedule, dialler, (process, host), Purpose::Client);
        let node = ways.hellos[&process].node;
        ways.trace.say(ways.schedule.now, || {
            format!("client {} ({:?}) connects to host {}", id.0, client.role, host.0)
        });
        client.connected(end, (process, node, host), &mut ways);
    }

    /// A client takes what came, unless it does not read for now.
    pub(crate) fn client_hears(&mut self, id: ClientId, end: End) {
        let mut ways = ways!(self);
        let client = &mut self.clients[id.0 as usize];
        if client.end != Some(end) || client.deaf {
            client.missed |= client.end == Some(end);
            return;
        }
        let other = ways.network.other_owner(end);
        if !client.on_readable(&mut ways) {
            return self.client_lost(id);
        }
        if let Some(Owner::Thread(process, actor)) = other
            && let Some(process) = self.processes.get_mut(&process)
        {
            process.has_room(actor, &mut ways);
        }
    }

    /// A client reads again.
    pub(crate) fn client_reads(&mut self, id: ClientId) {
        let client = &mut self.clients[id.0 as usize];
        let missed = std::mem::take(&mut client.missed);
        if missed {
            self.count(FaultKind::SlowReader);
        }
        let client = &mut self.clients[id.0 as usize];
        if std::mem::take(&mut client.deaf)
            && let Some(end) = client.end
        {
            self.oracle.late = true;
            self.client_hears(id, end);
            self.oracle.late = false;
        }
    }

    pub(crate) fn client_lost(&mut self, id: ClientId) {
        let mut ways = ways!(self);
        self.clients[id.0 as usize].disconnected(&mut ways);
        let late = self.schedule.dice.millis(50, 500);
        self.schedule.after(late, Event::ClientConnects(id));
    }

    pub(crate) fn act(&mut self, id: ClientId) {
        let next = self.schedule.dice.millis(10, 110);
        self.schedule.after(next, Event::ClientActs(id));
        let client = &self.clients[id.0 as usize];
        if let Some((process, node, _)) = client.at
            && !self.processes.contains_key(&process)
            && self
                .oracle
                .lifetimes
                .last_end(node)
                .is_some_and(|at| self.schedule.now.since(at) > Duration::from_secs(2))
        {
            // heartbeats would have told it by now
            return self.client_lost(id);
        }
        if let Role::Consumer { base, .. } = client.role
            && Base::SINGLE.contains(&base)
        {
            self.note_alone(base);
        }
        let mut ways = ways!(self);
        self.clients[id.0 as usize].act(&mut ways);
    }

    /// Does the queue have one consumer?
    fn note_alone(&mut self, base: Base) {
        let homes = self.processes.values().flat_map(|process| &process.shards);
        let queues = homes.flat_map(|host| host.shard.report().queues);
        let consumers: Vec<u32> = queues
            .filter(|queue| base_of(&queue.name).is_some_and(|(of, _)| of == base))
            .map(|queue| queue.consumers)
            .collect();
        if consumers == [1] {
            self.alone.insert(base);
        } else {
            self.alone.remove(&base);
        }
    }

    /// Queues that nobody consumes get a consumer.
    pub(crate) fn drain(&mut self) {
        let mut queues = BTreeSet::new();
        for queue in
            self.processes.values().flat_map(|p| &p.shards).flat_map(|host| host.shard.report().queues)
        {
            if queue.consumers == 0 && !queue.name.starts_with(ENDING) {
                queues.insert(queue.name);
            }
        }
        for queue in queues {
            let consumed = |client: &Client| matches!(&client.role, Role::Consumer { base, .. } if base.name() == queue.as_str());
            if !self.clients.iter().any(consumed) {
                let queue = queue.as_str().to_owned();
                self.new_client(Role::Drainer { queue }, Duration::from_millis(1));
            }
        }
    }
}
