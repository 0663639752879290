//! A request on its way (S1, S2, S6): answered here, asked for elsewhere, or held.

use alloc::vec::Vec;

use leveret_model::limits;
use leveret_model::session::{Answer, KeptAnswer, KeyCommand, SessionRefusal};
use sha2::{Digest as _, Sha256};

use crate::command_bytes::{put_answer, put_request, take_request};
use crate::draft::{Draft, Found};
use crate::effects::{Asker, Effects, Request};
use crate::fields::{Damage, Take};
use crate::hid::{Hid, Place};
use crate::list::Row;
use crate::pending::{Caller, Waiting, Waits};
use crate::planted::Planted;
use crate::record::{NOBODY, Record, WriteId};
use crate::rules::Rule;
use crate::sessions::Sessions;
use crate::stamp::{Home, Stamp, StateId};
use crate::time::{Clock, Ms};

/// Commands on a key as bytes, for the shard of this node that keeps it ([`Sessions::on_request_bytes`]).
#[must_use]
pub fn encode_request(place: Place<'_>, commands: &[KeyCommand<'_>], block: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_request(&mut bytes, place, commands, block);
    bytes
}

/// The id under which a commit may come again, over another connection and another node too.
fn commit_id(commands: &[KeyCommand<'_>]) -> Option<WriteId> {
    let [KeyCommand::Commit { arguments, .. }] = commands else { return None };
    let id = arguments.iter().nth(1).filter(|id| !id.is_empty())?;
    let digest: [u8; 32] = Sha256::digest(id).into();
    let mut take = Take::new(&digest);
    let (origin, number) = (take.home().ok()?, take.u64().ok()?);
    Some(WriteId { origin, shard: u32::MAX, number })
}

/// Where a request of [`encode_request`] goes.
///
/// # Errors
/// [`Damage`]: no machine of ours wrote that.
pub fn request_place(bytes: &[u8]) -> Result<Place<'_>, Damage> {
    Ok(take_request(bytes)?.place)
}

/// Commands on a key, wherever they came from.
pub(crate) struct Call<'a> {
    pub(crate) caller: Caller,
    pub(crate) hid: Hid,
    pub(crate) place: Place<'a>,
    pub(crate) commands: &'a [KeyCommand<'a>],
    pub(crate) block: bool,
    /// Their times count from there.
    pub(crate) arrived: Ms,
    /// The id that a repeat has too; none before it had to wait.
    pub(crate) write: Option<WriteId>,
    /// The asking node says that the connection has read the key since it went.
    pub(crate) reader: bool,
}

/// What must follow a change before it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    Nothing,
    /// Copies are told now and then.
    Touch,
    /// The replicator has it. Of attributes the state to which the commit was made.
    Commit(Option<StateId>),
    /// Everybody has the gone entry.
    Gone(Stamp),
    /// The claim settles.
    Birth,
}

/// How far an attempt came.
pub(crate) enum Attempt {
    Done(KeptAnswer),
    Wait(Waits),
    /// Of a forwarded command: its home is elsewhere.
    NotHome,
}

impl Call<'_> {
    fn reads(&self) -> Option<&KeyCommand<'_>> {
        match self.commands {
            [command] if !self.block && !command.writes() => Some(command),
            _ => None,
        }
    }
}

impl Sessions {
    /// Commands on a key. `None`: the answer comes as an effect. hot.
    pub fn on_request(
        &mut self,
        clock: Clock,
        request: &Request<'_>,
        effects: &mut Effects,
    ) -> Option<Answer<'_>> {
        let hid = request.place.hid();
        let (shard, connection) = (request.asker.shard, request.asker.connection);
        let pending = &self.cluster.pending;
        let behind = !pending.is_empty() && pending.has_earlier(shard, connection, hid);
        let full = pending.len() >= limits::SESSION_REQUESTS_WAITING_MAX;
        if let [command] = request.commands
            && !request.block
            && !command.writes()
            && !behind
            && self.answers_here(hid)
        {
            self.expire_if_over(hid, clock, effects);
            let key = self.states.find(hid).filter(|_| self.list.get(hid).is_some());
            if key.is_some_and(|key| self.states.get(key).place() != request.place) {
                return Some(Answer::Nil);
            }
            return Some(self.read_here(clock, request.asker, request.place, key, command));
        }
        let call = Call {
            caller: Caller::Client(request.asker),
            hid,
            place: request.place,
            commands: request.commands,
            block: request.block,
            arrived: clock.ms(),
            write: commit_id(request.commands),
            reader: false,
        };
        let attempt = if behind { Attempt::Wait(Waits::Behind) } else { self.attempt(clock, &call, effects) };
        match attempt {
            Attempt::Done(answer) => {
                self.last = answer;
                Some(self.last.as_answer())
            }
            Attempt::Wait(Waits::Change | Waits::Behind) if full => {
                Some(Answer::Refused(SessionRefusal::TryAgain))
            }
            Attempt::Wait(waits) => {
                self.keep(&call, waits, effects);
                None
            }
            Attempt::NotHome => unreachable!("a client's request is not forwarded to us"),
        }
    }

    /// The same for commands that another shard of the node sent ([`encode_request`]).
    ///
    /// # Errors
    /// [`Damage`]: no shard of ours wrote that.
    pub fn on_request_bytes(
        &mut self,
        clock: Clock,
        asker: Asker,
        bytes: &[u8],
        effects: &mut Effects,
    ) -> Result<Option<KeptAnswer>, Damage> {
        let kept = take_request(bytes)?;
        let request = Request { asker, place: kept.place, commands: &kept.commands, block: kept.block };
        Ok(self.on_request(clock, &request, effects).map(|answer| answer.keep()))
    }

    /// True if nobody else need be asked: nothing is known of the key, or its home is here and all is copied.
    /// hot.
    fn answers_here(&self, hid: Hid) -> bool {
        let here = |row: Row| row.home == self.config.own && !row.flags.waits();
        let row = self.list.get(hid);
        let lease = self.has_lease() || row.is_none() && self.bug.is(Planted::NilWithoutLease);
        let copied = !self.cluster.copies.lacks(hid) || self.bug.is(Planted::UncopiedRead);
        lease && row.is_none_or(here) && copied
    }

    /// True while it may say something: it has membership's lease, and every counted peer has told its map.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.has_lease()
    }

    pub(crate) fn has_lease(&self) -> bool {
        self.cluster.sync.has_lease(self.cluster.members.counted())
    }

    /// Keeps a request that waits, and asks who is to be asked.
    pub(crate) fn keep(&mut self, call: &Call<'_>, waits: Waits, effects: &mut Effects) {
        self.cluster.question += 1;
        let own = WriteId {
            origin: self.config.own,
            shard: self.config.shard.0.into(),
            number: self.cluster.question,
        };
        let mut request = Vec::new();
        put_request(&mut request, call.place, call.commands, call.block);
        let number = self.cluster.pending.insert(Waiting {
            caller: call.caller,
            hid: call.hid,
            request: request.into(),
            arrived: call.arrived,
            write: call.write.unwrap_or(own),
            reader: call.reader,
            waits,
        });
        self.ask(number, call.arrived, effects);
    }

    /// Sends the question that a request waits for.
    pub(crate) fn ask(&self, number: u64, now: Ms, effects: &mut Effects) {
        let Some(waiting) = self.cluster.pending.get(number) else { return };
        let hid = waiting.hid;
        match &waiting.waits {
            Waits::Load { number, asked } => {
                for home in asked {
                    effects.send(home.node, hid.bucket(), &Record::Load { number: *number, hid });
                }
            }
            Waits::Forward { number, home } => {
                let gone = self.gone.get(hid).map(|gone| gone.life);
                let read = match (waiting.caller, gone) {
                    (Caller::Client(asker), Some(life)) => {
                        self.readers.has_read((asker.shard, asker.connection), hid, life)
                    }
                    _ => false,
                };
                let age_ms = u32::try_from(now.since(waiting.arrived)).unwrap_or(u32::MAX);
                let record = Record::Forward {
                    number: *number,
                    write: waiting.write,
                    hid,
                    age_ms,
                    reader: read,
                    request: &waiting.request,
                };
                effects.send(home.node, hid.bucket(), &record);
            }
            _ => {}
        }
    }

    /// Tries to answer.
    pub(crate) fn attempt(&mut self, clock: Clock, call: &Call<'_>, effects: &mut Effects) -> Attempt {
        if !self.has_lease() {
            return Attempt::Wait(Waits::Change);
        }
        self.expire_if_over(call.hid, clock, effects);
        if let Some(attempt) = call.write.and_then(|write| self.repeated(call.hid, write)) {
            return attempt;
        }
        let forwarded = matches!(call.caller, Caller::Node { .. });
        match self.list.get(call.hid) {
            Some(row) if row.home == self.config.own => self.attempt_here(clock, call, row, effects),
            _ if forwarded => Attempt::NotHome,
            Some(row) if row.home != NOBODY && !self.is_void(call.hid, row) => {
                self.attempt_elsewhere(clock, call, row)
            }
            _ => self.attempt_missing(clock, call, effects),
        }
    }

    /// A write that was applied before gets its first answer, once that may be given.
    fn repeated(&self, hid: Hid, write: WriteId) -> Option<Attempt> {
        let answer = self.cluster.writes.find(hid, write)?;
        if self.cluster.copies.lacks(hid)
            && let Some(key) = self.states.find(hid)
        {
            return Some(Attempt::Wait(Waits::Copied(self.states.id(key), answer)));
        }
        if let Some(gone) = self.gone.get(hid)
            && self.gone.is_owed(hid, |node| self.cluster.members.is_counted(node))
        {
            return Some(Attempt::Wait(Waits::Gone(gone.life, answer)));
        }
        Some(Attempt::Done(answer))
    }

    fn attempt_here(&mut self, clock: Clock, call: &Call<'_>, row: Row, effects: &mut Effects) -> Attempt {
        let Some(key) = self.states.find(call.hid).filter(|_| !row.flags.waits()) else {
            return Attempt::Wait(Waits::Change);
        };
        if self.states.get(key).place() != call.place {
            let refused = SessionRefusal::TooMuch("another key has the same hash");
            return Attempt::Done(KeptAnswer::Refused(refused));
        }
        if let Some(command) = call.reads() {
            // what is shown must not be lost (S6)
            if self.cluster.copies.lacks(call.hid) && !self.bug.is(Planted::UncopiedRead) {
                return Attempt::Wait(Waits::Change);
            }
            let Caller::Client(asker) = call.caller else { return Attempt::NotHome };
            return Attempt::Done(self.read_here(clock, asker, call.place, Some(key), command).keep());
        }
        let now = clock.ms();
        if call.write.is_some() && !self.cluster.writes.has_room(call.hid, now) {
            return Attempt::Done(KeptAnswer::Refused(SessionRefusal::TryAgain));
        }
        let (answer, after) = self.write_here(clock, call, Some(key), effects);
        if let Some(write) = call.write.filter(|_| after != After::Birth) {
            self.note_write(call.hid, write, &answer, now);
        }
        if matches!(after, After::Commit(_) | After::Touch) {
            self.note_use(call, key, effects);
        }
        self.follow(clock, call.hid, answer, after, effects)
    }

    /// What a change needs before its answer.
    fn follow(
        &mut self,
        clock: Clock,
        hid: Hid,
        answer: KeptAnswer,
        after: After,
        effects: &mut Effects,
    ) -> Attempt {
        let counted = |sessions: &Self| sessions.cluster.members.counted().next().is_some();
        match after {
            After::Touch => {
                self.cluster.touched.insert(hid);
            }
            After::Commit(before) => self.copy_out_since(hid, before, clock.ms(), effects),
            After::Gone(life) if counted(self) => return Attempt::Wait(Waits::Gone(life, answer)),
            After::Birth => {
                self.claim_birth(clock, hid, effects);
                if self.cluster.claims.get(hid).is_some() && !self.bug.is(Planted::CreateAnsweredEarly) {
                    return Attempt::Wait(Waits::Claim(answer));
                }
            }
            After::Gone(_) | After::Nothing => {}
        }
        let lacks = self.cluster.copies.lacks(hid) && !self.bug.is(Planted::AckBeforeCopy);
        match self.states.find(hid).filter(|_| lacks) {
            Some(key) => Attempt::Wait(Waits::Copied(self.states.id(key), answer)),
            None => Attempt::Done(answer),
        }
    }

    /// The home is another node.
    fn attempt_elsewhere(&mut self, clock: Clock, call: &Call<'_>, row: Row) -> Attempt {
        let dead = self.cluster.members.is_dead(row.home);
        let Some(command) = call.reads() else {
            if dead {
                return Attempt::Wait(Waits::Change);
            }
            self.cluster.question += 1;
            return Attempt::Wait(Waits::Forward { number: self.cluster.question, home: row.home });
        };
        let own_copy = self.states.find(call.hid).filter(|&key| self.may_answer(key, row));
        if let Some(key) = own_copy {
            let state = self.states.get(key);
            if state.place() == call.place && !state.deadline().is_over(clock.ms()) {
                let (content, deadline, id) = (state.content(), state.deadline(), self.states.id(key));
                let found = Found::Alive { content, deadline, id };
                let answer = Draft::new(clock, call.arrived, Rule::Stays, 0, found).read_kept(command);
                self.note_load(key, clock.ms());
                return Attempt::Done(answer);
            }
        }
        let keeper = self.cluster.members.replicator(row.home.node, call.hid.bucket());
        let asked: Vec<Home> = self
            .cluster
            .members
            .counted()
            .filter(|home| *home == row.home && !dead || Some(home.node) == keeper)
            .collect();
        if asked.is_empty() {
            return Attempt::Wait(Waits::Change);
        }
        self.cluster.question += 1;
        Attempt::Wait(Waits::Load { number: self.cluster.question, asked })
    }

    /// Nothing is there, or nothing any more.
    fn attempt_missing(&mut self, clock: Clock, call: &Call<'_>, effects: &mut Effects) -> Attempt {
        if let (Some(command), Caller::Client(asker)) = (call.reads(), call.caller) {
            return Attempt::Done(self.read_here(clock, asker, call.place, None, command).keep());
        }
        let (answer, after) = self.write_here(clock, call, None, effects);
        let kept = call.write.filter(|_| after == After::Birth).map(|write| (write, answer.clone()));
        let attempt = self.follow(clock, call.hid, answer, after, effects);
        // while its claim waits, the birth is not known to be one: `settle` notes it then
        if let (Some((write, answer)), false) = (kept, matches!(attempt, Attempt::Wait(Waits::Claim(_)))) {
            self.note_write(call.hid, write, &answer, clock.ms());
        }
        attempt
    }

    /// A repeat of the write gets this answer.
    pub(crate) fn note_write(&mut self, hid: Hid, write: WriteId, answer: &KeptAnswer, now: Ms) {
        let mut bytes = Vec::new();
        put_answer(&mut bytes, answer.as_answer());
        self.cluster.writes.note(hid, write, now, bytes.into());
    }
}
