package org.leveret.sessions.tomcat;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Makes this JVM's copy of a session and the cluster's state equal.
 *
 * <p>A refresh takes over what others changed, but for names that this JVM has changed and not committed. A commit sends what its
 * request set, removed, or changed in place; of two requests that change the same attribute the later commit wins, and others'
 * attributes are never sent. One command of a session is under way at a time.
 */
final class SessionCopy {
    /** Names on the wire, UTF-8 bytes. */
    static final int NAME_BYTES_MAX = 255;
    /** Attributes of an application; the cluster's bound is 1,024 with ours and the user. */
    static final int ATTRIBUTES_MAX = 1_020;

    private static final long TOUCH_NANOS_MAX = 3_000_000_000L;

    private final LeveretSession session;
    private final LeveretManager manager;
    private final ReentrantLock wire = new ReentrantLock();
    /** What the cluster has, as far as this JVM has heard. */
    private final Map<String, Digest> known = new ConcurrentHashMap<>();
    /** Names that this JVM changed and has not committed, with a number that grows at each change. */
    private final Map<String, Long> uncommitted = new ConcurrentHashMap<>();
    private final AtomicLong localChanges = new AtomicLong();
    private volatile byte[] token = new byte[0];
    private boolean created;
    private boolean gone;
    /** When this JVM last made the session live longer. */
    private long touchedNanos = System.nanoTime();

    SessionCopy(LeveretSession session, LeveretManager manager) {
        this.session = session;
        this.manager = manager;
    }

    byte[] token() {
        return token;
    }

    Digest digestOf(String name) {
        return known.get(name);
    }

    void noteLocalChange(String name) {
        uncommitted.put(name, localChanges.incrementAndGet());
    }

    void checkAttribute(String name, Object value) {
        if (session.staysHere(name, value)) {
            manager.warnLocal(value);
            return;
        }
        if (!name.isEmpty() && name.charAt(0) <= Reserved.FIRST) {
            throw new IllegalArgumentException("names of attributes that begin with U+0000 or U+0001 are reserved");
        }
        if (SessionClient.bytes(name).length > NAME_BYTES_MAX) {
            throw new IllegalArgumentException("the name of an attribute is over " + NAME_BYTES_MAX + " bytes: " + name.substring(0, 40) + "…");
        }
        if (session.attributes().size() >= ATTRIBUTES_MAX && !session.attributes().containsKey(name)) {
            throw new IllegalArgumentException("a session has at most " + ATTRIBUTES_MAX + " attributes");
        }
        manager.checkTravels(name, value);
    }

    // ---- from the cluster

    /** False if there is no such session. */
    boolean load(String id) {
        wire.lock();
        try {
            if (gone) {
                return false;
            }
            if (!created && session.isValid()) {
                return true; // a request of this JVM has begun it, and will commit it
            }
            long touchMs = created && isTouchDue() ? timeoutMs() : 0;
            SessionClient.Loaded loaded = loadSince(id, touchMs);
            manager.figures().loaded(loaded);
            if (loaded == null) {
                end();
                return false;
            }
            if (touchMs > 0) {
                touchedNanos = System.nanoTime();
            }
            boolean first = !created;
            apply(loaded);
            token = loaded.token();
            created = true;
            if (first) {
                // its time-out was not known before
                long idle = loaded.leftMs() < 0 ? 0 : Math.max(0, timeoutMs() - loaded.leftMs());
                session.begin(id, idle);
                if (timeoutMs() > 0) {
                    manager.client().touch(manager.keyOf(id), timeoutMs());
                    touchedNanos = System.nanoTime();
                }
                session.activate();
            }
            return true;
        } catch (RespError e) {
            throw manager.unavailable(e);
        } finally {
            wire.unlock();
        }
    }

    private SessionClient.Loaded loadSince(String id, long touchMs) throws RespError {
        try {
            return manager.client().load(manager.keyOf(id), token, touchMs);
        } catch (RespError e) {
            if (token.length == 0 || !e.is("ERR")) {
                throw e;
            }
            // a token that nodes of another version do not know
            token = new byte[0];
            return manager.client().load(manager.keyOf(id), token, touchMs);
        }
    }

    /**
     * A touch is a write at the session's home, which remembers 64 of those that came through other nodes for 10 s and takes no
     * more. So a page with many requests touches once: a session may expire early by a twentieth of its time, 3 s at most.
     */
    private boolean isTouchDue() {
        return System.nanoTime() - touchedNanos >= Math.min(TOUCH_NANOS_MAX, timeoutMs() * 1_000_000L / 20);
    }

    private long timeoutMs() {
        return session.getMaxInactiveInterval() * 1_000L;
    }

    /** Takes over the last state of a session that is no more. */
    void fill(Map<String, byte[]> values) {
        wire.lock();
        try {
            apply(new SessionClient.Loaded(token, 0, true, values, List.of()));
            created = true;
            gone = true;
            session.begin(session.getIdInternal(), timeoutMs());
        } finally {
            wire.unlock();
        }
    }

    private void apply(SessionClient.Loaded loaded) {
        List<String> removed = new ArrayList<>(loaded.removed());
        if (loaded.full()) {
            known.keySet().stream().filter(name -> !loaded.values().containsKey(name)).forEach(removed::add);
        }
        for (String name : removed) {
            if (!loaded.values().containsKey(name) && known.remove(name) != null && !uncommitted.containsKey(name)) {
                put(name, null);
            }
        }
        loaded.values().forEach((name, bytes) -> {
            Digest digest = Digest.of(bytes);
            if (!digest.equals(known.put(name, digest)) && !uncommitted.containsKey(name)) {
                put(name, bytes);
            }
        });
    }

    /** Null: it was removed. Bytes that cannot be read leave the attribute absent here, and as it is in the cluster. */
    private void put(String name, byte[] bytes) {
        try {
            switch (name) {
                case Reserved.TIMES -> {
                    if (bytes != null) {
                        session.applyTimes(Reserved.Times.read(bytes));
                    }
                }
                case Reserved.LOGIN -> session.applyLogin(bytes == null ? null : Reserved.Login.read(manager.values(), bytes));
                case Reserved.NOTES -> session.applyNotes(bytes == null ? Map.of() : Reserved.readNotes(bytes));
                default -> {
                    Object value = bytes == null ? null : manager.values().read(bytes);
                    if (value == null) {
                        session.attributes().remove(name);
                    } else {
                        session.attributes().put(name, value);
                    }
                }
            }
        } catch (IOException | ClassCastException e) {
            session.attributes().remove(name);
            manager.refuseBytes(name, e);
        }
    }

    // ---- to the cluster

    void commit(Changes own) {
        wire.lock();
        try {
            if (!created && !gone && session.isValid()) {
                begin(own);
                return;
            }
            own.takeAll(session.loose());
            if (own.isEmpty()) {
                return;
            }
            Map<String, Long> stamps = Map.copyOf(uncommitted);
            CommitBatch batch = batchOf(own);
            if (batch.isEmpty()) {
                own.committed(batch.names, Map.of());
                forgetStamps(batch.names, stamps);
                return;
            }
            if (gone || !session.isValid()) {
                drop();
                return;
            }
            send(own, batch, stamps, false);
        } finally {
            wire.unlock();
        }
    }

    private CommitBatch batchOf(Changes own) {
        return new CommitBatch(session, manager, known, own);
    }

    private void begin(Changes own) {
        Map<String, Long> stamps = Map.copyOf(uncommitted);
        own.takeAll(session.loose());
        own.change(Reserved.TIMES);
        session.attributes().keySet().forEach(own::change);
        if (send(own, batchOf(own), stamps, true) == SessionClient.Outcome.EXISTS) {
            manager.forget(session);
            throw new SessionsUnavailableException("the id of a new session is taken", null);
        }
    }

    /** Sends a session that another key may have had; false if it is taken. */
    boolean beginNow() {
        wire.lock();
        try {
            Changes own = new Changes();
            own.change(Reserved.TIMES);
            return send(own, batchOf(own), Map.copyOf(uncommitted), true) == SessionClient.Outcome.APPLIED;
        } finally {
            wire.unlock();
        }
    }

    private SessionClient.Outcome send(Changes own, CommitBatch batch, Map<String, Long> stamps, boolean isNew) {
        long ms = timeoutMs();
        byte[] key = manager.keyOf(session.getIdInternal());
        try {
            if (batch.set.containsKey(Reserved.TIMES) && ms <= 0 && !isNew) {
                manager.client().persist(key);
            }
            byte[] base = isNew ? new byte[0] : own.base();
            var order = new SessionClient.Order(base, isNew, Math.max(0, ms), batch.user, batch.set, batch.remove);
            SessionClient.Committed done = manager.client().commit(key, order);
            manager.figures().committed(done);
            switch (done.outcome()) {
                case APPLIED -> {
                    created = true;
                    touchedNanos = System.nanoTime();
                    batch.set.keySet().forEach(name -> known.put(name, batch.digests.get(name)));
                    batch.remove.forEach(known::remove);
                    own.committed(batch.names, batch.digests);
                    own.setBase(done.token());
                    forgetStamps(batch.names, stamps);
                    batch.shown.forEach((name, value) -> session.attributes().put(name, value));
                }
                case GONE -> drop();
                case EXISTS -> {
                    // whoever begins a session knows what to do
                }
            }
            return done.outcome();
        } catch (RespError e) {
            manager.forget(session);
            throw e.is("ERR") ? new SessionRefusedException(e.getMessage()) : manager.unavailable(e);
        } catch (SessionsUnavailableException e) {
            // what the cluster has is not known now: the next request reads it afresh
            manager.forget(session);
            throw e;
        }
    }

    private void forgetStamps(Set<String> names, Map<String, Long> stamps) {
        names.forEach(name -> {
            if (stamps.containsKey(name)) {
                uncommitted.remove(name, stamps.get(name));
            }
        });
    }

    /** The session ended while this request ran: its change is as if it had come just before. */
    private void drop() {
        manager.figures().dropped();
        end();
    }

    private void end() {
        gone = true;
        session.endQuietly();
        manager.forget(session);
    }

    void destroy() {
        wire.lock();
        try {
            if (created && !gone) {
                manager.client().destroy(manager.keyOf(session.getIdInternal()));
            }
            gone = true;
            manager.forget(session);
        } catch (RespError e) {
            throw manager.unavailable(e);
        } finally {
            wire.unlock();
        }
    }

    /** The session is under another id from now on, everywhere; the old one opens nothing. */
    void rename(String to) {
        wire.lock();
        try {
            if (created && !gone) {
                byte[] from = manager.keyOf(session.getIdInternal());
                if (manager.client().rename(from, manager.keyOf(to)) != SessionClient.Outcome.APPLIED) {
                    drop();
                }
                // it is another life: what others changed in the old one is asked for in full
                token = new byte[0];
            }
            if (gone || !session.isValid()) {
                throw new IllegalStateException("the session has ended: its id cannot be changed");
            }
            session.setId(to, false);
        } catch (RespError e) {
            throw manager.unavailable(e);
        } finally {
            wire.unlock();
        }
    }

    /** True if nothing would be lost with this copy, or the session was not used for longer than it lives. */
    boolean isSpare(long idleNanos) {
        if (!wire.tryLock()) {
            return false;
        }
        try {
            return timeoutMs() > 0 && idleNanos / 1_000_000L > 2 * timeoutMs() || uncommitted.isEmpty() && session.loose().isEmpty()
                    && session.attributes().keySet().stream().allMatch(known::containsKey);
        } finally {
            wire.unlock();
        }
    }
}
