package org.leveret.sessions.tomcat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.leveret.sessions.tomcat.Farm.Browser;

/** Nodes that die, and values that are wrong. */
class TroubleTest {
    private Farm farm;

    /** A class of an application. */
    record Cart(String owner, List<String> items) implements Serializable {
    }

    /** One that javaClasses does not name. */
    static final class Unknown implements Serializable {
        private static final long serialVersionUID = 1L;
    }

    @BeforeEach
    void start() throws Exception {
        LeveretNode first = LeveretNode.start(null);
        farm = new Farm(List.of(first, LeveretNode.start(first)), (context, manager) ->
                manager.setJavaClasses("org.leveret.sessions.tomcat.TroubleTest$Cart"));
    }

    @AfterEach
    void stop() throws Exception {
        farm.close();
        farm.nodes.forEach(LeveretNode::close);
    }

    private static String read(Farm.Server server, Browser browser, String name) throws Exception {
        return browser.get(server, "/read?name=" + name);
    }

    @Test
    void aNodeThatIsKilledTakesNothingWithIt() throws Exception {
        List<Browser> browsers = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            Browser browser = new Browser();
            browser.get(i % 2 == 0 ? farm.a : farm.b, "/set?name=n&value=" + i);
            browsers.add(browser);
        }
        farm.nodes.get(0).kill();
        for (int i = 0; i < 20; i++) {
            assertEquals(Integer.toString(i), read(farm.a, browsers.get(i), "n"));
            assertEquals("set", browsers.get(i).get(farm.a, "/set?name=m&value=" + i));
            assertEquals(Integer.toString(i), read(farm.b, browsers.get(i), "m"));
        }
        assertEquals(0, farm.a.manager.getFailedRequests());
    }

    @Test
    void withoutAnyNodeARequestIs503AndNeverAFreshSession() throws Exception {
        farm.page("/stubborn", (request, response) -> {
            try {
                request.getSession();
            } catch (RuntimeException e) {
                // an application that swallows whatever is thrown
            }
            try {
                request.getSession(true).setAttribute("fresh", "yes");
            } catch (RuntimeException e) {
                response.getWriter().print("welcome, stranger");
            }
        });
        farm.page("/static", (request, response) -> response.getWriter().print("no session here"));
        farm.page("/stream", (request, response) -> {
            request.getSession().setAttribute("a", "b");
            response.getOutputStream().write(new byte[1024 * 1024]);
        });
        Browser browser = new Browser();
        browser.get(farm.a, "/set?name=n&value=1");
        for (LeveretNode node : farm.nodes) {
            node.kill();
        }
        for (String path : List.of("/read?name=n", "/set?name=n&value=2", "/stubborn", "/logout", "/rotate", "/stream")) {
            for (Farm.Server server : List.of(farm.a, farm.b)) {
                var answer = browser.fetch(server, path);
                assertEquals(503, answer.statusCode(), path);
                assertEquals("1", answer.headers().firstValue("Retry-After").orElse(null), path);
                assertTrue(answer.headers().allValues("Set-Cookie").isEmpty(), path);
                assertFalse(answer.body().contains("stranger"), path);
            }
        }
        // a new session, of which a browser must not keep the cookie
        for (String path : List.of("/set?name=n&value=2", "/stream")) {
            var answer = new Browser().fetch(farm.a, path);
            assertEquals(503, answer.statusCode(), path);
            assertEquals("1", answer.headers().firstValue("Retry-After").orElse(null), path);
            assertTrue(answer.headers().allValues("Set-Cookie").isEmpty(), path);
            assertTrue(answer.body().length() < 10_000, path);
        }
        assertEquals("no session here", new Browser().get(farm.a, "/static"));
    }

    @Test
    void classesTravelOnlyIfTheyAreAllowed() throws Exception {
        farm.page("/cart", (request, response) ->
                request.getSession().setAttribute("cart", new Cart("hare", new ArrayList<>(List.of("book")))));
        farm.page("/unknown", (request, response) -> {
            String refused = "nothing";
            for (Object value : List.of(new Unknown(), List.of(Map.of("k", new Unknown())), new Object())) {
                try {
                    request.getSession().setAttribute("unknown", value);
                } catch (IllegalArgumentException e) {
                    refused = e.getMessage();
                }
            }
            response.getWriter().print(refused + " " + request.getSession().getAttribute("unknown"));
        });
        Browser browser = new Browser();
        browser.get(farm.a, "/cart");
        assertEquals("Cart[owner=hare, items=[book]]", read(farm.b, browser, "cart"));
        String refused = browser.get(farm.a, "/unknown");
        assertTrue(refused.contains("java.lang.Object") && refused.contains("javaClasses") && refused.endsWith("null"), refused);
    }

    @Test
    void whatStaysHereStaysHere() throws Exception {
        try (Farm local = new Farm(farm.nodes, (context, manager) -> {
            manager.setUnknownClass("local");
            manager.setSessionAttributeNameFilter("(?!private).*");
        })) {
            local.page("/unknown", (request, response) -> request.getSession().setAttribute("unknown", List.of(new Unknown())));
            Browser browser = new Browser();
            browser.get(local.a, "/set?name=n&value=1");
            browser.get(local.a, "/set?name=private-n&value=2");
            assertEquals(200, browser.fetch(local.a, "/unknown").statusCode());
            assertTrue(read(local.a, browser, "unknown").contains("Unknown"));
            assertEquals("2", read(local.a, browser, "private-n"));
            assertEquals("null", read(local.b, browser, "unknown"));
            assertEquals("null", read(local.b, browser, "private-n"));
            assertEquals("1", read(local.b, browser, "n"));
            LeveretSession session = (LeveretSession) local.a.manager.findSession(browser.id);
            assertFalse(session.copy().isSpare(0), "it would be lost");
        }
    }

    @Test
    void twoThatChangeOneAttributeAreCounted() throws Exception {
        var under = new java.util.concurrent.CountDownLatch(1);
        var go = new java.util.concurrent.CountDownLatch(1);
        farm.page("/slow", (request, response) -> {
            request.getSession().setAttribute("n", "slow");
            under.countDown();
            go.await();
        });
        Browser browser = new Browser();
        browser.get(farm.a, "/set?name=n&value=1");
        var running = browser.begin(farm.a, "/slow");
        under.await();
        browser.get(farm.b, "/set?name=n&value=fast");
        go.countDown();
        running.join();
        assertEquals("slow", read(farm.b, browser, "n"), "the later commit wins");
        assertEquals(1, farm.a.manager.getConflicts());
        assertEquals(0, farm.b.manager.getConflicts());
    }

    @Test
    void bytesThatAreRefusedLeaveTheAttributeAbsentAndTheRestThere() throws Exception {
        Browser browser = new Browser();
        browser.get(farm.a, "/set?name=good&value=1");
        byte[] key = farm.b.manager.keyOf(browser.id);
        Map<String, byte[]> bad = BadBytes.all();
        var order = new SessionClient.Order(new byte[0], false, 0, null, bad, List.of());
        assertEquals(SessionClient.Outcome.APPLIED, farm.b.manager.client().commit(key, order).outcome());
        for (Farm.Server server : List.of(farm.a, farm.b, farm.a)) {
            for (String name : bad.keySet()) {
                assertEquals("null", read(server, browser, name), name);
            }
            assertEquals("1", read(server, browser, "good"));
            assertEquals(bad.size(), server.manager.getRefusedValues(), "each is said once");
        }
        // they are not there for this JVM, and not lost for one that can read them
        browser.get(farm.b, "/set?name=other&value=2");
        assertEquals(bad.size() + 3, farm.b.manager.client().load(key, new byte[0], 0).values().size());
    }

    @Test
    void boundsAreSaidWhereTheyAreBroken() throws Exception {
        farm.page("/many", (request, response) -> {
            for (int i = 0; i < Integer.parseInt(request.getParameter("n")); i++) {
                request.getSession().setAttribute("a" + i, i);
            }
        });
        farm.page("/large", (request, response) ->
                request.getSession().setAttribute("large", new byte[Integer.parseInt(request.getParameter("n"))]));
        Browser browser = new Browser();
        assertEquals("set", browser.get(farm.a, "/set?value=1&name=" + "n".repeat(255)));
        assertEquals("1", read(farm.b, browser, "n".repeat(255)));
        assertEquals(500, browser.fetch(farm.a, "/set?value=1&name=" + "n".repeat(256)).statusCode());
        assertEquals(200, browser.fetch(farm.a, "/many?n=1019").statusCode());
        assertEquals("1018", read(farm.b, browser, "a1018"));
        assertEquals(500, browser.fetch(farm.a, "/many?n=1020").statusCode());
        assertEquals("1018", read(farm.a, browser, "a1018"), "what was there is there");
        Browser large = new Browser();
        assertEquals("set", large.get(farm.a, "/set?name=n&value=1"));
        assertEquals(200, large.fetch(farm.b, "/large?n=500000").statusCode());
        for (int n : List.of(1_100_000, 17_000_000)) {
            assertEquals(500, large.fetch(farm.a, "/large?n=" + n).statusCode(), "over session_bytes_max");
        }
        assertEquals("1", read(farm.a, large, "n"));
        assertEquals("1", read(farm.b, large, "n"));
    }
}
