//! Every bound of the broker, with its unit, its reason, and what happens when it is met.
//!
//! A buffer, table, loop or wait without a line here is a defect. The bounds stand by subject in the files
//! below.
//!
//! At a bound the newest is refused or waits, so that those under way can end. A bound that drops or forgets
//! the oldest could let newcomers starve everybody: each says why it does not.

mod cluster;
mod configuration;
mod connections;
mod dead_letters;
mod door;
mod forwards;
mod log;
mod logins;
mod memory;
mod policies;
mod routing;
mod sessions;
mod store;
mod threads;
mod turns;

pub use cluster::*;
pub use configuration::*;
pub use connections::*;
pub use dead_letters::*;
pub use door::*;
pub use forwards::*;
pub use log::*;
pub use logins::*;
pub use memory::*;
pub use policies::*;
pub use routing::*;
pub use sessions::*;
pub use store::*;
pub use threads::*;
pub use turns::*;
