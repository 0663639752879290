//! The bounds of membership, directory and links.

use core::time::Duration;

/// Pings on a control link, one each (R4).
pub const PING_EVERY: Duration = Duration::from_millis(100);
/// A node is heard while its last echo of our ping is younger (R4).
pub const HEARD_WITHIN: Duration = Duration::from_millis(1_200);
/// A lease rests on echoes of pings sent within this time (R4).
pub const LEASE_WITHIN: Duration = Duration::from_millis(1_500);
/// R1 waits for a node whose ping was echoed within this time, and a masked name may be declared anew after it.
pub const ECHO_WAIT: Duration = Duration::from_secs(2);
/// A dead link is dialled again each; no back-off.
pub const REDIAL_EVERY: Duration = Duration::from_millis(250);
/// A joiner that got no answer at all opens its listener after this.
pub const ALONE_AFTER: Duration = Duration::from_secs(1);
/// A joiner says who is missing after this.
pub const JOIN_SLOW_AFTER: Duration = Duration::from_secs(5);
/// Anti-entropy with one random peer each.
pub const DIGEST_EVERY: Duration = Duration::from_secs(1);
/// A node without a disk is forgotten, with its records, after it was Down for this; its registers are taken
/// over first.
pub const FORGET_AFTER: Duration = Duration::from_secs(600);
/// Time for the node whose turn it is to take over the registers of one that is to be forgotten. Then everyone
/// does.
pub const ADOPT_WITHIN: Duration = Duration::from_secs(60);
/// Nodes that are Down and not forgotten yet, as many as a cluster has. Above it the longest dead is forgotten
/// early: each start of a node without a disk is a new one.
pub const DEAD_NODES_MAX: usize = NODES_MAX;
/// Nodes that are remembered as forgotten, for as long again, so that a peer that is behind does not bring them
/// back. At the bound the oldest goes; if a peer still knows it, it is learnt and forgotten once more.
pub const FORGOTTEN_NODES_KEPT: usize = 8 * DEAD_NODES_MAX;
/// Values that an option with a list may have, seeds among them. More are refused at the start.
pub const LIST_VALUES_MAX: usize = 64;
/// Seeds that all registries together may give: a name that still lists the dead of several clusters of the
/// largest size. Of more a random choice is tried, another one with each answer.
pub const SEEDS_MAX: usize = 8 * NODES_MAX;
/// Seeds that are dialled at once by a node that has no link, each [`REDIAL_EVERY`], after a first round of
/// two: 256 have had their turn before [`UNTRIED_WAIT`] is over.
pub const SEED_DIALS_ALONE: usize = 32;
/// The same, each second, by a node that has links: it looks for another part of its cluster.
pub const SEED_DIALS_LINKED: usize = 8;
/// A joiner that gets no answer does not serve alone before each seed was dialled once, but after this at the
/// latest.
pub const UNTRIED_WAIT: Duration = Duration::from_secs(3);
/// Nodes of a cluster. More are refused at the hello.
pub const NODES_MAX: usize = 128;
/// A data link that is silent is probed each (TCP keepalive, whole seconds).
pub const LINK_PROBE_EVERY: Duration = Duration::from_secs(1);
/// Probes without an answer that end a data link, and its session with it.
pub const LINK_PROBES: u32 = 3;
/// Largest frame of a link, bytes. More ends the link.
pub const LINK_FRAME_BYTES_MAX: usize = 20 * 1024 * 1024;
/// Time for a link's authentication. Past it the socket is dropped.
pub const LINK_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes read from a link before it is authenticated. More is a drop.
pub const LINK_HANDSHAKE_BYTES_MAX: usize = 1_024;
/// Bytes read from one link before others get their turn: more than the 8 MiB window in eight turns. The rest
/// goes on next.
pub const LINK_TURN_READ_BYTES_MAX: usize = 1024 * 1024;
/// Links that were accepted and have not finished authentication: of all nodes of a cluster two each. At the
/// bound no more are accepted: they wait in the kernel's queue, and the oldest of those that are not
/// undisturbed any more is dropped for each.
pub const LINK_HANDSHAKES_MAX: usize = 2 * NODES_MAX;
/// A link's handshake is undisturbed for so long, however many others wait: it takes two round trips, and nodes
/// that all dial at once over a slow network would drive each other out. So a crowd that says nothing leaves a
/// place each 4 ms.
pub const LINK_HANDSHAKE_UNDISTURBED: Duration = Duration::from_secs(1);
/// Time for a command that another node answers (its lease, its votes and R1 included). Then it is refused with
/// 405.
pub const FORWARDED_WAIT: Duration = Duration::from_secs(6);
/// A second redial this much after the first was refused: two refusals and a reset link are evidence of a dead
/// process.
pub const REFUSED_REDIAL_AFTER: Duration = Duration::from_millis(50);
/// For so long after a node was last heard a dial that comes to nothing is repeated that soon, so that a killed
/// process is known to be gone within 200 ms even if its port outlived its links.
pub const HASTY_REDIAL_WITHIN: Duration = Duration::from_millis(500);
/// Records in one piece of a map: a record came in an AMQP frame, so that many always fit in a link's frame.
pub const MAP_PIECE_RECORDS_MAX: usize = 100;
/// A map that was asked for and did not come is asked for again after this.
pub const MAP_REQUEST_AGAIN: Duration = Duration::from_millis(500);
/// A dial that got no answer at all is tried again beside the first after this: its packets may have been lost
/// in a cut that is over.
pub const DIAL_AGAIN: Duration = Duration::from_secs(1);
/// Longest time for the votes on a new name: R1's 2 s and as much again for rivals to give way. Then 405.
pub const PROPOSAL_WAIT: Duration = Duration::from_secs(4);
/// A control machine that comes so late to its own pings was not there to hear those of others.
pub const LATE_BY: Duration = Duration::from_millis(300);
/// It then listens for so long before it takes anybody's silence for evidence.
pub const LISTEN_AFTER_PAUSE: Duration = Duration::from_millis(400);
/// Names, ids and the head of a record of a map, bytes, beside the arguments that its client sent in one frame:
/// so a piece of a map fits a link's frame.
pub const RECORD_HEAD_BYTES_MAX: usize = 2_048;
/// Kinds of records of later versions that the log names, each once. Past it they are kept and counted in
/// `status` alone.
pub const UNKNOWN_KINDS_REPORTED_MAX: usize = 64;
/// Kinds of control frames of later versions that are counted apart for each peer, and logged once each. Past
/// it they are skipped and counted together.
pub const UNKNOWN_FRAME_KINDS_MAX: usize = 32;
/// Capabilities in one hello. More end the handshake.
pub const CAPABILITIES_MAX: usize = 32;

// ---- queues that move

/// Queues of one node that may be on their way to others at once. More would not end sooner: they share the
/// links.
pub const MOVES_AT_ONCE_MAX: usize = 16;
/// Time that a node has to say whether it takes a queue. Then another one is asked.
pub const MOVE_ANSWER_WAIT: Duration = Duration::from_secs(1);
/// Time that a queue has to be handed over, once the other node has said yes. Then it serves where it was.
pub const MOVE_WAIT: Duration = Duration::from_secs(60);
/// Time that a queue may be copied before it freezes. It serves meanwhile, so this bounds a link that carries
/// next to nothing, not a long queue.
pub const COPY_WAIT: Duration = Duration::from_secs(600);
/// How often a node that leaves looks for queues that it has still.
pub const MOVES_LOOK_EVERY: Duration = Duration::from_millis(50);
/// Queues that could not be opened here that are remembered: their old homes ask again after a broken link.
pub const MOVES_FAILED_KEPT: usize = 1_000;
/// Time before a queue that could not move is offered again.
pub const MOVE_AGAIN_AFTER: Duration = Duration::from_millis(200);
/// Time that a node has to hand its queues over when it is told to stop. Then it stops with what stayed.
pub const LEAVE_WITHIN: Duration = Duration::from_secs(60);
/// How often a node that leaves says what is left.
pub const LEAVE_REPORT_EVERY: Duration = Duration::from_secs(1);
/// How much more than the mean of all nodes, in percent, a node may have of queues before it gives some away.
pub const REBALANCE_ABOVE_PERCENT: usize = 15;
/// Queues that move at once for the sake of balance. A quarter of what a leave takes: clients are served
/// meanwhile.
pub const REBALANCE_AT_ONCE_MAX: usize = 4;
/// How long nodes must be the same before queues move for the sake of balance: who comes and goes at once costs
/// no move.
pub const REBALANCE_CALM: Duration = Duration::from_secs(5);
/// How often a node looks whether others came or went.
pub const REBALANCE_LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often a node that has enough counts again.
pub const REBALANCE_COUNT_EVERY: Duration = Duration::from_secs(10);
/// Time between two handfuls of queues that move for the sake of balance.
pub const REBALANCE_PAUSE: Duration = Duration::from_millis(100);
/// Time for which a queue that moved, or could not, stays where it is unless its node leaves.
pub const REBALANCE_REST: Duration = Duration::from_secs(600);
/// A queue with more messages than that, ready and unacknowledged, stays unless its node leaves.
pub const REBALANCE_MESSAGES_MAX: u64 = 1_000;
/// A queue with more bytes of bodies than that stays unless its node leaves.
pub const REBALANCE_BYTES_MAX: u64 = 1 << 20;
