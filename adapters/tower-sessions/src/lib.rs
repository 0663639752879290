//! A session store for [tower-sessions](https://docs.rs/tower-sessions) that merges.
//!
//! Each value of a session is an attribute of its own in Leveret: two requests that change different ones at
//! the same time keep both, on whichever nodes, and a request that ends after the logout does not bring the
//! session back. It speaks `SESSION.` commands over the stock client `redis`.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use leveret_tower_sessions::LeveretStore;
//!
//! let store = LeveretStore::connect("redis://127.0.0.1:6379").await?;
//! // let layer = tower_sessions::SessionManagerLayer::new(store);
//! # Ok(()) }
//! ```
//!
//! [`Record`] has no place for what the request was handed, so that travels among its data, under
//! [`RESERVED_KEY`].

use std::fmt;

use async_trait::async_trait;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Cmd, Value};
use time::{Duration, OffsetDateTime};
use tower_sessions_core::session::{Id, Record};
use tower_sessions_core::session_store::{Error, Result, SessionStore};

mod commit;
mod loaded;

use commit::Commit;
use loaded::Loaded;
pub use loaded::RESERVED_KEY;

/// Ids that are drawn for a new session before it is given up: two random ids of 128 bits are never equal.
const CREATES_MAX: usize = 8;
/// How often a commit is sent whose answer was lost. The id that it carries has it applied once.
const SENDS_MAX: usize = 3;
/// Life of a session that has no end in Leveret.
const NO_END: Duration = Duration::weeks(52);

/// Sessions in the nodes of Leveret.
#[derive(Clone)]
pub struct LeveretStore {
    connection: ConnectionManager,
    prefix: String,
}

impl fmt::Debug for LeveretStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeveretStore").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl LeveretStore {
    /// A store on a node, `redis://[user:password@]host:port[/database]`, whose keys begin with `session:`.
    ///
    /// # Errors
    /// The URL is none, or nobody answers there.
    pub async fn connect(url: &str) -> redis::RedisResult<Self> {
        // a node may need 4 s for an answer while another one dies
        let patience = std::time::Duration::from_secs(5);
        let config = ConnectionManagerConfig::new().set_response_timeout(Some(patience));
        let connection = ConnectionManager::new_with_config(redis::Client::open(url)?, config).await?;
        Ok(Self::new(connection))
    }

    /// A store on a connection that exists.
    #[must_use]
    pub fn new(connection: ConnectionManager) -> Self {
        Self { connection, prefix: "session:".to_owned() }
    }

    /// The same with keys that begin with this.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    fn key(&self, id: Id) -> String {
        format!("{}{id}", self.prefix)
    }

    async fn ask_load(&self, id: Id) -> Result<Value> {
        let command = redis::cmd("SESSION.LOAD").arg(self.key(id)).to_owned();
        self.send(&command).await.map_err(|error| backend(&error))
    }

    /// Sends a command whose repeat does no harm until an answer comes.
    async fn send(&self, command: &Cmd) -> redis::RedisResult<Value> {
        let mut last = None;
        for _ in 0..SENDS_MAX {
            match command.query_async(&mut self.connection.clone()).await {
                Err(error) if error.is_io_error() || error.code() == Some("TRYAGAIN") => last = Some(error),
                answer => return answer,
            }
        }
        Err(last.expect("it was sent once at least"))
    }
}

#[async_trait]
impl SessionStore for LeveretStore {
    async fn create(&self, record: &mut Record) -> Result<()> {
        // a session under a new id (`cycle_id`) still has what was loaded under the old one
        record.data.remove(RESERVED_KEY);
        for _ in 0..CREATES_MAX {
            let commit = Commit::new(record)?;
            match self.send(&commit.command(&self.key(record.id), true)).await {
                Err(error) if error.code() == Some("EXISTS") => record.id = Id::default(),
                Err(error) => return Err(backend(&error)),
                Ok(answer) => {
                    if let Some(token) = commit::token(&answer) {
                        commit.loaded(token).put(record);
                    }
                    return Ok(());
                }
            }
        }
        Err(Error::Backend("every id that was drawn is in use".to_owned()))
    }

    async fn save(&self, record: &Record) -> Result<()> {
        let (commit, key) = (Commit::new(record)?, self.key(record.id));
        let command = if commit.is_cleared() {
            let answer = self.ask_load(record.id).await?;
            let Some((loaded, ..)) = Loaded::take(answer)? else { return Ok(()) };
            commit.replace_command(&key, &loaded.token)
        } else {
            commit.command(&key, false)
        };
        match self.send(&command).await {
            // it has ended meanwhile: the change is dropped, as if it had come just before the logout
            Err(error) if error.code() == Some("GONE") => Ok(()),
            Err(error) => Err(backend(&error)),
            Ok(_) => Ok(()),
        }
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let answer = self.ask_load(*id).await?;
        let Some((loaded, data, left_ms)) = Loaded::take(answer)? else { return Ok(None) };
        let left = if left_ms < 0 { NO_END } else { Duration::milliseconds(left_ms) };
        let expiry_date = OffsetDateTime::now_utc().saturating_add(left);
        let mut record = Record { id: *id, data, expiry_date };
        loaded.put(&mut record);
        Ok(Some(record))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        let command = redis::cmd("SESSION.DESTROY").arg(self.key(*id)).to_owned();
        self.send(&command).await.map(|_| ()).map_err(|error| backend(&error))
    }
}

fn backend(error: &redis::RedisError) -> Error {
    Error::Backend(error.to_string())
}
