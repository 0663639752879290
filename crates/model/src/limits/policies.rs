//! Bounds of policies.

/// Policies of a cluster, as many as an operator with a script may make. A new one more is refused.
pub const POLICIES_MAX: usize = 10_000;
/// Longest pattern of a policy, bytes: four names side by side. A longer one is refused.
pub const POLICY_PATTERN_BYTES_MAX: usize = 1_024;
/// What a pattern may take once it is compiled, bytes: every policy keeps its own on every node. One that needs
/// more is refused.
pub const POLICY_PATTERN_COMPILED_BYTES_MAX: usize = 32 * 1024;
/// Steps back of one match of a pattern with look-around. A name that needs more does not match.
pub const POLICY_PATTERN_STEPS_MAX: usize = 10_000;
/// Policies that a shard compares with the names of its queues in one turn after a policy changed: about a
/// millisecond. The rest follows in the next turns.
pub const POLICY_MATCHES_PER_TURN_MAX: usize = 20_000;
