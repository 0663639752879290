package org.leveret.door.tomcat;

import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.random.RandomGenerator;

/**
 * One announced context: it announces itself, and drains by the doors' acknowledgements.
 *
 * <p>The Java counterpart of {@code crates/services/src/supervised.rs}; read {@code
 * docs/formats/services.md}, 3, first. Times are given, in nanoseconds of the monotonic clock. Invariants:
 * {@link #drained} completes only after every door that counts has acknowledged the drain with nothing in
 * flight, unless a time is over; {@code left} is the last word.
 */
final class Instance {

    /** Carries out what an instance decides. */
    interface Outbox {
        /** Sends it; {@code change}: mandatory and confirmed, and then {@link Instance#onSettled}. */
        void announce(Announcement announcement, boolean change);

        /** For the log. */
        void note(InstanceId id, Note note);
    }

    /** What people should hear about. */
    sealed interface Note {
        record NoDoorListens() implements Note {
        }

        record Draining(int doors) implements Note {
        }

        record Drained(long nanos) implements Note {
        }

        record DrainTimedOut(long inflight) implements Note {
        }

        record DrainUntold() implements Note {
        }

        record CommandRefused(String user) implements Note {
        }

        record Commanded(Message.Command command) implements Note {
        }
    }

    /**
     * What the operator decided about stops.
     *
     * @param drainSessions nanoseconds in which only its own sessions' requests come, before the drain
     * @param drain longest time for the doors' acknowledgements, nanoseconds
     * @param commanders users whose commands are obeyed
     */
    record StopRules(long drainSessions, long drain, List<String> commanders) {
    }

    private enum Phase {
        RUNNING,
        /** An operator's {@code drain}: it takes nothing and stays. */
        PAUSED,
        /** It takes its own sessions' requests, until {@link #phaseSince} + drainSessions. */
        SESSIONS,
        /** It waits for acknowledgements of {@link #drainSeq} or a later one. */
        DRAINING,
        /** Nothing comes any more; the context stops. */
        STOPPING,
        FINISHED
    }

    private final InstanceId id;
    private final Terms terms;
    private final StopRules rules;
    private final Link link;
    private final Doors doors;
    private final Outbox outbox;
    private final RandomGenerator random;
    private final CompletableFuture<Void> drained = new CompletableFuture<>();

    private Phase phase = Phase.RUNNING;
    private long phaseSince;
    private long seq;
    private long drainSeq;
    /** When the broker took the drain, on this link. */
    private Long toldAt;
    /** The broker had no queue for it. */
    private boolean unheard;
    /** The last change that was sent, until its verdict is in. */
    private long unsettledChange;
    private long nextAnnouncement;
    private Load load;

    /** The state of the link, the same for all instances of a Tomcat. */
    static final class Link {
        boolean up;
        long since;
        /** Where requests go, as this link's end or the operator says. */
        String address;

        Link(long now) {
            since = now;
        }
    }

    Instance(InstanceId id, Terms terms, StopRules rules, Link link, Doors doors, Outbox outbox,
            RandomGenerator random) {
        this.id = id;
        this.terms = terms;
        this.rules = rules;
        this.link = link;
        this.doors = doors;
        this.outbox = outbox;
        this.random = random;
    }

    InstanceId id() {
        return id;
    }

    /** Completes once the context may stop without a request lost, or the time is over. */
    CompletableFuture<Void> drained() {
        return drained;
    }

    boolean isFinished() {
        return phase == Phase.FINISHED;
    }

    /** The first announcement. */
    void start(long now) {
        enter(now, Phase.RUNNING);
    }

    void onLinkUp(long now) {
        toldAt = null;
        unheard = false;
        announce(now, true);
    }

    void onAsk(long now) {
        long soon = now + random.nextLong(Limits.ASK_JITTER_MAX);
        if (soon - nextAnnouncement < 0) {
            nextAnnouncement = soon;
        }
    }

    void onLoad(Load load) {
        this.load = load;
    }

    /** The broker took the announcement with this seq; {@code routed}: some queue got it. */
    void onSettled(long now, long settled, boolean routed) {
        if (phase == Phase.DRAINING && link.up && settled >= drainSeq && toldAt == null) {
            toldAt = now;
            unheard = !routed;
        }
        if (unsettledChange == settled) {
            unsettledChange = 0;
            if (!routed && phase == Phase.RUNNING) {
                outbox.note(id, new Note.NoDoorListens());
            }
        }
    }

    /** @return whether all of Tomcat should stop */
    boolean onCommand(long now, Message.Order order) {
        if (order.user() == null || !rules.commanders().contains(order.user())) {
            outbox.note(id, new Note.CommandRefused(order.user()));
            return false;
        }
        outbox.note(id, new Note.Commanded(order.command()));
        switch (order.command()) {
            case DRAIN -> {
                if (phase == Phase.RUNNING) {
                    enter(now, Phase.PAUSED);
                }
            }
            case READY -> {
                if (phase == Phase.PAUSED) {
                    enter(now, Phase.RUNNING);
                }
            }
            case STOP -> {
                return phase == Phase.RUNNING || phase == Phase.PAUSED;
            }
        }
        return false;
    }

    /** Begins the drain; {@link #drained} says when it is over. */
    void stop(long now) {
        if (phase == Phase.RUNNING || phase == Phase.PAUSED) {
            if (rules.drainSessions() > 0) {
                enter(now, Phase.SESSIONS);
            } else {
                drain(now);
            }
        }
    }

    private void drain(long now) {
        outbox.note(id, new Note.Draining(doors.counted(now)));
        toldAt = null;
        unheard = false;
        drainSeq = seq + 1;
        enter(now, Phase.DRAINING);
    }

    /** The last word. A context that leaves undrained was not stopped by the book: it is gone all the same. */
    void leave(long now) {
        if (phase != Phase.FINISHED) {
            enter(now, Phase.FINISHED);
            doors.forget(id);
            drained.complete(null);
        }
    }

    private void enter(long now, Phase next) {
        phase = next;
        phaseSince = now;
        announce(now, true);
    }

    /** Time goes by: call it at {@link #deadline} or earlier. */
    void poll(long now) {
        switch (phase) {
            case SESSIONS -> {
                if (now - phaseSince >= rules.drainSessions()) {
                    drain(now);
                }
            }
            case DRAINING -> pollDrain(now);
            default -> {
            }
        }
        if (phase != Phase.FINISHED && now - nextAnnouncement >= 0) {
            announce(now, false);
        }
    }

    private void pollDrain(long now) {
        Note verdict = null;
        if (!link.up) {
            // The doors cannot be told; the broker may come back in a moment.
            long both = Math.min(now - phaseSince, now - link.since);
            if (both >= Limits.STOP_WITHOUT_BROKER) {
                verdict = new Note.DrainUntold();
            }
        } else if (toldAt != null) {
            // A young link has not heard every door yet.
            boolean young = now - link.since < Limits.YOUNG_LINK && now - toldAt < Limits.YOUNG_LINK_WAIT;
            boolean nobody = unheard && doors.counted(now) == 0;
            if (nobody || (!young && doors.allAcknowledged(now, id, drainSeq))) {
                verdict = new Note.Drained(now - phaseSince);
            }
        }
        if (verdict == null && now - phaseSince >= rules.drain()) {
            verdict = new Note.DrainTimedOut(doors.inflight(now, id));
        }
        if (verdict != null) {
            outbox.note(id, verdict);
            enter(now, Phase.STOPPING);
            drained.complete(null);
        }
    }

    private void announce(long now, boolean change) {
        nextAnnouncement = now + Limits.ANNOUNCE_EVERY;
        seq++;
        // Without a link there is nobody to tell; the next one begins with an announcement.
        if (!link.up) {
            return;
        }
        State state = switch (phase) {
            case RUNNING -> State.READY;
            case PAUSED, SESSIONS, DRAINING, STOPPING -> State.DRAINING;
            case FINISHED -> State.LEFT;
        };
        if (change) {
            unsettledChange = seq;
        }
        boolean sessions = phase == Phase.SESSIONS;
        outbox.announce(new Announcement(id, seq, state, link.address, terms, sessions, load), change);
    }

    /** When {@link #poll} has something to do. */
    long deadline(long now) {
        return switch (phase) {
            // Doors fall out of the count by time alone.
            case DRAINING -> Math.min(now + Limits.DRAIN_LOOK_EVERY, nextAnnouncement);
            case SESSIONS -> Math.min(phaseSince + rules.drainSessions(), nextAnnouncement);
            case RUNNING, PAUSED, STOPPING -> nextAnnouncement;
            case FINISHED -> now + Limits.ANNOUNCE_EVERY;
        };
    }
}
