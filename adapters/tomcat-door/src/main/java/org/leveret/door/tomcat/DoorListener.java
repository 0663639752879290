package org.leveret.door.tomcat;

import java.util.HashMap;
import java.util.Map;
import org.apache.catalina.Lifecycle;
import org.apache.catalina.LifecycleEvent;
import org.apache.catalina.LifecycleListener;
import org.apache.catalina.Server;
import org.apache.juli.logging.Log;
import org.apache.juli.logging.LogFactory;

/**
 * A listener of the Server element in {@code server.xml} that announces this Tomcat to Leveret's front doors
 * over AMQP, and drains it before it stops:
 *
 * <pre>{@code
 * <Listener className="org.leveret.door.tomcat.DoorListener" service="shop" amqp="amqp://10.0.0.1:5672"/>
 * }</pre>
 *
 * <p>Requests arrive once Tomcat has started. When it stops, doors send nothing new, and Tomcat stops only
 * after each door has said that nothing is in flight here. Contexts that are deployed and undeployed while
 * Tomcat runs come and go the same way. All attributes are described in the README of this module.
 */
public final class DoorListener implements LifecycleListener {
    private static final Log LOG = LogFactory.getLog(DoorListener.class);

    private final Map<String, String> given = new HashMap<>();
    private AnnouncedServer announced;

    /** Creates a listener without attributes; {@code service} must be set. */
    public DoorListener() {
    }

    @Override
    public void lifecycleEvent(LifecycleEvent event) {
        if (!(event.getLifecycle() instanceof Server server)) {
            if (Lifecycle.BEFORE_START_EVENT.equals(event.getType())) {
                LOG.error("not announced reason=\"the Listener must stand in the Server element\"");
            }
            return;
        }
        switch (event.getType()) {
            case Lifecycle.BEFORE_START_EVENT -> beforeStart(server);
            case Lifecycle.AFTER_START_EVENT -> onAnnounced(AnnouncedServer::afterStart);
            case Lifecycle.BEFORE_STOP_EVENT -> onAnnounced(AnnouncedServer::beforeStop);
            case Lifecycle.AFTER_STOP_EVENT -> {
                onAnnounced(AnnouncedServer::afterStop);
                announced = null;
            }
            default -> {
            }
        }
    }

    private void beforeStart(Server server) {
        try {
            announced = new AnnouncedServer(server, new Settings(given, System::getProperty, System::getenv));
            announced.beforeStart();
        } catch (SettingsException error) {
            announced = null;
            LOG.error("not announced reason=\"" + error.getMessage() + "\"");
        }
    }

    private interface Step {
        void run(AnnouncedServer announced) throws InterruptedException;
    }

    private void onAnnounced(Step step) {
        if (announced == null) {
            return;
        }
        try {
            step.run(announced);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        } catch (SettingsException error) {
            LOG.error("not announced reason=\"" + error.getMessage() + "\"");
        }
    }

    /**
     * Sets the brokers. If neither this nor {@code amqpFile} is given, the system property {@code
     * leveret.amqp} counts, then the variables {@code LEVERET_AMQP} and {@code LEVERET_AMQP_FILE}.
     *
     * @param urls {@code amqp://user:password@host:port/vhost}, with commas between
     */
    public void setAmqp(String urls) {
        given.put("amqp", urls);
    }

    /**
     * Sets a file with the brokers, one URL a line.
     *
     * @param file its path
     */
    public void setAmqpFile(String file) {
        given.put("amqpFile", file);
    }

    /**
     * Sets the service of the context {@code /}, and the beginning of the names of the other contexts'
     * services.
     *
     * @param name 1 to 63 of a-z, 0-9 and -
     */
    public void setService(String name) {
        given.put("service", name);
    }

    /**
     * Sets the name of this Tomcat among the others of its services; by default host name, port and process id.
     *
     * @param name 1 to 63 of a-z, 0-9 and -
     */
    public void setInstance(String name) {
        given.put("instance", name);
    }

    /**
     * Sets which contexts are announced; by default all of the host but those that let only some addresses in.
     *
     * @param contexts paths, each alone or with a service as {@code /shop=SERVICE}, with commas between
     */
    public void setContexts(String contexts) {
        given.put("contexts", contexts);
    }

    /**
     * Sets the Host element whose contexts are announced; by default the engine's default host.
     *
     * @param name its name in server.xml
     */
    public void setHost(String name) {
        given.put("host", name);
    }

    /**
     * Sets the hosts that the service claims; by default any.
     *
     * @param hosts {@code a.example.org} or {@code *.example.org}, with commas between
     */
    public void setHosts(String hosts) {
        given.put("hosts", hosts);
    }

    /**
     * Sets the port of the connector that doors use; by default the first connector for HTTP without TLS.
     *
     * @param port as in server.xml
     */
    public void setPort(String port) {
        given.put("port", port);
    }

    /**
     * Sets the address under which doors reach this Tomcat; by default the connector's, and if that listens
     * on all, the one from which this Tomcat reaches its broker.
     *
     * @param address numeric
     */
    public void setAddress(String address) {
        given.put("address", address);
    }

    /**
     * Sets the suffix of session ids that belong here; by default the engine's jvmRoute.
     *
     * @param route 1 to 63 letters, digits, - or _
     */
    public void setRoute(String route) {
        given.put("route", route);
    }

    /**
     * Sets the share of the requests, relative to other instances.
     *
     * @param weight 1 to 1,000; by default 100
     */
    public void setWeight(String weight) {
        given.put("weight", weight);
    }

    /**
     * Sets the most requests at a time from each door.
     *
     * @param requests 0, the default, is no bound
     */
    public void setMaxInflight(String requests) {
        given.put("maxInflight", requests);
    }

    /**
     * Sets the time from the first request to the full share.
     *
     * @param time such as 30s; by default 0s
     */
    public void setWarmUp(String time) {
        given.put("warmUp", time);
    }

    /**
     * Sets the path that a door asks when it doubts this Tomcat; by default it connects.
     *
     * @param path such as /up
     */
    public void setHealth(String path) {
        given.put("health", path);
    }

    /**
     * Sets the longest time that a stop waits for every door to have nothing in flight here.
     *
     * @param time such as 500ms; by default 30s
     */
    public void setDrain(String time) {
        given.put("drain", time);
    }

    /**
     * Sets the time before the drain in which only this Tomcat's own sessions get in.
     *
     * @param time such as 10m; by default 0s
     */
    public void setDrainSessions(String time) {
        given.put("drainSessions", time);
    }

    /**
     * Sets the users whose commands are obeyed; by default the users of this Tomcat's own links.
     *
     * @param users their names, with commas between
     */
    public void setCommanders(String users) {
        given.put("commanders", users);
    }
}
