package org.leveret.door.tomcat;

/**
 * An attribute of the listener cannot be used. Nothing is announced; Tomcat runs. The message says what is
 * expected.
 */
final class SettingsException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    SettingsException(String message) {
        super(message);
    }
}
