//! Every bound of the broker, with its unit, its reason, and what happens when it is met.
//!
//! A buffer, table, loop or wait without a line here is a defect. The bounds stand by subject in the files below.

mod cluster;
mod configuration;
mod connections;
mod door;
mod forwards;
mod log;
mod logins;
mod memory;
mod routing;
mod threads;
mod turns;

pub use cluster::*;
pub use configuration::*;
pub use connections::*;
pub use door::*;
pub use forwards::*;
pub use log::*;
pub use logins::*;
pub use memory::*;
pub use routing::*;
pub use threads::*;
pub use turns::*;
