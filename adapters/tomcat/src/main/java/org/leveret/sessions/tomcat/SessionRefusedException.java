package org.leveret.sessions.tomcat;

/** The cluster takes a commit for wrong, because it is too large for example: asking again does not help. */
public final class SessionRefusedException extends IllegalStateException {
    private static final long serialVersionUID = 1L;

    /** @param message the cluster's words */
    SessionRefusedException(String message) {
        super(message);
    }
}
