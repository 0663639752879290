//! How a command is found in the table.

use crate::entry::Entry;
use crate::table::{COMMANDS, Id, find};

impl Id {
    /// What the table says.
    #[must_use]
    pub fn entry(self) -> &'static Entry {
        &COMMANDS[self as usize]
    }
}

/// Longest name in the table, subcommand included.
const NAME_BYTES_MAX: usize = 16;

/// A command by its name in any case. hot.
pub(crate) fn lookup(name: &[u8]) -> Option<Id> {
    let mut lower = [0; NAME_BYTES_MAX];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    // `client|id` as one word is no command
    if lower.contains(&b'|') { None } else { find(lower) }
}

/// A subcommand of `container`.
pub(crate) fn lookup_sub(container: &Entry, name: &[u8]) -> Option<Id> {
    let mut whole = [0; NAME_BYTES_MAX];
    let length = container.name.len() + 1 + name.len();
    let whole = whole.get_mut(..length)?;
    let (head, tail) = whole.split_at_mut(container.name.len());
    head.copy_from_slice(container.name.as_bytes());
    tail[0] = b'|';
    tail[1..].copy_from_slice(name);
    tail[1..].make_ascii_lowercase();
    find(whole)
}

/// True if so many arguments, the name among them, are what the table says.
pub(crate) fn arity_fits(entry: &Entry, count: usize) -> bool {
    let arity = usize::from(entry.arity.unsigned_abs());
    if entry.arity < 0 { count >= arity } else { count == arity }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_found_by_its_name_in_any_case() {
        let number = |id: Option<Id>| id.map(|id| id as usize);
        for (at, entry) in COMMANDS.iter().enumerate() {
            match entry.name.split_once('|') {
                None => assert_eq!(number(lookup(entry.name.to_uppercase().as_bytes())), Some(at)),
                Some((container, sub)) => {
                    let container = lookup(container.as_bytes()).expect("a container has a line").entry();
                    assert!(container.container, "{}", container.name);
                    let found = lookup_sub(container, sub.to_uppercase().as_bytes());
                    assert_eq!(number(found), Some(at));
                }
            }
        }
    }

    #[test]
    fn what_is_no_command_is_not_found() {
        for name in [&b""[..], b"client|id", b"gett", b"a name that is longer than any", b"\0"] {
            assert_eq!(lookup(name), None);
        }
    }
}
