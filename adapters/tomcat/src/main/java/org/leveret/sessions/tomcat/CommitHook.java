package org.leveret.sessions.tomcat;

import org.apache.coyote.ActionCode;
import org.apache.coyote.ActionHook;
import org.apache.coyote.Response;

/** Stands in front of Tomcat's own hook of a response for one request. */
final class CommitHook implements ActionHook {
    private final ActionHook tomcats;
    private final Response response;
    private final RequestUse use;

    private CommitHook(ActionHook tomcats, Response response, RequestUse use) {
        this.tomcats = tomcats;
        this.response = response;
        this.use = use;
    }

    static void install(Response response, RequestUse use) {
        ActionHook hook = TomcatInternals.hookOf(response);
        // left behind by a request that ended without an end of its response
        ActionHook tomcats = hook instanceof CommitHook left ? left.tomcats : hook;
        TomcatInternals.setHook(response, new CommitHook(tomcats, response, use));
    }

    @Override
    public void action(ActionCode code, Object param) {
        if (use.isCurrent()) {
            switch (code) {
                case COMMIT, CLIENT_FLUSH -> {
                    if (!response.isCommitted()) {
                        use.beforeFirstByte();
                    }
                }
                case CLOSE -> {
                    if (response.isCommitted()) {
                        use.beforeEnd();
                    } else {
                        use.beforeFirstByte();
                    }
                    TomcatInternals.setHook(response, tomcats);
                }
                default -> {
                }
            }
        }
        tomcats.action(code, param);
    }
}
