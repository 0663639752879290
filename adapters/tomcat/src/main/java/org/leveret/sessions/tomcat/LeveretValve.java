package org.leveret.sessions.tomcat;

import java.io.IOException;

import jakarta.servlet.ServletException;

import org.apache.catalina.connector.Request;
import org.apache.catalina.connector.Response;
import org.apache.catalina.valves.ValveBase;

/** The first valve of a context: it follows each request's use of its session. {@link LeveretManager} adds it. */
final class LeveretValve extends ValveBase {
    private final LeveretManager manager;

    LeveretValve(LeveretManager manager) {
        super(true);
        this.manager = manager;
    }

    @Override
    public void invoke(Request request, Response response) throws IOException, ServletException {
        RequestUse use = (RequestUse) request.getNote(RequestUse.NOTE);
        if (use == null) {
            use = new RequestUse(manager, request, response);
            request.setNote(RequestUse.NOTE, use);
            CommitHook.install(response.getCoyoteResponse(), use);
        }
        RequestUse before = RequestUse.bind(use);
        manager.requestBegins();
        try {
            getNext().invoke(request, response);
        } catch (SessionsUnavailableException e) {
            use.fail(e);
        } finally {
            RequestUse.bind(before);
            try {
                if (!request.isAsync()) {
                    use.finish();
                }
            } finally {
                manager.requestEnds();
            }
        }
    }
}
