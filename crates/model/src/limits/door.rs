//! The bounds of services: announcements, doors and the processes that they route to.

use core::time::Duration;

/// Body of an announcement, an ask or a command, bytes. Longer ones are dropped and counted.
pub const ANNOUNCEMENT_BYTES_MAX: usize = 4 * 1024;
/// Body of a door's report, bytes: it acknowledges up to a few thousand draining instances. The rest goes
/// into the next one.
pub const DOOR_REPORT_BYTES_MAX: usize = 1024 * 1024;
/// Acknowledgements in one report, at some 150 bytes each. The rest goes into the next one.
pub const DOOR_ACKS_MAX: usize = 4_096;
/// Bytes of a service's, an instance's or a door's name (a DNS label, RFC 1035 §2.3.4). Longer ones are
/// refused.
pub const SERVICE_NAME_BYTES_MAX: usize = 63;
/// Hosts that one instance may claim. An announcement with more is refused.
pub const CLAIMED_HOSTS_MAX: usize = 16;
/// Bytes of a claimed host or path. An announcement with a longer one is refused.
pub const CLAIM_BYTES_MAX: usize = 255;
/// Labels of one instance. An announcement with more is refused.
pub const INSTANCE_LABELS_MAX: usize = 16;
/// Largest weight of an instance. More is refused.
pub const INSTANCE_WEIGHT_MAX: u32 = 1_000;
/// Services in a door's table. Announcements of more are refused and logged once.
pub const SERVICES_MAX: usize = 1_000;
/// Instances in a door's table, so that it stays within some 10 MiB. Announcements of more are refused and
/// logged once.
pub const INSTANCES_MAX: usize = 10_000;
/// Instances that one user may announce. Announcements of more are refused and logged once.
pub const INSTANCES_PER_USER_MAX: usize = 1_000;
/// Doors that an instance counts. The one heard longest ago is forgotten for a new one.
pub const DOORS_MAX: usize = 256;

/// An instance announces itself each.
pub const ANNOUNCE_EVERY: Duration = Duration::from_secs(1);
/// An `ask` is answered within this, at a random moment, so that a thousand instances do not answer at once.
pub const ASK_JITTER_MAX: Duration = Duration::from_millis(100);
/// A door reports each.
pub const DOOR_REPORT_EVERY: Duration = Duration::from_secs(2);
/// A report that was asked for "at once" follows the one before it after this at the earliest.
pub const DOOR_REPORT_GAP: Duration = Duration::from_millis(10);
/// A door's time to live, and that of an ask: three reports.
pub const DOOR_TTL: Duration = Duration::from_secs(6);
/// A row without another word is valid for this, unless its announcement says otherwise.
pub const INSTANCE_TTL: Duration = Duration::from_secs(3);
/// Shortest and longest time to live that an announcement may ask for. Others are refused.
pub const INSTANCE_TTL_RANGE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));
/// T1: a boot that was replaced, or left, is ignored for this.
pub const RETIRED_BOOT_KEPT: Duration = Duration::from_secs(60);
/// Retired boots that are remembered. At the bound the oldest is forgotten.
pub const RETIRED_BOOTS_MAX: usize = INSTANCES_MAX;
/// T3: a stale row whose address answers is served for this.
pub const STALE_GRACE: Duration = Duration::from_secs(60);
/// T3: after the door's link came back no row becomes stale for this.
pub const LINK_BACK_GRACE: Duration = Duration::from_secs(2);
/// T4: resets or response time-outs in a row that make an instance suspect.
pub const STRIKES_MAX: u32 = 3;
/// T4: suspects are probed each.
pub const SUSPECT_PROBE_EVERY: Duration = Duration::from_millis(250);
/// T5: above so many candidates the better of two random ones is taken.
pub const LEAST_LOADED_CANDIDATES_MAX: usize = 16;
/// T6: tries after the first.
pub const RETRIES_MAX: u32 = 2;
/// T6: retries a second that are always allowed, and saved up for this many.
pub const RETRY_BUDGET_PER_SECOND: u32 = 10;
/// T6: retries that each 100 requests allow.
pub const RETRY_BUDGET_PERCENT: u32 = 20;
/// T7: requests of a service that wait. More get 503 at once.
pub const HELD_REQUESTS_MAX: usize = 1_000;
/// T7: a request waits so long. Then 503 with Retry-After.
pub const HOLD_WAIT: Duration = Duration::from_secs(10);
/// T9: an idle connection to an instance is used again within this, or half its keep-alive time if that is
/// less.
pub const UPSTREAM_IDLE_MAX: Duration = Duration::from_secs(1);
/// An instance whose link is younger than this may not have heard every door yet: it waits for
/// [`YOUNG_LINK_WAIT`] when it drains. A door reports at once when an instance is new to it, and each
/// [`DOOR_REPORT_EVERY`] after that.
pub const YOUNG_LINK: Duration = DOOR_REPORT_EVERY;
/// Time for doors that a young link has not heard to acknowledge.
pub const YOUNG_LINK_WAIT: Duration = Duration::from_millis(500);
/// A stop without a broker spends this on trying to reach one.
pub const STOP_WITHOUT_BROKER: Duration = Duration::from_secs(2);
/// A process that is starting is probed each.
pub const START_PROBE_EVERY: Duration = Duration::from_millis(20);
/// A process that is ready and has a health path is probed each.
pub const HEALTH_PROBE_EVERY: Duration = Duration::from_secs(1);
/// Health probes in a row without success that make a ready instance unready.
pub const HEALTH_FAILURES_MAX: u32 = 2;
/// T6: retries that are saved up at most: more than the requests that one killed instance had.
pub const RETRY_BUDGET_MAX: u32 = 1_000;
/// The claims of a service whose last instance is gone are kept for this, so that its requests wait for the
/// next one.
pub const EMPTY_SERVICE_KEPT: Duration = Duration::from_secs(60);
/// Messages that wait for a link to take them. More are dropped: the next one says the present again.
pub const BUS_OUTGOING_MAX: usize = 1_024;
/// Messages from a broker that wait for their reader. A reader so far behind makes the broker's queue drop
/// its oldest.
pub const BUS_INCOMING_MAX: usize = 4_096;
/// Messages in a participant's queue on the broker; at the bound the oldest is dropped.
pub const BUS_QUEUE_MESSAGES_MAX: u32 = 10_000;
/// Pause before the next round through all brokers, by the number of rounds that failed; the last one stays.
pub const BUS_REDIAL_WAITS: [Duration; 4] = [
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(500),
];
/// Time for each step of a new link: lookup, connect, login, declare.
pub const BUS_STEP_TIMEOUT: Duration = Duration::from_secs(2);
/// Heartbeat that is asked for, whole seconds: a dead broker is found after twice that.
pub const BUS_HEARTBEAT_S: u16 = 2;
/// Brokers that may be named.
pub const BROKERS_MAX: usize = 16;
/// A connect to an instance, and a probe, take this long at most (T4).
pub const UPSTREAM_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// T6: largest body that is kept whole so that its request can be sent again, bytes.
pub const REPLAYED_BODY_BYTES_MAX: usize = 64 * 1024;
/// A response's head comes within this. Then 504, and a strike (T4).
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest pause inside a body, either way. Then the request ends.
pub const BODY_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Head of a request, a PROXY header, a TLS handshake: each takes a client this long at most. Then its
/// connection is closed.
pub const CLIENT_HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests that one HTTP/2 connection may have under way. More are refused by the protocol.
pub const HTTP2_STREAMS_MAX: u32 = 100;
/// A door that stops gives connections from its queue this long for their first byte.
pub const DOOR_QUEUED_GRACE: Duration = Duration::from_millis(500);
/// Time to live of a DNS record.
pub const DNS_TTL: Duration = Duration::from_secs(1);
/// A drain waits for this after the record's time to live: a resolver counts in whole seconds, and a proxy
/// connects after it has looked up.
pub const DNS_DRAIN_GRACE: Duration = Duration::from_secs(2);
/// Records of one type in a DNS reply. The others follow in the next ones, by rotation.
pub const DNS_ANSWERS_MAX: usize = 64;
/// A reply by UDP, bytes (DNS flag day 2020: what passes unfragmented). A longer one is truncated, and asked
/// for by TCP.
pub const DNS_UDP_ANSWER_BYTES_MAX: u16 = 1_232;
/// Replies that wait in a TCP connection, bytes.
pub const DNS_TCP_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// A TCP connection without a question for this is closed.
pub const DNS_TCP_TIMEOUT: Duration = Duration::from_secs(5);
/// Certificates' files are looked at each.
pub const CERTIFICATES_LOOK_EVERY: Duration = Duration::from_secs(1);
/// A client's connection without a complete request head for this is closed.
pub const CLIENT_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// A tunnel without a byte for this is closed.
pub const TUNNEL_IDLE_TIMEOUT: Duration = Duration::from_secs(3_600);
/// Head of a request or a response, bytes. More gets 431, or 502.
pub const HTTP_HEAD_BYTES_MAX: usize = 64 * 1024;
/// Headers of a request or a response. More gets 431, or 502.
pub const HTTP_HEADERS_MAX: usize = 100;
/// Clients' connections of a door. At the bound none is accepted until one ends.
pub const CLIENT_CONNECTIONS_MAX: usize = 10_000;
/// Connections that wait in a listener's queue (listen(2)).
pub const DOOR_LISTEN_BACKLOG: i32 = 4_096;
/// Idle connections that each thread keeps to one instance. More are closed.
pub const UPSTREAM_IDLE_CONNECTIONS_MAX: usize = 64;
/// A door looks at its table each.
pub const DOOR_TICK_EVERY: Duration = Duration::from_millis(50);
/// A door that starts sends its first request after this: every instance that was asked has answered, and
/// knows the door.
pub const DOOR_FIRST_ROUTE_AFTER: Duration = Duration::from_millis(120);
/// A door that stops waits for its requests this long.
pub const DOOR_STOP_WAIT: Duration = Duration::from_secs(30);
/// Questions to a door's control that wait for an answer. More wait in their connections.
pub const DOOR_QUESTIONS_MAX: usize = 16;
/// A driver compares another proxy with the table at least this often.
pub const DRIVER_EVERY: Duration = Duration::from_secs(1);
/// While an instance stops a driver looks for the end of the proxy's requests there this often.
pub const DRIVER_STOPPING_EVERY: Duration = Duration::from_millis(20);
/// After a graceful restart of Apache httpd a driver acknowledges no drain for this: the requests of the
/// processes before it are in no counter any more.
pub const HTTPD_RESTART_GRACE: Duration = Duration::from_secs(5);
/// Time for one answer of another proxy. Then the driver says so and tries again.
pub const DRIVER_TIMEOUT: Duration = Duration::from_secs(2);
/// Answer of another proxy, bytes: some 10,000 servers. The rest is not read, and the answer is a damaged
/// one.
pub const DRIVER_REPLY_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// A drain waits for a proxy's process that a reload has replaced for this at most: as long as a request may
/// take. What is still open then is a tunnel or a download, or another proxy's process that looks alike.
pub const PREDECESSOR_WAIT: Duration = Duration::from_secs(60);
/// Processes of a proxy that were replaced and are watched. At the bound the oldest is forgotten.
pub const PREDECESSORS_MAX: usize = 1_024;
