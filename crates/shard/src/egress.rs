//! The way out: deliveries to consumers of this shard's clients, from queues here and from homes elsewhere.
//!
//! Read first: `deliver.rs`. What a consumer may be given is bounded in two ways. A queue here asks the
//! connection whether its output has room and its channel does not pause; a home elsewhere has a window, which
//! is given back as the output leaves ([`windows`]).

mod deliver;
mod pauses;
mod subscribed;
mod windows;

pub(crate) use self::deliver::Deliveries;
pub(crate) use self::windows::Egress;
