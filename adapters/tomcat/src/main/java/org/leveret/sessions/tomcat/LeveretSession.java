package org.leveret.sessions.tomcat;

import java.security.Principal;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;

import org.apache.catalina.session.StandardSession;

/**
 * A session of which the cluster has the truth and this JVM a copy. All requests of this JVM share the copy. What each of them
 * did is in {@link Changes}; how copy and cluster are made equal is in {@link SessionCopy}.
 */
public final class LeveretSession extends StandardSession {
    private static final long serialVersionUID = 1L;

    private final transient LeveretManager leveret;
    private final transient SessionCopy copy;
    /** What was done on threads that are at no request of ours: asynchronous ones, listeners of the request's begin. */
    private final transient Changes loose = new Changes();
    private final transient AtomicLong lastUsed = new AtomicLong(System.nanoTime());

    LeveretSession(LeveretManager manager) {
        super(manager);
        leveret = manager;
        copy = new SessionCopy(this, manager);
    }

    SessionCopy copy() {
        return copy;
    }

    byte[] token() {
        return copy.token();
    }

    Changes loose() {
        return loose;
    }

    void commit(Changes changes) {
        copy.commit(changes);
    }

    long idleNanos() {
        return System.nanoTime() - lastUsed.get();
    }

    private Changes here() {
        RequestUse use = RequestUse.current();
        return use != null && use.isCurrent() ? use.changesOf(this) : loose;
    }

    private void noteChange(String name) {
        copy.noteLocalChange(name);
        here().change(name);
    }

    // ---- attributes

    @Override
    public Object getAttribute(String name) {
        Object value = super.getAttribute(name);
        if (value != null && !Values.isImmutable(value)) {
            here().hand(name, value, copy.digestOf(name));
        }
        return value;
    }

    @Override
    public void setAttribute(String name, Object value, boolean notify) {
        if (name != null && value != null) {
            copy.checkAttribute(name, value);
        }
        super.setAttribute(name, value, notify);
        if (value != null) {
            noteChange(name);
        }
    }

    @Override
    public boolean isAttributeDistributable(String name, Object value) {
        // checkAttribute has said it, with the option that helps
        return true;
    }

    @Override
    protected void removeAttributeInternal(String name, boolean notify) {
        super.removeAttributeInternal(name, notify);
        // false while an invalid session lets go of its attributes
        if (name != null && isValid) {
            noteChange(name);
        }
    }

    /** True if this attribute stays in this JVM. */
    boolean staysHere(String name, Object value) {
        return exclude(name, value);
    }

    Map<String, Object> attributes() {
        return attributes;
    }

    // ---- what Tomcat keeps beside the attributes

    @Override
    public void setMaxInactiveInterval(int interval) {
        if (interval != maxInactiveInterval) {
            super.setMaxInactiveInterval(interval);
            noteChange(Reserved.TIMES);
        }
    }

    @Override
    public void setAuthType(String authType) {
        super.setAuthType(authType);
        noteChange(Reserved.LOGIN);
    }

    @Override
    public void setPrincipal(Principal principal) {
        super.setPrincipal(principal);
        noteChange(Reserved.LOGIN);
    }

    @Override
    public void setNote(String name, Object value) {
        super.setNote(name, value);
        if (Reserved.travels(name)) {
            noteChange(Reserved.NOTES);
        }
    }

    @Override
    public void removeNote(String name) {
        if (getNote(name) != null) {
            super.removeNote(name);
            if (Reserved.travels(name)) {
                noteChange(Reserved.NOTES);
            }
        }
    }

    /** As the cluster has it; no listener is told, because it was told where the change was made. */
    void applyTimes(Reserved.Times times) {
        creationTime = times.created();
        maxInactiveInterval = times.timeoutSeconds();
    }

    void applyLogin(Reserved.Login login) {
        authType = login == null ? null : login.authType();
        principal = login == null ? null : login.principal();
    }

    void applyNotes(Map<?, ?> travelled) {
        for (String note : new String[] {org.apache.catalina.authenticator.Constants.SESSION_ID_NOTE, org.apache.catalina.authenticator.Constants.FORM_REQUEST_NOTE}) {
            if (travelled.get(note) == null) {
                notes.remove(note);
            } else {
                notes.put(note, travelled.get(note));
            }
        }
    }

    // ---- life

    /** A copy begins: {@code idleMs} ago somebody used the session, on whichever Tomcat. */
    void begin(String id, long idleMs) {
        this.id = id;
        long used = System.currentTimeMillis() - idleMs;
        lastAccessedTime = used;
        thisAccessedTime = used;
        isNew = false;
        isValid = true;
    }

    void setIdQuietly(String id) {
        this.id = id;
    }

    /** The session has ended elsewhere, where listeners were told. */
    void endQuietly() {
        isValid = false;
    }

    /** Only the cluster expires sessions: this JVM does not know of their use on others. */
    @Override
    public boolean isValid() {
        return isValid;
    }

    @Override
    public void access() {
        lastUsed.set(System.nanoTime());
        super.access();
    }

    @Override
    public void endAccess() {
        lastUsed.set(System.nanoTime());
        super.endAccess();
    }

    /** A logout: it is true everywhere before listeners hear of it, or it has not happened. */
    @Override
    public void expire(boolean notify) {
        if (!isValid || expiring) {
            return;
        }
        copy.destroy();
        here().clear();
        super.expire(notify);
    }

    /** The cluster has expired it, and this JVM tells the listeners. */
    void expiredThere() {
        super.expire(true);
    }

    @Override
    public String toString() {
        // ids are as good as passwords
        return "LeveretSession[" + leveret.getContext().getName() + "]";
    }
}
