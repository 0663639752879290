package org.leveret.sessions.tomcat;

import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;

import jakarta.servlet.RequestDispatcher;
import jakarta.servlet.http.HttpServletResponse;

import org.apache.catalina.connector.Request;
import org.apache.catalina.connector.Response;

/**
 * What one HTTP request has to do with sessions: which ids it has looked up, what it changed, and whether it must fail
 * because no node could say. Asynchronous requests keep theirs over all their threads.
 */
final class RequestUse {
    static final String NOTE = "org.leveret.sessions.tomcat.use";
    private static final ThreadLocal<RequestUse> CURRENT = new ThreadLocal<>();

    private final LeveretManager manager;
    private final Request request;
    private final Response response;
    /** By id; a value of null is a session that is not there. */
    private final Map<String, LeveretSession> lookups = new HashMap<>();
    private final Map<LeveretSession, Changes> changes = new IdentityHashMap<>();
    private RuntimeException failure;
    /** The failure is in the response. */
    private boolean said;

    RequestUse(LeveretManager manager, Request request, Response response) {
        this.manager = manager;
        this.request = request;
        this.response = response;
    }

    /** That of the request which this thread is at; null on other threads. */
    static RequestUse current() {
        return CURRENT.get();
    }

    /** Returns the one of before. */
    static RequestUse bind(RequestUse use) {
        RequestUse before = CURRENT.get();
        if (use == null) {
            CURRENT.remove();
        } else {
            CURRENT.set(use);
        }
        return before;
    }

    /** False once Tomcat uses the request object for another request. */
    boolean isCurrent() {
        return request.getNote(NOTE) == this;
    }

    synchronized boolean hasLookedUp(String id) {
        return lookups.containsKey(id);
    }

    synchronized LeveretSession found(String id) {
        LeveretSession session = lookups.get(id);
        return session != null && session.isValid() ? session : null;
    }

    synchronized void remember(String id, LeveretSession session) {
        lookups.put(id, session);
    }

    synchronized Changes changesOf(LeveretSession session) {
        return changes.computeIfAbsent(session, absent -> {
            Changes fresh = new Changes();
            fresh.setBase(session.token());
            return fresh;
        });
    }

    /** A request that could not read its session must not go on with another. */
    synchronized void refuseAfterFailure() {
        if (failure != null) {
            throw failure;
        }
    }

    synchronized <E extends RuntimeException> E fail(E why) {
        if (failure == null) {
            failure = why;
            // what this request changed in them is never committed, and must not be seen by the next one
            changes.keySet().forEach(manager::forget);
        }
        return why;
    }

    private void commitAll() {
        Set<LeveretSession> sessions = new LinkedHashSet<>();
        synchronized (this) {
            sessions.addAll(changes.keySet());
        }
        // one that was looked up outside of this valve, by a listener or an asynchronous thread
        if (TomcatInternals.sessionOf(request) instanceof LeveretSession session) {
            sessions.add(session);
        }
        for (LeveretSession session : sessions) {
            session.commit(changesOf(session));
        }
    }

    /** The application has done its work, unless the request goes on asynchronously. */
    void finish() {
        try {
            if (failure == null) {
                commitAll();
            }
        } catch (SessionsUnavailableException | SessionRefusedException e) {
            fail(e);
        }
        if (failure == null) {
            return;
        }
        manager.noteFailure(failure);
        if (!response.isCommitted()) {
            sayFailure();
        }
    }

    /** Puts an error in place of the response. What the application has written, cookies too, is forgotten. */
    private void sayFailure() {
        said = true;
        request.removeAttribute(RequestDispatcher.ERROR_EXCEPTION);
        try {
            response.reset();
            if (status() == HttpServletResponse.SC_SERVICE_UNAVAILABLE) {
                response.setHeader("Retry-After", "1");
            }
            response.sendError(status());
        } catch (java.io.IOException | IllegalStateException e) {
            manager.log().warn("the response could not be replaced by " + status(), e);
        }
    }

    private int status() {
        return failure instanceof SessionRefusedException ? HttpServletResponse.SC_INTERNAL_SERVER_ERROR
                : HttpServletResponse.SC_SERVICE_UNAVAILABLE;
    }

    /** The first byte of the response is about to leave: whoever sees it must find on every node what was changed. */
    void beforeFirstByte() {
        try {
            if (failure == null) {
                commitAll();
            }
        } catch (SessionsUnavailableException | SessionRefusedException e) {
            fail(e);
            manager.noteFailure(e);
        }
        if (failure == null || said) {
            return;
        }
        said = true;
        // too late for an error page: the body, which is on its way already, has no room in a length of 0
        org.apache.coyote.Response out = response.getCoyoteResponse();
        out.reset();
        out.setStatus(status());
        out.setContentLength(0);
        if (status() == HttpServletResponse.SC_SERVICE_UNAVAILABLE) {
            out.setHeader("Retry-After", "1");
        }
    }

    /** The response is out; a change that was made since its first byte is committed, or lost and logged. */
    void beforeEnd() {
        try {
            if (failure == null) {
                commitAll();
            }
        } catch (SessionsUnavailableException | SessionRefusedException e) {
            fail(e);
            manager.log().error("a change of a session that was made after the response had begun is lost", e);
        }
    }
}
