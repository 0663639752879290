//! `SESSION.ATTACH`: a connection that is told of expired sessions, in between the answers to its commands.

use alloc::vec::Vec;

use leveret_model::limits;
use leveret_model::session::Answer;

use crate::connection::{Connection, Step};
use crate::encode::{self, Protocol};
use crate::host::Host;
use crate::texts;

impl Connection {
    /// `SESSION.ATTACH pattern`. A second one replaces the first.
    pub(crate) fn attach<H: Host>(&mut self, pattern: &[u8], step: &mut Step<'_, H>) {
        if self.protocol != Protocol::Resp3 {
            // a client that speaks RESP 2 would take the push for the answer to its next command
            return self.error(step.out, &texts::ATTACH_NEEDS_RESP3);
        }
        if pattern.len() > limits::SESSION_KEY_BYTES_MAX {
            return self.error(step.out, &texts::KEY_TOO_LONG);
        }
        self.attached = step.host.attach(self.database, Some(pattern));
        if self.attached {
            self.status(step.out, "OK");
        } else {
            self.error(step.out, &texts::TOO_MANY_ATTACHED);
        }
    }

    pub(crate) fn detach<H: Host>(&mut self, host: &mut H) {
        if core::mem::take(&mut self.attached) {
            host.attach(self.database, None);
        }
    }

    /// A session has expired that this connection asked for. False if it does not take it: it ends, or its
    /// output is not read.
    pub fn push_expired(&mut self, key: &[u8], content: Answer<'_>, out: &mut Vec<u8>) -> bool {
        if self.ended || !self.attached || out.len() >= limits::OUTPUT_BYTES_STOP {
            return false;
        }
        // Answers are appended whole, so this stands between two of them, which is where RESP 3 allows it.
        encode::push(out, 3);
        encode::bulk(out, b"expired");
        encode::bulk(out, key);
        encode::answer(out, self.protocol, content);
        true
    }
}
