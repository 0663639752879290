package org.leveret.sessions.tomcat;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.atomic.LongAdder;

/**
 * The nodes of the cluster. A command goes to the first one that is well. If it does not answer soon, or its connection
 * breaks, the same command goes to a second one, and the first answer counts: every node answers for every session, and
 * commands that change something carry an id under which they are applied once.
 */
final class Nodes {
    /** A load without an answer goes to a second node after this. */
    private static final long SECOND_LOAD_NANOS = 20_000_000L;
    /** A change waits longer: its home may be waiting for a copy. */
    private static final long SECOND_CHANGE_NANOS = 1_000_000_000L;
    /** With two nodes under way, each is listened to in turn for this long. */
    private static final int TURN_MS = 2;
    /** If no node at all can be reached, it is said after this, so that threads do not pile up. */
    private static final long UNREACHABLE_NANOS = 400_000_000L;
    private static final long AGAIN_NANOS = 25_000_000L;

    private final long timeoutNanos;
    private volatile List<Node> nodes;
    private volatile boolean closed;
    final LongAdder secondAsked = new LongAdder();

    Nodes(List<Node> nodes, int timeoutMs) {
        this.nodes = List.copyOf(nodes);
        this.timeoutNanos = timeoutMs * 1_000_000L;
    }

    List<Node> all() {
        return nodes;
    }

    /** Puts another list in place; nodes that are in both keep their connections. */
    void replace(List<Node> next) {
        List<Node> before = nodes;
        nodes = List.copyOf(next);
        before.stream().filter(node -> !next.contains(node)).forEach(Node::close);
    }

    /** Connects to the two nodes that are asked first, so that the second is at hand when the first one dies. */
    void keepTwoConnected() {
        int connected = 0;
        for (Node node : nodes) {
            if (connected < 2 && !node.isSuspect() && !closed) {
                try {
                    if (!node.isConnected()) {
                        node.giveBack(node.connect());
                    }
                    connected++;
                } catch (IOException e) {
                    node.suspect();
                }
            }
        }
    }

    void close() {
        closed = true;
        nodes.forEach(Node::close);
    }

    /** The answer to something that changes nothing. */
    Object read(byte[]... command) throws RespError {
        return ask(SECOND_LOAD_NANOS, command);
    }

    /** The answer to something that may be sent twice and is applied once. */
    Object change(byte[]... command) throws RespError {
        return ask(SECOND_CHANGE_NANOS, command);
    }

    private Object ask(long second, byte[]... command) throws RespError {
        Question question = new Question(second, command);
        try {
            return question.answer();
        } finally {
            question.giveUpOthers();
        }
    }

    private static final class Flight {
        final Node node;
        final RespConnection connection;
        final boolean fresh;

        Flight(Node node, RespConnection connection, boolean fresh) {
            this.node = node;
            this.connection = connection;
            this.fresh = fresh;
        }
    }

    /** One command, under way at up to two nodes. */
    private final class Question {
        private final long began = System.nanoTime();
        private final long second;
        private final byte[][] command;
        private final List<Flight> flights = new ArrayList<>(2);
        private long nextLaunch = began;
        private IOException why;

        Question(long second, byte[]... command) {
            this.second = second;
            this.command = command;
        }

        Object answer() throws RespError {
            while (!closed && System.nanoTime() - began < timeoutNanos) {
                if (flights.size() < 2 && System.nanoTime() - nextLaunch >= 0) {
                    launch();
                }
                if (flights.isEmpty()) {
                    if (System.nanoTime() - began > UNREACHABLE_NANOS && !(why instanceof RespError)) {
                        break;
                    }
                    pause();
                }
                Iterator<Flight> each = flights.iterator();
                while (each.hasNext()) {
                    Flight flight = each.next();
                    try {
                        if (flight.connection.awaitAnswer(turnMs())) {
                            each.remove();
                            return landed(flight);
                        }
                    } catch (RespError e) {
                        if (!e.is("TRYAGAIN")) {
                            throw e;
                        }
                        again(e, AGAIN_NANOS);
                    } catch (IOException e) {
                        if (flights.contains(flight)) {
                            each.remove();
                        }
                        broken(flight, e);
                    }
                }
            }
            throw new SessionsUnavailableException("no node answered for a session in time", why);
        }

        private Object landed(Flight flight) throws IOException {
            try {
                return flight.connection.answer(leftMs());
            } finally {
                flight.node.giveBack(flight.connection);
            }
        }

        private void again(IOException e, long nanos) {
            why = e;
            nextLaunch = System.nanoTime() + nanos;
        }

        private void broken(Flight flight, IOException e) {
            flight.connection.close();
            // an idle connection may have been closed long ago: that says nothing about the node
            flight.node.dropIdle();
            if (flight.fresh) {
                flight.node.suspect();
            }
            again(e, 0);
        }

        /** Sends the command to the next node; the time of the one after it is set. */
        private void launch() {
            for (boolean suspects : new boolean[] {false, true}) {
                for (Node node : nodes) {
                    boolean underWay = flights.stream().anyMatch(flight -> flight.node == node);
                    // a node in doubt is only asked while no other one is
                    if (underWay || node.isSuspect() != suspects || suspects && !flights.isEmpty()) {
                        continue;
                    }
                    if (send(node)) {
                        if (flights.size() == 2) {
                            secondAsked.increment();
                        }
                        nextLaunch = System.nanoTime() + second;
                        return;
                    }
                }
            }
            nextLaunch = System.nanoTime() + (flights.isEmpty() ? AGAIN_NANOS : second);
        }

        private boolean send(Node node) {
            RespConnection pooled = node.pooled();
            if (pooled != null) {
                try {
                    pooled.send(command);
                    return flights.add(new Flight(node, pooled, false));
                } catch (IOException e) {
                    pooled.close();
                    node.dropIdle();
                }
            }
            try {
                RespConnection connection = node.connect();
                connection.send(command);
                return flights.add(new Flight(node, connection, true));
            } catch (IOException e) {
                why = e;
                node.suspect();
                return false;
            }
        }

        private int turnMs() {
            long untilLaunch = (nextLaunch - System.nanoTime()) / 1_000_000L + 1;
            return flights.size() > 1 ? TURN_MS : (int) Math.max(1, Math.min(untilLaunch, leftMs()));
        }

        private int leftMs() {
            return (int) Math.max(1, (timeoutNanos - (System.nanoTime() - began)) / 1_000_000L);
        }

        private void pause() {
            try {
                Thread.sleep(AGAIN_NANOS / 1_000_000L);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new SessionsUnavailableException("interrupted while asking for a session", e);
            }
        }

        /** The answer of whoever was slower is for nobody, so its connection is of no use. */
        private void giveUpOthers() {
            for (Flight flight : flights) {
                flight.connection.close();
                flight.node.suspect();
            }
            flights.clear();
        }
    }
}
