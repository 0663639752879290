//! Rust as words and marks: enough to find modules, items, imports and the paths that code names.

/// A token with its position in the text. Strings, comments and numbers' insides are gone or harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) at: usize,
    pub(super) kind: Kind<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// An identifier or keyword.
    Word(&'a str),
    /// `::`
    Path,
    Mark(u8),
}

/// Reads text whose comments and strings are blanked. Lifetimes are left out, so that they are no words.
pub(super) fn tokens(code: &str) -> Vec<Token<'_>> {
    let bytes = code.as_bytes();
    let mut found = Vec::with_capacity(bytes.len() / 4);
    let mut at = 0;
    while at < bytes.len() {
        let kind = match bytes[at] {
            byte if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'\'' => {
                at = word_end(bytes, at + 1);
                continue;
            }
            b':' if bytes.get(at + 1) == Some(&b':') => Kind::Path,
            byte if is_word(byte) => Kind::Word(&code[at..word_end(bytes, at)]),
            byte => Kind::Mark(byte),
        };
        found.push(Token { at, kind });
        at += match kind {
            Kind::Word(word) => word.len(),
            Kind::Path => 2,
            Kind::Mark(_) => 1,
        };
    }
    found
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

fn word_end(bytes: &[u8], from: usize) -> usize {
    bytes[from..].iter().position(|byte| !is_word(*byte)).map_or(bytes.len(), |length| from + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_paths_are_told_apart_and_lifetimes_are_no_words() {
        let kinds: Vec<Kind<'_>> = tokens("fn a<'b>() { x::Y }").iter().map(|token| token.kind).collect();
        let words = kinds.iter().filter(|kind| matches!(kind, Kind::Word(_))).count();
        assert_eq!(words, 4, "{kinds:?}");
        assert!(kinds.contains(&Kind::Path) && kinds.contains(&Kind::Mark(b'{')), "{kinds:?}");
    }
}
