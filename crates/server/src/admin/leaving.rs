//! `leave`: begun, taken back, or waited for. Whoever waits gets a line each time that something is to be said,
//! and the last one says how it ended.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crossbeam_channel::bounded;
use leveret_model::limits;
use serde_json::{Value, json};

use super::{Admin, no_answer};
use crate::control_thread::{Holding, ToControl};
use crate::leave_desk::{Ending, LeaveStage, Waiting};

/// What somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Request {
    within: Duration,
    /// Says lines until the end.
    follows: bool,
    /// It may be under way already.
    joins: bool,
}

impl Request {
    /// `SECONDS`, `SECONDS follow` or `SECONDS wait`.
    fn parse(text: &str) -> Option<Self> {
        let (seconds, word) = text.split_once(' ').unwrap_or((text, ""));
        let within = Duration::from_secs(seconds.parse().ok()?);
        let (follows, joins) = match word {
            "" => (false, false),
            "follow" => (true, false),
            "wait" => (true, true),
            _ => return None,
        };
        Some(Self { within, follows, joins })
    }
}

impl Admin {
    /// Answers `leave …`, with more than one line if the asker waits.
    pub(super) fn serve_leave(&self, text: &str, stream: &UnixStream) -> io::Result<()> {
        if text == "cancel" {
            return say(stream, &self.cancel_leave());
        }
        let Some(request) = Request::parse(text) else {
            let text = format!("'leave {text}' is none of: leave SECONDS [follow|wait], leave cancel");
            return say(stream, &json!({ "error": text }));
        };
        let place = match self.leave.desk.enter() {
            Some(place) => place,
            None if request.follows => {
                let text = format!("{} wait for this leave already", limits::LEAVE_WAITERS_MAX);
                return say(stream, &json!({ "error": text }));
            }
            None => return say(stream, &self.begin_leave(request).unwrap_or(json!({ "leaving": true }))),
        };
        if let Some(refusal) = self.begin_leave(request) {
            return say(stream, &refusal);
        }
        if !request.follows {
            return say(stream, &json!({ "leaving": true }));
        }
        self.tell_until_the_end(&place, stream)
    }

    /// Begins the leave; gives why not.
    fn begin_leave(&self, request: Request) -> Option<Value> {
        let error = |text: &str| Some(json!({ "error": text }));
        if self.leave.desk.stage() == LeaveStage::Serving {
            match self.would_lose() {
                Ok(0) => {}
                Ok(messages) => {
                    let text = format!(
                        "no other node is there to take {messages} messages: start one and let it join first; \
                         SIGTERM stops this node without them (exit code 3)"
                    );
                    return error(&text);
                }
                Err(silent) => return Some(silent),
            }
            if self.leave.desk.begin() {
                let _ = self.leave.begin.try_send(request.within);
                return None;
            }
        }
        match self.leave.desk.stage() {
            LeaveStage::Joining => error(
                "this node has not joined yet, so it has nothing to hand over: SIGTERM stops it; `leveret status` says what it waits for",
            ),
            LeaveStage::Serving => error("the leave was taken back just now: ask again"),
            LeaveStage::Leaving | LeaveStage::Closing | LeaveStage::Ended(_) if request.joins => None,
            LeaveStage::Leaving => error(
                "this node leaves already: `leveret leave --wait` waits for its end, `leveret leave --cancel` takes it back",
            ),
            LeaveStage::Closing | LeaveStage::Ended(_) => {
                error("this node has left already: `leveret leave --wait` waits for its end")
            }
        }
    }

    fn holding(&self) -> Option<Holding> {
        let (to, answer) = bounded(1);
        self.control.send(ToControl::Holding { to });
        answer.recv_timeout(limits::ADMIN_WAIT).ok()
    }

    /// Messages that nobody could take.
    fn would_lose(&self) -> Result<u64, Value> {
        match self.holding() {
            Some(Holding { is_last: false, .. }) => return Ok(0),
            Some(Holding { is_last: true, .. }) => {}
            None => return Err(no_answer("the control machine")),
        }
        let reports = self.reports()?;
        let queues = reports.iter().flat_map(|report| &report.queues);
        Ok(queues.map(|queue| queue.ready + queue.unacked).sum())
    }

    fn tell_until_the_end(&self, place: &Waiting<'_>, stream: &UnixStream) -> io::Result<()> {
        loop {
            match place.stage_within(limits::LEAVE_TOLD_EVERY) {
                LeaveStage::Leaving => {
                    let queues = self.holding().map(|holding| holding.queues);
                    say(stream, &json!({ "leaving": true, "queues": queues }))?;
                }
                LeaveStage::Closing => say(stream, &json!({ "leaving": true, "closing_clients": true }))?,
                LeaveStage::Ended(ending) => {
                    let Ending { code, text, queues, lost } = ending;
                    let ended = json!({ "code": code, "text": text, "queues": queues, "lost": lost });
                    return say(stream, &json!({ "ended": ended }));
                }
                LeaveStage::Joining | LeaveStage::Serving => {
                    return say(stream, &json!({ "error": "the leave was taken back: this node stays" }));
                }
            }
        }
    }

    fn cancel_leave(&self) -> Value {
        match self.leave.desk.stage() {
            LeaveStage::Leaving => {}
            LeaveStage::Joining | LeaveStage::Serving => {
                return json!({ "error": "this node does not leave: there is nothing to take back" });
            }
            LeaveStage::Closing | LeaveStage::Ended(_) => return too_late(),
        }
        let (to, answer) = bounded(1);
        let _ = self.leave.cancel.try_send(to);
        match answer.recv_timeout(limits::CANCEL_LEAVE_WAIT) {
            Ok(Ok(())) => {
                json!({ "staying": true, "queues": self.holding().map(|holding| holding.queues) })
            }
            Ok(Err(why)) => json!({ "error": why }),
            Err(_) => too_late(),
        }
    }
}

fn too_late() -> Value {
    let text = "too late: its last queue is gone to another node, and this one ends; start it again instead";
    json!({ "error": text })
}

fn say(mut stream: &UnixStream, value: &Value) -> io::Result<()> {
    let mut line = value.to_string().into_bytes();
    line.push(b'\n');
    stream.write_all(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_a_number_of_seconds_and_one_word_at_most() {
        let within = Duration::from_secs(60);
        assert_eq!(Request::parse("60"), Some(Request { within, follows: false, joins: false }));
        assert_eq!(Request::parse("60 follow"), Some(Request { within, follows: true, joins: false }));
        assert_eq!(Request::parse("60 wait"), Some(Request { within, follows: true, joins: true }));
        for wrong in ["", "soon", "60 wait now", "-1", "wait"] {
            assert_eq!(Request::parse(wrong), None, "{wrong}");
        }
    }
}
