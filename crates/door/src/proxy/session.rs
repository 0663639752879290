//! What a request says of its session.

/// Where a request's session belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// A route, or an instance.
    pub(super) place: String,
    pub(super) id: String,
    /// It is an instance.
    pub(super) by_name: bool,
}
