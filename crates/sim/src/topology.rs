//! The names that clients use: nine queues with a rule for each, six exchanges, a few keys.
//!
//! Keys of the headers exchange are written as text: a message's is its headers (`a=1;b=2`), a binding's begins
//! with how it matches (`all:` or `any:`).

use leveret_model::{Arguments, RoutingKey, Value};

/// An exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Exchange {
    Default,
    Direct,
    Fanout,
    Topic,
    Headers,
    /// Bound to the fanout exchange, and to no queue.
    Front,
    /// Declared and deleted again and again; nobody publishes there.
    Passing,
}

impl Exchange {
    /// Those that last.
    pub(crate) const DECLARED: [Self; 5] =
        [Self::Direct, Self::Fanout, Self::Topic, Self::Headers, Self::Front];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Default => "",
            Self::Direct => "ex.direct",
            Self::Fanout => "ex.fanout",
            Self::Topic => "ex.topic",
            Self::Headers => "ex.headers",
            Self::Front => "ex.front",
            Self::Passing => "ex.passing",
        }
    }

    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Default | Self::Direct | Self::Passing => "direct",
            Self::Fanout | Self::Front => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
        }
    }

    /// Where its messages meet bindings of queues.
    pub(crate) fn behind(self) -> Self {
        if self == Self::Front { Self::Fanout } else { self }
    }

    /// Arguments of a binding with this key.
    pub(crate) fn binding_arguments(self, key: &str) -> Arguments {
        let Some((how, terms)) = key.split_once(':').filter(|_| self == Self::Headers) else {
            return Arguments(Vec::new());
        };
        let mut arguments = headers(terms);
        arguments.0.push((RoutingKey::new(b"x-match"), Value::LongString(how.as_bytes().into())));
        arguments
    }

    /// Does a binding with this key take a message with that one? Naive on purpose.
    pub(crate) fn matches(self, binding: &str, key: &str) -> bool {
        match self {
            Self::Default | Self::Direct | Self::Passing => binding == key,
            Self::Fanout | Self::Front => true,
            Self::Headers => headers_match(binding, key),
            Self::Topic => {
                let binding: Vec<&str> = binding.split('.').collect();
                let key: Vec<&str> = key.split('.').collect();
                topic(&binding, &key)
            }
        }
    }
}

/// The headers that a key of the headers exchange means.
pub(crate) fn headers(key: &str) -> Arguments {
    let term = |(name, value): (&str, &str)| {
        (RoutingKey::new(name.as_bytes()), Value::LongString(value.as_bytes().into()))
    };
    Arguments(key.split(';').filter_map(|term| term.split_once('=')).map(term).collect())
}

fn headers_match(binding: &str, key: &str) -> bool {
    let (how, terms) = binding.split_once(':').unwrap_or(("all", binding));
    let has = |term: &str| key.split(';').any(|header| header == term);
    let mut terms = terms.split(';').filter(|term| !term.is_empty());
    if how == "any" { terms.any(has) } else { terms.all(has) }
}

fn topic(binding: &[&str], key: &[&str]) -> bool {
    match (binding.split_first(), key.split_first()) {
        (None, None) => true,
        (Some((&"#", rest)), _) => (0..=key.len()).any(|skipped| topic(rest, &key[skipped..])),
        (Some((&"*", rest)), Some((_, key))) => topic(rest, key),
        (Some((word, rest)), Some((first, key))) => word == first && topic(rest, key),
        _ => false,
    }
}

/// Names of queues that end by themselves begin so; their consumers are judged by no count.
pub(crate) const ENDING: &str = "ends.";
/// The exclusive queue that several clients want.
pub(crate) const OWN: &str = "ends.own";
/// The auto-delete queue.
pub(crate) const BRIEF: &str = "ends.brief";

/// A queue's name, whatever life of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Base(pub(crate) u8);

impl Base {
    pub(crate) const ALL: [Self; 9] =
        [Self(0), Self(1), Self(2), Self(3), Self(4), Self(5), Self(6), Self(7), Self(8)];
    /// One consumer at a time, small prefetch: requeue order is judged here.
    pub(crate) const SINGLE: [Self; 2] = [Self(0), Self(1)];
    /// Two consumers.
    pub(crate) const SHARED: [Self; 3] = [Self(2), Self(3), Self(4)];
    /// Consumers without acknowledgement: what a cut takes is gone.
    pub(crate) const NO_ACK: Self = Self(5);
    /// Emptied by `basic.get` alone.
    pub(crate) const GOTTEN: Self = Self(6);
    /// Deleted now and then.
    pub(crate) const DELETED: Self = Self(7);
    /// Emptied by `basic.get` without acknowledgement: what a cut takes is gone.
    pub(crate) const GRABBED: Self = Self(8);

    /// A message that was on its way out of it may be gone (`losses.rs`).
    pub(crate) fn may_lose(self) -> bool {
        self == Self::NO_ACK || self == Self::GRABBED
    }

    pub(crate) fn name(self) -> String {
        format!("q{}", self.0)
    }
}

/// Which queue a name means, and whether it is a loser's of a merge (`<name>~<ulid>`).
pub(crate) fn base_of(name: &str) -> Option<(Base, bool)> {
    let (front, renamed) = match name.split_once('~') {
        Some((front, _)) => (front, true),
        None => (name, false),
    };
    let number: u8 = front.strip_prefix('q')?.parse().ok()?;
    Base::ALL.get(usize::from(number)).map(|base| (*base, renamed))
}

/// Keys that are published to an exchange.
pub(crate) fn keys(exchange: Exchange) -> &'static [&'static str] {
    match exchange {
        Exchange::Default => &["q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "q8"],
        Exchange::Direct => &["k0", "k1", "k2", "k3"],
        Exchange::Fanout => &[""],
        Exchange::Topic => &["t.0", "t.1", "u.0", "u.1.x"],
        Exchange::Headers => &["a=1", "a=1;b=2", "b=2;c=3", "c=4"],
        Exchange::Front => &[""],
        Exchange::Passing => &[],
    }
}

/// Keys that are bound to an exchange.
pub(crate) fn binding_keys(exchange: Exchange) -> &'static [&'static str] {
    match exchange {
        Exchange::Default | Exchange::Front | Exchange::Passing => &[],
        Exchange::Direct => &["k0", "k1", "k2", "k3"],
        Exchange::Fanout => &[""],
        Exchange::Topic => &["t.*", "#.0", "u.#", "t.1"],
        Exchange::Headers => &["all:a=1;b=2", "any:a=1;c=4", "all:b=2"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_match_word_by_word() {
        let matches = |binding, key| Exchange::Topic.matches(binding, key);
        assert!(matches("t.*", "t.0") && !matches("t.*", "u.0") && !matches("t.*", "t"));
        assert!(matches("#.0", "u.0") && matches("u.#", "u.1.x") && matches("u.#", "u"));
    }

    #[test]
    fn a_renamed_queue_keeps_its_base() {
        assert_eq!(base_of("q3~01ARYZ6S410000000000000000"), Some((Base(3), true)));
        assert_eq!(base_of("q3"), Some((Base(3), false)));
        assert_eq!(base_of("other"), None);
    }
}
