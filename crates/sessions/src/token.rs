//! What `SESSION.LOAD` and `SESSION.COMMIT` call a state (S4): 72 hexadecimal digits, opaque to clients.
//!
//! Life and epoch are in it, because a version alone means another state after a takeover.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::fields::{Put, Take};
use crate::stamp::StateId;

const BYTES: usize = 36;

/// The token of a state.
pub(crate) fn text(id: StateId) -> Box<[u8]> {
    let mut bytes = Vec::with_capacity(BYTES);
    bytes.state(id);
    let digit = |four: u8| b"0123456789abcdef"[usize::from(four)];
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The state that a token names; `None` if it is none of ours.
pub(crate) fn parse(text: &[u8]) -> Option<StateId> {
    if text.len() != 2 * BYTES {
        return None;
    }
    let digit = |text: u8| char::from(text).to_digit(16).map(|digit| digit as u8);
    let byte = |pair: &[u8]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
    let bytes: Vec<u8> = text.chunks_exact(2).map(byte).collect::<Option<_>>()?;
    Take::new(&bytes).state().ok()
}

#[cfg(test)]
mod tests {
    use leveret_model::NodeId;

    use super::*;
    use crate::stamp::{Epoch, Stamp, Version};

    #[test]
    fn a_token_comes_back_and_nothing_else_is_one() {
        let life = Stamp { counter: 7, node: NodeId(1 << 100) };
        let id = StateId { life, epoch: Epoch(3), version: Version(u64::MAX) };
        assert_eq!(parse(&text(id)), Some(id));
        assert_eq!(parse(b"12"), None);
        assert_eq!(parse(&[b'g'; 72]), None);
    }
}
