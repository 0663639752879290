package org.leveret.sessions.tomcat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.regex.Pattern;

import jakarta.servlet.http.HttpSessionListener;

import org.apache.catalina.Context;
import org.apache.catalina.LifecycleException;
import org.apache.catalina.LifecycleState;
import org.apache.catalina.Session;
import org.apache.catalina.Valve;
import org.apache.catalina.session.StandardSession;
import org.apache.juli.logging.Log;
import org.apache.juli.logging.LogFactory;

/**
 * Keeps the sessions of a context in the nodes of a Leveret cluster, so that every Tomcat has every session. One element in
 * {@code context.xml} is all that is needed:
 *
 * <pre>{@code <Manager className="org.leveret.sessions.tomcat.LeveretManager" nodes="10.0.0.1:6379,10.0.0.2:6379"/>}</pre>
 */
public class LeveretManager extends ManagerOptions {
    /** Ids that a client sends: nothing else was ever made here. The longest is a generated one with a route. */
    private static final Pattern ID = Pattern.compile("[\\x21-\\x7e]{1,128}");
    /** A copy that no request used for this long goes. */
    private static final long SPARE_AFTER_NANOS = 60_000_000_000L;
    /** How long a stop waits for requests that are about to commit. */
    private static final long STOP_NANOS = 5_000_000_000L;

    private final Log log = LogFactory.getLog(LeveretManager.class);
    private final AtomicInteger requests = new AtomicInteger();
    private final Set<String> warned = ConcurrentHashMap.newKeySet();

    private byte[] keyPrefix = new byte[0];
    private Nodes nodes;
    private NodeList nodeList;
    /** Null without a listener that wants to hear of ends. */
    private ExpiredSessions expired;
    private SessionClient client;
    private AllowedClasses allowed;
    private Values values;

    /** A manager that has no configuration yet. */
    public LeveretManager() {
    }

    // ---- life

    /** The valve is added here, when the context has none yet: it must be in front of authenticators. */
    @Override
    public void setContext(Context context) {
        super.setContext(context);
        if (context != null) {
            for (Valve valve : context.getPipeline().getValves()) {
                if (valve instanceof LeveretValve) {
                    context.getPipeline().removeValve(valve);
                }
            }
            context.getPipeline().addValve(new LeveretValve(this));
        }
    }

    @Override
    protected void startInternal() throws LifecycleException {
        super.startInternal();
        try {
            TomcatInternals.check();
            configure();
        } catch (IOException | IllegalArgumentException e) {
            throw new LifecycleException(e.getMessage(), e);
        }
        nodeList.refresh();
        nodes.keepTwoConnected();
        if (getConnectedNodes().isEmpty()) {
            log.warn("no node of the cluster can be reached: requests that use a session are answered with 503");
        }
        setState(LifecycleState.STARTING);
        listenForExpired();
    }

    private void listenForExpired() {
        Object[] listeners = getContext().getApplicationLifecycleListeners();
        if (listeners != null && Arrays.stream(listeners).anyMatch(one -> one instanceof HttpSessionListener)) {
            expired = new ExpiredSessions(nodes, new String(keyPrefix, StandardCharsets.UTF_8), this::tellExpired, log);
            expired.start();
        }
    }

    void tellExpired(String id, Map<String, byte[]> values) {
        try {
            LeveretSession session = new LeveretSession(this);
            session.setIdQuietly(id);
            session.copy().fill(values);
            session.expiredThere();
        } catch (RuntimeException e) {
            log.error("a listener could not be told that a session has expired", e);
        }
    }

    private void configure() throws IOException {
        Cluster cluster = cluster();
        nodes = new Nodes(cluster.addresses().stream().map(one -> new Node(one.host(), one.port(), cluster.login())).toList(), getTimeout());
        nodeList = new NodeList(nodes, cluster.login());
        client = new SessionClient(nodes);
        allowed = new AllowedClasses(getJavaClasses(), getContext().getLoader() == null ? getClass().getClassLoader()
                : getContext().getLoader().getClassLoader());
        values = new Values(allowed);
        keyPrefix = SessionClient.bytes(getPrefix() + ":" + getContext().getName() + ":");
        if (keyPrefix.length > 512 - 128) {
            throw new IllegalArgumentException("prefix and name of the context are over 384 bytes together");
        }
    }

    /** Nothing ends in the cluster when a context stops: its sessions are there when it starts, here or elsewhere. */
    @Override
    protected void stopInternal() throws LifecycleException {
        setState(LifecycleState.STOPPING);
        if (expired != null) {
            expired.close();
            expired = null;
        }
        awaitRequests();
        for (Session session : findSessions()) {
            passivate((LeveretSession) session);
        }
        sessions.clear();
        if (nodes != null) {
            nodes.close();
        }
        super.stopInternal();
    }

    private void awaitRequests() {
        long end = System.nanoTime() + STOP_NANOS;
        synchronized (requests) {
            try {
                for (long left = STOP_NANOS; requests.get() > 0 && left > 0; left = end - System.nanoTime()) {
                    requests.wait(Math.max(1, left / 1_000_000));
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }

    void requestBegins() {
        requests.incrementAndGet();
    }

    void requestEnds() {
        if (requests.decrementAndGet() == 0 && !getState().isAvailable()) {
            synchronized (requests) {
                requests.notifyAll();
            }
        }
    }

    @Override
    public void backgroundProcess() {
        if (getState().isAvailable()) {
            nodeList.refresh();
            nodes.keepTwoConnected();
        }
        super.backgroundProcess();
    }

    /** Sessions expire in the cluster. Here only copies that nobody uses go. */
    @Override
    public void processExpires() {
        for (Session one : findSessions()) {
            LeveretSession session = (LeveretSession) one;
            if (session.idleNanos() > SPARE_AFTER_NANOS && session.copy().isSpare(session.idleNanos())) {
                passivate(session);
                forget(session);
            }
        }
    }

    private static void passivate(LeveretSession session) {
        if (session.isValid()) {
            session.passivate();
        }
    }

    /** There is nothing to load: sessions are in the cluster. */
    @Override
    public void load() {
        // see above
    }

    /** There is nothing to unload: sessions are in the cluster. */
    @Override
    public void unload() {
        // see above
    }

    // ---- sessions

    @Override
    protected StandardSession getNewSession() {
        return new LeveretSession(this);
    }

    /**
     * The session, as the cluster has it now.
     *
     * @throws SessionsUnavailableException if no node could say, because that must not be taken for "no session"
     */
    @Override
    public Session findSession(String id) throws IOException {
        if (id == null || !ID.matcher(id).matches()) {
            return null;
        }
        RequestUse use = RequestUse.current();
        if (use == null || !use.isCurrent()) {
            return lookUp(id);
        }
        use.refuseAfterFailure();
        if (!use.hasLookedUp(id)) {
            try {
                LeveretSession session = lookUp(id);
                use.remember(id, session);
                if (session != null) {
                    use.changesOf(session);
                }
            } catch (SessionsUnavailableException e) {
                throw use.fail(e);
            }
        }
        return use.found(id);
    }

    private LeveretSession lookUp(String id) {
        while (true) {
            LeveretSession session = (LeveretSession) sessions.computeIfAbsent(id, absent -> {
                LeveretSession fresh = new LeveretSession(this);
                fresh.setIdQuietly(id);
                return fresh;
            });
            if (session.copy().load(id)) {
                return session;
            }
            // a request beside this one may have found it ended, and a third begun anew
            if (sessions.get(id) == null || sessions.get(id) == session) {
                return null;
            }
        }
    }

    @Override
    public Session createSession(String id) {
        RequestUse use = RequestUse.current();
        if (use != null && use.isCurrent()) {
            use.refuseAfterFailure();
        }
        LeveretSession session = (LeveretSession) super.createSession(id);
        // an id that Tomcat shares between contexts may have been used in this one, too
        if (id != null && !(ID.matcher(id).matches() && session.copy().beginNow())) {
            session.setId(generateSessionId(), false);
        }
        if (use != null && use.isCurrent()) {
            use.remember(session.getIdInternal(), session);
            use.changesOf(session);
        }
        return session;
    }

    @Override
    public String rotateSessionId(Session session) {
        String id = generateSessionId();
        changeSessionId(session, id);
        return id;
    }

    @Override
    public void changeSessionId(Session session, String id) {
        String before = session.getIdInternal();
        ((LeveretSession) session).copy().rename(id);
        RequestUse use = RequestUse.current();
        if (use != null && use.isCurrent()) {
            use.remember(id, (LeveretSession) session);
        }
        session.tellChangedSessionId(id, before, true, true);
    }

    /** This JVM has no copy any more. The session itself is as it was. */
    void forget(LeveretSession session) {
        sessions.remove(session.getIdInternal(), session);
    }

    byte[] keyOf(String id) {
        byte[] end = SessionClient.bytes(id);
        byte[] key = Arrays.copyOf(keyPrefix, keyPrefix.length + end.length);
        System.arraycopy(end, 0, key, keyPrefix.length, end.length);
        return key;
    }

    // ---- values

    @Override
    public boolean willAttributeDistribute(String name, Object value) {
        return super.willAttributeDistribute(name, value)
                && (value == null || !getUnknownClass().equals("local") || values.unknownIn(value) == null);
    }

    void checkTravels(String name, Object value) {
        Class<?> unknown = values.unknownIn(value);
        if (unknown != null) {
            throw new IllegalArgumentException("attribute " + name + ": objects of " + unknown.getName()
                    + " do not travel between Tomcats; name the class in javaClasses of the Manager, or set unknownClass=\"local\"");
        }
    }

    /** Says once for each name that bytes of the cluster are not read. */
    void refuseBytes(String name, Exception why) {
        figures().refusedValues.increment();
        if (warned.size() < 1_000 && warned.add(name)) {
            log.warn("attribute " + name + " cannot be read and is absent here: " + why.getMessage());
        }
    }

    void warnPrincipal(Class<?> type) {
        if (warned.add(type.getName())) {
            log.warn("a login stays in this JVM: principals of " + type.getName() + " travel only if javaClasses names the class");
        }
    }

    void noteFailure(RuntimeException why) {
        figures().failedRequests.increment();
        if (why instanceof SessionRefusedException) {
            log.error("a session cannot be committed: " + why.getMessage());
        } else {
            log.warn("a request ends with 503: " + why.getMessage() + (why.getCause() == null ? "" : ": " + why.getCause().getMessage()));
        }
    }

    /** Says once for each class that its objects stay here. */
    void warnLocal(Object value) {
        Class<?> unknown = values.unknownIn(value);
        if (unknown != null && warned.add(unknown.getName())) {
            log.warn("attributes with objects of " + unknown.getName() + " stay in this JVM, because javaClasses does not name the class");
        }
    }

    SessionsUnavailableException unavailable(RespError why) {
        return new SessionsUnavailableException("the cluster does not answer for a session", why);
    }

    @Override
    Nodes nodes() {
        return nodes;
    }

    SessionClient client() {
        return client;
    }

    Values values() {
        return values;
    }

    AllowedClasses allowed() {
        return allowed;
    }

    Log log() {
        return log;
    }
}
