//! One opening of a channel.
//!
//! ```text
//!              frames ──► on_frame ──► method ──► operation ──► Host::request ──► waits for on_answer
//!                            │            └─ at once: qos, ack, nack, reject, recover, confirm.select, close
//!                            └─ basic.publish, header, body ──► Host::publish ──► Settled, Owed, Unroutable, GivenUp
//!                                                                              └► NotNow: waits for resume
//!   while it waits: frames ──► deferred ──► replayed through on_frame, until the output is full: waits for room there
//! ```
//! Invariants: `content` is only there while nothing but room is waited for, so a message is never torn by an
//! answer; a channel that waits is never given a frame.

mod ack_timeout;
mod ages;
mod answers;
mod arguments;
mod assembly;
mod commit;
mod confirms;
mod consumers;
mod copies;
mod deferred;
mod deliver;
mod flow;
mod frames;
mod gate;
mod operations;
mod pause;
mod properties;
mod publish;
mod replies;
mod settle;
mod topology;
mod transaction;
mod unacked;
mod waiting;

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;
use leveret_model::{ChannelKey, ChannelNumber, ConsumerNumber, Held, Instant, Name, ReplyCode, Settlement};
use leveret_wire::{FrameHead, FrameKind, Method, decode_ack, decode_publish};

pub(crate) use self::assembly::Assembly;
use self::assembly::Expect;
use self::confirms::Confirms;
use self::consumers::Consumers;
use self::deferred::Deferred;
pub(crate) use self::frames::{decode_method, framing, method_id, whole_frame};
use self::frames::{framed, unexpected};
use self::gate::Gate;
use self::operations::Pending;
use self::transaction::{Commit, Transaction};
use self::unacked::Unacked;
use crate::exception::Exception;
use crate::host::{Host, Operation};
use crate::turn::{Shared, Turn};

/// What a channel waits for.
#[derive(Debug)]
enum Wait {
    /// Nothing: frames are taken.
    Nothing,
    /// The answer to an operation.
    Answer(Box<Pending>),
    /// Its turn to ask for a message.
    Turn(Box<(Pending, Operation)>),
    /// A better time for a publish.
    Publish(Box<Assembly>),
    /// Answers for the publishes of a commit, or a better time for one of them.
    Commit(Box<Commit>),
    /// Room in the output, for the answers to what is deferred.
    Room,
}

/// What became of the bytes offered to a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The frame is not whole yet; nothing was taken.
    Incomplete,
    /// So many bytes were taken: a frame, or the frames of a message.
    Taken(usize),
    /// All that there is of a body frame was taken; so many bytes of it, end octet included, are still to come.
    Partial {
        /// Bytes taken.
        taken: usize,
        /// Bytes to come.
        remaining: usize,
    },
    /// The client closed the channel with these bytes, and was told close-ok.
    Closed(usize),
}

/// What follows after a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The next frame.
    Go,
    /// The channel is closed.
    Close,
}

/// One opening of a channel.
#[derive(Debug)]
pub(crate) struct Channel<C> {
    key: ChannelKey,
    /// What the host keeps here.
    state: C,
    /// A message whose end has not come.
    content: Option<Box<Assembly>>,
    wait: Wait,
    deferred: Option<Box<Deferred>>,
    /// In confirm mode.
    confirms: Option<Box<Confirms>>,
    /// In tx mode.
    tx: Option<Box<Transaction>>,
    /// It is on `Shared::confirms_due`.
    confirms_due: bool,
    unacked: Unacked,
    /// Its consumers pause; it is on `Shared::paused`.
    paused: bool,
    consumers: Consumers,
    /// The last delivery tag; the first is 1.
    last_tag: u64,
    /// The last consumer number.
    last_consumer: u32,
    /// For consumers that start from now on; 0 is no limit.
    prefetch: u16,
    /// The queue that was declared last, which an empty name stands for; empty before any (AMQP 0-9-1
    /// §1.7.2.3).
    last_queue: Name,
    /// While the client wants no deliveries (channel.flow), or no more than so many (basic.qos with global).
    gate: Option<Box<Gate>>,
}

impl<C: Default> Channel<C> {
    /// A channel that was just opened.
    pub(crate) fn new(key: ChannelKey) -> Self {
        Self {
            key,
            state: C::default(),
            content: None,
            wait: Wait::Nothing,
            deferred: None,
            confirms: None,
            tx: None,
            confirms_due: false,
            unacked: Unacked::default(),
            paused: false,
            consumers: Consumers::default(),
            last_tag: 0,
            last_consumer: 0,
            prefetch: 0,
            last_queue: Name::default(),
            gate: None,
        }
    }
}

impl<C> Channel<C> {
    pub(crate) fn key(&self) -> ChannelKey {
        self.key
    }

    fn number(&self) -> ChannelNumber {
        self.key.number
    }

    /// True while an answer or a better time is awaited.
    pub(crate) fn is_waiting(&self) -> bool {
        !matches!(self.wait, Wait::Nothing)
    }

    /// True while a publish is held.
    pub(crate) fn holds_publish(&self) -> bool {
        match &self.wait {
            Wait::Publish(_) => true,
            Wait::Commit(commit) => commit.held,
            _ => false,
        }
    }

    /// Everything that the client has not settled.
    pub(crate) fn held(&self) -> impl Iterator<Item = Held> + '_ {
        // a transaction has the older ones
        let in_transaction = self.tx.iter().flat_map(|tx| tx.held());
        let waiting = self.gate.iter().flat_map(|gate| gate.held());
        in_transaction.chain(self.unacked.iter()).chain(waiting)
    }

    /// True while deliveries are not settled.
    pub(crate) fn holds_unacked(&self) -> bool {
        !self.unacked.is_empty() || self.tx.as_ref().is_some_and(|tx| tx.held().next().is_some())
    }

    /// Waits for room in the output, unless it waits for something else. True if it does.
    pub(crate) fn wait_for_room(&mut self) -> bool {
        let begins = !self.is_waiting();
        if begins {
            self.wait = Wait::Room;
        }
        begins
    }

    /// There is room in the output. True if it waited for that.
    pub(crate) fn take_room(&mut self) -> bool {
        let waited = matches!(self.wait, Wait::Room);
        if waited {
            self.wait = Wait::Nothing;
        }
        waited
    }

    /// A frame behind what is waited for, whole.
    pub(crate) fn defer(&mut self, arrived: Instant, frame: &[u8]) {
        self.deferred.get_or_insert_default().push(arrived, frame);
    }

    /// What is deferred, bytes.
    pub(crate) fn deferred_bytes(&self) -> usize {
        self.deferred.as_ref().map_or(0, |deferred| deferred.weight_bytes())
    }

    /// A message that is begun or held leaves the blocks that it came in.
    pub(crate) fn own_slices(&mut self, budget_bytes: usize) -> usize {
        match (&mut self.content, &mut self.wait) {
            (Some(message), _) | (None, Wait::Publish(message)) => message.own_slices(budget_bytes),
            _ => 0,
        }
    }

    /// Everything deferred, to be replayed.
    pub(crate) fn take_deferred(&mut self) -> Option<Box<Deferred>> {
        self.deferred.take()
    }

    /// What is left of it.
    pub(crate) fn put_back(&mut self, deferred: Box<Deferred>) {
        self.deferred = Some(deferred);
    }

    /// Takes the frame at `at`, or for a message as many frames as are there. Nothing is waited for. hot.
    pub(crate) fn on_frame<H: Host<Channel = C>>(
        &mut self,
        turn: &mut Turn<'_, H>,
        source: &Bytes,
        at: usize,
        head: FrameHead,
    ) -> Result<Step, Exception> {
        match (head.kind, self.content.as_ref().map(|content| content.expect())) {
            (FrameKind::Method, None) => {
                let Some(frame) = framed(source, at, head)? else { return Ok(Step::Incomplete) };
                let len = frame.wire_len();
                if let Some(fields) = decode_publish(frame.payload) {
                    return self
                        .on_publish(turn, source, at + len, &fields)
                        .map(|more| Step::Taken(len + more));
                }
                if let Some(ack) = decode_ack(frame.payload) {
                    self.on_ack(turn, ack)?;
                    return Ok(Step::Taken(len));
                }
                Ok(match self.on_method(turn, decode_method(&frame)?)? {
                    Next::Go => Step::Taken(len),
                    Next::Close => Step::Closed(len),
                })
            }
            (FrameKind::Header, Some(Expect::Header)) => self.on_header(turn, source, at),
            (FrameKind::Body, Some(Expect::Body)) => self.on_body(turn, source, at, head),
            (kind, expected) => Err(unexpected(kind, expected)),
        }
    }

    /// A method other than basic.publish.
    fn on_method<H: Host<Channel = C>>(
        &mut self,
        turn: &mut Turn<'_, H>,
        method: Method<'_>,
    ) -> Result<Next, Exception> {
        use leveret_wire::method::{AccessRequestOk, ChannelCloseOk};
        let id = method_id(&method);
        match method {
            Method::BasicAck(ack) => self.on_ack(turn, ack)?,
            Method::BasicNack(nack) => self.on_nack(turn, nack)?,
            Method::BasicReject(reject) => self.on_reject(turn, reject)?,
            Method::BasicRecover(recover) => self.on_recover(turn, id, recover.requeue, true)?,
            Method::BasicRecoverAsync(recover) => self.on_recover(turn, id, recover.requeue, false)?,
            Method::BasicQos(qos) => self.on_qos(turn, id, qos)?,
            Method::ConfirmSelect(select) => self.on_confirm_select(turn, id, select)?,
            Method::TxSelect(_) => self.on_tx_select(turn, id)?,
            Method::TxCommit(_) => self.on_tx_commit(turn, id)?,
            Method::TxRollback(_) => self.on_tx_rollback(turn, id)?,
            Method::ChannelFlow(flow) => self.on_flow(turn, flow),
            // an old client's question for a ticket that means nothing any more (AMQP 0-9)
            Method::AccessRequest(_) => turn.shared.send(self.number(), &AccessRequestOk { ticket: 1 }),
            // answers to what we sent
            Method::BasicCancelOk(_) | Method::ChannelFlowOk(_) => {}
            Method::ChannelClose(_) => {
                self.flush_confirms(turn.shared);
                turn.shared.send(self.number(), &ChannelCloseOk);
                return Ok(Next::Close);
            }
            Method::ChannelOpen(_) => {
                return Err(Exception::new(ReplyCode::ChannelError, id, "second 'channel.open' seen"));
            }
            other => self.on_operation(turn, id, other)?,
        }
        Ok(Next::Go)
    }

    /// The channel ends: the host hears of its consumers and gets everything back that was held.
    pub(crate) fn close<H: Host<Channel = C>>(mut self, shared: &mut Shared, host: &mut H) {
        if let Some(content) = &self.content {
            shared.unfinished_bytes -= content.weight_bytes();
        }
        let mut consumers: Vec<ConsumerNumber> = self.consumers.numbers().collect();
        match &self.wait {
            Wait::Publish(held) => {
                shared.held_bytes -= held.weight_bytes();
                shared.held_publishes -= 1;
            }
            // asked for and not answered: the host may know it already
            Wait::Answer(pending) => {
                consumers.extend(pending.new_consumer());
                if pending.is_get() {
                    shared.gets.end();
                }
            }
            Wait::Turn(_) => shared.gets.leave(self.key.number),
            Wait::Commit(commit) => shared.held_publishes -= usize::from(commit.held),
            Wait::Nothing | Wait::Room => {}
        }
        self.forget_transaction(shared);
        if self.confirms_due {
            shared.confirms_due.retain(|due| *due != self.key.number);
        }
        if self.paused {
            shared.paused.retain(|paused| *paused != self.key.number);
        }
        host.channel_closed(self.key, &consumers);
        while let Some(held) = self.unacked.take_first() {
            host.settle(self.key, held, Settlement::Requeue);
        }
        let waiting = self.gate.iter().flat_map(|gate| gate.held());
        waiting.for_each(|held| host.settle(self.key, held, Settlement::Requeue));
    }
}
