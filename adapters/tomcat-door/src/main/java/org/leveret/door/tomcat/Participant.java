package org.leveret.door.tomcat;

import java.net.InetAddress;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.random.RandomGenerator;
import org.apache.juli.logging.Log;
import org.apache.juli.logging.LogFactory;

/**
 * The contexts of one Tomcat on the exchange: a thread owns their {@link Instance}s, the link and its clock.
 * Tomcat's own threads hand in what happened and wait, if they must, for a future.
 */
final class Participant {
    private static final Log LOG = LogFactory.getLog(DoorListener.class);

    /** What belongs to Tomcat rather than to one context. */
    record Place(String instance, String address, int port) {
    }

    private final Bus bus;
    private final Place place;
    private final Instance.StopRules stopRules;
    private final Function<String, Terms> termsOf;
    private final Supplier<Load> load;
    private final Runnable stopTomcat;
    private final Thread thread;
    private final BlockingQueue<Runnable> events = new ArrayBlockingQueue<>(Limits.EVENTS_MAX);
    private final long origin = System.nanoTime();
    private final RandomGenerator random = new java.security.SecureRandom();

    // Owned by the thread.
    private final Map<String, Instance> instances = new HashMap<>();
    private final Doors doors = new Doors();
    private final Instance.Link link = new Instance.Link(0);
    private long nextLoad;
    private boolean linkWasUp;
    private boolean noBrokerSaid;
    /** Why the last link was lost, and whether links are lost for it again and again: that is not said each time. */
    private String lastWhy;
    private boolean flapping;
    private boolean closed;

    Participant(List<Broker> brokers, Place place, Instance.StopRules stopRules, Function<String, Terms> termsOf,
            Supplier<Load> load, Runnable stopTomcat) {
        this.place = place;
        this.stopRules = stopRules;
        this.termsOf = termsOf;
        this.load = load;
        this.stopTomcat = stopTomcat;
        ThreadFactory threads = threads();
        bus = new Bus(brokers, "tomcat " + place.instance(), new LinkEvents(), threads);
        thread = threads.newThread(this::run);
    }

    /**
     * Daemons, so that no JVM waits for them, and without a context's class loader, so that no undeployed one
     * is kept.
     */
    private static ThreadFactory threads() {
        return work -> {
            Thread thread = new Thread(work, "leveret-door");
            thread.setDaemon(true);
            thread.setContextClassLoader(Participant.class.getClassLoader());
            return thread;
        };
    }

    void start() {
        thread.start();
        bus.start();
    }

    /** A context takes requests from now on. */
    void deployed(String path, String service) {
        post(() -> {
            withdraw(path);
            InstanceId id = new InstanceId(service, place.instance(), random.nextLong());
            Terms terms = termsOf.apply(path);
            String refusal = refusal(id, terms);
            if (refusal != null) {
                LOG.warn("context not announced path=" + path + " service=" + service + " reason=\"" + refusal + "\"");
                return;
            }
            Instance instance = new Instance(id, terms, stopRules, link, doors, new Effects(), random);
            instances.put(path, instance);
            bus.bind(commandKey(id));
            instance.onLoad(load.get());
            instance.start(now());
        });
    }

    private String refusal(InstanceId id, Terms terms) {
        if (instances.values().stream().anyMatch(other -> other.id().service().equals(id.service()))) {
            return "another context has this service; name the services by the attribute contexts";
        }
        if (instances.size() >= Limits.CONTEXTS_MAX) {
            return "more than " + Limits.CONTEXTS_MAX + " contexts";
        }
        if (!Announcement.alwaysFits(id, terms)) {
            return "its announcement has more than " + Limits.ANNOUNCEMENT_BYTES_MAX + " bytes; give fewer hosts";
        }
        return null;
    }

    /** Drains a context; the future completes when it may stop. */
    CompletableFuture<Void> stopping(String path) {
        return drain(() -> {
            Instance instance = instances.get(path);
            return instance == null ? List.of() : List.of(instance);
        });
    }

    /** Drains all contexts at once. */
    CompletableFuture<Void> stoppingAll() {
        return drain(instances::values);
    }

    private CompletableFuture<Void> drain(Supplier<Collection<Instance>> which) {
        CompletableFuture<Void> all = new CompletableFuture<>();
        post(() -> {
            List<CompletableFuture<Void>> each = new ArrayList<>();
            for (Instance instance : which.get()) {
                instance.stop(now());
                each.add(instance.drained());
            }
            CompletableFuture.allOf(each.toArray(CompletableFuture[]::new)).thenRun(() -> all.complete(null));
        });
        return all;
    }

    /** A context is gone. */
    void gone(String path) {
        post(() -> withdraw(path));
    }

    private void withdraw(String path) {
        Instance instance = instances.remove(path);
        if (instance != null) {
            instance.leave(now());
            bus.unbind(commandKey(instance.id()));
        }
    }

    /** All contexts leave, and the link closes behind their last word. */
    void close() throws InterruptedException {
        post(() -> {
            List.copyOf(instances.keySet()).forEach(this::withdraw);
            closed = true;
        });
        thread.join();
        bus.close(link.up);
    }

    private void post(Runnable event) {
        try {
            events.put(event);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private long now() {
        return System.nanoTime() - origin;
    }

    private void run() {
        while (!closed) {
            try {
                long now = now();
                if (now >= nextLoad) {
                    nextLoad = now + Limits.ANNOUNCE_EVERY;
                    Load current = load.get();
                    instances.values().forEach(instance -> instance.onLoad(current));
                }
                instances.values().forEach(instance -> instance.poll(now));
                long deadline = instances.values().stream().mapToLong(instance -> instance.deadline(now)).min()
                        .orElse(nextLoad);
                Runnable event = events.poll(Math.max(0, Math.min(deadline, nextLoad) - now), TimeUnit.NANOSECONDS);
                if (event != null) {
                    event.run();
                }
            } catch (InterruptedException interrupted) {
                return;
            } catch (RuntimeException bug) {
                // Without this thread nobody would be drained any more.
                LOG.error("event not handled", bug);
            }
        }
    }

    private static String commandKey(InstanceId id) {
        return "command." + id.service() + "." + id.instance();
    }

    private final class Effects implements Instance.Outbox {
        @Override
        public void announce(Announcement announcement, boolean change) {
            bus.publish(announcement, change);
        }

        @Override
        public void note(InstanceId id, Instance.Note note) {
            Notes.log(LOG, id, note);
        }
    }

    private final class LinkEvents implements Bus.Events {
        @Override
        public void onUp(String broker, InetAddress local) {
            post(() -> {
                if (!flapping) {
                    LOG.info("linked to a broker broker=" + broker);
                }
                String host = place.address() == null ? numeric(local) : place.address();
                link.address = (host.contains(":") ? "[" + host + "]" : host) + ":" + place.port();
                link.up = true;
                link.since = now();
                linkWasUp = true;
                doors.linkIsBack(now());
                instances.values().forEach(instance -> instance.onLinkUp(now()));
            });
        }

        @Override
        public void onDown(String why) {
            post(() -> {
                if (link.up) {
                    flapping = now() - link.since < Limits.YOUNG_LINK && why.equals(lastWhy);
                    lastWhy = why;
                    if (!flapping) {
                        LOG.warn("link lost: Tomcat runs on, and is announced again when there is a broker"
                                + " why=\"" + why + "\"");
                    }
                    link.up = false;
                    link.since = now();
                    doors.linkIsGone(now());
                } else if (!linkWasUp && !noBrokerSaid) {
                    LOG.warn("no broker: Tomcat runs, and is announced when there is one why=\"" + why + "\"");
                }
                noBrokerSaid = true;
            });
        }

        @Override
        public void onMessage(Message message) {
            post(() -> Participant.this.onMessage(message));
        }

        @Override
        public void onSettled(InstanceId id, long seq, boolean routed) {
            post(() -> instances.values().stream().filter(instance -> instance.id().equals(id))
                    .forEach(instance -> instance.onSettled(now(), seq, routed)));
        }
    }

    private void onMessage(Message message) {
        if (message instanceof Message.Ask ask) {
            doors.asked(now(), ask.door());
            instances.values().forEach(instance -> instance.onAsk(now()));
        } else if (message instanceof Message.Report report) {
            doors.reported(now(), report, id -> instances.values().stream().anyMatch(own -> own.id().equals(id)));
        } else if (message instanceof Message.Order order) {
            boolean stop = instances.values().stream()
                    .filter(instance -> instance.id().isNamed(order.service(), order.instance()))
                    .map(instance -> instance.onCommand(now(), order)).toList().contains(true);
            if (stop) {
                stopTomcat.run();
            }
        }
    }

    /** Without a zone, which means nothing on another machine. */
    private static String numeric(InetAddress address) {
        return address.getHostAddress().replaceAll("%.*", "");
    }
}
