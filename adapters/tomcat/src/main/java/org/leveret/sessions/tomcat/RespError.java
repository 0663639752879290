package org.leveret.sessions.tomcat;

import java.io.IOException;

/** An error reply of the server. Its first word is its kind. */
final class RespError extends IOException {
    private static final long serialVersionUID = 1L;

    RespError(String line) {
        super(line);
    }

    boolean is(String kind) {
        String line = getMessage();
        return line.equals(kind) || line.startsWith(kind + " ");
    }

    boolean isUnknownCommand() {
        return getMessage().startsWith("ERR unknown command");
    }
}
