package org.leveret.door.tomcat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class MessageReaderTest {
    private static final String ACK =
            "{\"service\":\"shop\",\"instance\":\"a\",\"boot\":\"9f0c1d2e3b4a5968\","
                    + "\"seq\":18,\"inflight\":0,\"later\":[]}";

    private static Optional<Message> read(String key, String body) {
        return MessageReader.read(key, body.getBytes(StandardCharsets.UTF_8), "guest");
    }

    @Test
    void eachKindIsReadByItsKey() {
        assertEquals(Optional.of(new Message.Ask("web1-8080")), read("ask", "{\"v\":1,\"door\":\"web1-8080\"}"));
        String report =
                "{\"v\":1,\"door\":\"web1\",\"boot\":\"51c2\",\"services\":{\"shop\":{}},\"acks\":[" + ACK + "]}";
        InstanceId id = new InstanceId("shop", "a", 0x9f0c1d2e3b4a5968L);
        Message expected = new Message.Report("web1", List.of(new Message.Ack(id, 18, 0)));
        assertEquals(Optional.of(expected), read("door.web1", report));
        for (Message.Command command : Message.Command.values()) {
            String text = command.name().toLowerCase(java.util.Locale.ROOT);
            assertEquals(Optional.of(new Message.Order("shop", "a", command, "guest")),
                    read("command.shop.a", "{\"v\":1,\"command\":\"" + text + "\"}"));
        }
    }

    @Test
    void aReportOfAnotherDoorThanItsKeySaysIsPassedOver() {
        assertTrue(read("door.web2", "{\"door\":\"web1\",\"acks\":[]}").isEmpty());
    }

    @Test
    void whatIsNoMessageIsPassedOver() {
        for (String body : new String[] {"", "null", "[]", "{", "{}", "{\"door\":7}", "{\"door\":\"A\"}",
                "{\"door\":null}", "{\"command\":\"explode\"}"}) {
            for (String key : new String[] {"ask", "door.web1", "command.shop.a", "announce.shop.a", "", "door.a.b"}) {
                assertTrue(read(key, body).isEmpty(), key + ": " + body);
            }
        }
        for (String acks : new String[] {"{}", "[{}]", "[" + ACK.replace("18", "-1") + "]",
                "[" + ACK.replace("9f0c", "xyz") + "]", "[" + ACK.replace("18", "1e99") + "]", "[" + ACK}) {
            assertTrue(read("door.web1", "{\"door\":\"web1\",\"acks\":" + acks + "}").isEmpty(), acks);
        }
    }

    @Test
    void aHostileTextIsPassedOverBeforeItCostsAnything() {
        String long_ = "{\"door\":\"web1\",\"x\":\"" + "x".repeat(Limits.ANNOUNCEMENT_BYTES_MAX) + "\"}";
        assertTrue(read("ask", long_).isEmpty());
        assertTrue(read("door.web1", long_).isPresent(), "a report may be longer");
        String longer = "{\"door\":\"web1\",\"x\":\"" + "x".repeat(Limits.REPORT_BYTES_MAX) + "\"}";
        assertTrue(read("door.web1", longer).isEmpty());
        assertTrue(read("door.web1", "{\"x\":" + "[".repeat(500_000) + "]").isEmpty());
        String many = (ACK + ",").repeat(Limits.REPORT_ACKS_MAX) + ACK;
        assertTrue(read("door.web1", "{\"door\":\"web1\",\"acks\":[" + many + "]}").isEmpty());
    }
}
