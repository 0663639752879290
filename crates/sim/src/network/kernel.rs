//! What kernels do to connections on their own: they probe data links that are silent, keep so many bytes for
//! who does not read, and close what an ended process leaves.

use std::time::Duration;

use leveret_model::limits;

use super::{Item, Mouth, Network, Owner, Purpose};
use crate::event::{End, Event, HostId, PipeId, ProcessId, Schedule, Side};

/// Bytes that both kernels of a connection keep for one direction; few, so that the simulator's small messages
/// fill them.
const SOCKET_BYTES: usize = 2 * 1024;

impl Network {
    /// Breaks a connection: what is on its way is lost, both ends will know.
    pub(crate) fn reset(&mut self, schedule: &mut Schedule, id: PipeId) {
        if let Some(pipe) = self.pipes.get(&id)
            && pipe.purpose == Purpose::Control
            && let (Some(a), Some(b)) = (pipe.end(Side::Dialler).host, pipe.end(Side::Acceptor).host)
        {
            self.truth.on_reset(schedule.now, a, b);
        }
        for side in [Side::Dialler, Side::Acceptor] {
            let Some(pipe) = self.pipes.get_mut(&id) else { return };
            let end = pipe.end_mut(side);
            end.flight.clear();
            end.last_arrival = schedule.now;
            end.flight.push_back((schedule.now, Item::Close));
            let late = schedule.dice.millis(0, 40);
            schedule.after(late, Event::Arrive(End { pipe: id, side }));
        }
    }

    /// Nothing goes over the connection any more, and nobody is told; other connections between the same hosts
    /// live.
    pub(crate) fn silence(&mut self, schedule: &mut Schedule, id: PipeId) {
        let Some(pipe) = self.pipes.get_mut(&id) else { return };
        pipe.silent = true;
        pipe.unheard = true;
        for end in &mut pipe.ends {
            end.flight.clear();
        }
        probe(schedule, id);
    }

    /// The way between two hosts was cut: the kernels begin to probe the data links over it.
    pub(crate) fn probe_between(&mut self, schedule: &mut Schedule, from: HostId, to: HostId) {
        for (id, pipe) in &self.pipes {
            let hosts = [pipe.ends[0].host, pipe.ends[1].host];
            let between = hosts == [Some(from), Some(to)] || hosts == [Some(to), Some(from)];
            if pipe.purpose == Purpose::Data && between {
                probe(schedule, *id);
            }
        }
    }

    /// The last probe of a connection was not answered if nothing goes over it; gives the ends that are closed
    /// now.
    pub(crate) fn on_probed(&mut self, id: PipeId) -> Vec<(End, Owner)> {
        let Some(pipe) = self.pipes.get(&id) else { return Vec::new() };
        let is_cut = match [pipe.ends[0].host, pipe.ends[1].host] {
            [Some(a), Some(b)] => self.is_cut(a, b) || self.is_cut(b, a),
            _ => false,
        };
        let Some(pipe) = self.pipes.get_mut(&id).filter(|pipe| pipe.silent || is_cut) else {
            return Vec::new();
        };
        // what either end says from now on is for nobody
        pipe.silent = true;
        let mut told = Vec::new();
        for side in [Side::Dialler, Side::Acceptor] {
            let end = pipe.end_mut(side);
            end.flight.clear();
            if end.mouth == Mouth::Open {
                end.inbox.push_back(Item::Close);
                told.push((End { pipe: id, side }, end.owner));
            }
        }
        told
    }

    /// Bytes that the kernels of a connection take now.
    pub(crate) fn room(&self, from: End) -> usize {
        let Some(pipe) = self.pipes.get(&from.pipe) else { return usize::MAX };
        let to = pipe.end(from.side.other());
        if to.mouth != Mouth::Open {
            return usize::MAX;
        }
        let len = |item: &Item| if let Item::Bytes(bytes) = item { bytes.len() } else { 0 };
        let unread = to.inbox.iter().chain(to.flight.iter().map(|(_, item)| item));
        SOCKET_BYTES.saturating_sub(unread.map(len).sum::<usize>())
    }

    /// The kernel says that a connection that was full takes output again: not for every byte.
    pub(crate) fn takes_again(&self, from: End) -> bool {
        self.room(from) >= SOCKET_BYTES / 3
    }

    /// A process ends: by itself, and the kernel says so, or with its host, and nobody does.
    pub(crate) fn end_process(&mut self, schedule: &mut Schedule, process: ProcessId, silent: bool) {
        let mut ends = Vec::new();
        for (id, pipe) in &self.pipes {
            for side in [Side::Dialler, Side::Acceptor] {
                if pipe.end(side).owner.process() == Some(process) {
                    ends.push(End { pipe: *id, side });
                }
            }
        }
        for end in ends {
            if silent {
                if let Some(pipe) = self.pipes.get_mut(&end.pipe) {
                    let at = pipe.end_mut(end.side);
                    if at.mouth == Mouth::Open {
                        at.mouth = Mouth::Mute;
                    }
                    at.inbox.clear();
                    pipe.end_mut(end.side.other()).flight.clear();
                }
            } else {
                if schedule.dice.chance(500)
                    && let Some(pipe) = self.pipes.get_mut(&end.pipe)
                {
                    // unread input: the kernel resets, and what was not sent is lost
                    let flight = &mut pipe.end_mut(end.side.other()).flight;
                    let kept = schedule.dice.below(flight.len() + 1);
                    flight.truncate(kept);
                }
                self.close(schedule, end);
            }
        }
    }
}

fn probe(schedule: &mut Schedule, id: PipeId) {
    let late = schedule.dice.millis(0, 1_000);
    schedule.after(limits::LINK_PROBE_EVERY * limits::LINK_PROBES + late, Event::Probed(id));
}

/// So long before the heal no connection falls silent: it takes that time until the kernels know.
pub(crate) const SILENCE: Duration = Duration::from_secs(5);
