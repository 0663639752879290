//! The pattern of a policy: a regular expression over the bytes of a name, as RabbitMQ takes it.
//!
//! Most patterns in use are a prefix, a whole name, or everything. These are found out when a pattern is read
//! and compared as bytes: a hundred times as fast as the engine, and a few bytes instead of kilobytes, which
//! counts with ten thousand policies. Any other is compiled by `regex`, whose matches take linear time.
//! Look-around, as in `^(?!amq\.)`, is `fancy-regex`'s, under a bound of steps.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use regex_syntax::ast::ErrorKind;
use regex_syntax::hir::{Class, Hir, HirKind, Look};
use regex_syntax::{Parser, ParserBuilder};

use crate::limits;

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Longer than [`limits::POLICY_PATTERN_BYTES_MAX`].
    #[error("it has {0} bytes, {max} is the most", max = limits::POLICY_PATTERN_BYTES_MAX)]
    TooLong(usize),
    /// Needs more than [`limits::POLICY_PATTERN_COMPILED_BYTES_MAX`].
    #[error("it is too large once it is compiled; take smaller counts in {{}}")]
    TooLarge,
    /// No regular expression.
    #[error("it is no regular expression: {0}")]
    Syntax(String),
}

/// A compiled pattern.
#[derive(Debug)]
pub struct Pattern(Matcher);

#[derive(Debug)]
enum Matcher {
    Literal(Literal),
    Linear(regex::bytes::Regex),
    Backtracking(Box<fancy_regex::Regex>),
}

impl Pattern {
    /// Compiles a text.
    ///
    /// # Errors
    /// [`PatternError`] says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if text.len() > limits::POLICY_PATTERN_BYTES_MAX {
            return Err(PatternError::TooLong(text.len()));
        }
        if let Some(literal) = Literal::of(text) {
            return Ok(Self(Matcher::Literal(literal)));
        }
        Self::compiled(text)
    }

    fn compiled(text: &str) -> Result<Self, PatternError> {
        let most = limits::POLICY_PATTERN_COMPILED_BYTES_MAX;
        if let Err(why) = parser().parse(text) {
            return match why {
                regex_syntax::Error::Parse(error) if is_for_going_back(error.kind()) => {
                    let mut builder = fancy_regex::RegexBuilder::new(text);
                    builder.backtrack_limit(limits::POLICY_PATTERN_STEPS_MAX).delegate_size_limit(most);
                    let regex = builder.build().map_err(|error| PatternError::Syntax(one_line(&error)))?;
                    Ok(Self(Matcher::Backtracking(Box::new(regex))))
                }
                regex_syntax::Error::Parse(error) => Err(PatternError::Syntax(one_line(error.kind()))),
                regex_syntax::Error::Translate(error) => Err(PatternError::Syntax(one_line(error.kind()))),
                error => Err(PatternError::Syntax(one_line(&error))),
            };
        }
        // RabbitMQ gives bytes to PCRE, so `.` is a byte, and `\w` knows ASCII alone
        let mut builder = regex::bytes::RegexBuilder::new(text);
        let regex = builder.unicode(false).size_limit(most).build().map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => PatternError::TooLarge,
            error => PatternError::Syntax(one_line(&error)),
        })?;
        Ok(Self(Matcher::Linear(regex)))
    }

    /// It is found in the name.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match &self.0 {
            Matcher::Literal(literal) => literal.matches(name.as_bytes()),
            Matcher::Linear(regex) => regex.is_match(name.as_bytes()),
            // a name that costs too many steps does not match
            Matcher::Backtracking(regex) => regex.is_match(name).unwrap_or(false),
        }
    }
}

fn parser() -> Parser {
    ParserBuilder::new().unicode(false).utf8(false).build()
}

/// The pattern has what an engine of linear time cannot do.
const fn is_for_going_back(why: &ErrorKind) -> bool {
    matches!(why, ErrorKind::UnsupportedLookAround | ErrorKind::UnsupportedBackreference)
}

/// What a library says, without the picture that it draws below.
fn one_line(why: &impl ToString) -> String {
    why.to_string().lines().next().unwrap_or_default().to_owned()
}

/// A pattern that is a text with an anchor or without, and perhaps `.*` at its ends.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Literal {
    /// The text is at the beginning.
    at_start: bool,
    text: Box<[u8]>,
    tail: Tail,
}

/// What may follow the text of a [`Literal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    Anything,
    /// The text ends the name.
    Nothing,
    /// Anything without a line feed, up to the end.
    Line,
}

impl Literal {
    /// `None` if the pattern needs an engine.
    fn of(pattern: &str) -> Option<Self> {
        let hir = parser().parse(pattern).ok()?;
        let whole = [hir];
        let mut parts: &[Hir] = match whole[0].kind() {
            HirKind::Concat(parts) => parts,
            HirKind::Empty => &[],
            _ => &whole,
        };
        let mut take = |wanted: fn(&Hir) -> bool| match parts {
            [first, rest @ ..] if wanted(first) => {
                parts = rest;
                Some(first.kind().clone())
            }
            _ => None,
        };
        let at_start = take(|part| matches!(part.kind(), HirKind::Look(Look::Start))).is_some();
        let free_start = take(is_dot_star).is_some();
        let text = match take(|part| matches!(part.kind(), HirKind::Literal(_))) {
            Some(HirKind::Literal(literal)) => literal.0,
            _ => Box::default(),
        };
        let line = take(is_dot_star).is_some();
        let at_end = take(|part| matches!(part.kind(), HirKind::Look(Look::End))).is_some();
        if !parts.is_empty() {
            return None;
        }
        let line = match (at_start, free_start, text.is_empty()) {
            // nothing but a `.*`
            (_, true, true) => true,
            // no line feed may stand before the text
            (true, true, false) => return None,
            (false, true, false) | (_, false, _) => line,
        };
        let tail = match (line, at_end) {
            (_, false) => Tail::Anything,
            (false, true) => Tail::Nothing,
            (true, true) if at_start => Tail::Line,
            // an empty line is at the end of every name
            (true, true) if text.is_empty() => Tail::Anything,
            (true, true) => return None,
        };
        Some(Self { at_start, text, tail })
    }

    fn matches(&self, name: &[u8]) -> bool {
        let Self { at_start, text, tail } = self;
        match (at_start, tail) {
            (true, Tail::Anything) => name.starts_with(text),
            (true, Tail::Nothing) => *name == **text,
            (true, Tail::Line) => name.strip_prefix(&**text).is_some_and(|rest| !rest.contains(&b'\n')),
            (false, Tail::Nothing) => name.ends_with(text),
            (false, Tail::Anything | Tail::Line) => {
                text.is_empty() || name.windows(text.len()).any(|part| *part == **text)
            }
        }
    }
}

/// `.*`: every byte but the line feed, as often as there are some.
fn is_dot_star(part: &Hir) -> bool {
    let HirKind::Repetition(repetition) = part.kind() else { return false };
    let HirKind::Class(Class::Bytes(class)) = repetition.sub.kind() else { return false };
    let ranges: Vec<(u8, u8)> = class.ranges().iter().map(|range| (range.start(), range.end())).collect();
    repetition.min == 0 && repetition.max.is_none() && ranges == [(0, 9), (11, 255)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::format;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::new(pattern).expect("a pattern").matches(name)
    }

    #[test]
    fn a_pattern_is_sought_anywhere_and_reads_bytes_as_pcre_does() {
        for (pattern, yes, no) in [
            ("orders", "old.orders.2", "order"),
            ("^orders\\.", "orders.1", "my.orders.1"),
            ("^orders$", "orders", "orders2"),
            ("s$", "orders", "order"),
            ("^(a|b)[0-9]+$", "b12", "c12"),
            ("(?i)^ORDERS", "orders", "rders"),
            ("^(?!amq\\.).*", "orders", "amq.gen-1"),
            ("^..$", "é", "e"),
            ("^é", "été", "ete"),
        ] {
            assert!(matches(pattern, yes) && !matches(pattern, no), "{pattern}");
        }
        assert!(matches("", "anything") && matches(".*", "") && matches("^.*$", "x"));
    }

    #[test]
    fn a_hostile_pattern_is_refused_or_bounded() {
        let long = "a".repeat(limits::POLICY_PATTERN_BYTES_MAX + 1);
        assert_eq!(Pattern::new(&long).err(), Some(PatternError::TooLong(long.len())));
        for large in ["a{1000}{1000}", "(([a-z]{100}){100}){100}", "(?:x{0,255}){255}"] {
            assert_eq!(Pattern::new(large).err(), Some(PatternError::TooLarge), "{large}");
        }
        for wrong in ["(", "[a", "a{3,1}", "*a", "\\", "(?=a"] {
            let error = Pattern::new(wrong).expect_err(wrong);
            let text = error.to_string();
            assert!(matches!(error, PatternError::Syntax(_)) && !text.contains('\n'), "{wrong}: {text}");
        }
        assert!(Pattern::new(&"(".repeat(500)).is_err() && Pattern::new(&"(?=".repeat(300)).is_err());
        // exponential in an engine that goes back without a bound
        assert!(!matches("^(a+)+$", &format!("{}b", "a".repeat(200))));
        assert!(!matches("^(?=(a+)+$)x", &format!("{}b", "a".repeat(200))));
        assert!(!matches(r"^(a|aa)+\1$(?!b)", &format!("{}b", "a".repeat(200))));
    }

    #[test]
    fn what_is_a_plain_text_needs_no_engine() {
        for plain in ["^orders\\.", ".*", "^.*$", "^x$", "x", "", "^", "$", "^orders\\..*$", ".*x", "^.*"] {
            assert!(Literal::of(plain).is_some(), "{plain}");
        }
        for other in ["^.*x", "x.*$", "a|b", "[ab]", "x+", "(?i)x", "(?s)^x.*$", "(?m)^x", "\\bx"] {
            assert!(Literal::of(other).is_none(), "{other}");
        }
    }

    proptest! {
        #[test]
        fn a_plain_text_matches_what_the_engine_matches(
            (start, first, last, end) in any::<(bool, bool, bool, bool)>(),
            text in "[ab]{0,3}",
            name in "[ab\n]{0,6}",
        ) {
            let mut pattern = String::new();
            for (there, part) in [(start, "^"), (first, ".*"), (true, &text), (last, ".*"), (end, "$")] {
                if there {
                    pattern.push_str(part);
                }
            }
            let engine = Pattern::compiled(&pattern).expect("a pattern");
            prop_assert_eq!(matches(&pattern, &name), engine.matches(&name), "{:?} {:?}", pattern, name);
        }
    }
}
