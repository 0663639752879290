package org.leveret.door.tomcat;

import org.apache.catalina.Container;
import org.apache.catalina.ContainerEvent;
import org.apache.catalina.ContainerListener;
import org.apache.catalina.Context;
import org.apache.catalina.Host;
import org.apache.catalina.Lifecycle;
import org.apache.catalina.LifecycleListener;

/**
 * Tells when contexts of a host can take requests, and holds each back when it is about to stop.
 *
 * <p>Tomcat maps requests to a context by a listener of its own, which adds it after {@code after_start} and
 * takes it out at {@code before_stop}. So there are two listeners on each context: {@link #early} stands
 * before Tomcat's, because a context must still be mapped while it drains, and {@link #late} behind it,
 * because a context must not be announced before it is mapped.
 */
final class ContextWatcher implements ContainerListener {

    /** What happens to contexts. Called by whatever thread starts and stops them. */
    interface Contexts {
        void onReady(Context context);

        /** The context stops when this returns. */
        void beforeStop(Context context);

        void onStopped(Context context);
    }

    private final Host host;
    private final LifecycleListener early;
    private final LifecycleListener late;

    ContextWatcher(Host host, Contexts contexts) {
        this.host = host;
        late = event -> {
            if (event.getLifecycle() instanceof Context context) {
                switch (event.getType()) {
                    case Lifecycle.AFTER_START_EVENT -> contexts.onReady(context);
                    case Lifecycle.AFTER_STOP_EVENT -> contexts.onStopped(context);
                    default -> {
                    }
                }
            }
        };
        early = event -> {
            if (event.getLifecycle() instanceof Context context) {
                switch (event.getType()) {
                    // Tomcat's listener is there by now: to the end of the list.
                    case Lifecycle.CONFIGURE_START_EVENT -> moveToEnd(context);
                    case Lifecycle.BEFORE_STOP_EVENT -> contexts.beforeStop(context);
                    default -> {
                    }
                }
            }
        };
    }

    /** Before Tomcat's own listener is there: the host's server has not begun to start. */
    void attach() {
        host.addContainerListener(this);
        for (Container child : host.findChildren()) {
            watch(child);
        }
    }

    void detach() {
        host.removeContainerListener(this);
        for (Container child : host.findChildren()) {
            child.removeLifecycleListener(early);
            child.removeLifecycleListener(late);
        }
    }

    @Override
    public void containerEvent(ContainerEvent event) {
        if (Container.ADD_CHILD_EVENT.equals(event.getType()) && event.getData() instanceof Context context) {
            watch(context);
        }
    }

    private void watch(Container child) {
        if (child instanceof Context) {
            child.addLifecycleListener(early);
        }
    }

    private void moveToEnd(Lifecycle context) {
        context.removeLifecycleListener(late);
        context.addLifecycleListener(late);
    }
}
