package org.leveret.sessions.tomcat;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;

import jakarta.servlet.RequestDispatcher;
import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;

import org.apache.catalina.Context;
import org.apache.catalina.Lifecycle;
import org.apache.catalina.LifecycleException;
import org.apache.catalina.startup.Tomcat;
import org.apache.catalina.Wrapper;

/** Two Tomcats with one application, each with its own node first in its list. Browsers may use either. */
final class Farm implements AutoCloseable {
    /** What an application does at a path. */
    interface Page {
        void serve(HttpServletRequest request, HttpServletResponse response) throws Exception;
    }

    /** What a test changes in a context before it starts. */
    interface Setup {
        void apply(Context context, LeveretManager manager);
    }

    private final Map<String, Page> pages = new ConcurrentHashMap<>();
    final List<LeveretNode> nodes;
    final Server a;
    final Server b;

    Farm(List<LeveretNode> nodes, Setup setup) throws Exception {
        this.nodes = nodes;
        String first = nodes.get(0).sessions();
        String last = nodes.get(nodes.size() - 1).sessions();
        a = new Server(first + "," + last, setup);
        b = new Server(last + "," + first, setup);
        page("/read", (request, response) -> {
            var session = request.getSession(false);
            response.getWriter().print(session == null ? "none" : session.getAttribute(request.getParameter("name")));
        });
        page("/set", (request, response) -> {
            request.getSession().setAttribute(request.getParameter("name"), request.getParameter("value"));
            response.getWriter().print("set");
        });
        page("/logout", (request, response) -> request.getSession().invalidate());
        page("/rotate", (request, response) -> response.getWriter().print(request.changeSessionId()));
    }

    void page(String path, Page page) {
        pages.put(path, page);
    }

    @Override
    public void close() throws Exception {
        a.tomcat.stop();
        a.tomcat.destroy();
        b.tomcat.stop();
        b.tomcat.destroy();
    }

    final class Server {
        final Tomcat tomcat = new Tomcat();
        final Context context;
        final LeveretManager manager = new LeveretManager();

        Server(String nodes, Setup setup) throws Exception {
            tomcat.setBaseDir(Files.createTempDirectory(Path.of("target"), "leveret-tomcat-").toAbsolutePath().toString());
            tomcat.setPort(0);
            tomcat.setHostname("localhost");
            tomcat.getHost().setAppBase(".");
            context = tomcat.addContext("/shop", null);
            // the two ways to say who and where
            if (a == null) {
                manager.setNodes(nodes);
                manager.setUser("guest");
                manager.setPasswordFile(Files.writeString(Files.createTempFile(Path.of("target"), "leveret-tomcat-", ".password"), "guest\n").toString());
            } else {
                manager.setUrl("redis://guest:guest@" + nodes + "/0");
            }
            context.setManager(manager);
            context.addLifecycleListener(event -> {
                // a stop of the context forgets these
                if (event.getType().equals(Lifecycle.BEFORE_START_EVENT)) {
                    Wrapper wrapper = Tomcat.addServlet(context, "pages", new Pages());
                    wrapper.setAsyncSupported(true);
                    context.addServletMappingDecoded("/*", "pages");
                    setup.apply(context, manager);
                }
            });
            tomcat.getConnector();
            tomcat.start();
        }

        int port() {
            return tomcat.getConnector().getLocalPort();
        }

        void restartContext() throws LifecycleException {
            context.stop();
            context.start();
        }
    }

    private final class Pages extends HttpServlet {
        private static final long serialVersionUID = 1L;

        @Override
        protected void service(HttpServletRequest request, HttpServletResponse response) throws ServletException, IOException {
            Object included = request.getAttribute(RequestDispatcher.INCLUDE_PATH_INFO);
            Page page = pages.get(included == null ? request.getPathInfo() : included);
            if (page == null) {
                response.sendError(404);
                return;
            }
            try {
                page.serve(request, response);
            } catch (IOException | ServletException | RuntimeException e) {
                throw e;
            } catch (Exception e) {
                throw new ServletException(e);
            }
        }
    }

    /** Keeps the cookie, as a browser does, and may be copied. */
    static final class Browser {
        private static final HttpClient HTTP = HttpClient.newHttpClient();
        volatile String id;

        Browser() {
        }

        Browser(String id) {
            this.id = id;
        }

        HttpRequest request(Server server, String path) {
            HttpRequest.Builder builder = HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + server.port() + "/shop" + path));
            if (id != null) {
                builder.header("Cookie", "JSESSIONID=" + id);
            }
            return builder.build();
        }

        <T> HttpResponse<T> taken(HttpResponse<T> response) {
            for (String cookie : response.headers().allValues("Set-Cookie")) {
                if (cookie.startsWith("JSESSIONID=")) {
                    id = cookie.substring("JSESSIONID=".length()).split(";")[0];
                }
            }
            return response;
        }

        HttpResponse<String> fetch(Server server, String path) throws Exception {
            return taken(HTTP.send(request(server, path), HttpResponse.BodyHandlers.ofString()));
        }

        String get(Server server, String path) throws Exception {
            return fetch(server, path).body();
        }

        CompletableFuture<HttpResponse<String>> begin(Server server, String path) {
            return HTTP.sendAsync(request(server, path), HttpResponse.BodyHandlers.ofString());
        }

        HttpResponse<java.io.InputStream> stream(Server server, String path) throws Exception {
            return taken(HTTP.send(request(server, path), HttpResponse.BodyHandlers.ofInputStream()));
        }

        HttpResponse<String> post(Server server, String path, String form) throws Exception {
            HttpRequest request = HttpRequest.newBuilder(request(server, path), (name, value) -> true)
                    .header("Content-Type", "application/x-www-form-urlencoded").POST(HttpRequest.BodyPublishers.ofString(form)).build();
            return taken(HTTP.send(request, HttpResponse.BodyHandlers.ofString()));
        }
    }
}
