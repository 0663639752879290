//! The arguments of `SESSION.COMMIT`, read twice: where they arrive, to refuse a mistake, and at the home.

use crate::session::{ByteList, ByteListIter};

/// What a commit asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitOrder<'a> {
    /// A token of `SESSION.LOAD`; empty: nothing was seen.
    pub base: &'a [u8],
    /// The same for each repeat of this commit.
    pub id: &'a [u8],
    /// `NEW`: a session begins.
    pub is_new: bool,
    /// `PX`: its deadline, ms from now.
    pub left_ms: Option<i64>,
    /// `USER`: for `leveret session kill --user`.
    pub user: Option<&'a [u8]>,
    /// `REJECT`: nothing is done if an attribute was changed since the base.
    pub reject: bool,
    /// `REPLACE`: attributes that the base had and that are not set here are removed.
    pub replace: bool,
    /// `SET`: names and values by turns.
    pub set: Pairs<'a>,
    /// `DEL`: names.
    pub remove: Names<'a>,
}

/// Why arguments are none of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitMistake {
    /// An unknown word, or something is missing.
    Syntax,
    /// A count or a time is no number that fits.
    Number,
}

/// A part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names<'a> {
    rest: ByteList<'a>,
    count: usize,
}

/// Names with their values, by turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pairs<'a>(Names<'a>);

impl<'a> Names<'a> {
    const NONE: Self = Self { rest: ByteList::Slices(&[]), count: 0 };

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.rest.iter().take(self.count)
    }
}

impl<'a> Pairs<'a> {
    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone {
        let both = self.0.iter();
        both.clone().step_by(2).zip(both.skip(1).step_by(2))
    }
}

impl<'a> CommitOrder<'a> {
    /// Reads `base id [NEW] [PX ms] [USER u] [REJECT] [REPLACE] [SET n name bytes …] [DEL n name …]`.
    ///
    /// # Errors
    /// [`CommitMistake`]: what the client did wrong.
    pub fn parse(arguments: ByteList<'a>) -> Result<Self, CommitMistake> {
        let mut words = arguments.iter();
        let base = words.next().ok_or(CommitMistake::Syntax)?;
        let id = words.next().ok_or(CommitMistake::Syntax)?;
        let mut order = Self {
            base,
            id,
            is_new: false,
            left_ms: None,
            user: None,
            reject: false,
            replace: false,
            set: Pairs(Names::NONE),
            remove: Names::NONE,
        };
        while let Some(word) = words.next() {
            let is = |expected: &str| word.eq_ignore_ascii_case(expected.as_bytes());
            match () {
                () if is("NEW") => order.is_new = true,
                () if is("REJECT") => order.reject = true,
                () if is("REPLACE") => order.replace = true,
                () if is("PX") => {
                    let left = number(words.next())?;
                    order.left_ms =
                        Some(i64::try_from(left).ok().filter(|left| *left > 0).ok_or(CommitMistake::Number)?);
                }
                () if is("USER") => order.user = Some(words.next().ok_or(CommitMistake::Syntax)?),
                () if is("SET") => order.set = Pairs(names(&mut words, 2)?),
                () if is("DEL") => order.remove = names(&mut words, 1)?,
                () => return Err(CommitMistake::Syntax),
            }
        }
        Ok(order)
    }
}

/// A count and so many times `each` words.
fn names<'a>(words: &mut ByteListIter<'a>, each: usize) -> Result<Names<'a>, CommitMistake> {
    let count = usize::try_from(number(words.next())?).map_err(|_| CommitMistake::Number)?;
    let count = count.checked_mul(each).ok_or(CommitMistake::Number)?;
    let rest = words.rest();
    for _ in 0..count {
        words.next().ok_or(CommitMistake::Syntax)?;
    }
    Ok(Names { rest, count })
}

fn number(word: Option<&[u8]>) -> Result<u64, CommitMistake> {
    let text = core::str::from_utf8(word.ok_or(CommitMistake::Syntax)?);
    text.ok().and_then(|text| text.parse().ok()).ok_or(CommitMistake::Number)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn parse<'a>(words: &'a [&'a [u8]]) -> Result<CommitOrder<'a>, CommitMistake> {
        CommitOrder::parse(ByteList::Slices(words))
    }

    #[test]
    fn every_part_is_read() {
        let words: [&[u8]; 15] = [
            b"t", b"7", b"new", b"PX", b"50", b"USER", b"u", b"SET", b"2", b"a", b"1", b"b", b"2", b"DEL",
            b"0",
        ];
        let order = parse(&words).expect("an order");
        assert_eq!(
            (order.base, order.id, order.left_ms, order.user),
            (&b"t"[..], &b"7"[..], Some(50), Some(&b"u"[..]))
        );
        assert!(order.is_new && !order.reject && !order.replace);
        assert_eq!(order.set.iter().collect::<Vec<_>>(), [(&b"a"[..], &b"1"[..]), (b"b", b"2")]);
        assert_eq!(order.remove.iter().count(), 0);
    }

    #[test]
    fn what_is_missing_or_unknown_is_refused() {
        for (words, mistake) in [
            (&[&b"t"[..]][..], CommitMistake::Syntax),
            (&[b"t", b"7", b"FOO"], CommitMistake::Syntax),
            (&[b"t", b"7", b"SET", b"1", b"a"], CommitMistake::Syntax),
            (&[b"t", b"7", b"DEL", b"x"], CommitMistake::Number),
            (&[b"t", b"7", b"PX", b"0"], CommitMistake::Number),
            (&[b"t", b"7", b"DEL", b"99999999999999999999"], CommitMistake::Number),
        ] {
            assert_eq!(parse(words), Err(mistake));
        }
    }
}
