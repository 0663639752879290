package org.leveret.door.tomcat;

import java.util.List;

/** What a participant hears on the exchange. */
sealed interface Message {

    /** "Who is there?" */
    record Ask(String door) implements Message {
    }

    /** What a door says each 2 s, and at once for an acknowledgement. */
    record Report(String door, List<Ack> acks) implements Message {
    }

    /** An operator to one instance. {@code user}: as the broker checked it, or {@code null}. */
    record Order(String service, String instance, Command command, String user) implements Message {
    }

    /** A door acts on this seq of that boot, and still has so many requests there. */
    record Ack(InstanceId id, long seq, long inflight) {
    }

    /** What an operator may tell an instance. */
    enum Command {
        /** Take nothing new, and keep running. */
        DRAIN,
        /** Take requests again. */
        READY,
        /** Drain, then stop Tomcat. */
        STOP
    }
}
