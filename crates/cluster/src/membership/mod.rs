//! Who is there, who is heard, and until when this node may act on its view (R4).
//!
//! Read first: [`standing`], then `detector` (verdicts) and `lease`. The parts here know no directory and send
//! nothing; `peers` in the crate's root feeds them.

pub(crate) mod detector;
pub(crate) mod dial;
pub(crate) mod join;
pub(crate) mod lease;
pub(crate) mod member;
mod standing;
mod turn_away;

pub use standing::Standing;
pub use turn_away::TurnAway;
