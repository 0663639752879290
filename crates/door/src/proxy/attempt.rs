//! A request between its tries.

use std::time::Instant;

use hyper::body::Bytes;
use hyper::http::request::Parts;
use leveret_model::Boot;
use leveret_services::retry::Body;

use super::request_body::RequestBody;
use super::session::Session;

/// A request that is being tried.
pub(crate) struct Attempt {
    pub(super) parts: Parts,
    /// `None` while it is at an instance.
    pub(super) body: Option<RequestBody>,
    /// For T6, when the body itself is gone.
    pub(super) kind: Body,
    /// A copy of a body that is kept.
    pub(super) kept: Option<Bytes>,
    pub(super) session: Option<Session>,
    /// The client's connection has TLS.
    pub(super) tls: bool,
    pub(super) tried: Vec<Boot>,
    pub(super) tries: u32,
    /// A pooled connection failed it: the next try has a fresh one.
    pub(super) fresh: bool,
    pub(super) since: Instant,
}
