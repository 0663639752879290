//! The bus: brokers that form one cluster, and a link of each participant to one of them.

use std::time::Duration;

use leveret_model::Instant;
use leveret_services::{Event, Message};

use super::{Happening, Participant, World};

/// A participant's connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Link {
    /// Counts connections; what is under way on an older one is lost.
    pub(crate) number: u64,
    /// To this broker.
    pub(crate) broker: Option<usize>,
    /// Since when it is as it is.
    pub(crate) since: Instant,
    /// Packets vanish, until somebody notices.
    pub(crate) cut: bool,
    /// What it publishes is late until then, its first ask excepted.
    pub(crate) late_until: Instant,
    /// Its participant has ended.
    pub(crate) gone: bool,
}

impl Link {
    /// A queue of this participant exists.
    pub(crate) fn is_up(&self) -> bool {
        self.broker.is_some() && !self.gone
    }

    fn carries(&self) -> bool {
        self.is_up() && !self.cut
    }
}

impl World {
    /// Sends a message to every queue that is bound for it. `confirmed`: the seq of a change.
    pub(crate) fn publish(&mut self, from: usize, message: &Message, confirmed: Option<u64>) {
        if !self.links[from].carries() {
            return;
        }
        let wanted = |participant: &Participant| match participant {
            Participant::Door(_) => matches!(message, Message::Announcement(_) | Message::Report(_)),
            Participant::Process(_) => !matches!(message, Message::Announcement(_)),
        };
        let receivers: Vec<usize> = (0..self.participants.len())
            .filter(|at| self.links[*at].is_up() && wanted(&self.participants[*at]))
            .collect();
        for to in &receivers {
            if self.links[*to].cut || self.chance(self.weather.loss) {
                continue;
            }
            let copies = if self.chance(self.weather.duplicates) { 2 } else { 1 };
            for _ in 0..copies {
                let mut delay = self.bus_delay();
                if self.now < self.links[from].late_until && !matches!(message, Message::Ask(_)) {
                    delay += self.micros(200_000, 1_500_000);
                }
                let link = self.links[*to].number;
                let message = Box::new(message.clone());
                self.after(delay, Happening::Delivered { to: *to, link, message, user: "guest" });
            }
        }
        if let Some(seq) = confirmed {
            let delay = self.bus_delay();
            let link = self.links[from].number;
            self.after(delay, Happening::Settled { to: from, link, seq, routed: !receivers.is_empty() });
        }
    }

    fn bus_delay(&mut self) -> Duration {
        let slow = self.chance(self.weather.slow);
        match (slow, self.chance(500)) {
            (false, _) => self.micros(100, 5_000),
            (true, false) => self.micros(1_000, 150_000),
            (true, true) => self.micros(1_000, 2_000_000),
        }
    }

    pub(crate) fn delivered(&mut self, to: usize, link: u64, message: &Message, user: &'static str) {
        let own = self.links[to];
        if own.number != link || !own.carries() {
            return;
        }
        match &mut self.participants[to] {
            Participant::Door(_) => self.door_hears(to, message, user),
            Participant::Process(process) => {
                process.hears_door(self.now, message);
                self.process_event(to, Event::Message(message, Some(user)));
            }
        }
    }

    pub(crate) fn settled(&mut self, to: usize, link: u64, seq: u64, routed: bool) {
        if self.links[to].number == link && self.links[to].carries() {
            self.process_event(to, Event::Settled { seq, routed });
        }
    }

    /// Looks for a broker, for ever.
    pub(crate) fn redial(&mut self, of: usize) {
        if self.links[of].is_up() || self.links[of].gone {
            return;
        }
        let living: Vec<usize> = (0..self.brokers.len()).filter(|at| self.brokers[*at]).collect();
        if living.is_empty() || self.links[of].cut {
            let delay = self.micros(50_000, 250_000);
            return self.after(delay, Happening::Redial { of });
        }
        let broker = living[self.below(living.len() as u64)];
        let link = &mut self.links[of];
        *link = Link { number: link.number + 1, broker: Some(broker), since: self.now, ..*link };
        match self.participants[of] {
            Participant::Door(_) => self.door_link(of, true),
            Participant::Process(_) => self.process_event(of, Event::LinkUp),
        }
    }

    pub(crate) fn link_lost(&mut self, of: usize, number: u64) {
        let link = &mut self.links[of];
        if link.number != number || link.broker.is_none() || link.gone {
            return;
        }
        *link = Link { broker: None, since: self.now, ..*link };
        match self.participants[of] {
            Participant::Door(_) => self.door_link(of, false),
            Participant::Process(_) => self.process_event(of, Event::LinkDown),
        }
        let delay = self.micros(1_000, 20_000);
        self.after(delay, Happening::Redial { of });
    }
}
