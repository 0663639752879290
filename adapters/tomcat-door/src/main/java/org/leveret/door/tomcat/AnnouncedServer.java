package org.leveret.door.tomcat;

import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.catalina.Container;
import org.apache.catalina.Context;
import org.apache.catalina.Engine;
import org.apache.catalina.Host;
import org.apache.catalina.LifecycleException;
import org.apache.catalina.Server;
import org.apache.catalina.Service;
import org.apache.catalina.connector.Connector;
import org.apache.catalina.util.URLEncoder;
import org.apache.catalina.valves.RequestFilterValve;
import org.apache.coyote.http11.AbstractHttp11Protocol;
import org.apache.juli.logging.Log;
import org.apache.juli.logging.LogFactory;

/**
 * One start of a Tomcat, from before its start to after its stop: which connector and which contexts it
 * announces.
 *
 * <p>Invariant: a stop of Tomcat, or of a context, goes on only after the doors have acknowledged it, or its
 * time is over.
 */
final class AnnouncedServer implements ContextWatcher.Contexts {
    private static final Log LOG = LogFactory.getLog(DoorListener.class);
    /** Beyond all times of a drain, seconds: only a fault of the participant's thread is waited for so long. */
    private static final long DRAIN_MARGIN_S = 5;
    /** Keep-alive time of a connector that never closes, milliseconds. */
    private static final int KEEP_ALIVE_FOR_EVER_MS = 3_600_000;

    private final Server server;
    private final Settings settings;
    private final Place place;
    private final ContextWatcher watcher;
    /** Contexts that take requests, by path: with parallel deployment a path has several. Guarded by itself. */
    private final Map<String, Set<Context>> ready = new HashMap<>();
    /** From the server's start to its stop. Guarded by {@link #ready}. */
    private Participant participant;

    /** Where in server.xml the announced contexts are. */
    private record Place(Connector connector, Engine engine, Host host) {
    }

    AnnouncedServer(Server server, Settings settings) {
        this.server = server;
        this.settings = settings;
        place = find();
        watcher = new ContextWatcher(place.host(), this);
    }

    private Place find() {
        for (Service service : server.findServices()) {
            for (Connector connector : service.findConnectors()) {
                if (service.getContainer() != null && fits(connector)) {
                    return new Place(connector, service.getContainer(), host(service.getContainer()));
                }
            }
        }
        throw new SettingsException(settings.port == null
                ? "there is no Connector for HTTP/1.1 without TLS: doors speak nothing else to Tomcat"
                : "port: no Connector for HTTP/1.1 without TLS has the port " + settings.port);
    }

    private boolean fits(Connector connector) {
        return connector.getProtocolHandler() instanceof AbstractHttp11Protocol<?> http
                && !http.isSSLEnabled()
                && connector.getPort() >= 0
                && (settings.port == null || connector.getPortWithOffset() == settings.port);
    }

    private Host host(Engine engine) {
        String name = settings.host == null ? engine.getDefaultHost() : settings.host;
        if (engine.findChild(name) instanceof Host host) {
            return host;
        }
        throw new SettingsException("host: the Engine has no Host " + name);
    }

    void beforeStart() {
        watcher.attach();
    }

    void afterStart() {
        int port = place.connector().getLocalPort();
        if (port <= 0) {
            watcher.detach();
            throw new SettingsException("the Connector of port " + place.connector().getPort() + " did not start");
        }
        String instance = settings.instance != null ? settings.instance
                : Names.defaultInstance(hostName(), port, ProcessHandle.current().pid());
        Participant starting = new Participant(settings.brokers,
                new Participant.Place(instance, address(), port), settings.stopRules, this::termsOf,
                new LoadMeter(place.connector()), this::stopServer);
        synchronized (ready) {
            participant = starting;
            participant.start();
        }
        for (Container child : place.host().findChildren()) {
            if (child instanceof Context context && context.getState().isAvailable()) {
                onReady(context);
            }
        }
    }

    /** Tomcat still accepts: nothing is lost while doors finish what they have here. */
    void beforeStop() throws InterruptedException {
        await(current() == null ? null : current().stoppingAll());
    }

    void afterStop() throws InterruptedException {
        watcher.detach();
        Participant ending;
        synchronized (ready) {
            ending = participant;
            participant = null;
            ready.clear();
        }
        if (ending != null) {
            ending.close();
        }
    }

    private Participant current() {
        synchronized (ready) {
            return participant;
        }
    }

    @Override
    public void onReady(Context context) {
        String path = pathOf(context);
        synchronized (ready) {
            if (participant == null || !isAnnounced(context, path)) {
                return;
            }
            if (ready.computeIfAbsent(path, added -> new HashSet<>()).add(context) && ready.get(path).size() == 1) {
                settings.serviceOf(path).ifPresent(service -> participant.deployed(path, service));
            }
        }
    }

    @Override
    public void beforeStop(Context context) {
        CompletableFuture<Void> drained = null;
        synchronized (ready) {
            Set<Context> others = ready.get(pathOf(context));
            if (participant != null && others != null && others.equals(Set.of(context))) {
                drained = participant.stopping(pathOf(context));
            }
        }
        if (context.getPaused()) {
            // A reload: Tomcat itself holds requests until the context is back, and they would be waited for
            // in vain.
            return;
        }
        try {
            await(drained);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    @Override
    public void onStopped(Context context) {
        synchronized (ready) {
            Set<Context> all = ready.get(pathOf(context));
            if (participant != null && all != null && all.remove(context) && all.isEmpty()) {
                ready.remove(pathOf(context));
                participant.gone(pathOf(context));
            }
        }
    }

    private void await(CompletableFuture<Void> drained) throws InterruptedException {
        if (drained == null) {
            return;
        }
        long most = settings.stopRules.drainSessions() + settings.stopRules.drain();
        try {
            drained.get(TimeUnit.NANOSECONDS.toSeconds(most) + DRAIN_MARGIN_S, TimeUnit.SECONDS);
        } catch (ExecutionException | TimeoutException fault) {
            LOG.error("stopping without a drain", fault);
        }
    }

    /**
     * Whether doors may send requests to a context. One that lets only some addresses in (the manager's, by
     * Tomcat's own context.xml) would take a door on this machine for its operator, so the operator has to
     * name it.
     */
    private boolean isAnnounced(Context context, String path) {
        if (settings.serviceOf(path).isEmpty() || !Names.isPath(path)) {
            if (settings.contexts.isEmpty()) {
                LOG.warn("context not announced path=" + path
                        + " reason=\"its path makes no name; give it one in the attribute contexts\"");
            }
            return false;
        }
        boolean filters =
                Arrays.stream(context.getPipeline().getValves()).anyMatch(RequestFilterValve.class::isInstance);
        if (filters && !settings.isNamed(path)) {
            LOG.info("context not announced path=" + path
                    + " reason=\"it filters client addresses, and behind a door all have the door's;"
                    + " name it in the attribute contexts\"");
            return false;
        }
        return true;
    }

    private static String pathOf(Context context) {
        String path = URLEncoder.DEFAULT.encode(context.getPath(), StandardCharsets.UTF_8);
        return path.isEmpty() ? "/" : path;
    }

    private Terms termsOf(String path) {
        String route = settings.route != null ? settings.route : place.engine().getJvmRoute();
        if (route != null && !Names.isRoute(route)) {
            LOG.warn("no route announced jvmRoute=" + route + " reason=\"doors take 1 to 63 letters, digits, - or _\"");
            route = null;
        }
        return new Terms(settings.claimedHosts, path, route, settings.weight, settings.maxInflight, keepAliveMs(),
                (int) Math.min(settings.warmUp.toMillis(), Integer.MAX_VALUE), settings.health);
    }

    private int keepAliveMs() {
        int time = place.connector().getProtocolHandler() instanceof AbstractHttp11Protocol<?> http
                ? http.getKeepAliveTimeout() : -1;
        return time < 0 ? KEEP_ALIVE_FOR_EVER_MS : time;
    }

    /** {@code null}: the connector listens on every address. */
    private String address() {
        if (settings.address != null) {
            return settings.address;
        }
        InetAddress address = place.connector().getProtocolHandler() instanceof AbstractHttp11Protocol<?> http
                ? http.getAddress() : null;
        return address == null || address.isAnyLocalAddress() ? null : address.getHostAddress().replaceAll("%.*", "");
    }

    private static String hostName() {
        try {
            return InetAddress.getLocalHost().getHostName();
        } catch (UnknownHostException nameless) {
            return "";
        }
    }

    /**
     * An operator's command: Tomcat's own stop, which drains first. Not by a daemon, which the JVM would not
     * wait for.
     */
    private void stopServer() {
        new Thread(() -> {
            try {
                server.stop();
                server.destroy();
            } catch (LifecycleException error) {
                LOG.error("Tomcat does not stop", error);
            }
        }, "leveret-door-stop").start();
    }
}
