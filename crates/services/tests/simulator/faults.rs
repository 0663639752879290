//! The weather: what fails, and when.

use std::time::Duration;

use leveret_services::Event;

use super::{Happening, Participant, STORM, World};

/// Thousandths of messages that meet something.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    pub(crate) loss: u64,
    pub(crate) duplicates: u64,
    pub(crate) slow: u64,
}

/// Something fails, or an operator does something.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// The bus behaves so from now on.
    Bus(Weather),
    /// A broker dies, and comes back after this.
    Broker(usize, Duration),
    /// It comes back.
    BrokerBack(usize),
    /// A participant's packets to its broker vanish for this.
    Cut(usize, Duration),
    /// They do not any more.
    Heal(usize),
    /// A process is killed; with `left` its supervisor says so. Another boot of the name starts after a
    /// while.
    Kill { process: usize, left: bool },
    /// A new process under this name.
    Start { name: usize },
    /// SIGTERM to a process's supervisor.
    Stop(usize),
    /// The same to whoever has the oldest link then.
    StopSteadiest,
    /// A new process of the same name takes over, and the old one is stopped.
    Roll(usize),
    /// A door dies and another one starts under its name.
    DoorCrash(usize),
    /// The doors' packets to a process vanish for this.
    Unreachable(usize, Duration),
    /// They do not any more.
    Reachable(usize),
}

impl World {
    pub(crate) fn plan_weather(&mut self) {
        let storm = STORM.as_micros() as u64;
        let mut weather = Weather::default();
        if self.chance(500) {
            weather = Weather {
                loss: self.rng.below(300),
                duplicates: self.rng.below(200),
                slow: self.rng.below(200),
            };
        }
        self.after(Duration::ZERO, Happening::Fault(Fault::Bus(weather)));
        self.after(STORM, Happening::Fault(Fault::Bus(Weather::default())));
        for _ in 0..self.below(60) {
            let at = self.micros(500_000, storm);
            let fault = self.draw();
            self.after(at, Happening::Fault(fault));
        }
        // The operator goes on in the calm.
        for _ in 0..self.below(4) {
            let at = STORM + self.micros(10_000_000, 18_000_000);
            let process = self.any_process();
            let fault = if self.chance(500) { Fault::Stop(process) } else { Fault::Roll(process) };
            self.after(at, Happening::Fault(fault));
        }
        // All brokers at once, sometimes for longer than any ttl.
        if self.chance(300) {
            let at = self.micros(1_000_000, storm / 3);
            let for_long = self.micros(1_000_000, 15_000_000);
            for broker in 0..self.brokers.len() {
                self.after(at, Happening::Fault(Fault::Broker(broker, for_long)));
            }
        }
    }

    fn any_process(&mut self) -> usize {
        let processes: Vec<usize> = (0..self.participants.len())
            .filter(|at| matches!(self.participants[*at], Participant::Process(_)))
            .collect();
        processes[self.below(processes.len() as u64)]
    }

    /// The one whose link is the oldest: it does not wait for doors that it has not heard.
    fn steadiest_process(&mut self) -> usize {
        let fallback = self.any_process();
        let living = (0..self.participants.len()).filter(|at| {
            let lives = matches!(&self.participants[*at], Participant::Process(process) if !process.ended && !process.stopping);
            lives && self.links[*at].is_up()
        });
        living.min_by_key(|at| self.links[*at].since).unwrap_or(fallback)
    }

    fn any_door(&mut self) -> usize {
        let is_door = |participant: &&Participant| matches!(participant, Participant::Door(_));
        let doors = self.participants.iter().filter(is_door).count();
        self.below(doors as u64)
    }

    fn draw(&mut self) -> Fault {
        let process = self.any_process();
        let anyone = self.below(self.participants.len() as u64);
        let broker = self.below(self.brokers.len() as u64);
        let while_ = self.micros(100_000, 8_000_000);
        match self.below(9) {
            0 => Fault::Broker(broker, while_),
            1 | 2 => Fault::Cut(anyone, while_),
            3 => Fault::Kill { process, left: true },
            4 => Fault::Kill { process, left: false },
            5 => Fault::Stop(process),
            6 => Fault::Roll(process),
            7 => Fault::Unreachable(process, while_),
            _ => Fault::DoorCrash(self.any_door()),
        }
    }

    /// What is broken at the end of the storm is mended then.
    pub(crate) fn until_calm(&self, wanted: Duration) -> Duration {
        wanted.min(STORM.saturating_sub(self.now.since(leveret_model::Instant::ZERO)))
    }

    pub(crate) fn fault(&mut self, fault: Fault) {
        match fault {
            Fault::Bus(weather) => self.weather = weather,
            Fault::Broker(broker, back) => {
                self.brokers[broker] = false;
                for of in 0..self.links.len() {
                    if self.links[of].broker == Some(broker) {
                        let number = self.links[of].number;
                        let delay = self.micros(100, 50_000);
                        self.after(delay, Happening::LinkLost { of, link: number });
                    }
                }
                let back = self.until_calm(back);
                self.after(back, Happening::Fault(Fault::BrokerBack(broker)));
            }
            Fault::BrokerBack(broker) => self.brokers[broker] = true,
            Fault::Cut(of, back) => {
                self.links[of].cut = true;
                let noticed = self.micros(500_000, 2_000_000);
                let (back, number) = (self.until_calm(back), self.links[of].number);
                // A cut that ends earlier is never noticed.
                if noticed < back {
                    self.after(noticed, Happening::LinkLost { of, link: number });
                }
                self.after(back, Happening::Fault(Fault::Heal(of)));
            }
            Fault::Heal(of) => self.links[of].cut = false,
            Fault::Kill { process, left } => self.kill(process, left),
            Fault::Start { name } => {
                self.add_process(name);
            }
            Fault::Stop(process) => {
                self.stop_truth(process);
                self.process_event(process, Event::Terminate);
            }
            Fault::StopSteadiest => {
                let process = self.steadiest_process();
                self.fault(Fault::Stop(process));
            }
            Fault::Roll(process) => {
                let name = self.process(process).map_or(0, |process| process.name);
                self.add_process(name);
                let delay = self.micros(700_000, 1_500_000);
                self.after(delay, Happening::Fault(Fault::Stop(process)));
            }
            Fault::DoorCrash(door) => {
                let back = self.crash_door(door);
                // Who stops now has hardly heard the new door.
                if self.chance(700) {
                    let soon = back + self.micros(1_000, 200_000);
                    self.after(soon, Happening::Fault(Fault::StopSteadiest));
                }
            }
            Fault::Unreachable(at, back) => {
                if let Some(process) = self.process(at) {
                    process.reachable = false;
                }
                let back = self.until_calm(back);
                self.after(back, Happening::Fault(Fault::Reachable(at)));
            }
            Fault::Reachable(at) => {
                if let Some(process) = self.process(at) {
                    process.reachable = true;
                }
            }
        }
    }
}
