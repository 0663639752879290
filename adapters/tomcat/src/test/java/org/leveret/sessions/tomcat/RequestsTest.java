package org.leveret.sessions.tomcat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.InputStream;
import java.lang.management.ManagementFactory;
import java.util.List;
import java.util.concurrent.CountDownLatch;

import javax.management.MBeanServer;
import javax.management.ObjectName;

import jakarta.servlet.ServletContextEvent;
import jakarta.servlet.ServletContextListener;
import jakarta.servlet.http.HttpSession;
import jakarta.servlet.http.HttpSessionEvent;
import jakarta.servlet.http.HttpSessionListener;

import jakarta.websocket.DeploymentException;
import jakarta.websocket.Endpoint;
import jakarta.websocket.EndpointConfig;
import jakarta.websocket.HandshakeResponse;
import jakarta.websocket.Session;
import jakarta.websocket.server.HandshakeRequest;
import jakarta.websocket.server.ServerContainer;
import jakarta.websocket.server.ServerEndpointConfig;

import org.apache.catalina.realm.GenericPrincipal;
import org.apache.catalina.realm.RealmBase;
import org.apache.tomcat.util.descriptor.web.ErrorPage;
import org.apache.tomcat.util.descriptor.web.LoginConfig;
import org.apache.tomcat.util.descriptor.web.SecurityCollection;
import org.apache.tomcat.util.descriptor.web.SecurityConstraint;
import org.apache.tomcat.websocket.server.WsSci;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.leveret.sessions.tomcat.Farm.Browser;

/** Each kind of request that Tomcat knows, and the life of a context. */
class RequestsTest {
    private static final List<String> EVENTS = new java.util.concurrent.CopyOnWriteArrayList<>();
    private static Farm farm;

    @BeforeAll
    static void start() throws Exception {
        LeveretNode first = LeveretNode.start(null);
        farm = new Farm(List.of(first, LeveretNode.start(first)), (context, manager) -> {
            ErrorPage page = new ErrorPage();
            page.setErrorCode(404);
            page.setLocation("/error-page");
            context.addErrorPage(page);
            context.addServletContainerInitializer(new WsSci(), null);
            context.addApplicationListener(Sockets.class.getName());
            context.setRealm(new OneUser());
            context.setLoginConfig(new LoginConfig("FORM", null, "/login-page", "/login-failed"));
            context.addSecurityRole("staff");
            SecurityConstraint constraint = new SecurityConstraint();
            constraint.addAuthRole("staff");
            SecurityCollection collection = new SecurityCollection();
            collection.addPatternDecoded("/private/*");
            constraint.addCollection(collection);
            context.addConstraint(constraint);
            if (context.getAuthenticator() == null) {
                context.getPipeline().addValve(new org.apache.catalina.authenticator.FormAuthenticator());
            }
            ((org.apache.catalina.core.StandardContext) context).addApplicationLifecycleListener(new HttpSessionListener() {
                @Override
                public void sessionCreated(HttpSessionEvent event) {
                    event.getSession().setAttribute("by-listener", "yes");
                }

                @Override
                public void sessionDestroyed(HttpSessionEvent event) {
                    EVENTS.add("destroyed " + event.getSession().getAttribute("name"));
                }
            });
        });
    }

    /** Adds the endpoint; its handshake changes the session. */
    public static final class Sockets implements ServletContextListener {
        @Override
        public void contextInitialized(ServletContextEvent event) {
            var container = (ServerContainer) event.getServletContext().getAttribute(ServerContainer.class.getName());
            var configurator = new ServerEndpointConfig.Configurator() {
                @Override
                public void modifyHandshake(ServerEndpointConfig config, HandshakeRequest request, HandshakeResponse response) {
                    ((HttpSession) request.getHttpSession()).setAttribute("socket", "upgraded");
                }
            };
            try {
                container.addEndpoint(ServerEndpointConfig.Builder.create(Echo.class, "/socket").configurator(configurator).build());
            } catch (DeploymentException e) {
                throw new IllegalStateException(e);
            }
        }
    }

    @Test
    void principalsOfTomcatsRealmsTravel() throws Exception {
        var users = new org.apache.catalina.users.MemoryUserDatabase();
        var user = users.createUser("hare", "clover", "Hare");
        user.addRole(users.createRole("staff", "staff"));
        var allowed = new AllowedClasses(null, getClass().getClassLoader());
        var values = new Values(allowed);
        for (java.security.Principal one : List.of(new org.apache.catalina.realm.UserDatabaseRealm.UserDatabasePrincipal(user, users),
                new GenericPrincipal("hare", List.of("staff")))) {
            Reserved.Login login = Reserved.Login.read(values, new Reserved.Login("BASIC", one).write(values, allowed));
            assertEquals("hare", login.principal().getName());
            assertEquals(List.of("staff"), List.of(((GenericPrincipal) login.principal()).getRoles()));
        }
        assertEquals(null, new Reserved.Login("X", () -> "other").write(values, allowed));
    }

    private static final class OneUser extends RealmBase {
        @Override
        public java.security.Principal authenticate(String name, String password) {
            return "hare".equals(name) && "clover".equals(password) ? getPrincipal(name) : null;
        }

        @Override
        protected String getPassword(String name) {
            return "clover";
        }

        @Override
        protected java.security.Principal getPrincipal(String name) {
            return new GenericPrincipal(name, List.of("staff"));
        }
    }

    @AfterAll
    static void stop() throws Exception {
        farm.close();
        farm.nodes.forEach(LeveretNode::close);
    }

    private static String read(Farm.Server server, Browser browser, String name) throws Exception {
        return browser.get(server, "/read?name=" + name);
    }

    @Test
    void forwardsIncludesAndErrorPagesBelongToTheirRequest() throws Exception {
        farm.page("/forward", (request, response) -> {
            request.getSession().setAttribute("before", "1");
            request.getRequestDispatcher("/set?name=forwarded&value=1").forward(request, response);
        });
        farm.page("/include", (request, response) -> request.getRequestDispatcher("/set?name=included&value=1").include(request, response));
        farm.page("/fail", (request, response) -> {
            request.getSession().setAttribute("failed", "1");
            response.sendError(404);
        });
        farm.page("/throw", (request, response) -> {
            request.getSession().setAttribute("thrown", "1");
            throw new IllegalArgumentException("on purpose");
        });
        farm.page("/error-page", (request, response) -> {
            request.getSession().setAttribute("page", "1");
            response.getWriter().print("sorry");
        });
        Browser browser = new Browser();
        browser.get(farm.a, "/forward");
        browser.get(farm.b, "/include");
        assertEquals(404, browser.fetch(farm.a, "/fail").statusCode());
        assertEquals(500, browser.fetch(farm.b, "/throw").statusCode());
        for (String name : List.of("before", "forwarded", "included", "failed", "thrown", "page")) {
            assertEquals("1", read(farm.a, browser, name), name);
            assertEquals("1", read(farm.b, browser, name), name);
        }
        assertEquals("yes", read(farm.b, browser, "by-listener"));
        Browser fresh = new Browser();
        assertEquals("sorry", fresh.get(farm.a, "/no-such-page"));
        assertEquals("1", read(farm.b, fresh, "page"), "a session that an error page began");
    }

    @Test
    void theFirstByteOfAStreamComesAfterItsCommit() throws Exception {
        CountDownLatch go = new CountDownLatch(1);
        farm.page("/stream", (request, response) -> {
            request.getSession().setAttribute("stream", "first");
            byte[] block = new byte[64 * 1024];
            response.getOutputStream().write(block);
            go.await();
            request.getSession().setAttribute("late", "yes");
            for (int i = 1; i < 16; i++) {
                response.getOutputStream().write(block);
            }
        });
        Browser browser = new Browser();
        InputStream body = browser.stream(farm.a, "/stream").body();
        assertEquals(0, body.read());
        // the servlet is still under way
        assertEquals("first", read(farm.b, browser, "stream"));
        assertEquals("null", read(farm.b, browser, "late"));
        go.countDown();
        assertEquals(1024 * 1024 - 1, body.readAllBytes().length);
        assertEquals("yes", read(farm.b, browser, "late"));
    }

    @Test
    void aKnownLengthDoesNotOvertakeTheCommit() throws Exception {
        farm.page("/length", (request, response) -> {
            request.getSession().setAttribute("n", request.getParameter("n"));
            response.setContentLength(5);
            response.getOutputStream().write("whole".getBytes());
            response.flushBuffer();
        });
        Browser browser = new Browser();
        for (int i = 0; i < 50; i++) {
            assertEquals("whole", browser.get(farm.a, "/length?n=" + i));
            assertEquals(Integer.toString(i), read(farm.b, browser, "n"));
        }
    }

    @Test
    void asynchronousRequestsCommitBeforeTheirFirstByte() throws Exception {
        farm.page("/async", (request, response) -> {
            var session = request.getSession();
            session.setAttribute("on-thread", "1");
            var async = request.startAsync();
            new Thread(() -> {
                session.setAttribute("off-thread", "2");
                try {
                    async.getResponse().getWriter().print("async");
                } catch (java.io.IOException e) {
                    throw new java.io.UncheckedIOException(e);
                }
                async.complete();
            }).start();
        });
        farm.page("/async-lookup", (request, response) -> {
            var async = request.startAsync();
            new Thread(() -> {
                ((jakarta.servlet.http.HttpServletRequest) async.getRequest()).getSession().setAttribute("looked-up", "3");
                async.dispatch("/set?name=dispatched&value=4");
            }).start();
        });
        Browser browser = new Browser();
        assertEquals("async", browser.get(farm.a, "/async"));
        assertEquals("1", read(farm.b, browser, "on-thread"));
        assertEquals("2", read(farm.b, browser, "off-thread"));
        assertEquals("set", browser.get(farm.b, "/async-lookup"));
        assertEquals("3", read(farm.a, browser, "looked-up"));
        assertEquals("4", read(farm.a, browser, "dispatched"));
    }

    /** Sets what it is sent, once the handshake has been answered. */
    public static final class Echo extends Endpoint {
        @Override
        public void onOpen(Session session, EndpointConfig config) {
            session.addMessageHandler(String.class, message -> session.getAsyncRemote().sendText("heard " + message));
        }
    }

    @Test
    void aWebSocketUpgradeCommitsItsSessionFirst() throws Exception {
        Browser browser = new Browser();
        browser.get(farm.a, "/set?name=start&value=1");
        var heard = new java.util.concurrent.CompletableFuture<String>();
        var socket = java.net.http.HttpClient.newHttpClient().newWebSocketBuilder().header("Cookie", "JSESSIONID=" + browser.id)
                .buildAsync(java.net.URI.create("ws://127.0.0.1:" + farm.a.port() + "/shop/socket"), new java.net.http.WebSocket.Listener() {
                    @Override
                    public java.util.concurrent.CompletionStage<?> onText(java.net.http.WebSocket from, CharSequence text, boolean last) {
                        heard.complete(text.toString());
                        return null;
                    }
                }).join();
        // the handshake is answered, and what it set is on the other Tomcat
        assertEquals("upgraded", read(farm.b, browser, "socket"));
        socket.sendText("hello", true);
        assertEquals("heard hello", heard.join());
        socket.abort();
    }

    @Test
    void aLoginByFormGoesOnOnTheOtherTomcat() throws Exception {
        farm.page("/login-page", (request, response) -> response.getWriter().print("who are you?"));
        farm.page("/private/page", (request, response) -> response.getWriter()
                .print(request.getRemoteUser() + " " + request.isUserInRole("staff") + " " + request.getSession().getMaxInactiveInterval()));
        Browser browser = new Browser();
        assertEquals("who are you?", browser.get(farm.a, "/private/page"));
        String before = browser.id;
        var answer = browser.post(farm.b, "/private/j_security_check", "j_username=hare&j_password=clover");
        assertEquals(303, answer.statusCode());
        assertNotEquals(before, browser.id);
        assertEquals("hare true 1800", browser.get(farm.a, "/private/page"), "the saved request");
        assertEquals("hare true 1800", browser.get(farm.b, "/private/page"));
        assertEquals("who are you?", new Browser(before).get(farm.a, "/private/page"));
        browser.get(farm.b, "/logout");
        assertEquals("who are you?", browser.get(farm.a, "/private/page"));
    }

    @Test
    void listenersHearOfAnEndWhereItIsMade() throws Exception {
        Browser browser = new Browser();
        browser.get(farm.a, "/set?name=name&value=listener-test");
        read(farm.b, browser, "name");
        browser.get(farm.b, "/logout");
        assertEquals("none", read(farm.a, browser, "name"));
        assertEquals(1, EVENTS.stream().filter("destroyed listener-test"::equals).count());
    }

    @Test
    void aListenerHearsOfSessionsThatExpireInTheCluster() throws Exception {
        List<String> expired = new java.util.ArrayList<>();
        java.util.concurrent.CountDownLatch told = new CountDownLatch(2);
        byte[] name = new Values(new AllowedClasses(null, null)).write("gone");
        String times = new String(new Reserved.Times(5, 60).write(), java.nio.charset.StandardCharsets.ISO_8859_1);
        String map = "%2\r\n$2\r\n\u0001t\r\n$" + times.length() + "\r\n" + times + "\r\n$4\r\nname\r\n$" + name.length + "\r\n"
                + new String(name, java.nio.charset.StandardCharsets.ISO_8859_1) + "\r\n";
        // another application's session is none of ours, nor is a string
        String pushes = ">3\r\n$7\r\nexpired\r\n$1\r\nx\r\n" + map + ">3\r\n$7\r\nexpired\r\n$6\r\np:/a:1\r\n$1\r\n1\r\n"
                + (">3\r\n$7\r\nexpired\r\n$7\r\np:/a:id\r\n" + map).repeat(2);
        try (var node = new ScriptedNode(words -> words.get(0).equals("HELLO") ? "%1\r\n$5\r\nproto\r\n:3\r\n" : "+OK\r\n" + pushes)) {
            var listener = new ExpiredSessions(new Nodes(List.of(node.node()), 1_000), "p:/a:", (id, values) -> {
                expired.add(id + values.keySet());
                told.countDown();
            }, org.apache.juli.logging.LogFactory.getLog(getClass()));
            listener.start();
            told.await();
            listener.close();
            assertEquals(List.of("id[\u0001t, name]", "id[\u0001t, name]"), expired);
            assertEquals(List.of("SESSION.ATTACH", "p:/a:*"), node.commands.get(1));
        }
        farm.a.manager.tellExpired("0123", java.util.Map.of(Reserved.TIMES, new Reserved.Times(5, 60).write(), "name", name));
        assertEquals(1, EVENTS.stream().filter("destroyed gone"::equals).count());
    }

    @Test
    void aRestartOfAContextEndsNoSession() throws Exception {
        Browser browser = new Browser();
        browser.get(farm.a, "/set?name=start&value=1");
        farm.a.restartContext();
        assertEquals("1", read(farm.a, browser, "start"));
        browser.get(farm.a, "/set?name=start&value=2");
        assertEquals("2", read(farm.b, browser, "start"));
        long valves = java.util.Arrays.stream(farm.a.context.getPipeline().getValves()).filter(valve -> valve instanceof LeveretValve).count();
        assertEquals(1, valves);
    }

    @Test
    void aStopWaitsForTheCommitOfARequestUnderWay() throws Exception {
        CountDownLatch under = new CountDownLatch(1);
        CountDownLatch go = new CountDownLatch(1);
        farm.page("/slow-stop", (request, response) -> {
            request.getSession().setAttribute("slow", "kept");
            under.countDown();
            go.await();
        });
        Browser browser = new Browser();
        browser.get(farm.b, "/set?name=start&value=1");
        var running = browser.begin(farm.b, "/slow-stop");
        under.await();
        Thread stop = new Thread(() -> {
            try {
                farm.b.context.stop();
            } catch (org.apache.catalina.LifecycleException e) {
                throw new IllegalStateException(e);
            }
        });
        stop.start();
        while (farm.b.context.getState().isAvailable()) {
            Thread.onSpinWait();
        }
        go.countDown();
        running.join();
        stop.join();
        assertEquals("kept", read(farm.a, browser, "slow"));
        farm.b.context.start();
        assertEquals("kept", read(farm.b, browser, "slow"));
    }

    @Test
    void aCopyThatIsNotUsedGoesAndTheSessionStays() throws Exception {
        Browser browser = new Browser();
        browser.get(farm.a, "/set?name=start&value=1");
        LeveretSession session = (LeveretSession) farm.a.manager.findSession(browser.id);
        assertTrue(session.copy().isSpare(0));
        session.setNote("org.apache.catalina.authenticator.SESSION_ID", "not committed");
        assertFalse(session.copy().isSpare(0));
        assertTrue(session.copy().isSpare(Long.MAX_VALUE), "it has expired long ago");
        farm.a.manager.forget(session);
        assertFalse(List.of(farm.a.manager.findSessions()).contains(session));
        assertEquals("1", read(farm.a, browser, "start"));
    }

    @Test
    void figuresAreInJmx() throws Exception {
        new Browser().get(farm.a, "/set?name=start&value=1");
        MBeanServer beans = ManagementFactory.getPlatformMBeanServer();
        ObjectName name = farm.a.manager.getObjectName();
        assertTrue((Long) beans.getAttribute(name, "commits") > 0);
        assertTrue(beans.getAttribute(name, "connectedNodes").toString().contains("127.0.0.1:"));
        for (String figure : List.of("loads", "unchangedLoads", "missing", "commitBytes", "conflicts", "lateWritesDropped", "failedRequests",
                "refusedValues", "secondAsked")) {
            assertTrue((Long) beans.getAttribute(name, figure) >= 0, figure);
        }
    }
}
