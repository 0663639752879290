package org.leveret.sessions.tomcat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.leveret.sessions.tomcat.Farm.Browser;

/** Requests of one session at the same time, on one Tomcat and on two. */
class MergeTest {
    private static final int ROUNDS = 20;
    private static Farm farm;

    @BeforeAll
    static void start() throws Exception {
        LeveretNode first = LeveretNode.start(null);
        farm = new Farm(List.of(first, LeveretNode.start(first)), (context, manager) -> { });
    }

    @AfterAll
    static void stop() throws Exception {
        farm.close();
        farm.nodes.forEach(LeveretNode::close);
    }

    /** A page that has read and changed its session, and ends when the test says so. */
    private static final class Slow implements AutoCloseable {
        final CountDownLatch under = new CountDownLatch(1);
        private final CountDownLatch go = new CountDownLatch(1);

        Slow(String path, String name, String value) {
            farm.page(path, (request, response) -> {
                request.getSession().getAttribute("start");
                request.getSession().setAttribute(name, value);
                under.countDown();
                go.await();
                response.getWriter().print("done");
            });
        }

        @Override
        public void close() {
            go.countDown();
        }
    }

    private static String read(Farm.Server server, Browser browser, String name) throws Exception {
        return browser.get(server, "/read?name=" + name);
    }

    @Test
    void whatOneTomcatWritesTheOtherReads() throws Exception {
        Browser browser = new Browser();
        assertEquals("none", read(farm.a, browser, "count"));
        for (int i = 0; i < 6; i++) {
            browser.get(i % 2 == 0 ? farm.a : farm.b, "/set?name=count&value=" + i);
            assertEquals(Integer.toString(i), read(i % 2 == 0 ? farm.b : farm.a, browser, "count"));
        }
        assertEquals("none", read(farm.b, new Browser(), "count"));
    }

    @Test
    void twoRequestsKeepWhatEachChanged() throws Exception {
        for (Farm.Server other : List.of(farm.b, farm.a)) {
            int lost = 0;
            for (int round = 0; round < ROUNDS; round++) {
                Browser browser = new Browser();
                browser.get(farm.a, "/set?name=start&value=1");
                try (Slow slow = new Slow("/slow", "a", "slow")) {
                    var running = browser.begin(farm.a, "/slow");
                    slow.under.await();
                    browser.get(other, "/set?name=b&value=fast");
                    slow.close();
                    assertEquals("done", running.join().body());
                }
                for (Farm.Server server : List.of(farm.a, farm.b)) {
                    boolean both = read(server, browser, "a").equals("slow") && read(server, browser, "b").equals("fast");
                    lost += both ? 0 : 1;
                }
            }
            assertEquals(0, lost, "lost updates");
        }
    }

    @Test
    void aReadDiscardsNothingThatARequestBesideItChanged() throws Exception {
        Browser browser = new Browser();
        browser.get(farm.a, "/set?name=start&value=1");
        try (Slow slow = new Slow("/slow-beside-reads", "a", "slow")) {
            var running = browser.begin(farm.a, "/slow-beside-reads");
            slow.under.await();
            browser.get(farm.b, "/set?name=b&value=1");
            assertEquals("1", read(farm.a, browser, "b"), "the refresh came");
            slow.close();
            running.join();
        }
        assertEquals("slow", read(farm.b, browser, "a"));
    }

    @Test
    void aLogoutIsNotUndone() throws Exception {
        int undone = 0;
        for (Farm.Server other : List.of(farm.b, farm.a)) {
            for (int round = 0; round < ROUNDS; round++) {
                Browser browser = new Browser();
                browser.get(farm.a, "/set?name=start&value=1");
                Browser copy = new Browser(browser.id);
                try (Slow slow = new Slow("/slow-logout", "a", "slow")) {
                    var running = browser.begin(farm.a, "/slow-logout");
                    slow.under.await();
                    assertEquals(200, copy.fetch(other, "/logout").statusCode());
                    slow.close();
                    assertEquals(200, running.join().statusCode());
                }
                for (Farm.Server server : List.of(farm.a, farm.b)) {
                    undone += read(server, new Browser(copy.id), "start").equals("none") ? 0 : 1;
                }
            }
        }
        assertEquals(0, undone, "logouts undone");
        assertTrue(farm.a.manager.getLateWritesDropped() >= ROUNDS, "late writes are counted");
    }

    @Test
    void aNewIdTakesALateCommitWithItAndTheOldOneOpensNothing() throws Exception {
        for (Farm.Server other : List.of(farm.b, farm.a)) {
            Browser browser = new Browser();
            browser.get(farm.a, "/set?name=start&value=1");
            Browser old = new Browser(browser.id);
            try (Slow slow = new Slow("/slow-rotation", "a", "slow")) {
                var running = old.begin(farm.a, "/slow-rotation");
                slow.under.await();
                String id = browser.get(other, "/rotate");
                assertEquals(browser.id, id);
                assertNotEquals(old.id, id);
                slow.close();
                assertEquals(200, running.join().statusCode());
            }
            for (Farm.Server server : List.of(farm.a, farm.b)) {
                assertEquals("slow", read(server, browser, "a"));
                assertEquals("1", read(server, browser, "start"));
                assertEquals("none", read(server, new Browser(old.id), "start"));
            }
        }
    }

    @Test
    void aPlantedIdIsNeverUsed() throws Exception {
        for (String planted : List.of("planted", "0".repeat(32), "x".repeat(10_240), "a%0d%0aSESSION.DESTROY", "a\u007fb")) {
            Browser victim = new Browser(planted);
            HttpCheck.status(200, 400, victim, farm.a, "/set?name=user&value=hare");
            assertEquals("none", read(farm.b, new Browser(planted.length() > 100 ? "x".repeat(200) : "planted"), "user"));
        }
        Browser victim = new Browser("planted");
        victim.get(farm.a, "/set?name=user&value=hare");
        assertNotEquals("planted", victim.id);
        assertEquals("hare", read(farm.b, victim, "user"));
    }

    @Test
    void anObjectThatIsChangedInPlaceIsCommitted() throws Exception {
        farm.page("/begin-list", (request, response) -> request.getSession().setAttribute("cart", new ArrayList<>(List.of("book"))));
        farm.page("/change-list", (request, response) -> {
            @SuppressWarnings("unchecked")
            List<Object> cart = (List<Object>) request.getSession().getAttribute("cart");
            cart.add(request.getParameter("item"));
        });
        farm.page("/look", (request, response) -> {
            long before = farm.a.manager.getCommits() + farm.b.manager.getCommits();
            response.getWriter().print(request.getSession().getAttribute("cart") + " " + before);
        });
        Browser browser = new Browser();
        browser.get(farm.a, "/begin-list");
        browser.get(farm.b, "/change-list?item=pen");
        browser.get(farm.a, "/change-list?item=ink");
        long commits = farm.a.manager.getCommits() + farm.b.manager.getCommits();
        assertEquals("[book, pen, ink] " + commits, browser.get(farm.b, "/look"));
        assertEquals("[book, pen, ink] " + commits, browser.get(farm.a, "/look"), "a look is no commit");
    }

    @Test
    void anObjectThatARefreshReplacedIsCommittedIfItsRequestChangesIt() throws Exception {
        CountDownLatch under = new CountDownLatch(1);
        CountDownLatch go = new CountDownLatch(1);
        farm.page("/slow-list", (request, response) -> {
            @SuppressWarnings("unchecked")
            Map<String, Object> cart = (Map<String, Object>) request.getSession().getAttribute("map");
            under.countDown();
            go.await();
            cart.put("slow", 1);
        });
        farm.page("/set-map", (request, response) -> request.getSession().setAttribute("map",
                new java.util.TreeMap<>(Map.of("set", request.getParameter("value")))));
        Browser browser = new Browser();
        browser.get(farm.a, "/set-map?value=1");
        var running = browser.begin(farm.a, "/slow-list");
        under.await();
        browser.get(farm.b, "/set-map?value=2");
        assertEquals("{set=2}", read(farm.a, browser, "map"));
        go.countDown();
        running.join();
        assertEquals("{set=1, slow=1}", read(farm.b, browser, "map"), "the last one wins");
        assertEquals("{set=1, slow=1}", read(farm.a, browser, "map"));
    }

    @Test
    void removedAttributesAndTimeoutsTravel() throws Exception {
        farm.page("/remove", (request, response) -> {
            request.getSession().removeAttribute("start");
            request.getSession().setMaxInactiveInterval(77);
        });
        farm.page("/times", (request, response) -> response.getWriter()
                .print(request.getSession().getMaxInactiveInterval() + " " + request.getSession().getCreationTime()));
        Browser browser = new Browser();
        browser.get(farm.a, "/set?name=start&value=1");
        assertEquals("1", read(farm.b, browser, "start"));
        browser.get(farm.b, "/remove");
        assertEquals("null", read(farm.a, browser, "start"));
        assertEquals(browser.get(farm.b, "/times"), browser.get(farm.a, "/times"));
        assertTrue(browser.get(farm.a, "/times").startsWith("77 "));
    }

    @Test
    void requestsInParallelOnBothTomcatsEachKeepTheirAttribute() throws Exception {
        int writers = 8;
        int rounds = 7; // the cluster takes 64 changes of a session in 10 s from other nodes
        farm.page("/count", (request, response) -> {
            String name = request.getParameter("name");
            Integer count = (Integer) request.getSession().getAttribute(name);
            request.getSession().setAttribute(name, count == null ? 1 : count + 1);
        });
        Browser browser = new Browser();
        browser.get(farm.a, "/set?name=start&value=1");
        ExecutorService pool = Executors.newFixedThreadPool(writers);
        List<Future<?>> running = new ArrayList<>();
        for (int writer = 0; writer < writers; writer++) {
            int own = writer;
            running.add(pool.submit(() -> {
                for (int round = 0; round < rounds; round++) {
                    var answer = new Browser(browser.id).fetch((own + round) % 2 == 0 ? farm.a : farm.b, "/count?name=w" + own);
                    assertEquals(200, answer.statusCode());
                }
                return null;
            }));
        }
        for (Future<?> one : running) {
            one.get();
        }
        pool.shutdown();
        for (int writer = 0; writer < writers; writer++) {
            assertEquals(Integer.toString(rounds), read(farm.a, browser, "w" + writer));
            assertEquals(Integer.toString(rounds), read(farm.b, browser, "w" + writer));
        }
    }

    @Test
    void oneAttributeOfALargeSessionIsASmallCommit() throws Exception {
        farm.page("/large", (request, response) -> request.getSession().setAttribute("large", new byte[100 * 1024]));
        Browser browser = new Browser();
        browser.get(farm.a, "/large");
        for (Farm.Server server : List.of(farm.b, farm.a)) {
            browser.get(server, "/read?name=large");
            long before = server.manager.getCommitBytes();
            browser.get(server, "/set?name=small&value=" + server.port());
            long bytes = server.manager.getCommitBytes() - before;
            assertTrue(bytes > 0 && bytes < 1024, bytes + " bytes");
        }
    }

    @Test
    void aReadOfAnUnchangedSessionMovesNoState() throws Exception {
        Browser browser = new Browser();
        browser.get(farm.a, "/set?name=start&value=1");
        read(farm.a, browser, "start");
        long before = farm.a.manager.getUnchangedLoads();
        read(farm.a, browser, "start");
        assertTrue(farm.a.manager.getUnchangedLoads() > before);
    }
}
