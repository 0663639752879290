//! The rules of a move, one step each.

use crate::world::{Attempt, Contents, MESSAGES, New, Old, Said, WAYS, Way, World};

/// A rule that a test leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// What belongs to an earlier try is void.
    Attempts,
    /// The new home serves when it is told to, not when it has everything.
    ServeIsSaid,
    /// At the freeze the old home lists what it has still.
    List,
    /// The last publish of each lane moves too.
    Lanes,
    /// The old home keeps its copy until the new one serves.
    KeepCopy,
    /// A yielded queue comes back on proof alone.
    Proof,
    /// On a new link each side says again what the other may have missed.
    Repeat,
}

/// The bounds of a search.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene {
    pub(crate) without: Option<Rule>,
    pub(crate) attempts: Attempt,
    pub(crate) answers_lost: u8,
    pub(crate) breaks: u8,
    pub(crate) crashes: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Offer,
    Copy(u8),
    Freeze,
    /// The old home gives a try up: its time is over.
    GiveUp,
    Deliver(Way),
    /// The next message is published, and answered or not.
    Publish {
        answered: bool,
    },
    Settle(u8),
    Purge,
    /// The publisher hears where the queue is.
    Learn,
    Break,
    CrashOld,
    CrashNew,
}

impl Scene {
    fn has(&self, rule: Rule) -> bool {
        self.without != Some(rule)
    }

    pub(crate) fn steps(&self, world: &World, steps: &mut Vec<Step>) {
        match world.old {
            Old::Serves if world.attempts < self.attempts && !world.new_serves() => steps.push(Step::Offer),
            Old::Copies(_, copied) => {
                let there = world.old_has.set() & !copied;
                steps.extend((0..MESSAGES as u8).filter(|at| there >> at & 1 == 1).map(Step::Copy));
                steps.extend([Step::Freeze, Step::GiveUp]);
            }
            Old::Offered(_) | Old::Frozen(_) => steps.push(Step::GiveUp),
            Old::Yielded(_) if !self.has(Rule::Proof) => steps.push(Step::GiveUp),
            _ => {}
        }
        let busy = WAYS.into_iter().filter(|way| !world.ways[*way as usize].is_empty());
        steps.extend(busy.map(Step::Deliver));
        let serves = if world.moved { world.new_serves() } else { world.old.serves() };
        if serves && usize::from(world.confirmed) < MESSAGES {
            steps.push(Step::Publish { answered: true });
            if world.answers_lost < self.answers_lost {
                steps.push(Step::Publish { answered: false });
            }
        }
        let there = world.clone().serving().map_or(0, |contents| contents.set());
        if there != 0 {
            steps.extend([Step::Settle(there.trailing_zeros() as u8), Step::Purge]);
        }
        if world.new_serves() != world.moved && !world.lost {
            steps.push(Step::Learn);
        }
        if world.breaks < self.breaks {
            steps.push(Step::Break);
        }
        if world.crashes < self.crashes {
            steps.extend([Step::CrashOld, Step::CrashNew]);
        }
    }

    pub(crate) fn apply(&self, world: &mut World, step: Step) {
        match step {
            Step::Offer => {
                world.attempts += 1;
                world.old = Old::Offered(world.attempts);
                world.say(Way::ControlToNew, Said::Offer(world.attempts));
            }
            Step::Copy(message) => {
                let Old::Copies(attempt, copied) = world.old else { return };
                world.old = Old::Copies(attempt, copied | 1 << message);
                world.say(Way::DataToNew, Said::Copy(attempt, message));
            }
            Step::Freeze => {
                let Old::Copies(attempt, copied) = world.old else { return };
                world.old = Old::Frozen(attempt);
                let there = world.old_has.set();
                let rest = Said::Rest(attempt, there & copied, there & !copied, world.old_has.last);
                world.say(Way::DataToNew, rest);
            }
            Step::GiveUp => self.give_up(world),
            Step::Deliver(way) => {
                let said = world.ways[way as usize].remove(0);
                self.deliver(world, said);
            }
            Step::Publish { answered } => publish(world, answered),
            Step::Settle(message) => {
                let Some(contents) = world.serving() else { return };
                contents.messages[usize::from(message)] -= 1;
                world.settled |= 1 << message;
            }
            Step::Purge => {
                let Some(contents) = world.serving() else { return };
                let purged = contents.set();
                contents.messages = Default::default();
                world.settled |= purged;
            }
            Step::Learn => world.moved = world.new_serves(),
            Step::Break => {
                world.breaks += 1;
                self.break_links(world);
                self.repeat(world);
            }
            Step::CrashOld => {
                world.crashes += 1;
                world.lost |= !world.new_serves() && world.old != Old::Done;
                (world.old, world.old_has) = (Old::Dead, Contents::default());
                world.ways.iter_mut().for_each(Vec::clear);
                if !world.new_serves() {
                    // its old home is down, and it was not told to serve
                    (world.new, world.new_has) = (New::Nothing, Contents::default());
                }
            }
            Step::CrashNew => self.crash_new(world),
        }
    }

    fn crash_new(&self, world: &mut World) {
        world.crashes += 1;
        let served = world.new_serves();
        (world.new, world.new_has) = (New::Nothing, Contents::default());
        self.break_links(world);
        if let Old::Yielded(_) = world.old {
            // the proof: another start of the node
            world.old = Old::Serves;
            world.taken_back = served;
            if served {
                world.died_with = !world.old_has.set();
            }
        } else if served {
            world.lost = true;
        }
    }

    /// A try ends at the old home, and the new one is to forget what came.
    fn give_up(&self, world: &mut World) {
        let (Old::Offered(attempt) | Old::Copies(attempt, _) | Old::Frozen(attempt) | Old::Yielded(attempt)) =
            world.old
        else {
            return;
        };
        world.old = Old::Serves;
        world.say(Way::ControlToNew, Said::Abort(attempt));
    }

    fn break_links(&self, world: &mut World) {
        world.ways.iter_mut().for_each(Vec::clear);
        if matches!(world.old, Old::Copies(..) | Old::Frozen(_)) {
            world.old = Old::Serves;
        }
    }

    /// What a side says on a new link.
    fn repeat(&self, world: &mut World) {
        if !self.has(Rule::Repeat) {
            return;
        }
        match world.old {
            Old::Offered(attempt) => world.say(Way::ControlToNew, Said::Offer(attempt)),
            Old::Yielded(attempt) => world.say(Way::ControlToNew, Said::Serve(attempt)),
            _ => {}
        }
        match world.new {
            New::Expects(attempt, _) | New::Whole(attempt) => {
                world.say(Way::ControlToOld, Said::Accept(attempt));
            }
            New::Serves(attempt) => world.say(Way::ControlToOld, Said::Moved(attempt)),
            New::Nothing => {}
        }
    }

    /// Two tries are one.
    fn same(&self, one: Attempt, other: Attempt) -> bool {
        one == other || !self.has(Rule::Attempts)
    }

    fn deliver(&self, world: &mut World, said: Said) {
        match said {
            Said::Offer(attempt) => match world.new {
                New::Serves(_) => world.say(Way::ControlToOld, Said::Decline(attempt)),
                New::Expects(known, _) | New::Whole(known) if known == attempt => {
                    world.say(Way::ControlToOld, Said::Accept(attempt));
                }
                _ => {
                    (world.new, world.new_has) = (New::Expects(attempt, 0), Contents::default());
                    world.say(Way::ControlToOld, Said::Accept(attempt));
                }
            },
            Said::Accept(attempt) => match world.old {
                Old::Offered(known) if known == attempt => world.old = Old::Copies(attempt, 0),
                Old::Copies(known, _) | Old::Frozen(known) | Old::Yielded(known) if known == attempt => {}
                Old::Dead => {}
                _ => world.say(Way::ControlToNew, Said::Abort(attempt)),
            },
            Said::Decline(attempt) => match world.old {
                Old::Offered(known) | Old::Yielded(known) if known == attempt => world.old = Old::Serves,
                _ => {}
            },
            Said::Abort(attempt) => match world.new {
                New::Expects(known, _) | New::Whole(known) if self.same(known, attempt) => {
                    (world.new, world.new_has) = (New::Nothing, Contents::default());
                }
                _ => {}
            },
            Said::Copy(attempt, message) => {
                if let New::Expects(known, copied) = world.new
                    && self.same(known, attempt)
                {
                    world.new = New::Expects(known, copied | 1 << message);
                }
            }
            Said::Rest(attempt, listed, rest, last) => self.take_rest(world, attempt, listed, rest, last),
            Said::Taken(attempt) => {
                if let Old::Frozen(known) = world.old
                    && self.same(known, attempt)
                {
                    world.old = Old::Yielded(known);
                    if !self.has(Rule::KeepCopy) {
                        world.old_has = Contents::default();
                    }
                    world.say(Way::ControlToNew, Said::Serve(known));
                }
            }
            Said::Serve(attempt) => match world.new {
                New::Whole(known) if self.same(known, attempt) => self.serve(world, known),
                New::Serves(known) if known == attempt => {
                    world.say(Way::ControlToOld, Said::Moved(attempt));
                }
                _ => world.say(Way::ControlToOld, Said::Decline(attempt)),
            },
            Said::Moved(attempt) => {
                if let Old::Yielded(known) = world.old
                    && self.same(known, attempt)
                {
                    (world.old, world.old_has) = (Old::Done, Contents::default());
                }
            }
        }
    }

    fn take_rest(&self, world: &mut World, attempt: Attempt, listed: u8, rest: u8, last: u8) {
        let New::Expects(known, copied) = world.new else { return };
        if !self.same(known, attempt) {
            return;
        }
        let listed = if self.has(Rule::List) { listed } else { copied };
        let last = if self.has(Rule::Lanes) { last } else { 0 };
        world.new_has = Contents::of(listed | rest, last);
        world.new = New::Whole(known);
        world.say(Way::DataToOld, Said::Taken(known));
        if !self.has(Rule::ServeIsSaid) {
            self.serve(world, known);
        }
    }

    fn serve(&self, world: &mut World, attempt: Attempt) {
        world.new = New::Serves(attempt);
        world.say(Way::ControlToOld, Said::Moved(attempt));
    }
}

/// The lowest message without an answer, over the lane: `L = max(last, base - 1)`.
fn publish(world: &mut World, answered: bool) {
    let message = world.confirmed;
    let Some(contents) = world.serving() else { return };
    if contents.last.max(message) == message {
        contents.messages[usize::from(message)] += 1;
        contents.last = message + 1;
    }
    if answered {
        world.confirmed += 1;
    } else {
        world.answers_lost += 1;
    }
}
