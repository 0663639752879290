package org.leveret.sessions.tomcat;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicLong;

/** The commands {@code SESSION.*} of the cluster (docs/session-commands.md), for one key each. */
final class SessionClient {
    /** Of all arguments of a command. */
    private static final long COMMIT_BYTES_MAX = 32L * 1024 * 1024;
    private static final String OWN = UUID.randomUUID() + "-";
    private static final AtomicLong COUNT = new AtomicLong();

    private final Nodes nodes;

    SessionClient(Nodes nodes) {
        this.nodes = nodes;
    }

    /**
     * A session, or what changed in it.
     *
     * @param leftMs    time until it expires; -1: never
     * @param full      false: only what changed since the token that was given
     * @param values    bytes by name
     * @param removed   names that are no more, if not full
     */
    record Loaded(byte[] token, long leftMs, boolean full, Map<String, byte[]> values, List<String> removed) {
    }

    /**
     * What a commit changes.
     *
     * @param base  the token that the request saw; empty for a new session
     * @param user  null: unchanged; empty: nobody
     * @param leftMs  0: as before
     */
    record Order(byte[] base, boolean isNew, long leftMs, String user, Map<String, byte[]> set, List<String> remove) {
    }

    /** How a commit ended. */
    enum Outcome {
        /** It is there. */
        APPLIED,
        /** The session has ended meanwhile. */
        GONE,
        /** {@code NEW}: somebody has or had this key. */
        EXISTS
    }

    /** An outcome, the next base, and the number of names that others had changed since the base. */
    record Committed(Outcome outcome, byte[] token, int conflicts, long bytes) {
    }

    /** Null if there is no such session. */
    Loaded load(byte[] key, byte[] since, long touchMs) throws RespError {
        List<byte[]> words = new ArrayList<>(List.of(bytes("SESSION.LOAD"), key));
        if (since.length > 0) {
            words.add(bytes("SINCE"));
            words.add(since);
        }
        if (touchMs > 0) {
            words.add(bytes("TOUCH"));
            words.add(bytes(touchMs));
        }
        Object answer = nodes.read(words.toArray(new byte[0][]));
        if (answer == null) {
            return null;
        }
        List<?> parts = list(answer, 6);
        Map<String, byte[]> values = new LinkedHashMap<>();
        List<?> pairs = list(parts.get(4), 0);
        for (int i = 0; i + 1 < pairs.size(); i += 2) {
            values.put(text(pairs.get(i)), (byte[]) pairs.get(i + 1));
        }
        List<String> removed = new ArrayList<>();
        for (Object name : list(parts.get(5), 0)) {
            removed.add(text(name));
        }
        boolean full = text(parts.get(3)).equals("full");
        return new Loaded((byte[]) parts.get(0), (Long) parts.get(1), full, values, removed);
    }

    Committed commit(byte[] key, Order order) throws RespError {
        List<byte[]> words = new ArrayList<>(List.of(bytes("SESSION.COMMIT"), key, order.base(), freshId()));
        if (order.isNew()) {
            words.add(bytes("NEW"));
        }
        if (order.leftMs() > 0) {
            words.add(bytes("PX"));
            words.add(bytes(order.leftMs()));
        }
        if (order.user() != null) {
            words.add(bytes("USER"));
            words.add(bytes(order.user()));
        }
        if (!order.set().isEmpty()) {
            words.add(bytes("SET"));
            words.add(bytes(order.set().size()));
            order.set().forEach((name, value) -> {
                words.add(bytes(name));
                words.add(value);
            });
        }
        if (!order.remove().isEmpty()) {
            words.add(bytes("DEL"));
            words.add(bytes(order.remove().size()));
            order.remove().forEach(name -> words.add(bytes(name)));
        }
        long bytes = words.stream().mapToLong(word -> word.length).sum();
        // a node would end the connection in the middle of it
        if (bytes > COMMIT_BYTES_MAX || words.stream().anyMatch(word -> word.length > RespConnection.BULK_BYTES_MAX)) {
            throw new RespError("ERR a commit of " + bytes + " bytes is more than the cluster takes");
        }
        try {
            Object answer = nodes.change(words.toArray(new byte[0][]));
            if (answer == null) {
                return new Committed(Outcome.GONE, null, 0, bytes);
            }
            List<?> parts = list(answer, 2);
            return new Committed(Outcome.APPLIED, (byte[]) parts.get(0), list(parts.get(1), 0).size(), bytes);
        } catch (RespError e) {
            if (e.is("GONE")) {
                return new Committed(Outcome.GONE, null, 0, bytes);
            }
            if (e.is("EXISTS")) {
                return new Committed(Outcome.EXISTS, null, 0, bytes);
            }
            throw e;
        }
    }

    void destroy(byte[] key) throws RespError {
        nodes.change(bytes("SESSION.DESTROY"), key);
    }

    /** {@code APPLIED}, {@code GONE} or {@code EXISTS}. */
    Outcome rename(byte[] from, byte[] to) throws RespError {
        try {
            Object answer = nodes.change(bytes("SESSION.RENAME"), from, to, freshId());
            return answer == null ? Outcome.GONE : Outcome.APPLIED;
        } catch (RespError e) {
            if (e.is("GONE")) {
                return Outcome.GONE;
            }
            if (e.is("EXISTS")) {
                return Outcome.EXISTS;
            }
            throw e;
        }
    }

    /** The session expires {@code ms} from now, unless it would anyway be later. */
    void touch(byte[] key, long ms) throws RespError {
        nodes.change(bytes("PEXPIRE"), key, bytes(ms), bytes("GT"));
    }

    /** The session does not expire any more. */
    void persist(byte[] key) throws RespError {
        nodes.change(bytes("PERSIST"), key);
    }

    /** The same id is sent again if the answer is lost, never for another change. */
    private static byte[] freshId() {
        return bytes(OWN + COUNT.incrementAndGet());
    }

    private static List<?> list(Object answer, int size) {
        if (answer instanceof List<?> list && list.size() >= size) {
            return list;
        }
        throw new SessionsUnavailableException("a node speaks another version of SESSION commands", null);
    }

    static String text(Object bytes) {
        return bytes == null ? "" : new String((byte[]) bytes, StandardCharsets.UTF_8);
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static byte[] bytes(long number) {
        return bytes(Long.toString(number));
    }
}
