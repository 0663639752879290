package org.leveret.door.tomcat;

import java.time.Duration;

/**
 * Bounds of a participant, with unit and reason. They are those of {@code crates/model/src/limits/door.rs};
 * times that are compared are nanoseconds of the monotonic clock.
 */
final class Limits {
    /** Body of an announcement, an ask or a command, bytes. Longer ones are dropped by their readers. */
    static final int ANNOUNCEMENT_BYTES_MAX = 4 * 1024;
    /** Body of a door's report, bytes. A longer one is not read. */
    static final int REPORT_BYTES_MAX = 1024 * 1024;
    /** Acknowledgements in one report. A report with more is not read. */
    static final int REPORT_ACKS_MAX = 4_096;
    /** Hosts that one instance may claim. With more nothing is announced, and the log says so. */
    static final int CLAIMED_HOSTS_MAX = 16;
    /** Bytes of a claimed host or path. A longer one is not announced, and the log says so. */
    static final int CLAIM_BYTES_MAX = 255;
    /** Largest weight. */
    static final int WEIGHT_MAX = 1_000;
    /** Contexts that one listener announces. More are not announced, and the log says so. */
    static final int CONTEXTS_MAX = 256;
    /** Doors that an instance counts. The one heard longest ago is forgotten for a new one. */
    static final int DOORS_MAX = 256;
    /** Brokers that may be named, and addresses that are tried of one name. */
    static final int BROKERS_MAX = 16;
    /** Bytes of a file with broker URLs. */
    static final int AMQP_FILE_BYTES_MAX = 64 * 1024;

    /** An instance announces itself each. */
    static final long ANNOUNCE_EVERY = Duration.ofSeconds(1).toNanos();
    /**
     * An ask is answered within this, at a random moment, so that a thousand instances do not answer at once.
     */
    static final long ASK_JITTER_MAX = Duration.ofMillis(100).toNanos();
    /** A door that was not heard for this does not count: three of its reports. */
    static final long DOOR_TTL = Duration.ofSeconds(6).toNanos();
    /** Time to live of an announcement, milliseconds. */
    static final int INSTANCE_TTL_MS = 3_000;
    /** A link younger than this has not heard every door yet. */
    static final long YOUNG_LINK = Duration.ofSeconds(2).toNanos();
    /** Time for doors that a young link has not heard to acknowledge a drain. */
    static final long YOUNG_LINK_WAIT = Duration.ofMillis(500).toNanos();
    /** A stop without a broker spends this on trying to reach one. */
    static final long STOP_WITHOUT_BROKER = Duration.ofSeconds(2).toNanos();
    /** While it drains, an instance looks at its doors this often: they fall out of the count by time alone. */
    static final long DRAIN_LOOK_EVERY = Duration.ofMillis(20).toNanos();

    /** Messages that wait for a link to take them. More are dropped: the next one says the present again. */
    static final int OUTGOING_MAX = 1_024;
    /**
     * Events that wait for the participant's thread. More make their sender wait, and the broker's queue
     * drop.
     */
    static final int EVENTS_MAX = 4_096;
    /** Messages in a participant's queue on the broker; at the bound the oldest is dropped. */
    static final int QUEUE_MESSAGES_MAX = 10_000;
    /**
     * Pause before the next round through all brokers, by rounds that failed, milliseconds; the last one
     * stays.
     */
    static final int[] REDIAL_WAITS_MS = {10, 50, 200, 500};
    /** Time for each step of a new link: connect, login, declare; milliseconds. */
    static final int STEP_TIMEOUT_MS = 2_000;
    /** Heartbeat that is asked for, whole seconds: a dead broker is found after twice that. */
    static final int HEARTBEAT_S = 2;

    private Limits() {
    }
}
