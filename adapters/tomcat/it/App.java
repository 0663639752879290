import jakarta.servlet.annotation.WebServlet;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import jakarta.servlet.http.HttpSession;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** The application of the checks: see run for its routes. */
@WebServlet(urlPatterns = "/*", asyncSupported = true)
public class App extends HttpServlet {
    private static final long serialVersionUID = 1L;

    @Override
    protected void service(HttpServletRequest request, HttpServletResponse response) throws IOException {
        switch (request.getPathInfo() == null ? "/" : request.getPathInfo()) {
            case "/show" -> show(request, response);
            case "/add" -> {
                add(request.getSession());
                show(request, response);
            }
            case "/set" -> {
                request.getSession().setAttribute(request.getParameter("name"), request.getParameter("value"));
                show(request, response);
            }
            case "/login" -> {
                request.getSession();
                request.changeSessionId();
                request.getSession().setAttribute("user", request.getParameter("user"));
                show(request, response);
            }
            case "/logout" -> {
                request.getSession().invalidate();
                response.getWriter().print("{\"user\": null, \"count\": 0, \"id\": null}");
            }
            case "/slow" -> {
                HttpSession session = request.getSession();
                add(session);
                session.setAttribute("a", request.getParameter("value"));
                Files.createFile(Path.of(request.getParameter("begun")));
                await(Path.of(request.getParameter("go")));
                response.getWriter().print("{}");
            }
            default -> response.sendError(404);
        }
    }

    private static void add(HttpSession session) {
        Integer count = (Integer) session.getAttribute("count");
        session.setAttribute("count", count == null ? 1 : count + 1);
    }

    private static void await(Path file) throws IOException {
        while (!Files.exists(file)) {
            try {
                Thread.sleep(5);
            } catch (InterruptedException e) {
                throw new IOException(e);
            }
        }
    }

    private static void show(HttpServletRequest request, HttpServletResponse response) throws IOException {
        HttpSession session = request.getSession(false);
        response.setContentType("application/json");
        response.getWriter().print("{\"user\": " + quoted(session, "user") + ", \"count\": " + (session == null || session.getAttribute("count") == null ? 0
                : session.getAttribute("count")) + ", \"a\": " + quoted(session, "a") + ", \"b\": " + quoted(session, "b") + ", \"id\": "
                + (session == null ? "null" : "\"" + session.getId() + "\"") + "}");
    }

    private static String quoted(HttpSession session, String name) {
        Object value = session == null ? null : session.getAttribute(name);
        return value == null ? "null" : "\"" + value + "\"";
    }
}
