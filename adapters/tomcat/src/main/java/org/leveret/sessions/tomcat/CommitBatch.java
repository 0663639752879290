package org.leveret.sessions.tomcat;

import java.io.IOException;
import java.util.ArrayList;
import java.util.ConcurrentModificationException;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

import org.apache.catalina.authenticator.Constants;

/** What a commit sends: bytes that differ from what the cluster has. */
final class CommitBatch {
    /** Tries to write an object that another thread is changing. */
    private static final int WRITE_TRIES = 3;

    private final LeveretSession session;
    private final LeveretManager manager;
    private final Map<String, Digest> known;
    private final Set<String> changed;
    /** All that the request changed, also if the cluster has it already. */
    final Set<String> names = new LinkedHashSet<>();
    final Map<String, byte[]> set = new LinkedHashMap<>();
    final List<String> remove = new ArrayList<>();
    final Map<String, Digest> digests = new LinkedHashMap<>();
    /** Objects that were changed in place after a refresh had put others in their place. */
    final Map<String, Object> shown = new LinkedHashMap<>();
    String user;

    CommitBatch(LeveretSession session, LeveretManager manager, Map<String, Digest> known, Changes changes) {
        this.session = session;
        this.manager = manager;
        this.known = known;
        changed = changes.changed();
        for (String name : changed) {
            names.add(name);
            Object value = session.attributes().get(name);
            if (Reserved.NAMES.contains(name)) {
                addReserved(name);
            } else if (value == null) {
                addRemoved(name);
            } else if (!session.staysHere(name, value)) {
                add(name, write(name, value));
            }
        }
        changes.handed().forEach((name, list) -> list.forEach(one -> addHanded(name, one)));
    }

    boolean isEmpty() {
        return set.isEmpty() && remove.isEmpty() && user == null;
    }

    private void addHanded(String name, Changes.Handed one) {
        if (changed.contains(name) || session.staysHere(name, one.value())) {
            return; // what the request set or removed counts
        }
        byte[] bytes = write(name, one.value());
        if (bytes == null || Digest.of(bytes).equals(one.digest())) {
            return;
        }
        names.add(name);
        add(name, bytes);
        shown.put(name, one.value());
    }

    private void add(String name, byte[] bytes) {
        if (bytes == null) {
            return;
        }
        Digest digest = Digest.of(bytes);
        if (!digest.equals(known.get(name))) {
            set.put(name, bytes);
            digests.put(name, digest);
        }
    }

    private void addRemoved(String name) {
        if (known.containsKey(name)) {
            remove.add(name);
        }
    }

    private void addReserved(String name) {
        try {
            byte[] bytes = switch (name) {
                case Reserved.TIMES -> new Reserved.Times(session.getCreationTimeInternal(), session.getMaxInactiveInterval()).write();
                case Reserved.LOGIN -> session.getPrincipal() == null ? null
                        : new Reserved.Login(session.getAuthType(), session.getPrincipal()).write(manager.values(), manager.allowed());
                default -> Reserved.writeNotes(session.getNote(Constants.SESSION_ID_NOTE), session.getNote(Constants.FORM_REQUEST_NOTE));
            };
            if (bytes == null) {
                addRemoved(name);
            } else {
                add(name, bytes);
            }
            if (name.equals(Reserved.LOGIN)) {
                user = session.getPrincipal() == null ? "" : session.getPrincipal().getName();
                if (bytes == null && session.getPrincipal() != null) {
                    manager.warnPrincipal(session.getPrincipal().getClass());
                }
            }
        } catch (IOException e) {
            manager.log().error("a login or its notes cannot be written and stay in this JVM", e);
        }
    }

    /** Null if it cannot be written: it stays as it was last committed. */
    private byte[] write(String name, Object value) {
        for (int tries = 1;; tries++) {
            try {
                return manager.values().write(value);
            } catch (ConcurrentModificationException e) {
                if (tries == WRITE_TRIES) {
                    manager.log().error("attribute " + name + " was changed by another thread while it was written; it stays as it was last committed", e);
                    return null;
                }
            } catch (IOException | RuntimeException e) {
                manager.log().error("attribute " + name + " cannot be written; it stays as it was last committed", e);
                return null;
            }
        }
    }
}
