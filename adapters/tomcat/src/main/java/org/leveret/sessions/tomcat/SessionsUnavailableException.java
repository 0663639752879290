package org.leveret.sessions.tomcat;

/**
 * No node of the cluster could say in time. It goes through the application to the valve, which answers 503, so that it is
 * unchecked: Tomcat takes an {@link java.io.IOException} of a Manager for "no such session" and would begin a fresh one.
 */
public final class SessionsUnavailableException extends IllegalStateException {
    private static final long serialVersionUID = 1L;

    /** @param message what was asked, and why no node answered */
    SessionsUnavailableException(String message, Throwable cause) {
        super(message, cause);
    }
}
