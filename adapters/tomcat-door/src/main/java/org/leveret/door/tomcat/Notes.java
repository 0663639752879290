package org.leveret.door.tomcat;

import java.util.Locale;
import org.apache.juli.logging.Log;

/** What people read of an instance's life. */
final class Notes {

    private Notes() {
    }

    static void log(Log log, InstanceId id, Instance.Note note) {
        String of = " instance=" + id;
        if (note instanceof Instance.Note.NoDoorListens) {
            log.info("announced; no door listens yet" + of);
        } else if (note instanceof Instance.Note.Draining draining) {
            log.info("draining: waiting for every door to have nothing in flight" + of + " doors=" + draining.doors());
        } else if (note instanceof Instance.Note.Drained drained) {
            log.info("drained" + of + " after_ms=" + drained.nanos() / 1_000_000);
        } else if (note instanceof Instance.Note.DrainTimedOut over) {
            log.warn("time for draining is over; see the attribute drain" + of + " inflight=" + over.inflight());
        } else if (note instanceof Instance.Note.DrainUntold) {
            log.warn("no broker to tell the doors by: stopping without them" + of);
        } else if (note instanceof Instance.Note.CommandRefused refused) {
            log.warn("command refused: the user is not in the attribute commanders" + of
                    + " user=" + shown(refused.user()));
        } else if (note instanceof Instance.Note.Commanded commanded) {
            log.info("commanded" + of + " command=" + commanded.command().name().toLowerCase(Locale.ROOT));
        }
    }

    /** Foreign text, so that it cannot write log lines of its own. */
    private static String shown(String user) {
        return user == null ? "an unchecked sender" : user.replaceAll("[^\\x21-\\x7e]", "?");
    }
}
