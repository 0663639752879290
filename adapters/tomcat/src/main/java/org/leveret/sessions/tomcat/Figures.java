package org.leveret.sessions.tomcat;

import java.util.concurrent.atomic.LongAdder;

/** Counts since the context started. */
final class Figures {
    final LongAdder loads = new LongAdder();
    final LongAdder unchangedLoads = new LongAdder();
    final LongAdder missing = new LongAdder();
    final LongAdder commits = new LongAdder();
    final LongAdder commitBytes = new LongAdder();
    final LongAdder conflicts = new LongAdder();
    final LongAdder lateWritesDropped = new LongAdder();
    final LongAdder failedRequests = new LongAdder();
    final LongAdder refusedValues = new LongAdder();

    void loaded(SessionClient.Loaded loaded) {
        loads.increment();
        if (loaded == null) {
            missing.increment();
        } else if (!loaded.full() && loaded.values().isEmpty() && loaded.removed().isEmpty()) {
            unchangedLoads.increment();
        }
    }

    void committed(SessionClient.Committed done) {
        commits.increment();
        commitBytes.add(done.bytes());
        conflicts.add(done.conflicts());
    }

    void dropped() {
        lateWritesDropped.increment();
    }
}
