package org.leveret.door.tomcat;

/** What an instance can do, as doors read it. */
enum State {
    /** Takes requests. */
    READY("ready"),
    /** Wants to stop, or was told to pause: finishes what it has. */
    DRAINING("draining"),
    /** Gone; its last word. */
    LEFT("left");

    final String text;

    State(String text) {
        this.text = text;
    }
}
