//! Both ends of a link, and what passes through them.

use std::fmt;
use std::time::Duration;

use leveret_services::{DoorName, Message};
use tokio::sync::mpsc::{Receiver, Sender};

use crate::brokers::Brokers;

/// Who takes part, and what it wants to hear.
#[derive(Clone, Debug)]
pub struct BusConfig {
    /// Where to connect.
    pub brokers: Brokers,
    /// Name of the connection, for the broker's operator.
    pub name: String,
    /// Binding keys of its queue.
    pub bindings: Vec<String>,
    /// A door asks who is there before it consumes.
    pub ask: Option<DoorName>,
}

/// What to send.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Routing key.
    pub key: String,
    /// Text.
    pub body: Vec<u8>,
    /// It says nothing true after this.
    pub ttl: Duration,
    /// Send it mandatory and confirmed; the number comes back in [`Incoming::Settled`].
    pub confirm: Option<u64>,
}

/// What happens on the link.
#[derive(Debug)]
pub enum Incoming {
    /// There is a link: the queue is bound and consumed.
    Up {
        /// Address of the broker.
        broker: String,
        /// The user of the link.
        user: String,
    },
    /// There is none.
    Down {
        /// For people.
        why: String,
    },
    /// A message, and its sender if the broker checked it.
    Message(Message, Option<String>),
    /// A message that nobody can read.
    Unreadable {
        /// Its routing key.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// The broker took a confirmed message; `routed`: some queue got it.
    Settled {
        /// The number of [`Outgoing::confirm`].
        number: u64,
        /// Whether somebody listens.
        routed: bool,
    },
}

/// Both ends of a link.
pub struct Bus {
    /// To the exchange.
    pub outgoing: Sender<Outgoing>,
    /// From it.
    pub incoming: Receiver<Incoming>,
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus").finish_non_exhaustive()
    }
}
