package org.leveret.sessions.tomcat;

import java.io.IOException;
import java.io.Serializable;
import java.security.Principal;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import org.apache.catalina.authenticator.Constants;
import org.apache.catalina.authenticator.SavedRequest;
import org.apache.catalina.realm.GenericPrincipal;

/**
 * What Tomcat keeps with a session beside its attributes. It travels under names that begin with U+0001, which no
 * application may use.
 */
final class Reserved {
    static final char FIRST = '\u0001';
    /** Creation and timeout. */
    static final String TIMES = FIRST + "t";
    /** Who is logged in, and how. */
    static final String LOGIN = FIRST + "p";
    /** What a login by form has noted: the request that comes after it, and the id that it belongs to. */
    static final String NOTES = FIRST + "n";
    static final List<String> NAMES = List.of(TIMES, LOGIN, NOTES);

    /** Classes of Tomcat that a saved request is made of. */
    private static final Values TOMCATS = new Values(new AllowedClasses(
            "org.apache.catalina.authenticator.SavedRequest jakarta.servlet.http.Cookie org.apache.tomcat.util.buf.* java.lang.String",
            Reserved.class.getClassLoader()));

    private Reserved() {
    }

    record Times(long created, int timeoutSeconds) {
        byte[] write() {
            return new ByteSink(13).one(1).int64(created).int32(timeoutSeconds).toBytes();
        }

        static Times read(byte[] bytes) throws IOException {
            ByteSource in = new ByteSource(bytes);
            if (in.one() != 1) {
                throw new IOException("times of a later version");
            }
            Times times = new Times(in.int64(), in.int32());
            in.expectEnd();
            return times;
        }
    }

    record Login(String authType, Principal principal) {
        /** Null for a principal that does not travel. */
        byte[] write(Values values, AllowedClasses allowed) throws IOException {
            List<Object> parts = new ArrayList<>();
            parts.add(authType);
            if (principal instanceof Serializable && allowed.allows(principal.getClass())) {
                parts.add(principal);
            } else if (principal instanceof GenericPrincipal tomcats && principal.getClass().getName().startsWith("org.apache.catalina.")) {
                // that of a UserDatabaseRealm looks its roles up; they are as they were at the login from here on
                parts.add(tomcats.getName());
                parts.add(new ArrayList<>(List.of(tomcats.getRoles())));
            } else {
                return null;
            }
            return values.write(parts);
        }

        static Login read(Values values, byte[] bytes) throws IOException {
            if (!(values.read(bytes) instanceof List<?> parts) || parts.size() < 2) {
                throw new IOException("this is no login");
            }
            String authType = (String) parts.get(0);
            if (parts.get(1) instanceof Principal principal) {
                return new Login(authType, principal);
            }
            if (parts.size() == 3 && parts.get(1) instanceof String name && parts.get(2) instanceof List<?> roles) {
                return new Login(authType, new GenericPrincipal(name, roles.stream().map(String::valueOf).toList()));
            }
            throw new IOException("this is no login");
        }
    }

    static boolean travels(String note) {
        return note.equals(Constants.SESSION_ID_NOTE) || note.equals(Constants.FORM_REQUEST_NOTE);
    }

    /** Null if there is none that travels. */
    static byte[] writeNotes(Object sessionId, Object savedRequest) throws IOException {
        Map<String, Object> notes = new LinkedHashMap<>();
        if (sessionId instanceof String id) {
            notes.put(Constants.SESSION_ID_NOTE, id);
        }
        if (savedRequest instanceof SavedRequest request) {
            notes.put(Constants.FORM_REQUEST_NOTE, request);
        }
        return notes.isEmpty() ? null : TOMCATS.write(notes);
    }

    static Map<?, ?> readNotes(byte[] bytes) throws IOException {
        if (TOMCATS.read(bytes) instanceof Map<?, ?> notes) {
            return notes;
        }
        throw new IOException("these are no notes");
    }
}
