//! A TSIG key, as BIND's `tsig-keygen` and `rndc-confgen` write it:
//!
//! ```text
//!   key "leveret" {
//!           algorithm hmac-sha256;
//!           secret "c2VjcmV0IHRoYXQgbm9ib2R5IGtub3dzIQ==";
//!   };
//! ```

use std::fmt;
use std::str::FromStr as _;

use data_encoding::BASE64;
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
use hickory_proto::rr::{Name, TSigner};
use leveret_model::limits;

/// A key for signed updates.
#[derive(Clone)]
pub struct TsigKey(TSigner);

impl fmt::Debug for TsigKey {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TsigKey({}, {})", self.0.signer_name(), self.0.algorithm())
    }
}

impl TsigKey {
    /// Reads the one key of a file.
    ///
    /// # Errors
    /// What is wrong and what to do, in words; never the secret.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words = words(text);
        let wrong = || format!("is not `key NAME {{ algorithm ALGORITHM; secret SECRET; }};`; {MAKE_KEY}");
        let [key, name, open, inner @ .., close] = words.as_slice() else { return Err(wrong()) };
        if key != "key" || open != "{" || close != "}" {
            return Err(wrong());
        }
        if inner.iter().any(|word| word == "key") {
            return Err("holds several keys; leave the one with which this group registers".to_owned());
        }
        let (mut algorithm, mut secret) = (None, None);
        for pair in inner.chunks(2) {
            match pair {
                [name, value] if name == "algorithm" => algorithm = Some(value),
                [name, value] if name == "secret" => secret = Some(value),
                _ => return Err(wrong()),
            }
        }
        let (Some(algorithm), Some(secret)) = (algorithm, secret) else { return Err(wrong()) };
        let mut lower = algorithm.to_ascii_lowercase();
        if lower.ends_with('.') {
            lower.pop();
        }
        let kind = match lower.as_str() {
            "hmac-sha256" => TsigAlgorithm::HmacSha256,
            "hmac-sha384" => TsigAlgorithm::HmacSha384,
            "hmac-sha512" => TsigAlgorithm::HmacSha512,
            _ => {
                return Err(format!(
                    "names the algorithm {algorithm}, which is none of hmac-sha256, hmac-sha384, hmac-sha512; {MAKE_KEY}"
                ));
            }
        };
        let secret = BASE64
            .decode(secret.as_bytes())
            .map_err(|_| format!("holds a secret that is not base64; {MAKE_KEY}"))?;
        if secret.len() < limits::TSIG_SECRET_BYTES_MIN {
            let (has, min) = (secret.len(), limits::TSIG_SECRET_BYTES_MIN);
            return Err(format!("holds a secret of {has} bytes, a key has {min} at least; {MAKE_KEY}"));
        }
        let name = Name::from_str(name).map_err(|_| format!("names the key {name}, which is no DNS name"))?;
        TSigner::new(secret, kind, name, limits::TSIG_FUDGE_S).map(Self).map_err(|error| error.to_string())
    }

    pub(crate) fn signer(&self) -> &TSigner {
        &self.0
    }
}

const MAKE_KEY: &str = "make one with `tsig-keygen -a hmac-sha256 NAME > FILE`";

/// Words, and braces as words of their own; comments, quotes and semicolons go.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = |end: Option<usize>, more: usize| end.map_or("", |end| &rest[end + more..]);
        if rest.starts_with("//") || first == '#' {
            rest = skipped(rest.find('\n'), 1);
        } else if rest.starts_with("/*") {
            rest = skipped(rest.find("*/"), 2);
        } else if first == '"' {
            let inner = &rest[1..];
            let end = inner.find('"').unwrap_or(inner.len());
            words.push(inner[..end].to_owned());
            rest = inner.get(end + 1..).unwrap_or("");
        } else if first == '{' || first == '}' {
            words.push(first.to_string());
            rest = &rest[1..];
        } else if first == ';' || first.is_whitespace() {
            rest = &rest[first.len_utf8()..];
        } else {
            let end = rest.find(|c: char| c.is_whitespace() || matches!(c, ';' | '{' | '}' | '"'));
            let end = end.unwrap_or(rest.len());
            words.push(rest[..end].to_owned());
            rest = &rest[end..];
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=";

    fn key(algorithm: &str, secret: &str) -> Result<TsigKey, String> {
        TsigKey::parse(&format!("key \"k.test\" {{\n\talgorithm {algorithm};\n\tsecret \"{secret}\";\n}};\n"))
    }

    #[test]
    fn a_key_of_bind_is_read_whatever_its_comments_and_quotes() {
        let parsed = key("hmac-sha512", SECRET).unwrap();
        assert_eq!(parsed.signer().signer_name().to_ascii(), "k.test.");
        assert_eq!(*parsed.signer().algorithm(), TsigAlgorithm::HmacSha512);
        assert_eq!(parsed.signer().key(), b"12345678901234567890123456789012");
        let text =
            format!("# one\n// two\n/* three\n */key k {{secret {SECRET};algorithm \"HMAC-SHA256.\";}};");
        assert_eq!(*TsigKey::parse(&text).unwrap().signer().algorithm(), TsigAlgorithm::HmacSha256);
    }

    #[test]
    fn a_key_that_cannot_be_used_is_refused_without_its_secret() {
        for (text, says) in [
            (key("hmac-md5", SECRET), "hmac-md5, which is none of"),
            (key("hmac-sha256", "c2hvcnQ="), "a secret of 5 bytes"),
            (key("hmac-sha256", "no*base64"), "not base64"),
            (key("hmac-sha256", ""), "a secret of 0 bytes"),
            (TsigKey::parse(""), "is not `key NAME"),
            (TsigKey::parse("key \"k\" { algorithm hmac-sha256; };"), "is not `key NAME"),
            (TsigKey::parse("key"), "is not `key NAME"),
            (TsigKey::parse("key \"unclosed"), "is not `key NAME"),
            (TsigKey::parse("/* unclosed"), "is not `key NAME"),
            (
                TsigKey::parse(&format!(
                    "key a {{ algorithm hmac-sha256; secret \"{SECRET}\"; }}; key b {{ }};"
                )),
                "several keys",
            ),
        ] {
            let error = text.map(|key| format!("{key:?}")).unwrap_err();
            assert!(error.contains(says) && !error.contains(SECRET), "{error}");
        }
        assert!(!format!("{:?}", key("hmac-sha256", SECRET).unwrap()).contains("1234"));
    }
}
