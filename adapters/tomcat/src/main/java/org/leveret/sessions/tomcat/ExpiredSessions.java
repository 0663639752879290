package org.leveret.sessions.tomcat;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;

import org.apache.juli.logging.Log;

/**
 * Hears from the cluster which sessions of this context have expired ({@code SESSION.ATTACH}), so that {@code sessionDestroyed}
 * and {@code valueUnbound} are called. Of all Tomcats that listen one hears of each session, at most once. It is only started for
 * applications that have such listeners: it takes a thread and a connection.
 */
final class ExpiredSessions implements Runnable {
    private static final int LOOK_MS = 500;
    private static final int ANSWER_MS = 5_000;
    /** The node is asked whether it is still there. */
    private static final long PING_NANOS = 5_000_000_000L;
    private static final long SILENT_NANOS = 15_000_000_000L;
    private static final long AGAIN_MS = 500;
    /** After a refusal: the nodes may be of an older version, or the user may lack the permission configure. */
    private static final long REFUSED_MS = 60_000;

    private final Nodes nodes;
    private final String keyPrefix;
    private final BiConsumer<String, Map<String, byte[]>> expired;
    private final Log log;
    private boolean closed;
    private boolean refusalSaid;

    ExpiredSessions(Nodes nodes, String keyPrefix, BiConsumer<String, Map<String, byte[]>> expired, Log log) {
        this.nodes = nodes;
        this.keyPrefix = keyPrefix;
        this.expired = expired;
        this.log = log;
    }

    void start() {
        Thread thread = new Thread(this, "leveret-expired");
        thread.setDaemon(true);
        // the server's, or the context's class loader could not be collected after a redeployment
        thread.setContextClassLoader(ExpiredSessions.class.getClassLoader());
        thread.start();
    }

    synchronized void close() {
        closed = true;
        notifyAll();
    }

    private synchronized boolean isClosed() {
        return closed;
    }

    private synchronized void pause(long ms) {
        try {
            if (!closed) {
                wait(ms);
            }
        } catch (InterruptedException e) {
            closed = true;
        }
    }

    @Override
    public void run() {
        while (!isClosed()) {
            long pause = AGAIN_MS;
            for (Node node : nodes.all()) {
                try (RespConnection connection = node.connect()) {
                    listen(connection);
                } catch (RespError e) {
                    pause = REFUSED_MS;
                    if (!refusalSaid) {
                        refusalSaid = true;
                        log.warn("listeners of this application do not hear of sessions that expire: " + e.getMessage());
                    }
                    break;
                } catch (IOException e) {
                    // the next one will do
                }
                if (isClosed()) {
                    return;
                }
            }
            pause(pause);
        }
    }

    private void listen(RespConnection connection) throws IOException {
        ask(connection, "HELLO", "3");
        ask(connection, "SESSION.ATTACH", pattern());
        long heard = System.nanoTime();
        long asked = heard;
        while (!isClosed()) {
            if (connection.awaitAnswer(LOOK_MS)) {
                Object answer = connection.answer(ANSWER_MS);
                heard = System.nanoTime();
                if (answer instanceof List<?> push) {
                    take(push);
                }
            } else if (System.nanoTime() - heard > SILENT_NANOS) {
                throw new IOException("the node is silent");
            } else if (System.nanoTime() - Math.max(heard, asked) > PING_NANOS) {
                asked = System.nanoTime();
                connection.send(SessionClient.bytes("PING"));
            }
        }
    }

    private static void ask(RespConnection connection, String... words) throws IOException {
        byte[][] command = new byte[words.length][];
        for (int i = 0; i < words.length; i++) {
            command[i] = SessionClient.bytes(words[i]);
        }
        connection.send(command);
        connection.answer(ANSWER_MS);
    }

    /** Names of contexts may have characters that mean something in a pattern. */
    private String pattern() {
        return keyPrefix.replaceAll("[\\\\*?\\[\\]]", "\\\\$0") + "*";
    }

    private void take(List<?> push) {
        if (push.size() < 3 || !"expired".equals(SessionClient.text(push.get(0))) || !(push.get(2) instanceof List<?> pairs)) {
            return;
        }
        String key = SessionClient.text(push.get(1));
        Map<String, byte[]> values = new LinkedHashMap<>();
        for (int i = 0; i + 1 < pairs.size(); i += 2) {
            values.put(SessionClient.text(pairs.get(i)), (byte[]) pairs.get(i + 1));
        }
        if (key.startsWith(keyPrefix) && values.containsKey(Reserved.TIMES)) {
            expired.accept(key.substring(keyPrefix.length()), values);
        }
    }
}
