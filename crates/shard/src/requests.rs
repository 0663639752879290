//! Operations of clients: each is one request that ends in one answer.
//!
//! ```text
//!   Operation ── actions.rs ──▶ Command (control machine) | Question (a queue's home) | look-up in the map
//!        start.rs                     │                        │                          │
//!        waiting.rs  ◀── Stage::Control          Stage::Home                  Stage::Lease
//!        answers.rs  ──▶ the connection
//! ```
//! An operation is started when it comes, and started again when what it lacked is there (a lease, the reply of
//! the control machine). A home elsewhere is asked by a record that is repeated under the same id on a new
//! link.

mod actions;
mod answers;
mod endings;
mod pending;
mod reply_addresses;
mod start;
mod waiting;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

use leveret_model::directory::FromShard;
use leveret_model::{
    ChannelKey, ConnectionKey, Instant, Name, QueueId, RequestId, Seed, ShardAddress, SplitMix,
};

pub(crate) use self::answers::{OwnedAnswer, borrow};

use self::endings::Endings;
use self::pending::Pending;
use crate::clients::Clients;
use crate::egress::Egress;
use crate::queues::Queues;
use crate::replies::Replies;
use crate::view::ClusterView;

/// Operations under way, and answers that wait for their connection.
#[derive(Debug)]
pub(crate) struct Requests {
    own: ShardAddress,
    pending: BTreeMap<RequestId, Pending>,
    last: RequestId,
    /// When the first of them has waited for long enough, or is to ask again.
    due: Instant,
    answers: VecDeque<(ChannelKey, OwnedAnswer)>,
    /// Mail for the control machine.
    control: Vec<FromShard>,
    endings: Endings,
    /// For the names of queues whose clients leave them to the server.
    names: SplitMix,
}

/// The rooms that a request goes through.
#[derive(Debug)]
pub(crate) struct Rooms<'a> {
    pub(crate) view: &'a ClusterView,
    pub(crate) clients: &'a Clients,
    pub(crate) queues: &'a mut Queues,
    pub(crate) egress: &'a mut Egress,
    pub(crate) replies: &'a Replies,
}

impl Requests {
    pub(crate) fn new(own: ShardAddress, seed: Seed) -> Self {
        Self {
            own,
            pending: BTreeMap::new(),
            last: RequestId(0),
            due: Instant::FAR,
            answers: VecDeque::new(),
            control: Vec::new(),
            endings: Endings::default(),
            names: SplitMix::new(seed.part(4)),
        }
    }

    /// The next answer for a connection.
    pub(crate) fn pop_answer(&mut self) -> Option<(ChannelKey, OwnedAnswer)> {
        self.answers.pop_front()
    }

    /// Mail for the control machine; more may be added.
    pub(crate) fn control(&mut self) -> &mut Vec<FromShard> {
        &mut self.control
    }

    /// When [`Requests::expire`] has something to do.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// A queue of this shard has closed by itself: its record is to be deleted.
    pub(crate) fn delete_record(&mut self, id: QueueId, owner: Option<ConnectionKey>) {
        let request = self.draw();
        self.endings.begin(request, owner);
        self.control.push(FromShard::QueueOver { request, id });
    }

    /// The control machine answered. True if that was about such a queue.
    pub(crate) fn on_record_deleted(&mut self, request: RequestId) -> bool {
        self.endings.end(request)
    }

    /// Exclusive queues of a connection are closed and not gone everywhere.
    pub(crate) fn ends_queues_of(&self, connection: ConnectionKey) -> bool {
        self.endings.has(connection)
    }

    /// A connection whose exclusive queues that had closed are gone.
    pub(crate) fn pop_without_queues(&mut self) -> Option<ConnectionKey> {
        self.endings.pop_done()
    }

    /// A name for a queue, which no other has (RabbitMQ: `amq.gen-` and 22 characters of base 64).
    pub(crate) fn draw_queue_name(&mut self) -> Name {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let random = self.names.next_u128();
        let mut name = String::from("amq.gen-");
        name.extend((0..22).map(|at| char::from(DIGITS[(random >> (6 * at)) as usize & 63])));
        Name::new(&name)
    }

    fn draw(&mut self) -> RequestId {
        self.last = RequestId(self.last.0 + 1);
        self.last
    }
}
