//! A participant's link to the exchange of services, over any AMQP 0-9-1 broker.
//!
//! Read first: `docs/formats/services.md`, 1. [`start`] spawns a task that keeps a link for ever: it dials
//! the [`Brokers`] in turn, declares exchange and queue, and carries messages both ways. What could not be
//! sent while there was no link is dropped: every message says the present, and the next one says it again.

mod brokers;
mod events;
mod session;

use leveret_model::limits::{BUS_INCOMING_MAX, BUS_OUTGOING_MAX, BUS_REDIAL_WAITS};
use leveret_services::Ask;
use tokio::sync::mpsc::{Receiver, Sender, channel};

pub use brokers::{Broker, BrokerError, Brokers};
pub use events::{Bus, BusConfig, Incoming, Outgoing};

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
