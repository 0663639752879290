package org.leveret.sessions.tomcat;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ConcurrentLinkedDeque;

/** A node of the cluster with its connections that are not in use. */
final class Node {
    /** Idle connections that are kept; a burst's others are closed when they come back. */
    private static final int IDLE_MAX = 64;
    /** Time to connect. A node behind a cut costs this once per {@link #SUSPECT_NANOS}. */
    private static final int CONNECT_MS = 300;
    /** How long a node that did not answer is asked last. */
    private static final long SUSPECT_NANOS = 500_000_000L;
    private static final int LOGIN_MS = 2_000;

    private final String host;
    private final int port;
    private final Login login;
    private final ConcurrentLinkedDeque<RespConnection> idle = new ConcurrentLinkedDeque<>();
    private volatile long suspectUntil = System.nanoTime();
    private volatile boolean closed;

    /** Who this application is: {@code user} may be null, and {@code password} too. */
    record Login(String user, String password, int database) {
    }

    Node(String host, int port, Login login) {
        this.host = host;
        this.port = port;
        this.login = login;
    }

    String name() {
        return host + ":" + port;
    }

    InetSocketAddress resolved() {
        return new InetSocketAddress(host, port);
    }

    boolean isSuspect() {
        return System.nanoTime() - suspectUntil < 0;
    }

    void suspect() {
        suspectUntil = System.nanoTime() + SUSPECT_NANOS;
    }

    boolean isConnected() {
        return !idle.isEmpty();
    }

    /** An idle connection, or null. */
    RespConnection pooled() {
        return idle.pollFirst();
    }

    RespConnection connect() throws IOException {
        // resolved each time, because a node that comes back may have another address
        RespConnection connection = new RespConnection(resolved(), CONNECT_MS);
        try {
            if (login.password() != null) {
                byte[] password = login.password().getBytes(StandardCharsets.UTF_8);
                if (login.user() == null) {
                    connection.send(bytes("AUTH"), password);
                } else {
                    connection.send(bytes("AUTH"), bytes(login.user()), password);
                }
                connection.answer(LOGIN_MS);
            }
            if (login.database() != 0) {
                connection.send(bytes("SELECT"), bytes(Integer.toString(login.database())));
                connection.answer(LOGIN_MS);
            }
            return connection;
        } catch (IOException e) {
            connection.close();
            throw e;
        }
    }

    void giveBack(RespConnection connection) {
        if (connection.isBroken() || closed || idle.size() >= IDLE_MAX) {
            connection.close();
            return;
        }
        idle.addFirst(connection);
        if (closed) {
            dropIdle();
        }
    }

    void dropIdle() {
        for (RespConnection one = idle.pollFirst(); one != null; one = idle.pollFirst()) {
            one.close();
        }
    }

    void close() {
        closed = true;
        dropIdle();
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
