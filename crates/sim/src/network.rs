//! The network: TCP connections ("pipes") between hosts and from clients, with delays, cuts and resets.
//!
//! Read first: [`Network::send`] and [`Network::arrive`]. Invariants: one direction of a pipe keeps its order;
//! a cut loses nothing, it holds back (TCP repeats), until the pipe is reset; the end of a process closes its
//! pipes, the end of a host does not, until it is up again and answers what still comes with a reset.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use leveret_model::Instant;

use crate::dials::Dials;
use crate::event::{Actor, ClientId, End, Event, HostId, PipeId, ProcessId, Schedule, Side};
use crate::truth::Truth;

mod kernel;

pub(crate) use kernel::SILENCE;

/// What a connection is for, as its dialler knows it: for the choice of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Control,
    Data,
    Client,
    Stranger,
}

/// Which port was dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    Amqp,
    Cluster,
}

/// What travels.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    /// The connection is there.
    Open(Port),
    Bytes(Bytes),
    Close,
}

/// Who reads an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Nobody yet: what comes waits in the kernel.
    Unclaimed(ProcessId),
    Thread(ProcessId, Actor),
    Client(ClientId),
    Stranger(u32),
}

impl Owner {
    fn process(self) -> Option<ProcessId> {
        match self {
            Self::Unclaimed(process) | Self::Thread(process, _) => Some(process),
            Self::Client(_) | Self::Stranger(_) => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mouth {
    Open,
    Closed,
    /// Its host died without a word.
    Mute,
}

#[derive(Debug)]
struct PipeEnd {
    owner: Owner,
    host: Option<HostId>,
    mouth: Mouth,
    inbox: VecDeque<Item>,
    /// On its way to this end.
    flight: VecDeque<(Instant, Item)>,
    last_arrival: Instant,
}

#[derive(Debug)]
struct Pipe {
    purpose: Purpose,
    ends: [PipeEnd; 2],
    /// What is said on it is lost, and nobody is told.
    silent: bool,
    /// It fell silent by a fault that nothing was lost by yet.
    unheard: bool,
}

/// One direction between two hosts.
#[derive(Clone, Debug, Default)]
struct Way {
    cuts: u32,
    extra: Duration,
    /// How often something was held back by a cut or came later.
    hits: u64,
}

/// What runs on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostState {
    Runs(ProcessId),
    /// The process is gone, the kernel answers.
    Idle,
    /// Nothing answers.
    Off,
}

/// All connections, and how the ways between hosts are.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) hosts: Vec<HostState>,
    ways: Vec<Way>,
    /// Usual one-way delay between hosts.
    usual: (Duration, Duration),
    pipes: BTreeMap<PipeId, Pipe>,
    next_pipe: u32,
    pub(crate) dials: Dials,
    pub(crate) truth: Truth,
    /// Silences that something was lost by, until they are counted.
    pub(crate) silences: u64,
}

impl Network {
    pub(crate) fn new(hosts: usize, usual: (Duration, Duration)) -> Self {
        Self {
            hosts: vec![HostState::Idle; hosts],
            ways: vec![Way::default(); hosts * hosts],
            usual,
            pipes: BTreeMap::new(),
            next_pipe: 0,
            dials: Dials::default(),
            truth: Truth::new(hosts),
            silences: 0,
        }
    }

    fn way(&self, from: HostId, to: HostId) -> &Way {
        &self.ways[from.index() * self.hosts.len() + to.index()]
    }

    fn way_mut(&mut self, from: HostId, to: HostId) -> &mut Way {
        let hosts = self.hosts.len();
        &mut self.ways[from.index() * hosts + to.index()]
    }

    /// How often a cut or a delay between these hosts met something.
    pub(crate) fn hits(&self, shape: &[(HostId, HostId)]) -> u64 {
        shape.iter().map(|(from, to)| self.way(*from, *to).hits).sum()
    }

    /// Something met a cut or a delay.
    pub(crate) fn hit(&mut self, from: HostId, to: HostId) {
        self.way_mut(from, to).hits += 1;
    }

    pub(crate) fn is_cut(&self, from: HostId, to: HostId) -> bool {
        self.way(from, to).cuts > 0
    }

    fn note_truth(&mut self, now: Instant, from: HostId, to: HostId) {
        let way = self.way(from, to);
        let good = way.cuts == 0 && way.extra + self.usual.1 <= Truth::DELAY_MAX;
        self.truth.set(now, from, to, good);
    }

    /// Nothing goes that way any more, until healed as often as cut.
    pub(crate) fn cut(&mut self, schedule: &mut Schedule, from: HostId, to: HostId) {
        self.way_mut(from, to).cuts += 1;
        self.note_truth(schedule.now, from, to);
        self.probe_between(schedule, from, to);
    }

    pub(crate) fn heal(&mut self, schedule: &mut Schedule, from: HostId, to: HostId) {
        self.way_mut(from, to).cuts -= 1;
        self.note_truth(schedule.now, from, to);
        if self.is_cut(from, to) {
            return;
        }
        let mut held: Vec<End> = Vec::new();
        for (id, pipe) in &self.pipes {
            for side in [Side::Dialler, Side::Acceptor] {
                let (at, other) = (pipe.end(side), pipe.end(side.other()));
                if at.host == Some(to) && other.host == Some(from) && !at.flight.is_empty() {
                    held.push(End { pipe: *id, side });
                }
            }
        }
        for end in held {
            // TCP repeats what was not acknowledged, after a while of its own
            let again = schedule.dice.millis(1, 200);
            schedule.after(again, Event::Arrive(end));
        }
    }

    /// Everything that way takes so much longer; zero for as usual.
    pub(crate) fn slow(&mut self, now: Instant, from: HostId, to: HostId, extra: Duration) {
        self.way_mut(from, to).extra = extra;
        self.note_truth(now, from, to);
    }

    pub(crate) fn delay(
        &self,
        schedule: &mut Schedule,
        from: Option<HostId>,
        to: Option<HostId>,
    ) -> Duration {
        match (from, to) {
            (Some(from), Some(to)) => {
                schedule.dice.between(self.usual.0, self.usual.1) + self.way(from, to).extra
            }
            _ => schedule.dice.micros(50, 2_000),
        }
    }

    // ---- pipes ----------------------------------------------------------------------------------------------

    /// A connection that its dialler knows of; the acceptor hears of it by its first item.
    pub(crate) fn open(
        &mut self,
        schedule: &mut Schedule,
        dialler: (Owner, Option<HostId>),
        acceptor: (ProcessId, HostId),
        purpose: Purpose,
    ) -> End {
        let id = PipeId(self.next_pipe);
        self.next_pipe += 1;
        let end = |owner, host| PipeEnd {
            owner,
            host,
            mouth: Mouth::Open,
            inbox: VecDeque::new(),
            flight: VecDeque::new(),
            last_arrival: Instant::ZERO,
        };
        let (process, host) = acceptor;
        let ends = [end(dialler.0, dialler.1), end(Owner::Thread(process, Actor::Control), Some(host))];
        self.pipes.insert(id, Pipe { purpose, ends, silent: false, unheard: false });
        let own = End { pipe: id, side: Side::Dialler };
        let port = if purpose == Purpose::Client { Port::Amqp } else { Port::Cluster };
        self.send(schedule, own, Item::Open(port));
        own
    }

    /// Puts something on its way.
    pub(crate) fn send(&mut self, schedule: &mut Schedule, from: End, item: Item) {
        let Some(pipe) = self.pipes.get(&from.pipe) else { return };
        if pipe.end(from.side).mouth != Mouth::Open {
            return;
        }
        self.launch(schedule, from, item);
    }

    fn launch(&mut self, schedule: &mut Schedule, from: End, item: Item) {
        let Some(pipe) = self.pipes.get(&from.pipe) else { return };
        if pipe.silent {
            if let Some(pipe) = self.pipes.get_mut(&from.pipe) {
                self.silences += u64::from(std::mem::take(&mut pipe.unheard));
            }
            return self.forget_if_done(from.pipe);
        }
        if let (Some(own), Some(other)) = (pipe.end(from.side).host, pipe.end(from.side.other()).host)
            && self.way(own, other).extra > Duration::ZERO
        {
            self.hit(own, other);
        }
        let Some(pipe) = self.pipes.get(&from.pipe) else { return };
        let to = End { pipe: from.pipe, side: from.side.other() };
        let delay = self.delay(schedule, pipe.end(from.side).host, pipe.end(to.side).host);
        let Some(pipe) = self.pipes.get_mut(&from.pipe) else { return };
        let end = pipe.end_mut(to.side);
        let at = (schedule.now + delay).max(end.last_arrival);
        end.last_arrival = at;
        end.flight.push_back((at, item));
        schedule.at(at, Event::Arrive(to));
    }

    /// Hands over what is due at an end; answers who is to read it.
    pub(crate) fn arrive(&mut self, schedule: &mut Schedule, to: End) -> Option<Owner> {
        let pipe = self.pipes.get(&to.pipe)?;
        let (end, other) = (pipe.end(to.side), pipe.end(to.side.other()));
        if let (Some(from), Some(to)) = (other.host, end.host)
            && self.is_cut(from, to)
        {
            self.hit(from, to);
            return None;
        }
        let off = end.host.is_some_and(|host| self.hosts[host.index()] == HostState::Off);
        let pipe = self.pipes.get_mut(&to.pipe)?;
        let end = pipe.end_mut(to.side);
        let mut came = false;
        let mut closed = false;
        while end.flight.front().is_some_and(|(at, _)| *at <= schedule.now) {
            let Some((_, item)) = end.flight.pop_front() else { break };
            closed |= matches!(item, Item::Close);
            came = true;
            if end.mouth == Mouth::Open {
                end.inbox.push_back(item);
            }
        }
        let (mouth, owner) = (end.mouth, end.owner);
        match mouth {
            Mouth::Open => came.then_some(owner),
            Mouth::Mute if came && !closed && !off => {
                // the new kernel knows nothing of this connection
                end.mouth = Mouth::Closed;
                self.launch(schedule, to, Item::Close);
                None
            }
            Mouth::Mute | Mouth::Closed => {
                self.forget_if_done(to.pipe);
                None
            }
        }
    }

    fn forget_if_done(&mut self, id: PipeId) {
        let done = |end: &PipeEnd| end.mouth != Mouth::Open && end.flight.is_empty();
        if self.pipes.get(&id).is_some_and(|pipe| pipe.ends.iter().all(done)) {
            self.pipes.remove(&id);
        }
    }

    /// The next item that came to an end.
    pub(crate) fn read(&mut self, end: End) -> Option<Item> {
        self.pipes.get_mut(&end.pipe)?.end_mut(end.side).inbox.pop_front()
    }

    /// Bytes that were read too far.
    pub(crate) fn unread(&mut self, end: End, bytes: Bytes) {
        if !bytes.is_empty()
            && let Some(pipe) = self.pipes.get_mut(&end.pipe)
        {
            pipe.end_mut(end.side).inbox.push_front(Item::Bytes(bytes));
        }
    }

    /// Who is at the other end.
    pub(crate) fn other_owner(&self, end: End) -> Option<Owner> {
        self.pipes.get(&end.pipe).map(|pipe| pipe.end(end.side.other()).owner)
    }

    /// A thread takes over an end. True if something waits there already.
    pub(crate) fn claim(&mut self, end: End, owner: Owner) -> bool {
        let Some(pipe) = self.pipes.get_mut(&end.pipe) else { return false };
        let at = pipe.end_mut(end.side);
        at.owner = owner;
        !at.inbox.is_empty()
    }

    pub(crate) fn is_owned_by(&self, end: End, owner: Owner) -> bool {
        self.pipes.get(&end.pipe).is_some_and(|pipe| pipe.end(end.side).owner == owner)
    }

    /// Closes an end: the other one reads what is on its way, then the end.
    pub(crate) fn close(&mut self, schedule: &mut Schedule, end: End) {
        let Some(pipe) = self.pipes.get_mut(&end.pipe) else { return };
        let at = pipe.end_mut(end.side);
        if at.mouth != Mouth::Open {
            return;
        }
        at.mouth = Mouth::Closed;
        at.inbox.clear();
        self.launch(schedule, end, Item::Close);
    }

    /// Open connections of a kind, in order.
    pub(crate) fn pipes(&self, wanted: impl Fn(Purpose) -> bool) -> Vec<PipeId> {
        let open = |pipe: &Pipe| pipe.ends.iter().all(|end| end.mouth == Mouth::Open);
        self.pipes.iter().filter(|(_, pipe)| wanted(pipe.purpose) && open(pipe)).map(|(id, _)| *id).collect()
    }
}

impl Pipe {
    fn end(&self, side: Side) -> &PipeEnd {
        &self.ends[side as usize]
    }

    fn end_mut(&mut self, side: Side) -> &mut PipeEnd {
        &mut self.ends[side as usize]
    }
}
