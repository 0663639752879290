//! What a turn asks of the driver.

use alloc::vec::Vec;

use leveret_auth::HashJob;
use leveret_link::Batch;
use leveret_model::directory::FromShard;
use leveret_model::{ConnectionKey, ShardAddress};

/// A password to be hashed off the shard; the outcome comes back through `Shard::on_password`.
#[derive(Debug)]
pub struct PasswordJob {
    /// Who logs in.
    pub connection: ConnectionKey,
    /// With which mechanism; for the reply text.
    pub mechanism: alloc::string::String,
    /// The slow part.
    pub job: alloc::boxed::Box<HashJob>,
}

/// The effects of a turn, reused from turn to turn: one buffer per destination.
#[derive(Debug, Default)]
pub struct Effects {
    /// Connections with output to write, or whose interest or state may have changed.
    pub touched: Vec<ConnectionKey>,
    /// Batches for other shards: over a ring if the node is ours, else over our data link to it.
    pub batches: Vec<(ShardAddress, Batch)>,
    /// Mail for the control machine.
    pub control: Vec<FromShard>,
    /// Passwords to hash.
    pub passwords: Vec<PasswordJob>,
}
