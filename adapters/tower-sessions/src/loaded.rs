//! What a request was handed: the token of its session, and a digest of each value.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use redis::Value;
use serde_json::json;
use tower_sessions_core::session::Record;
use tower_sessions_core::session_store::{Error, Result};

/// The key of a session's data that is the store's own.
pub const RESERVED_KEY: &str = "leveret.loaded";

/// Names and values of a session.
type Data = HashMap<String, serde_json::Value>;

/// What a request was handed.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) token: String,
    pub(crate) digests: BTreeMap<String, u64>,
}

/// Compared inside one process only.
pub(crate) fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

impl Loaded {
    /// What stands in a record; `None` for one that was not loaded, or was cleared.
    pub(crate) fn of(record: &Record) -> Option<Self> {
        let stored = record.data.get(RESERVED_KEY)?;
        let digests = stored["digests"].as_object()?.iter();
        Some(Self {
            token: stored["token"].as_str()?.to_owned(),
            digests: digests.filter_map(|(name, digest)| Some((name.clone(), digest.as_u64()?))).collect(),
        })
    }

    pub(crate) fn put(self, record: &mut Record) {
        let value = json!({ "token": self.token, "digests": self.digests });
        record.data.insert(RESERVED_KEY.to_owned(), value);
    }

    /// What `SESSION.LOAD` answered, with the values and the ms that are left.
    pub(crate) fn take(answer: Value) -> Result<Option<(Self, Data, i64)>> {
        let Value::Array(items) = answer else {
            return if answer == Value::Nil { Ok(None) } else { Err(damaged("its form")) };
        };
        let (Some(token), Some(Value::Int(left_ms)), Some(attributes)) =
            (items.first().and_then(text), items.get(1), items.get(4))
        else {
            return Err(damaged("its parts"));
        };
        let mut loaded = Self { token, ..Self::default() };
        let mut data = Data::new();
        for (name, value) in pairs(attributes) {
            let (Some(name), Value::BulkString(bytes)) = (text(name), value) else {
                return Err(damaged("an attribute"));
            };
            let value =
                serde_json::from_slice(bytes).map_err(|error| Error::Decode(format!("{name}: {error}")))?;
            loaded.digests.insert(name.clone(), digest(bytes));
            data.insert(name, value);
        }
        Ok(Some((loaded, data, *left_ms)))
    }
}

/// Names and values: by turns in RESP 2, a map in RESP 3.
fn pairs(attributes: &Value) -> Vec<(&Value, &Value)> {
    match attributes {
        Value::Map(pairs) => pairs.iter().map(|(name, value)| (name, value)).collect(),
        Value::Array(items) => items.chunks_exact(2).map(|pair| (&pair[0], &pair[1])).collect(),
        _ => Vec::new(),
    }
}

pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        _ => None,
    }
}

fn damaged(what: &str) -> Error {
    Error::Decode(format!("SESSION.LOAD was answered unexpectedly: {what}"))
}
