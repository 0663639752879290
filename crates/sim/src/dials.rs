//! Dials: a first packet there, an answer back, each repeated for as long as the way is cut.

use std::collections::BTreeMap;
use std::time::Duration;

use leveret_model::{Instant, limits};

use crate::event::{DialId, Event, HostId, ProcessId, Schedule};
use crate::handshakes::Errand;
use crate::network::{HostState, Network};

/// Dials under way.
#[derive(Debug, Default)]
pub(crate) struct Dials {
    open: BTreeMap<DialId, Dial>,
    next: u32,
}

/// What a dial came to, on its way back.
#[derive(Clone, Copy, Debug)]
enum Reply {
    Refused,
    Accepted(ProcessId),
}

/// A dial under way.
#[derive(Clone, Debug)]
pub(crate) struct Dial {
    pub(crate) from: ProcessId,
    pub(crate) from_host: HostId,
    pub(crate) to: Option<HostId>,
    pub(crate) errand: Errand,
    /// By the dialler's clock.
    pub(crate) began: Instant,
    deadline: Instant,
    tries: u32,
    reply: Option<Reply>,
}

/// What a dial came to.
#[derive(Clone, Debug)]
pub(crate) enum Dialled {
    Accepted { dial: Dial, process: ProcessId },
    Refused(Dial),
    Unreachable(Dial),
}

impl Network {
    pub(crate) fn dial(
        &mut self,
        schedule: &mut Schedule,
        from: (ProcessId, HostId),
        address: &str,
        errand: Errand,
        began: Instant,
    ) {
        let id = DialId(self.dials.next);
        self.dials.next += 1;
        let to = HostId::from_address(address).filter(|host| host.index() < self.hosts.len());
        let dial = Dial {
            from: from.0,
            from_host: from.1,
            to,
            errand,
            began,
            deadline: schedule.now + limits::LINK_HANDSHAKE_TIMEOUT,
            tries: 0,
            reply: None,
        };
        let delay = self.delay(schedule, Some(from.1), to.or(Some(from.1)));
        self.dials.open.insert(id, dial);
        schedule.after(delay, Event::Dial(id));
    }

    /// A dial goes on: its first packet is there, or the answer to it.
    pub(crate) fn dial_goes_on(&mut self, schedule: &mut Schedule, id: DialId) -> Option<Dialled> {
        let dial = self.dials.open.remove(&id)?;
        let Some(to) = dial.to else { return Some(Dialled::Unreachable(dial)) };
        let cut = match dial.reply {
            None => self.is_cut(dial.from_host, to) || self.hosts[to.index()] == HostState::Off,
            Some(_) => self.is_cut(to, dial.from_host),
        };
        if cut {
            let (from, to) = if dial.reply.is_none() { (dial.from_host, to) } else { (to, dial.from_host) };
            self.hit(from, to);
            return self.dial_again(schedule, id, dial);
        }
        match dial.reply {
            Some(Reply::Refused) => Some(Dialled::Refused(dial)),
            Some(Reply::Accepted(process)) if self.hosts[to.index()] == HostState::Runs(process) => {
                Some(Dialled::Accepted { dial, process })
            }
            Some(Reply::Accepted(_)) => Some(Dialled::Unreachable(dial)),
            None => {
                let reply = match self.hosts[to.index()] {
                    HostState::Runs(process) => Reply::Accepted(process),
                    HostState::Idle | HostState::Off => Reply::Refused,
                };
                let delay = self.delay(schedule, Some(to), Some(dial.from_host));
                self.dials.open.insert(id, Dial { reply: Some(reply), ..dial });
                schedule.after(delay, Event::Dial(id));
                None
            }
        }
    }

    fn dial_again(&mut self, schedule: &mut Schedule, id: DialId, mut dial: Dial) -> Option<Dialled> {
        let again = schedule.now + Duration::from_millis(200 << dial.tries.min(4));
        dial.tries += 1;
        if schedule.now >= dial.deadline {
            return Some(Dialled::Unreachable(dial));
        }
        let at = again.min(dial.deadline);
        self.dials.open.insert(id, dial);
        schedule.at(at, Event::Dial(id));
        None
    }
}
