//! SCAN and FLUSHDB: commands that concern more than one key.

use alloc::vec::Vec;

use crate::arguments::{is, parse_integer};
use crate::connection::{Connection, Step};
use crate::decode::Arguments;
use crate::host::{Host, Walk};
use crate::replies::Plan;
use crate::texts::{self, Text};

/// Keys that a SCAN gives if it does not say (Redis).
const COUNT_DEFAULT: usize = 10;

impl Connection {
    pub(crate) fn scan<H: Host>(&mut self, arguments: Arguments<'_>, step: &mut Step<'_, H>) {
        match parse(arguments) {
            Ok(walk) => {
                step.host.walk(self.replies.next_ticket(), self.database, &walk);
                self.replies.wait_alone(Plan::Walk, self.protocol);
            }
            Err(text) => self.error(step.out, &text),
        }
    }

    pub(crate) fn flush<H: Host>(&mut self, arguments: Arguments<'_>, step: &mut Step<'_, H>) {
        let words: Vec<&[u8]> = arguments.from(1).collect();
        match words[..] {
            [] => {}
            [word] if is(word, "ASYNC") || is(word, "SYNC") => {}
            _ => return self.error(step.out, &texts::SYNTAX),
        }
        step.host.flush(self.replies.next_ticket(), self.database);
        self.replies.wait_alone(Plan::One, self.protocol);
    }
}

/// Redis 7.0: `scanGenericCommand`.
fn parse(arguments: Arguments<'_>) -> Result<Walk<'_>, Text> {
    let cursor = core::str::from_utf8(arguments.get(1)).ok().and_then(|text| text.parse().ok());
    let cursor = cursor.ok_or(texts::INVALID_CURSOR)?;
    let mut walk = Walk { cursor, pattern: None, count: COUNT_DEFAULT, kind: None };
    let mut rest = arguments.from(2);
    while let Some(option) = rest.next() {
        let Some(value) = rest.next() else { return Err(texts::SYNTAX) };
        match () {
            () if is(option, "COUNT") => {
                let count = parse_integer(value).ok_or(texts::NOT_AN_INTEGER)?;
                walk.count = usize::try_from(count).ok().filter(|&count| count > 0).ok_or(texts::SYNTAX)?;
            }
            () if is(option, "MATCH") => walk.pattern = Some(value),
            () if is(option, "TYPE") => walk.kind = Some(value),
            () => return Err(texts::SYNTAX),
        }
    }
    Ok(walk)
}
