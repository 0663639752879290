//! Operators who set and clear policies at random, on every process, while the runs with nodes of a later
//! version go on: halves that cannot hear each other write the same names.
//!
//! Their policies lose no message: what matters is that queues with and without rules change over into each
//! other while messages flow, and that all directories agree in the end (`invariants/directories`).

use std::time::Duration;

use leveret_cluster::Control;
use leveret_model::directory::Command;
use leveret_model::policy::{ApplyTo, PolicyDefinition};
use leveret_model::{Arguments, Instant, Name, RequestId, RoutingKey, SplitMix, Value};

/// A policy is written so often, at most.
const EVERY_MS: u64 = 400;
/// More than any queue has.
const LENGTH: i64 = 1 << 40;

/// What the operator of a process does next.
#[derive(Debug)]
pub(crate) struct PolicyOperator {
    next: Instant,
    /// Then all is to settle.
    until: Instant,
    requests: u64,
    random: SplitMix,
}

impl PolicyOperator {
    pub(crate) fn new(random: SplitMix, until: Instant) -> Self {
        Self { next: Instant::ZERO, until, requests: 0, random }
    }

    pub(crate) const fn next_deadline(&self) -> Instant {
        self.next
    }

    pub(crate) fn act(&mut self, now: Instant, control: &mut Control) {
        if self.next > now {
            return;
        }
        if now >= self.until {
            self.next = Instant::FAR;
            return;
        }
        self.next = now + Duration::from_millis(1 + self.random.below(2 * EVERY_MS));
        self.requests += 1;
        let command = self.draw();
        control.on_operator(now, RequestId(self.requests), command);
    }

    fn draw(&mut self) -> Command {
        let (vhost, name) = (Name::new("/"), Name::new(["p0", "p1", "p2"][self.random.below(3) as usize]));
        if self.random.below(3) == 0 {
            return Command::ClearPolicy { vhost, name };
        }
        let key = [&b"max-length"[..], b"max-length-bytes", b"delivery-limit"][self.random.below(3) as usize];
        let settings = Arguments(vec![(RoutingKey::new(key), Value::I64(LENGTH))]);
        let pattern = ["", "[02468]", "^[a-m]"][self.random.below(3) as usize].into();
        let priority = self.random.below(3) as i64;
        let apply_to = ApplyTo::All;
        Command::SetPolicy(PolicyDefinition { vhost, name, pattern, apply_to, priority, settings }.into())
    }
}
