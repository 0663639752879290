package org.leveret.door.tomcat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import org.apache.catalina.Context;
import org.apache.catalina.valves.RemoteCIDRValve;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.api.io.TempDir;

/** Tomcats in this JVM, with a real broker and a real door on loopback. */
@EnabledIf("org.leveret.door.tomcat.Processes#areThere")
class DoorIT {
    private static final HttpClient HTTP = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    @TempDir
    private Path directory;
    private Processes processes;
    private String amqp;
    private Processes.Door door;
    private final List<EmbeddedTomcat> tomcats = new ArrayList<>();
    private final Logger logger = Logger.getLogger(DoorListener.class.getName());
    private final Queue<String> log = new ConcurrentLinkedQueue<>();
    private final Handler handler = new Handler() {
        @Override
        public void publish(LogRecord line) {
            log.add(line.getMessage());
        }

        @Override
        public void flush() {
        }

        @Override
        public void close() {
        }
    };

    @BeforeEach
    void startBrokerAndDoor() throws Exception {
        logger.addHandler(handler);
        processes = new Processes(directory);
        amqp = processes.node(0);
        door = processes.door("--amqp", amqp);
    }

    @AfterEach
    void endAll() throws Exception {
        for (EmbeddedTomcat tomcat : tomcats) {
            tomcat.close();
        }
        processes.close();
        logger.removeHandler(handler);
    }

    private EmbeddedTomcat tomcat(String name) {
        EmbeddedTomcat tomcat = new EmbeddedTomcat(name, directory, amqp);
        tomcats.add(tomcat);
        return tomcat;
    }

    private EmbeddedTomcat startTomcat(String name, String... paths) throws Exception {
        EmbeddedTomcat tomcat = tomcat(name);
        for (String path : paths) {
            tomcat.addContext(path);
        }
        return tomcat.start();
    }

    private Optional<JsonObject> row(String service, String instance) {
        return row(door, service, instance);
    }

    private static Optional<String> state(Processes.Door door, String service, String instance) {
        return row(door, service, instance).map(row -> row.get("state").getAsString());
    }

    private static Optional<JsonObject> row(Processes.Door door, String service, String instance) {
        try {
            HttpRequest question = HttpRequest.newBuilder(URI.create("http://" + door.admin() + "/status")).build();
            String answer = HTTP.send(question, HttpResponse.BodyHandlers.ofString()).body();
            JsonObject status = JsonParser.parseString(answer).getAsJsonObject();
            for (JsonElement each : status.getAsJsonArray("services")) {
                if (each.getAsJsonObject().get("name").getAsString().equals(service)) {
                    for (JsonElement row : each.getAsJsonObject().getAsJsonArray("instances")) {
                        if (row.getAsJsonObject().get("name").getAsString().equals(instance)) {
                            return Optional.of(row.getAsJsonObject());
                        }
                    }
                }
            }
            return Optional.empty();
        } catch (Exception error) {
            throw new AssertionError(error);
        }
    }

    private void awaitState(String service, String instance, String state) throws InterruptedException {
        Processes.await(service + "/" + instance + " " + state,
                () -> state(door, service, instance).equals(Optional.of(state)));
    }

    private void awaitNone(String service, String instance) throws InterruptedException {
        Processes.await(service + "/" + instance + " is gone", () -> row(service, instance).isEmpty());
    }

    private void awaitLog(String words) throws InterruptedException {
        Processes.await("the log says: " + words + "; it says: " + log,
                () -> log.stream().anyMatch(line -> line.contains(words)));
    }

    private HttpResponse<String> get(String path) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create("http://" + door.http() + path)).build();
        return HTTP.send(request, HttpResponse.BodyHandlers.ofString());
    }

    private void assertNothingServedTwice() {
        List<String> served = new ArrayList<>();
        tomcats.forEach(tomcat -> served.addAll(tomcat.served));
        assertEquals(served.size(), new HashSet<>(served).size());
    }

    @Test
    void aTomcatThatStartsGetsRequestsAndIsKnownByItsRouteAndLoad() throws Exception {
        startTomcat("t1", "");
        awaitState("shop", "t1", "ready");
        assertEquals("t1", get("/any/path?x=1").body());
        JsonObject row = row("shop", "t1").orElseThrow();
        int port = tomcats.get(0).tomcat.getConnector().getLocalPort();
        assertEquals("127.0.0.1:" + port, row.get("address").getAsString());
        assertEquals("guest", row.get("user").getAsString());
    }

    @Test
    void tomcatsStopAndStartUnderLoadAndNoRequestFails() throws Exception {
        startTomcat("t1", "");
        startTomcat("t2", "");
        awaitState("shop", "t1", "ready");
        awaitState("shop", "t2", "ready");
        try (Clients clients = new Clients(door.http(), "/")) {
            for (int cycle = 0; cycle < 2; cycle++) {
                for (EmbeddedTomcat tomcat : tomcats) {
                    clients.awaitAnswerOf(tomcat.name);
                    tomcat.stop();
                    awaitNone("shop", tomcat.name);
                    clients.awaitMore(50);
                    tomcat.start();
                    clients.awaitAnswerOf(tomcat.name);
                }
            }
            clients.close();
            assertEquals(List.of(), List.copyOf(clients.failures));
        }
        assertNothingServedTwice();
        assertTrue(log.stream().noneMatch(line -> line.contains("time for draining is over")), log::toString);
    }

    @Test
    void aContextIsUndeployedUnderLoadAndNoRequestFails() throws Exception {
        EmbeddedTomcat first = startTomcat("t1", "");
        Context admin = first.addContext("/admin");
        startTomcat("t2", "", "/admin");
        awaitState("shop-admin", "t1", "ready");
        awaitState("shop-admin", "t2", "ready");
        try (Clients clients = new Clients(door.http(), "/admin/x")) {
            clients.awaitAnswerOf("t1");
            first.undeploy(admin);
            awaitNone("shop-admin", "t1");
            clients.awaitMore(50);
            assertEquals("ready", state(door, "shop", "t1").orElseThrow());
            first.addContext("/admin");
            clients.awaitAnswerOf("t1");
            clients.close();
            assertEquals(List.of(), List.copyOf(clients.failures));
        }
        assertNothingServedTwice();
    }

    @Test
    void aContextThatReloadsUnderLoadLosesNoRequest() throws Exception {
        EmbeddedTomcat first = startTomcat("t1", "");
        startTomcat("t2", "");
        awaitState("shop", "t1", "ready");
        try (Clients clients = new Clients(door.http(), "/")) {
            clients.awaitAnswerOf("t1");
            clients.awaitAnswerOf("t2");
            Context root = (Context) first.tomcat.getHost().findChild("");
            root.reload();
            clients.awaitAnswerOf("t1");
            clients.close();
            assertEquals(List.of(), List.copyOf(clients.failures));
        }
        assertNothingServedTwice();
    }

    @Test
    void aContextThatFiltersAddressesIsAnnouncedOnlyIfItIsNamed() throws Exception {
        for (String named : new String[] {null, "/,/manager"}) {
            EmbeddedTomcat tomcat = tomcat(named == null ? "t1" : "t2");
            tomcat.addContext("");
            RemoteCIDRValve valve = new RemoteCIDRValve();
            valve.setAllow("127.0.0.0/8");
            tomcat.addContext("/manager").getPipeline().addValve(valve);
            if (named != null) {
                tomcat.listener.setContexts(named);
            }
            tomcat.start();
            awaitState("shop", tomcat.name, "ready");
        }
        awaitState("shop-manager", "t2", "ready");
        assertTrue(row("shop-manager", "t1").isEmpty());
        awaitLog("it filters client addresses");
    }

    @Test
    void withoutABrokerTomcatStartsAndIsAnnouncedOnceThereIsOne() throws Exception {
        int port = Processes.freePort();
        amqp = "amqp://127.0.0.1:" + port;
        startTomcat("t1", "");
        assertTrue(tomcats.get(0).runs());
        awaitLog("no broker: Tomcat runs");
        processes.node(port);
        door = processes.door("--amqp", amqp);
        awaitState("shop", "t1", "ready");
        assertEquals("t1", get("/").body());
    }

    @Test
    void withoutABrokerTomcatStops() throws Exception {
        amqp = "amqp://127.0.0.1:" + Processes.freePort();
        startTomcat("t1", "");
        tomcats.get(0).stop();
        awaitLog("no broker to tell the doors by");
        assertFalse(tomcats.get(0).runs());
    }

    @Test
    void aLostLinkMovesToAnotherBroker() throws Exception {
        Processes.Started doomed = processes.start("serve", "--listen", "127.0.0.1:0",
                "--cluster-listen", "127.0.0.1:0", "--data-dir", directory.resolve("doomed").toString());
        String first = "amqp://" + doomed.lineAfter("listening for AMQP on ");
        EmbeddedTomcat tomcat = new EmbeddedTomcat("t1", directory, first + "," + amqp);
        tomcats.add(tomcat);
        tomcat.addContext("");
        tomcat.start();
        awaitLog("linked to a broker broker=" + first.substring("amqp://".length()));
        assertTrue(row("shop", "t1").isEmpty(), "the door listens to the other one");
        doomed.kill();
        awaitState("shop", "t1", "ready");
        awaitLog("link lost");
        assertEquals("t1", get("/").body());
    }

    @Test
    void commandsDrainReadyAndStop() throws Exception {
        startTomcat("t1", "");
        startTomcat("t2", "");
        awaitState("shop", "t1", "ready");
        awaitState("shop", "t2", "ready");
        Processes.command(door, "drain", "shop", "t1");
        awaitState("shop", "t1", "draining");
        for (int request = 0; request < 10; request++) {
            assertEquals("t2", get("/").body());
        }
        Processes.command(door, "ready", "shop", "t1");
        awaitState("shop", "t1", "ready");
        send("command.shop.t1", "{\"v\":1,\"command\":\"stop\"}");
        awaitNone("shop", "t1");
        Processes.await("t1 has stopped", () -> !tomcats.get(0).runs());
        assertEquals("t2", get("/").body());
    }

    @Test
    void aCommandOfAUserWhoMayNotIsRefused() throws Exception {
        EmbeddedTomcat tomcat = tomcat("t1");
        tomcat.addContext("");
        tomcat.listener.setCommanders("operator");
        tomcat.start();
        awaitState("shop", "t1", "ready");
        send("command.shop.t1", "{\"v\":1,\"command\":\"stop\"}");
        awaitLog("command refused: the user is not in the attribute commanders instance=shop/t1 user=guest");
        assertTrue(tomcat.runs());
        assertEquals("ready", state(door, "shop", "t1").orElseThrow());
    }

    private void send(String key, String body) throws Exception {
        ConnectionFactory factory = new ConnectionFactory();
        factory.setUri(amqp);
        try (Connection connection = factory.newConnection()) {
            AMQP.BasicProperties properties = new AMQP.BasicProperties.Builder().userId("guest").build();
            byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
            connection.createChannel().basicPublish(Bus.EXCHANGE, key, properties, bytes);
        }
    }

    @Test
    void twoDoorsAreWaitedForAndNoneLosesARequest() throws Exception {
        Processes.Door second = processes.door("--amqp", amqp);
        startTomcat("t1", "");
        startTomcat("t2", "");
        awaitState("shop", "t1", "ready");
        Processes.await("the second door knows t1", () -> state(second, "shop", "t1").equals(Optional.of("ready")));
        try (Clients one = new Clients(door.http(), "/"); Clients two = new Clients(second.http(), "/")) {
            for (EmbeddedTomcat tomcat : tomcats) {
                one.awaitAnswerOf(tomcat.name);
                two.awaitAnswerOf(tomcat.name);
                tomcat.stop();
                one.awaitMore(20);
                two.awaitMore(20);
                tomcat.start();
            }
            one.close();
            two.close();
            assertEquals(List.of(), List.copyOf(one.failures));
            assertEquals(List.of(), List.copyOf(two.failures));
        }
        awaitLog("doors=2");
        assertNothingServedTwice();
    }

    @Test
    void aWrongAttributeIsNamedAndTomcatRunsUnannounced() throws Exception {
        EmbeddedTomcat tomcat = tomcat("t1");
        tomcat.addContext("");
        tomcat.listener.setDrain("soon");
        tomcat.start();
        assertTrue(tomcat.runs());
        awaitLog("not announced reason=\"drain: expected a time");
    }
}
