//! Answers as bytes, in RESP 2 and 3.

use alloc::vec::Vec;

use leveret_model::session::{Answer, SessionRefusal};

use crate::texts;

/// The version that a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Protocol {
    /// From the start.
    #[default]
    Resp2,
    /// After `HELLO 3`.
    Resp3,
}

impl Protocol {
    /// 2 or 3.
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Self::Resp2 => 2,
            Self::Resp3 => 3,
        }
    }
}

/// `+text`
pub(crate) fn status(out: &mut Vec<u8>, text: &str) {
    out.push(b'+');
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// `-text`. What a client sent may stand in it, so line ends become blanks (Redis does the same).
pub(crate) fn error(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'-');
    out.extend(text.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
    out.extend_from_slice(b"\r\n");
}

/// `:number`. hot.
pub(crate) fn integer(out: &mut Vec<u8>, number: i64) {
    head(out, b':', number);
}

/// `$length` and the bytes. hot.
pub(crate) fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    head(out, b'$', bytes.len() as i64);
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// `*count`: so many answers follow.
pub(crate) fn array(out: &mut Vec<u8>, count: usize) {
    head(out, b'*', count as i64);
}

/// So many pairs follow: `%count`, in RESP 2 an array.
pub(crate) fn map(out: &mut Vec<u8>, protocol: Protocol, pairs: usize) {
    match protocol {
        Protocol::Resp2 => array(out, 2 * pairs),
        Protocol::Resp3 => head(out, b'%', pairs as i64),
    }
}

/// `>count`: so many items follow that answer no command (RESP 3).
pub(crate) fn push(out: &mut Vec<u8>, count: usize) {
    head(out, b'>', count as i64);
}

/// Nothing. hot.
pub(crate) fn nil(out: &mut Vec<u8>, protocol: Protocol) {
    out.extend_from_slice(match protocol {
        Protocol::Resp2 => b"$-1\r\n",
        Protocol::Resp3 => b"_\r\n",
    });
}

/// Text for people: a verbatim string in RESP 3, else a bulk string.
pub(crate) fn verbatim(out: &mut Vec<u8>, protocol: Protocol, text: &str) {
    match protocol {
        Protocol::Resp2 => bulk(out, text.as_bytes()),
        Protocol::Resp3 => {
            head(out, b'=', text.len() as i64 + 4);
            out.extend_from_slice(b"txt:");
            out.extend_from_slice(text.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// What the host answered. hot.
pub(crate) fn answer(out: &mut Vec<u8>, protocol: Protocol, answer: Answer<'_>) {
    match answer {
        Answer::Ok => out.extend_from_slice(b"+OK\r\n"),
        Answer::Nil => nil(out, protocol),
        Answer::Integer(number) => integer(out, number),
        Answer::Bytes(bytes) => bulk(out, bytes),
        Answer::Word(word) => status(out, word),
        Answer::Refused(why) => error(out, &texts::refusal(why)),
        Answer::Block(answers) | Answer::List(answers) => {
            array(out, answers.len());
            for kept in answers {
                self::answer(out, protocol, kept.as_answer());
            }
        }
        Answer::Map(answers) => {
            map(out, protocol, answers.len() / 2);
            for kept in answers {
                self::answer(out, protocol, kept.as_answer());
            }
        }
        // whoever asked has asked again, under the new key
        Answer::Moved(_) => error(out, &texts::refusal(SessionRefusal::TryAgain)),
        Answer::Conflict(names) => error(out, &texts::conflict(names)),
    }
}

fn head(out: &mut Vec<u8>, kind: u8, number: i64) {
    out.push(kind);
    decimal(out, number);
    out.extend_from_slice(b"\r\n");
}

/// hot.
fn decimal(out: &mut Vec<u8>, number: i64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        at -= 1;
        digits[at] = b'-';
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_to_the_last_digit() {
        for number in [0, 7, -1, 10, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            integer(&mut out, number);
            assert_eq!(out, std::format!(":{number}\r\n").into_bytes());
        }
    }
}
