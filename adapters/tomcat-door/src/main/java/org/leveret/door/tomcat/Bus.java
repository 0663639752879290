package org.leveret.door.tomcat;

import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.impl.ForgivingExceptionHandler;
import java.io.IOException;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.TimeoutException;

/**
 * A participant's link to the exchange of services, kept for ever: a thread dials the brokers in turn,
 * declares exchange and queue, and publishes. What could not be sent while there was no link is dropped:
 * every message says the present, and the next one says it again. The Java counterpart of {@code crates/bus}.
 */
final class Bus {
    static final String EXCHANGE = "leveret.services";

    /** What happens on the link. Called by the link's threads; none may block for long. */
    interface Events {
        /** The queue is bound and consumed. {@code local}: the address of this end. */
        void onUp(String broker, InetAddress local);

        void onDown(String why);

        void onMessage(Message message);

        /** The broker took an announcement that was sent as a change; {@code routed}: some queue got it. */
        void onSettled(InstanceId id, long seq, boolean routed);
    }

    /** What the link's thread is to do. */
    interface Task {
        void run(BusSession session) throws IOException;
    }

    record Target(Broker broker, InetAddress address) {
        @Override
        public String toString() {
            return (address == null ? broker.host() : address.getHostAddress()) + ":" + broker.port();
        }
    }

    private final List<Broker> brokers;
    private final String name;
    private final Events events;
    private final ThreadFactory threads;
    private final Thread thread;
    private final BlockingQueue<Task> tasks = new ArrayBlockingQueue<>(Limits.OUTGOING_MAX);
    /** Binding keys of the queue; a new link binds them all. */
    private final Set<String> keys = ConcurrentHashMap.newKeySet();
    private volatile boolean closing;

    Bus(List<Broker> brokers, String name, Events events, ThreadFactory threads) {
        this.brokers = brokers;
        this.name = name;
        this.events = events;
        this.threads = threads;
        keys.add("ask");
        keys.add("door.*");
        thread = threads.newThread(this::keep);
    }

    void start() {
        thread.start();
    }

    /** With a full queue the message is dropped: the next announcement says the same. */
    void publish(Announcement announcement, boolean change) {
        tasks.offer(session -> session.publish(announcement, change));
    }

    void bind(String key) {
        if (keys.add(key)) {
            tasks.offer(session -> session.bind(key));
        }
    }

    void unbind(String key) {
        if (keys.remove(key)) {
            tasks.offer(session -> session.unbind(key));
        }
    }

    /**
     * Ends the link for good.
     *
     * @param isUp there is a link: what waits is sent before it closes, for as long as a stop may spend on a
     *     broker
     */
    void close(boolean isUp) throws InterruptedException {
        closing = true;
        wake();
        if (isUp) {
            thread.join(Limits.STOP_WITHOUT_BROKER / 1_000_000);
        }
        // A dial under way is not waited for: its thread is a daemon, and sees `closing`.
        thread.interrupt();
    }

    /** For a session: its link is lost, look. */
    void wake() {
        tasks.offer(session -> { });
    }

    String name() {
        return name;
    }

    Events events() {
        return events;
    }

    Set<String> keys() {
        return Set.copyOf(keys);
    }

    private void keep() {
        int failures = 0;
        int at = 0;
        while (!closing) {
            List<Target> targets = targets();
            String why = null;
            // A broker that answered once is asked last: it has just failed.
            for (int turn = 0; turn < targets.size() && !closing; turn++) {
                Target target = targets.get((at + turn) % targets.size());
                try {
                    BusSession session = open(target);
                    failures = 0;
                    at = (at + turn + 1) % targets.size();
                    why = target + ": " + carry(session, target);
                    break;
                } catch (IOException | TimeoutException | RuntimeException error) {
                    why = target + ": " + reason(error);
                } catch (InterruptedException closed) {
                    return;
                }
            }
            if (closing) {
                return;
            }
            failures++;
            tasks.clear();
            events.onDown(why);
            try {
                int round = Math.min(failures, Limits.REDIAL_WAITS_MS.length) - 1;
                Thread.sleep(Limits.REDIAL_WAITS_MS[round]);
            } catch (InterruptedException closed) {
                return;
            }
        }
    }

    /** Every address of every broker, looked up now: a name may have others by the next time. */
    private List<Target> targets() {
        List<Target> targets = new ArrayList<>();
        for (Broker broker : brokers) {
            try {
                broker.addresses().forEach(address -> targets.add(new Target(broker, address)));
            } catch (UnknownHostException unknown) {
                targets.add(new Target(broker, null));
            }
        }
        return targets;
    }

    private BusSession open(Target target) throws IOException, TimeoutException {
        if (target.address() == null) {
            throw new IOException("its name has no address");
        }
        ConnectionFactory factory = new ConnectionFactory();
        Broker broker = target.broker();
        factory.setUsername(broker.user());
        factory.setPassword(broker.password());
        factory.setVirtualHost(broker.vhost());
        // The link moves to another broker by itself; the client's own recovery would stay with this one.
        factory.setAutomaticRecoveryEnabled(false);
        factory.setTopologyRecoveryEnabled(false);
        factory.setRequestedHeartbeat(Limits.HEARTBEAT_S);
        factory.setConnectionTimeout(Limits.STEP_TIMEOUT_MS);
        factory.setHandshakeTimeout(Limits.STEP_TIMEOUT_MS);
        factory.setChannelRpcTimeout(Limits.STEP_TIMEOUT_MS);
        factory.setShutdownTimeout(Limits.STEP_TIMEOUT_MS);
        factory.setThreadFactory(threads);
        factory.setExceptionHandler(new ForgivingExceptionHandler() {
            @Override
            protected void log(String message, Throwable error) {
                // A lost link is said once, by `onDown`.
            }
        });
        return new BusSession(factory, target, this);
    }

    /** Publishes until the link is gone, and says why it went. */
    private String carry(BusSession session, Target target) throws InterruptedException {
        try (session) {
            events.onUp(target.toString(), session.localAddress());
            while (session.isOpen()) {
                if (closing && tasks.isEmpty()) {
                    session.waitForConfirms();
                    return "closed";
                }
                tasks.take().run(session);
            }
            return session.whyClosed();
        } catch (IOException | TimeoutException | RuntimeException error) {
            return reason(error);
        }
    }

    /** The innermost message: the client wraps what the broker said. */
    static String reason(Throwable error) {
        Throwable at = error;
        while (at.getCause() != null && at.getCause() != at) {
            at = at.getCause();
        }
        return at.getMessage() == null ? at.getClass().getSimpleName() : at.getMessage();
    }
}
