package org.leveret.door.tomcat;

import java.util.Comparator;
import java.util.HashMap;
import java.util.Map;
import java.util.function.Predicate;
import java.util.stream.Stream;

/**
 * Doors that were heard: whom a drain waits for. One table for all contexts, because a context that was
 * deployed a moment ago must wait for the doors that were heard before it. Times are nanoseconds of the
 * monotonic clock.
 */
final class Doors {

    private static final class Door {
        long heard;
        /** Its last acknowledgements, by instances of ours. */
        final Map<InstanceId, Message.Ack> acks = new HashMap<>();
    }

    private final Map<String, Door> known = new HashMap<>();
    /** While the link is down: since when. A door that cannot be heard is not forgotten for it. */
    private Long deafSince;

    /** A door counts from its first ask: it may route to us from then on. */
    void asked(long now, String name) {
        // It asks when its link is new: what it said before may have been another process's.
        heard(now, name).acks.clear();
    }

    /** A report that was cut short says nothing about an instance; what was said before stands. */
    void reported(long now, Message.Report report, Predicate<InstanceId> isOwn) {
        Door door = heard(now, report.door());
        report.acks().stream().filter(ack -> isOwn.test(ack.id())).forEach(ack -> door.acks.put(ack.id(), ack));
    }

    private Door heard(long now, String name) {
        if (known.size() >= Limits.DOORS_MAX && !known.containsKey(name)) {
            known.entrySet().stream()
                    .min(Comparator.comparingLong(entry -> entry.getValue().heard))
                    .map(Map.Entry::getKey)
                    .ifPresent(known::remove);
        }
        Door door = known.computeIfAbsent(name, added -> new Door());
        door.heard = now;
        return door;
    }

    void linkIsGone(long now) {
        if (deafSince == null) {
            deafSince = now;
        }
    }

    /**
     * Doors that counted when the link went down get their time again: they still route by what they heard,
     * and their own links may take longer to come back.
     */
    void linkIsBack(long now) {
        if (deafSince != null) {
            long since = deafSince;
            deafSince = null;
            known.values().stream()
                    .filter(door -> since - door.heard < Limits.DOOR_TTL)
                    .forEach(door -> door.heard = now);
        }
    }

    /** The instance has left: nothing that doors said of it is kept. */
    void forget(InstanceId id) {
        known.values().forEach(door -> door.acks.remove(id));
    }

    private Stream<Door> current(long now) {
        return known.values().stream().filter(door -> now - door.heard < Limits.DOOR_TTL);
    }

    int counted(long now) {
        return (int) current(now).count();
    }

    boolean allAcknowledged(long now, InstanceId id, long wanted) {
        return current(now).map(door -> door.acks.get(id))
                .allMatch(ack -> ack != null && ack.seq() >= wanted && ack.inflight() == 0);
    }

    /** Requests at an instance as far as the doors said. */
    long inflight(long now, InstanceId id) {
        return current(now).map(door -> door.acks.get(id)).filter(ack -> ack != null)
                .mapToLong(Message.Ack::inflight).sum();
    }
}
