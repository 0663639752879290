//! Questions to name servers, asked so that each server and each record type is judged on its own.
//!
//! Read first: [`Resolver::addresses`]. Messages are hickory's; who is asked, how often and what counts as an
//! answer is decided here, because a resolver for browsers decides otherwise: it takes the first reply for the
//! answer, also a refusal, hides a failed A behind an empty AAAA, keeps negative answers, and reads
//! `/etc/resolv.conf` once.

mod exchange;
mod lookup;
mod system;

pub(crate) use exchange::{exchange_tcp, exchange_udp, in_words};
pub(crate) use lookup::{Found, Resolver, addresses_in, ask, srv};
