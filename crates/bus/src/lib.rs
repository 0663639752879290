//! A participant's link to the exchange of services, over any AMQP 0-9-1 broker.
//!
//! Read first: `docs/formats/services.md`, 1. [`start`] spawns a task that keeps a link for ever: it dials
//! the [`Brokers`] in turn, declares exchange and queue, and carries messages both ways. What could not be
//! sent while there was no link is dropped: every message says the present, and the next one says it again.

mod brokers;
mod session;

use std::fmt;
use std::time::Duration;

use leveret_model::limits::{BUS_INCOMING_MAX, BUS_OUTGOING_MAX, BUS_REDIAL_WAITS};
use leveret_services::{Ask, DoorName, Message};
use tokio::sync::mpsc::{Receiver, Sender, channel};

pub use brokers::{Broker, BrokerError, Brokers};

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

/// Spawns the link on the current runtime; it ends when either end of [`Bus`] is dropped.
#[must_use]
pub fn start(config: BusConfig) -> Bus {
    let (outgoing, to_send) = channel(BUS_OUTGOING_MAX);
    let (events, incoming) = channel(BUS_INCOMING_MAX);
    tokio::spawn(keep(config, to_send, events));
    Bus { outgoing, incoming }
}

/// Dials for ever.
async fn keep(config: BusConfig, mut to_send: Receiver<Outgoing>, events: Sender<Incoming>) {
    let ask = config.ask.clone().map(Ask::new);
    let mut failures: usize = 0;
    let mut at: usize = 0;
    while !events.is_closed() {
        let addresses = config.brokers.addresses().await;
        let mut why = String::from("no broker has an address");
        // A broker that answered once is asked last: it has just failed.
        for turn in 0..addresses.len() {
            let target = &addresses[(at + turn) % addresses.len()];
            match session::Session::open(&config, ask.as_ref(), target).await {
                Ok(session) => {
                    failures = 0;
                    at = (at + turn + 1) % addresses.len();
                    why = match session.carry(&mut to_send, &events).await {
                        session::Ended::ByUs => return,
                        session::Ended::Lost(why) => format!("{}: {why}", target.shown()),
                    };
                    break;
                }
                Err(error) => why = format!("{}: {error}", target.shown()),
            }
        }
        failures += 1;
        // While there is no link nothing waits for one; each message says the present.
        while to_send.try_recv().is_ok() {}
        if events.send(Incoming::Down { why }).await.is_err() {
            return;
        }
        let wait = BUS_REDIAL_WAITS[failures.min(BUS_REDIAL_WAITS.len()) - 1];
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = events.closed() => return,
        }
    }
}
