package org.leveret.door.tomcat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SettingsTest {
    private final Map<String, String> properties = new HashMap<>();
    private final Map<String, String> environment = new HashMap<>();

    private Settings read(String... pairs) {
        Map<String, String> given = new HashMap<>(Map.of("service", "shop"));
        for (int at = 0; at < pairs.length; at += 2) {
            given.put(pairs[at], pairs[at + 1]);
        }
        return new Settings(given, properties::get, environment::get);
    }

    @Test
    void theServiceAloneIsEnough() {
        Settings settings = read();
        assertEquals(List.of(new Broker("127.0.0.1", 5672, "guest", "guest", "/")), settings.brokers);
        assertEquals(List.of("guest"), settings.stopRules.commanders());
        assertEquals(30_000_000_000L, settings.stopRules.drain());
        assertEquals(Optional.of("shop"), settings.serviceOf("/"));
        assertEquals(Optional.of("shop-admin-v2"), settings.serviceOf("/Admin/v2"));
        assertEquals(Optional.empty(), settings.serviceOf("/" + "x".repeat(60)));
    }

    @Test
    void wrongAttributesAreNamedWithWhatIsExpected() {
        for (String[] pair : new String[][] {{"service", "Shop"}, {"instance", "a.b"}, {"weight", "0"}, {"weight", "1001"},
                {"weight", "x"}, {"port", "0"}, {"port", "65536"}, {"drain", "30"}, {"drain", "-1s"}, {"drain", "1.5s"},
                {"warmUp", "soon"}, {"health", "up"}, {"hosts", "Shop.example.org"}, {"hosts", "a;b"}, {"route", "a.b"},
                {"address", "localhost"}, {"address", "10.0.0.7:8080x"}, {"contexts", "shop"}, {"contexts", "/shop/"},
                {"contexts", "/a=x,/b=x"}, {"contexts", "/a=X"}, {"maxInflight", "-1"}}) {
            String message = assertThrows(SettingsException.class, () -> read(pair), pair[0] + "=" + pair[1]).getMessage();
            assertTrue(message.startsWith(pair[0] + ": expected "), message);
        }
    }

    @Test
    void contextsThatAreNamedAreTheOnlyOnes() {
        Settings settings = read("contexts", "/, /shop=shop-web /admin");
        assertEquals(Optional.of("shop"), settings.serviceOf("/"));
        assertEquals(Optional.of("shop-web"), settings.serviceOf("/shop"));
        assertEquals(Optional.of("shop-admin"), settings.serviceOf("/admin"));
        assertEquals(Optional.empty(), settings.serviceOf("/other"));
        assertTrue(settings.isNamed("/admin"));
        assertFalse(read().isNamed("/admin"));
    }

    @Test
    void brokersComeFromTheAttributeThenTheFileThenThePropertyThenTheEnvironment(@TempDir Path directory)
            throws IOException {
        Path file = directory.resolve("brokers");
        Files.writeString(file, "# both\namqp://f1\n\n  amqp://f2:5673/web\n");
        environment.put("LEVERET_AMQP_FILE", file.toString());
        assertEquals("[f1:5672, f2:5673]", read().brokers.toString());
        environment.put("LEVERET_AMQP", "amqp://e1,amqp://e2");
        assertEquals("[e1:5672, e2:5672]", read().brokers.toString());
        properties.put("leveret.amqp", "amqp://p");
        assertEquals("[p:5672]", read().brokers.toString());
        assertEquals("[f1:5672, f2:5673]", read("amqpFile", file.toString()).brokers.toString());
        assertEquals("[a:5672]", read("amqpFile", file.toString(), "amqp", "amqp://a").brokers.toString());
        String missing = assertThrows(SettingsException.class, () -> read("amqpFile", "/nonexistent")).getMessage();
        assertTrue(missing.startsWith("amqpFile: "), missing);
    }

    @Test
    void aUrlNamesABrokerAndItsPasswordIsNeverShown() {
        Broker broker = Broker.parse("amqp://shop:s%40cret+@10.0.0.1:5673/we%2Fb");
        assertEquals(List.of("shop", "s@cret+", "we/b"), List.of(broker.user(), broker.password(), broker.vhost()));
        assertEquals("10.0.0.1:5673", broker.toString());
        assertEquals("::1", Broker.parse("amqp://[::1]:5672").host());
        for (String bad : new String[] {"", "h:5672", "http://h", "amqp://h:x", "amqp://a:secret@", "amqp://a:secret b@h",
                "amqps://a:secret@h"}) {
            String message = assertThrows(SettingsException.class, () -> Broker.parse(bad), bad).getMessage();
            assertFalse(message.contains("secret"), message);
        }
    }

    @Test
    void anInstanceIsNamedAfterHostPortAndProcess() {
        assertEquals("web-1-example-8080-77", Names.defaultInstance("Web_1.example", 8080, 77));
        assertTrue(Names.isName(Names.defaultInstance("x".repeat(300), 65_535, 4_194_304)));
        assertTrue(Names.isName(Names.defaultInstance("", 1, 1)));
    }
}
