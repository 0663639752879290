//! Answers in the order of their commands.
//!
//! ```text
//!   first                                   next
//!     │ GET a: waits │ PING: ready │ MGET: 1 of 3 is there │
//!     ▼
//!   written as soon as the front is ready
//! ```

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use leveret_model::limits;
use leveret_model::session::{Answer, KeptAnswer, SessionRefusal};

use crate::encode::{self, Protocol};
use crate::host::Ticket;
use crate::texts;

/// What a block answers with, command by command.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Bytes that are known already.
    Local(Vec<u8>),
    /// The next answer of the block, as it is.
    Answer,
    /// The next so many answers, added or listed.
    Sum(usize),
    /// See [`Piece::Sum`].
    Gather(usize),
}

/// How the parts of an answer become one.
#[derive(Debug)]
pub(crate) enum Plan {
    /// There is one part.
    One,
    /// Numbers to be added.
    Sum { missing: u32, total: i64, refused: Option<SessionRefusal> },
    /// Values to be listed.
    Gather { missing: u32, parts: Vec<Option<KeptAnswer>>, bytes: usize },
    /// One part, which is a block.
    Block(Vec<Piece>),
    /// `SCAN`: see [`Replies::on_walked`].
    Walk,
}

#[derive(Debug)]
enum Slot {
    Ready(Vec<u8>),
    Waiting(Plan, Protocol),
}

/// The answers that a connection owes.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    /// Number of the front.
    first: u64,
    slots: VecDeque<Slot>,
    /// Bytes that are ready and wait for the front.
    ready_bytes: usize,
    /// The last command on all keys.
    on_all_keys: Option<u64>,
}

impl Replies {
    /// True if nothing is owed, so that an answer may be written at once. hot.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// True if no further command should be taken.
    pub(crate) fn is_full(&self) -> bool {
        self.slots.len() >= limits::RESP_UNDER_WAY_MAX
            || self.ready_bytes >= limits::RESP_ANSWERS_WAITING_BYTES_MAX
    }

    /// The ticket that the next [`Replies::wait`] will take.
    pub(crate) fn next_ticket(&self) -> Ticket {
        Ticket { reply: self.first + self.slots.len() as u64, part: 0 }
    }

    /// A ticket whose answer finds nobody.
    pub(crate) fn unheard_ticket(&self) -> Ticket {
        Ticket { reply: u64::MAX, part: 0 }
    }

    /// An answer that is known: written at once, or behind what is owed.
    pub(crate) fn ready(&mut self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        if self.slots.is_empty() {
            return write(out);
        }
        let mut bytes = Vec::new();
        write(&mut bytes);
        self.ready_bytes += bytes.len();
        self.slots.push_back(Slot::Ready(bytes));
    }

    /// An answer that is to come, under the ticket of [`Replies::next_ticket`].
    pub(crate) fn wait(&mut self, plan: Plan, protocol: Protocol) {
        self.slots.push_back(Slot::Waiting(plan, protocol));
    }

    /// The same for a command on all keys: nothing behind it is taken before it is answered, because it is done
    /// on one shard after the other, and a `SET` that overtook a `FLUSHDB` would be lost.
    pub(crate) fn wait_alone(&mut self, plan: Plan, protocol: Protocol) {
        self.on_all_keys = Some(self.next_ticket().reply);
        self.wait(plan, protocol);
    }

    /// True while a command on all keys is under way.
    pub(crate) fn is_held(&self) -> bool {
        let at = self.on_all_keys.and_then(|reply| self.place(Ticket { reply, part: 0 }));
        at.is_some_and(|at| matches!(self.slots[at], Slot::Waiting(..)))
    }

    /// A part came. Late and repeated ones find nobody.
    pub(crate) fn on_answer(&mut self, ticket: Ticket, answer: Answer<'_>, out: &mut Vec<u8>) {
        let Some(at) = self.place(ticket) else { return };
        let Slot::Waiting(plan, protocol) = &mut self.slots[at] else { return };
        let protocol = *protocol;
        if at == 0 && matches!(plan, Plan::One) {
            // the common case: the oldest command, one key
            self.pop();
            encode::answer(out, protocol, answer);
            return self.flush(out);
        }
        if let Some(bytes) = plan.take(ticket.part, answer, protocol) {
            self.settle(at, bytes, out);
        }
    }

    /// A walk's keys came.
    pub(crate) fn on_walked<'a>(
        &mut self,
        ticket: Ticket,
        cursor: u64,
        keys: impl ExactSizeIterator<Item = &'a [u8]>,
        out: &mut Vec<u8>,
    ) {
        let Some(at) = self.place(ticket) else { return };
        if !matches!(self.slots[at], Slot::Waiting(Plan::Walk, _)) {
            return;
        }
        let mut bytes = Vec::new();
        encode::array(&mut bytes, 2);
        encode::bulk(&mut bytes, alloc::format!("{cursor}").as_bytes());
        encode::array(&mut bytes, keys.len());
        for key in keys {
            encode::bulk(&mut bytes, key);
        }
        self.settle(at, bytes, out);
    }

    fn place(&self, ticket: Ticket) -> Option<usize> {
        let at = usize::try_from(ticket.reply.checked_sub(self.first)?).ok()?;
        (at < self.slots.len()).then_some(at)
    }

    fn settle(&mut self, at: usize, bytes: Vec<u8>, out: &mut Vec<u8>) {
        self.ready_bytes += bytes.len();
        self.slots[at] = Slot::Ready(bytes);
        self.flush(out);
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        while let Some(Slot::Ready(bytes)) = self.slots.front() {
            out.extend_from_slice(bytes);
            self.ready_bytes -= bytes.len();
            self.pop();
        }
    }

    fn pop(&mut self) {
        self.slots.pop_front();
        self.first += 1;
    }
}

impl Plan {
    /// Takes a part; the whole answer once all are there.
    pub(crate) fn take(&mut self, part: u32, answer: Answer<'_>, protocol: Protocol) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        match self {
            Self::One | Self::Walk => encode::answer(&mut out, protocol, answer),
            Self::Sum { missing, total, refused } => {
                match answer {
                    Answer::Integer(number) => *total += number,
                    Answer::Refused(why) => *refused = Some(why),
                    _ => {}
                }
                *missing -= 1;
                if *missing > 0 {
                    return None;
                }
                let answer = refused.map_or(Answer::Integer(*total), Answer::Refused);
                encode::answer(&mut out, protocol, answer);
            }
            Self::Gather { missing, parts, bytes } => {
                let place = parts.get_mut(part as usize)?;
                if place.is_some() {
                    return None;
                }
                if let Answer::Bytes(value) = answer {
                    *bytes += value.len();
                }
                // what does not fit is not kept either
                let fits = *bytes <= limits::RESP_ANSWER_BYTES_MAX;
                *place = Some(if fits { answer.keep() } else { KeptAnswer::Nil });
                *missing -= 1;
                if *missing > 0 {
                    return None;
                }
                if fits {
                    gather(&mut out, protocol, parts.iter().flatten());
                } else {
                    encode::error(&mut out, &texts::ANSWER_TOO_LARGE);
                }
            }
            Self::Block(pieces) => block(&mut out, protocol, pieces, answer),
        }
        Some(out)
    }
}

/// Values as a list; one that could not be had takes the place of the list.
fn gather<'a>(out: &mut Vec<u8>, protocol: Protocol, parts: impl Iterator<Item = &'a KeptAnswer> + Clone) {
    let refused = |part: &KeptAnswer| match part {
        // MGET: a key that holds something else is as one that is missing
        KeptAnswer::Refused(SessionRefusal::WrongType) => None,
        KeptAnswer::Refused(why) => Some(*why),
        _ => None,
    };
    if let Some(why) = parts.clone().find_map(refused) {
        return encode::answer(out, protocol, Answer::Refused(why));
    }
    encode::array(out, parts.clone().count());
    for part in parts {
        match part {
            KeptAnswer::Refused(_) => encode::nil(out, protocol),
            part => encode::answer(out, protocol, part.as_answer()),
        }
    }
}

fn block(out: &mut Vec<u8>, protocol: Protocol, pieces: &[Piece], answer: Answer<'_>) {
    let answers = match answer {
        Answer::Block(answers) => answers,
        // nothing has been done: the whole EXEC is refused
        refused => return encode::answer(out, protocol, refused),
    };
    let mut answers = answers.iter();
    encode::array(out, pieces.len());
    for piece in pieces {
        match piece {
            Piece::Local(bytes) => out.extend_from_slice(bytes),
            Piece::Answer => {
                let next = answers.next().map_or(Answer::Nil, KeptAnswer::as_answer);
                encode::answer(out, protocol, next);
            }
            Piece::Sum(count) => {
                let mut plan = Plan::Sum { missing: *count as u32, total: 0, refused: None };
                for part in answers.by_ref().take(*count) {
                    if let Some(bytes) = plan.take(0, part.as_answer(), protocol) {
                        out.extend_from_slice(&bytes);
                    }
                }
            }
            Piece::Gather(count) => {
                let parts: Vec<&KeptAnswer> = answers.by_ref().take(*count).collect();
                gather(out, protocol, parts.into_iter());
            }
        }
    }
}
