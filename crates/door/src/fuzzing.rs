//! What the fuzz targets of the door do with any bytes: read them as another proxy's answer, as a client's
//! cookies, as a resolver's query.
//!
//! A broken promise panics, and nothing else does. `tests/corpus.rs` replays the seeds without a fuzzer.

pub use crate::dns::fuzzing::dns_query;
pub use crate::haproxy::fuzzing::haproxy_replies;
pub use crate::httpd::fuzzing::httpd_page;
pub use crate::proxy::fuzzing::cookie_route;
