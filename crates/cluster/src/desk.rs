//! Commands under way: for whom each is answered, which phase it is in, and when it times out. `command` acts
//! on them.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use leveret_model::definition::DestinationKind;
use leveret_model::directory::{Command, Reply};
use leveret_model::{Instant, NodeId, QueueId, RequestId, ShardId, Ulid, limits};

use crate::directory::map::Version;
use crate::directory::names::ObjectName;
use crate::directory::visible::Visible;
use crate::peers::served::Served;

/// A command under way, numbered in the order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CommandKey(pub(crate) u64);

/// Where the answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// A shard of this node.
    Shard(ShardId, RequestId),
    /// Another node, for a shard of its own.
    Peer(NodeId, RequestId),
}

/// How far a command is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Phase {
    /// For the lease, or for somebody else's operation on the name.
    Waiting,
    /// For the votes.
    Proposing(Ulid),
    /// For the queue's shard.
    Closing(QueueId),
    /// For everyone to act on it. Then exchanges that lost a binding are looked at.
    Finishing(Reply, BTreeSet<ObjectName>),
    /// For the votes on the deletion of an auto-delete exchange.
    Removing(Ulid, ObjectName, Reply, BTreeSet<ObjectName>),
    /// For the node that is home.
    Forwarded(NodeId),
}

/// A command under way.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) origin: Origin,
    pub(crate) command: Command,
    pub(crate) phase: Phase,
    /// When the phase gives up. Phases that end by themselves have [`Instant::FAR`].
    pub(crate) until: Instant,
    /// When it may wait for a view or a name no longer.
    pub(crate) wait_until: Instant,
    /// Nobody waits for the answer: it ends where it would begin anew.
    pub(crate) forgotten: bool,
}

/// All commands under way.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    pub(crate) commands: BTreeMap<CommandKey, Pending>,
    pub(crate) by_origin: BTreeMap<Origin, CommandKey>,
    pub(crate) waiting: BTreeSet<CommandKey>,
    pub(crate) deadlines: BTreeSet<(Instant, CommandKey)>,
    pub(crate) proposals: BTreeMap<Ulid, CommandKey>,
    pub(crate) closing: BTreeSet<QueueId>,
    /// To be made visible at the end of this input: everyone, or the own shards alone.
    pub(crate) finishing: Vec<(CommandKey, bool)>,
    /// Steps of merges that wait to be visible.
    pub(crate) unions: BTreeMap<CommandKey, (QueueId, Version)>,
    next: u64,
    /// Not among `waiting`: those that wait for a name, by when it is free, and those that were passed back,
    /// by when they are judged again. An entry may be of a command that is gone.
    for_names: BTreeSet<(Instant, CommandKey)>,
    /// Something changed that a waiting command may wait for.
    recheck: bool,
    /// What waits for everyone to act on it (R1), or for votes (R2).
    pub(crate) visible: Visible<CommandKey>,
    /// Requests of other nodes, and their answers.
    pub(crate) served: Served,
}

impl Desk {
    /// Something changed that a command may wait for: all that wait are judged again at the end of this input.
    pub(crate) const fn recheck(&mut self) {
        self.recheck = true;
    }

    /// Commands that wait are to be judged again.
    pub(crate) const fn is_recheck_due(&self) -> bool {
        self.recheck
    }

    /// Commands that wait, to be judged again now; none if nothing changed.
    pub(crate) fn take_waiting(&mut self) -> Option<BTreeSet<CommandKey>> {
        core::mem::take(&mut self.recheck).then(|| core::mem::take(&mut self.waiting))
    }

    pub(crate) fn draw_key(&mut self) -> CommandKey {
        self.next += 1;
        CommandKey(self.next)
    }

    pub(crate) fn next_deadline(&self) -> Instant {
        let deadline = self.deadlines.first().map_or(Instant::FAR, |(at, _)| *at);
        let deadline = deadline.min(self.visible.next_deadline());
        self.for_names.first().map_or(deadline, |(free_at, _)| deadline.min(*free_at))
    }

    /// A command waits for a name that is free then: it is judged again, and may wait for the view and the
    /// votes as long as one that comes then.
    pub(crate) fn wait_for_name(&mut self, key: CommandKey, free_at: Instant) {
        self.for_names.insert((free_at, key));
        if let Some(pending) = self.commands.get_mut(&key) {
            let until = pending.wait_until.max(free_at + limits::PUBLISH_WAIT);
            pending.wait_until = until;
            self.set_phase(key, Phase::Waiting, until);
        }
    }

    /// A command is judged again then, and has no more time for that.
    pub(crate) fn judge_again_at(&mut self, key: CommandKey, at: Instant, until: Instant) {
        self.for_names.insert((at, key));
        self.set_phase(key, Phase::Waiting, until);
    }

    /// Names are free by then: the commands that wait for them are to be judged again. True if there are any.
    pub(crate) fn names_free(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some((free_at, key)) = self.for_names.pop_first() {
            if free_at > now {
                self.for_names.insert((free_at, key));
                break;
            }
            if self.commands.contains_key(&key) {
                any |= self.waiting.insert(key);
            }
        }
        any
    }

    pub(crate) fn set_phase(&mut self, key: CommandKey, phase: Phase, until: Instant) {
        if let Some(pending) = self.commands.get_mut(&key) {
            self.deadlines.remove(&(pending.until, key));
            pending.phase = phase;
            pending.until = until;
            if until != Instant::FAR {
                self.deadlines.insert((until, key));
            }
        }
    }

    /// Those that wait for that node's answer.
    pub(crate) fn forwarded_to(&self, node: NodeId) -> Vec<CommandKey> {
        let to_node = self.commands.iter().filter(|(_, pending)| pending.phase == Phase::Forwarded(node));
        to_node.map(|(&key, _)| key).collect()
    }

    pub(crate) fn take(&mut self, key: CommandKey) -> Option<Pending> {
        let pending = self.commands.remove(&key)?;
        self.by_origin.remove(&pending.origin);
        self.deadlines.remove(&(pending.until, key));
        self.waiting.remove(&key);
        Some(pending)
    }
}

/// The queue that a command is about.
pub(crate) fn queue_of(command: &Command) -> Option<ObjectName> {
    match command {
        Command::DeclareQueue { definition, .. } => {
            Some(ObjectName::new(&definition.vhost, &definition.name))
        }
        Command::DeleteQueue { vhost, name, .. } => Some(ObjectName::new(vhost, name)),
        Command::Bind(binding) | Command::Unbind(binding) if binding.kind == DestinationKind::Queue => {
            Some(ObjectName::new(&binding.vhost, &binding.destination))
        }
        _ => None,
    }
}
