//! What the requests of one serving thread share.

use std::cell::RefCell;
use std::sync::Arc;

use leveret_model::SplitMix;
use tokio::sync::Notify;

use super::pool::Pool;
use crate::shared::Shared;

/// One thread's proxy.
pub(crate) struct Proxy {
    pub(crate) shared: Arc<Shared>,
    pub(super) pool: Pool,
    pub(super) rng: RefCell<SplitMix>,
    /// Some instance was cut off: requests that hang there look whether it is theirs (T3).
    pub(super) cuts: Notify,
}

impl Proxy {
    pub(crate) fn new(shared: Arc<Shared>, rng: SplitMix) -> Self {
        Self { shared, pool: Pool::default(), rng: RefCell::new(rng), cuts: Notify::new() }
    }
}
