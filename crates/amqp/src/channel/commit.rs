//! Transactions of one channel (AMQP 0-9-1 §1.9; RabbitMQ: tx): publishes and settlements wait for the commit.
//!
//! ```text
//!   tx.select ─► publish, ack, nack, reject are kept ─► tx.rollback: publishes go, deliveries are held again
//!                            │
//!                            └─ tx.commit ─► every publish to the host, in order ─► owed answers
//!                                              │ NotNow: waits for resume            │          │ one is a nack
//!                                              ▼                                     ▼          ▼
//!                                            goes on              settlements, commit-ok       406
//! ```
//! A commit that fails leaves what was stored (RabbitMQ: `partial tx completion`), but settles nothing: who
//! takes from one queue and publishes to the next would lose what the next one refused (RabbitMQ does).
//! Invariant: the bytes of kept publishes are in `Shared::unfinished_bytes` until the host has them.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;

use leveret_model::limits::TRANSACTION_BYTES_MAX;
use leveret_model::{DeliveryTag, Held, PublishNumber, ReplyCode, Settlement};
use leveret_wire::method::{TxCommitOk, TxRollbackOk, TxSelectOk};

use super::transaction::Commit;
use super::{Assembly, Channel, Wait};
use crate::exception::{Exception, MethodId};
use crate::host::{Host, Published};
use crate::turn::{Shared, Turn};

const COMMIT: MethodId = MethodId { class: 90, method: 20 };

impl<C> Channel<C> {
    pub(super) fn on_tx_select<H>(&mut self, turn: &mut Turn<'_, H>, id: MethodId) -> Result<(), Exception> {
        if self.confirms.is_some() {
            let text = "cannot switch from confirm to tx mode";
            return Err(Exception::new(ReplyCode::PreconditionFailed, id, text));
        }
        self.tx.get_or_insert_with(Box::default);
        turn.shared.send(self.key.number, &TxSelectOk);
        Ok(())
    }

    pub(super) fn on_tx_rollback<H>(
        &mut self,
        turn: &mut Turn<'_, H>,
        id: MethodId,
    ) -> Result<(), Exception> {
        if self.tx.is_none() {
            return Err(not_transactional(id));
        }
        self.forget_transaction(turn.shared);
        turn.shared.send(self.key.number, &TxRollbackOk);
        Ok(())
    }

    pub(super) fn on_tx_commit<H: Host<Channel = C>>(
        &mut self,
        turn: &mut Turn<'_, H>,
        id: MethodId,
    ) -> Result<(), Exception> {
        if self.tx.is_none() {
            return Err(not_transactional(id));
        }
        let commit = Commit { arrived: turn.arrived, owed: BTreeSet::new(), failed: false, held: false };
        self.wait = Wait::Commit(Box::new(commit));
        self.go_on_committing(turn)
    }

    /// A whole message in tx mode. What is wrong with its exchange is said now (RabbitMQ).
    pub(super) fn keep_publish<H: Host<Channel = C>>(
        &mut self,
        turn: &mut Turn<'_, H>,
        mut message: Box<Assembly>,
    ) -> Result<(), Exception> {
        let Some(tx) = &mut self.tx else { return Ok(()) };
        let (exchange, _) = message.names();
        turn.host
            .may_publish(self.key, exchange)
            .map_err(|refusal| Exception::refused(refusal, MethodId::PUBLISH))?;
        tx.demand_room(MethodId::PUBLISH)?;
        if turn.shared.unfinished_bytes + message.weight_bytes() > TRANSACTION_BYTES_MAX {
            let text = format!("more than {TRANSACTION_BYTES_MAX} bytes in uncommitted messages");
            return Err(Exception::new(ReplyCode::PreconditionFailed, MethodId::PUBLISH, text));
        }
        // a commit may never come: the blocks that it came in must not wait for that
        message.own_slices(usize::MAX);
        turn.shared.unfinished_bytes += message.weight_bytes();
        tx.publishes.push_back(message);
        Ok(())
    }

    /// Keeps the settlement of a delivery that the channel held.
    pub(super) fn keep_settlement(
        &mut self,
        id: MethodId,
        tag: DeliveryTag,
        held: Held,
        how: Settlement,
    ) -> Result<(), Exception> {
        let Some(tx) = &mut self.tx else { return Ok(()) };
        let room = tx.demand_room(id);
        tx.settlements.push((tag, held, how));
        room
    }

    /// Drops what was published and holds again what was settled.
    pub(super) fn forget_transaction(&mut self, shared: &mut Shared) {
        let Some(tx) = &mut self.tx else { return };
        for message in tx.publishes.drain(..) {
            shared.unfinished_bytes -= message.weight_bytes();
        }
        self.unacked.hold_again(tx.settlements.drain(..).map(|(tag, held, _)| (tag, held)));
    }

    /// Gives what is left of the transaction to the host.
    pub(super) fn go_on_committing<H: Host<Channel = C>>(
        &mut self,
        turn: &mut Turn<'_, H>,
    ) -> Result<(), Exception> {
        let Wait::Commit(commit) = &mut self.wait else { return Ok(()) };
        if core::mem::take(&mut commit.held) {
            turn.shared.held_publishes -= 1;
        }
        while let Some(message) = self.tx.as_mut().and_then(|tx| tx.publishes.pop_front()) {
            turn.shared.unfinished_bytes -= message.weight_bytes();
            if !self.commit_publish(turn, message)? {
                return Ok(());
            }
        }
        self.end_commit(turn.shared, turn.host)
    }

    /// False if the publish cannot go now; it is the first again then.
    fn commit_publish<H: Host<Channel = C>>(
        &mut self,
        turn: &mut Turn<'_, H>,
        message: Box<Assembly>,
    ) -> Result<bool, Exception> {
        let (Wait::Commit(commit), Some(tx)) = (&mut self.wait, &mut self.tx) else { return Ok(true) };
        let number = PublishNumber(tx.last + 1);
        let publish = message.publish(Some(number), commit.arrived);
        let published = match message.copies() {
            [] => turn.host.publish(self.key, &mut self.state, publish),
            keys => turn.host.publish_copies(self.key, publish, keys),
        };
        match published.map_err(|refusal| Exception::refused(refusal, MethodId::PUBLISH))? {
            Published::NotNow => {
                commit.held = true;
                turn.shared.held_publishes += 1;
                turn.shared.unfinished_bytes += message.weight_bytes();
                tx.publishes.push_front(message);
                return Ok(false);
            }
            Published::Settled => {}
            Published::Owed => drop(commit.owed.insert(number)),
            Published::GivenUp => commit.failed = true,
            Published::Unroutable => {
                let (exchange, routing_key) = message.names();
                self.send_return(turn.shared, exchange, routing_key, &message.message());
            }
        }
        if let Some(tx) = &mut self.tx {
            tx.last = number.0;
        }
        Ok(true)
    }

    /// An answer that was owed for a publish of a commit. True if that was the last one: `end_commit` is due.
    pub(super) fn on_commit_settled(&mut self, number: PublishNumber, ok: bool) -> bool {
        let (Wait::Commit(commit), Some(tx)) = (&mut self.wait, &self.tx) else { return false };
        if !commit.owed.remove(&number) {
            return false;
        }
        commit.failed |= !ok;
        commit.owed.is_empty() && tx.publishes.is_empty()
    }

    /// Settles and answers, if nothing is owed any more. After a failure the channel closes, which gives back
    /// what it holds.
    pub(crate) fn end_commit<H: Host<Channel = C>>(
        &mut self,
        shared: &mut Shared,
        host: &mut H,
    ) -> Result<(), Exception> {
        let (Wait::Commit(commit), Some(tx)) = (&self.wait, &mut self.tx) else { return Ok(()) };
        if !commit.owed.is_empty() || !tx.publishes.is_empty() {
            return Ok(());
        }
        let failed = commit.failed;
        self.wait = Wait::Nothing;
        if failed {
            return Err(Exception::new(ReplyCode::PreconditionFailed, COMMIT, "partial tx completion"));
        }
        for (_, held, how) in core::mem::take(&mut tx.settlements) {
            host.settle(self.key, held, how);
        }
        shared.send(self.key.number, &TxCommitOk);
        Ok(())
    }
}

fn not_transactional(id: MethodId) -> Exception {
    Exception::new(ReplyCode::PreconditionFailed, id, "channel is not transactional")
}
