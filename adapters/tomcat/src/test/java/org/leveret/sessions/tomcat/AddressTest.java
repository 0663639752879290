package org.leveret.sessions.tomcat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.List;

import org.junit.jupiter.api.Test;

class AddressTest {
    @Test
    void aUrlNamesNodesUserAndDatabase() {
        var url = Address.Url.parse("redis://shop:p%40ss@a:1,b,[::1]:3/5");
        assertEquals(List.of(new Address("a", 1), new Address("b", 6379), new Address("::1", 3)), url.nodes());
        assertEquals("shop p@ss 5", url.user() + " " + url.password() + " " + url.database());
        var plain = Address.Url.parse("redis://localhost");
        assertEquals("null null 0", plain.user() + " " + plain.password() + " " + plain.database());
        assertEquals("null secret", Address.Url.parse("redis://:secret@a").user() + " " + Address.Url.parse("redis://:secret@a").password());
    }

    @Test
    void nonsenseIsRefusedWithoutSayingThePassword() {
        for (String bad : List.of("http://a", "redis://u:secret@a/x", "redis://u:secret@a:port", "redis://a b/0/1")) {
            var refused = assertThrows(IllegalArgumentException.class, () -> Address.Url.parse(bad));
            assertEquals(false, refused.getMessage().contains("secret"));
        }
    }
}
