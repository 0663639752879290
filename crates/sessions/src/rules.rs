//! Who may be born again (S5): a rule per key, fixed when the key is created.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use leveret_model::glob_matches;
use leveret_model::session::Database;

/// What a write to a key does after a logout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Rule {
    /// It is dropped.
    #[default]
    Stays,
    /// It begins a new life if its connection has read the key since it went. For PHP, which uses ids again.
    Reader,
    /// It begins a new life, and nothing is remembered: for locks and caches.
    Free,
}

impl Rule {
    pub(crate) const fn bits(self) -> u8 {
        match self {
            Self::Stays => 0,
            Self::Reader => 1,
            Self::Free => 2,
        }
    }

    /// 3 is none: a later version may give it a meaning, and the safest of ours is taken.
    pub(crate) const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            1 => Self::Reader,
            2 => Self::Free,
            _ => Self::Stays,
        }
    }
}

#[derive(Clone, Debug)]
struct Line {
    database: Option<Database>,
    pattern: Box<[u8]>,
    rule: Rule,
}

/// The rules of a node: those of its configuration, then the built-in ones. The first that matches counts.
#[derive(Clone, Debug)]
pub struct Rules(Vec<Line>);

/// What stores of others are known to need. Sources: phpredis `redis_session.c` (locks and ids that are used
/// again), Symfony's RedisSessionHandler (the prefix `sf_s`), Django's cache keys `PREFIX:VERSION:KEY`.
const BUILT_IN: [(&str, Rule); 5] = [
    ("PHPREDIS_SESSION:*_LOCK", Rule::Free),
    ("PHPREDIS_SESSION:*", Rule::Reader),
    ("sf_s*", Rule::Reader),
    ("*:[0-9]*:django.contrib.sessions.*", Rule::Stays),
    ("*:[0-9]*:*", Rule::Free),
];

/// Why a line of `session_rule` is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The operator: no `=` behind the pattern.
    #[error("{0:?} is no rule: write [DATABASE/]PATTERN=stays, =reader or =free")]
    Form(String),
    /// The operator: a word behind the `=` that is no rule.
    #[error("{0:?} is none of stays, reader and free")]
    Word(String),
}

impl Default for Rules {
    fn default() -> Self {
        let line = |&(pattern, rule): &(&str, Rule)| Line {
            database: None,
            pattern: pattern.as_bytes().into(),
            rule,
        };
        Self(BUILT_IN.iter().map(line).collect())
    }
}

impl Rules {
    /// Lines of the option `session_rule` in front of the built-in ones.
    ///
    /// # Errors
    /// [`RuleError`] for the first line that is no rule.
    pub fn with(lines: &[&str]) -> Result<Self, RuleError> {
        let mut rules = lines.iter().map(|line| parse(line)).collect::<Result<Vec<_>, _>>()?;
        rules.extend(Self::default().0);
        Ok(Self(rules))
    }

    /// The rule for a key that is created now.
    #[must_use]
    pub fn of(&self, database: Database, key: &[u8]) -> Rule {
        let fits = |line: &&Line| {
            line.database.is_none_or(|only| only == database) && glob_matches(&line.pattern, key)
        };
        self.0.iter().find(fits).map_or(Rule::Stays, |line| line.rule)
    }
}

/// `[DATABASE/]PATTERN=RULE`. What stands in front of the slash is a database only if it is a number of one.
fn parse(line: &str) -> Result<Line, RuleError> {
    let (left, word) = line.rsplit_once('=').ok_or_else(|| RuleError::Form(line.into()))?;
    let rule = match word {
        "stays" => Rule::Stays,
        "reader" => Rule::Reader,
        "free" => Rule::Free,
        other => return Err(RuleError::Word(other.into())),
    };
    let split = left
        .split_once('/')
        .and_then(|(number, pattern)| Some((Database::new(number.parse().ok()?)?, pattern)));
    let (database, pattern) = split.map_or((None, left), |(database, pattern)| (Some(database), pattern));
    Ok(Line { database, pattern: pattern.as_bytes().into(), rule })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_known_stores_have_their_rule() {
        let rules = Rules::default();
        for (key, rule) in [
            ("sess:abc", Rule::Stays),
            ("PHPREDIS_SESSION:abc", Rule::Reader),
            ("PHPREDIS_SESSION:abc_LOCK", Rule::Free),
            ("sf_sabc", Rule::Reader),
            (":1:django.contrib.sessions.cacheabc", Rule::Stays),
            (":1:views.decorators.cache", Rule::Free),
            ("session:abc", Rule::Stays),
        ] {
            assert_eq!(rules.of(Database::default(), key.as_bytes()), rule, "{key}");
        }
    }

    #[test]
    fn lines_of_the_operator_come_first() {
        let rules = Rules::with(&["1/*=free", "sf_s*=stays", "a/b=c*=reader"]).expect("rules");
        let one = Database::new(1).expect("a database");
        assert_eq!(rules.of(one, b"sess:abc"), Rule::Free);
        assert_eq!(rules.of(Database::default(), b"sess:abc"), Rule::Stays);
        assert_eq!(rules.of(Database::default(), b"sf_sabc"), Rule::Stays);
        assert_eq!(rules.of(Database::default(), b"a/b=cd"), Rule::Reader);
        assert_eq!(Rules::with(&["*"]).err(), Some(RuleError::Form("*".into())));
        assert_eq!(Rules::with(&["*=never"]).err(), Some(RuleError::Word("never".into())));
    }
}
