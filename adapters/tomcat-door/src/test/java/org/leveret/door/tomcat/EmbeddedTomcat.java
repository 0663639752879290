package org.leveret.door.tomcat;

import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ThreadLocalRandom;
import org.apache.catalina.Context;
import org.apache.catalina.Lifecycle;
import org.apache.catalina.LifecycleException;
import org.apache.catalina.LifecycleState;
import org.apache.catalina.connector.Connector;
import org.apache.catalina.core.StandardContext;
import org.apache.catalina.startup.Tomcat;

/** A Tomcat in this JVM whose contexts say its name and write down the number of each request. */
final class EmbeddedTomcat implements AutoCloseable {
    /** Longest work for a request, milliseconds: some are always under way. */
    private static final int WORK_MS_MAX = 10;
    final Tomcat tomcat = new Tomcat();
    final DoorListener listener = new DoorListener();
    final Queue<String> served = new ConcurrentLinkedQueue<>();
    final String name;

    EmbeddedTomcat(String name, Path directory, String amqp) {
        this.name = name;
        tomcat.setBaseDir(directory.resolve(name).toString());
        Connector connector = new Connector();
        connector.setPort(0);
        connector.setProperty("address", "127.0.0.1");
        tomcat.setConnector(connector);
        tomcat.getEngine().setJvmRoute(name);
        listener.setService("shop");
        listener.setInstance(name);
        if (amqp != null) {
            listener.setAmqp(amqp);
        }
        tomcat.getServer().addLifecycleListener(listener);
    }

    Context addContext(String path) {
        Context context = new StandardContext();
        context.setName(path);
        context.setPath(path);
        context.addLifecycleListener(new Tomcat.FixContextListener());
        // A stop takes the servlets out of a context; one with a web.xml reads it again.
        context.addLifecycleListener(event -> {
            if (Lifecycle.CONFIGURE_START_EVENT.equals(event.getType())) {
                Tomcat.addServlet(context, "echo", new Echo()).addMapping("/*");
            }
        });
        tomcat.getHost().addChild(context);
        return context;
    }

    EmbeddedTomcat start() throws LifecycleException {
        tomcat.start();
        return this;
    }

    void stop() throws LifecycleException {
        tomcat.stop();
    }

    boolean runs() {
        return tomcat.getServer().getState().isAvailable();
    }

    void undeploy(Context context) {
        tomcat.getHost().removeChild(context);
    }

    @Override
    public void close() throws LifecycleException {
        if (tomcat.getServer().getState() != LifecycleState.DESTROYED) {
            tomcat.stop();
            tomcat.destroy();
        }
    }

    private final class Echo extends HttpServlet {
        private static final long serialVersionUID = 1L;

        @Override
        protected void service(HttpServletRequest request, HttpServletResponse response) throws IOException {
            request.getInputStream().readAllBytes();
            if (request.getHeader("X-Number") != null) {
                served.add(request.getHeader("X-Number"));
            }
            try {
                Thread.sleep(ThreadLocalRandom.current().nextInt(WORK_MS_MAX));
            } catch (InterruptedException interrupted) {
                Thread.currentThread().interrupt();
            }
            response.setContentType("text/plain");
            response.getWriter().print(name);
        }
    }
}
