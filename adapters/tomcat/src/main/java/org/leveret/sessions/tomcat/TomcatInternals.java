package org.leveret.sessions.tomcat;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

import org.apache.catalina.Session;
import org.apache.catalina.connector.Request;
import org.apache.coyote.ActionHook;
import org.apache.coyote.Response;

/**
 * Two fields of Tomcat that have no public accessor. Tomcat hands the head of a response to its {@link ActionHook} just before
 * the first byte leaves, whoever wrote it: a servlet, an error page, a valve, another thread. A wrapper of the response in a filter
 * sees only the first of these, and takes sendfile from static files.
 */
final class TomcatInternals {
    private static final VarHandle HOOK;
    private static final VarHandle SESSION;

    static {
        try {
            HOOK = MethodHandles.privateLookupIn(Response.class, MethodHandles.lookup()).findVarHandle(Response.class, "hook", ActionHook.class);
            SESSION = MethodHandles.privateLookupIn(Request.class, MethodHandles.lookup()).findVarHandle(Request.class, "session", Session.class);
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException("this Tomcat is not one of those that leveret-tomcat knows, 10.1 and 11", e);
        }
    }

    private TomcatInternals() {
    }

    /** Loads this class, so that an unknown Tomcat is said at the start of the context. */
    static void check() {
        VarHandle.fullFence();
    }

    static ActionHook hookOf(Response response) {
        return (ActionHook) HOOK.getVolatile(response);
    }

    static void setHook(Response response, ActionHook hook) {
        HOOK.setVolatile(response, hook);
    }

    /** The session that the request has; it is not looked up if the request has not asked for it. */
    static Session sessionOf(Request request) {
        return (Session) SESSION.get(request);
    }
}
