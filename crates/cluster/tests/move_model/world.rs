//! What the two homes of a queue, its publisher and its consumers know, and what is on its way between them.

/// Messages of a run, published in this order.
pub(crate) const MESSAGES: usize = 2;

/// A bit for each message.
pub(crate) type Set = u8;

/// The number of a try.
pub(crate) type Attempt = u8;

/// What the old home does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Old {
    Serves,
    /// Serves, and has asked.
    Offered(Attempt),
    /// Serves, and the new home has copies of these.
    Copies(Attempt, Set),
    Frozen(Attempt),
    /// Keeps its copy.
    Yielded(Attempt),
    /// The queue is the new home's.
    Done,
    Dead,
}

impl Old {
    pub(crate) fn serves(self) -> bool {
        matches!(self, Self::Serves | Self::Offered(_) | Self::Copies(..))
    }
}

/// What the new home does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum New {
    Nothing,
    /// Has copies.
    Expects(Attempt, Set),
    /// Has everything.
    Whole(Attempt),
    Serves(Attempt),
}

/// Messages of the queue at a home, how often each, and the last of the lane that was appended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Contents {
    pub(crate) messages: [u8; MESSAGES],
    pub(crate) last: u8,
}

impl Contents {
    pub(crate) fn set(&self) -> Set {
        (0..MESSAGES).filter(|at| self.messages[*at] > 0).fold(0, |set, at| set | 1 << at)
    }

    pub(crate) fn of(set: Set, last: u8) -> Self {
        Self { messages: std::array::from_fn(|at| set >> at & 1), last }
    }
}

/// Control and data links break together and are not ordered among each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Said {
    Offer(Attempt),
    Abort(Attempt),
    Serve(Attempt),
    Accept(Attempt),
    Decline(Attempt),
    Moved(Attempt),
    Copy(Attempt, u8),
    /// What was copied and is there still, the rest, and the lane.
    Rest(Attempt, Set, Set, u8),
    Taken(Attempt),
}

/// A way between the homes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    ControlToNew,
    ControlToOld,
    DataToNew,
    DataToOld,
}

pub(crate) const WAYS: [Way; 4] = [Way::ControlToNew, Way::ControlToOld, Way::DataToNew, Way::DataToOld];

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) old: Old,
    pub(crate) old_has: Contents,
    pub(crate) new: New,
    pub(crate) new_has: Contents,
    pub(crate) ways: [Vec<Said>; 4],
    pub(crate) attempts: Attempt,
    /// Messages that the publisher has an answer for; the next one is sent until it has.
    pub(crate) confirmed: u8,
    /// Messages that a consumer acknowledged, or a purge took.
    pub(crate) settled: Set,
    /// The publisher takes the new home for the queue's.
    pub(crate) moved: bool,
    /// The home that served died, and the queue with it.
    pub(crate) lost: bool,
    /// The new home served and died: what it did may be done again.
    pub(crate) taken_back: bool,
    /// What went with it: it came there, and to no other home.
    pub(crate) died_with: Set,
    pub(crate) answers_lost: u8,
    pub(crate) breaks: u8,
    pub(crate) crashes: u8,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            old: Old::Serves,
            old_has: Contents::default(),
            new: New::Nothing,
            new_has: Contents::default(),
            ways: std::array::from_fn(|_| Vec::new()),
            attempts: 0,
            confirmed: 0,
            settled: 0,
            moved: false,
            lost: false,
            taken_back: false,
            died_with: 0,
            answers_lost: 0,
            breaks: 0,
            crashes: 0,
        }
    }

    pub(crate) fn say(&mut self, way: Way, said: Said) {
        self.ways[way as usize].push(said);
    }

    pub(crate) fn new_serves(&self) -> bool {
        matches!(self.new, New::Serves(_))
    }

    /// What the home that serves has, if one does.
    pub(crate) fn serving(&mut self) -> Option<&mut Contents> {
        if self.old.serves() {
            Some(&mut self.old_has)
        } else if self.new_serves() {
            Some(&mut self.new_has)
        } else {
            None
        }
    }
}
