package leveret;

import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpSession;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.context.event.ApplicationReadyEvent;
import org.springframework.context.event.EventListener;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;

/** The application of the checks, for Spring Session's hash repository: see run for its routes. */
@SpringBootApplication
@RestController
public class Application {
    public static void main(String[] arguments) {
        SpringApplication.run(Application.class, arguments);
    }

    @EventListener
    void onReady(ApplicationReadyEvent event) {
        System.out.println("listening " + event.getApplicationContext().getEnvironment().getProperty("local.server.port"));
    }

    private static Map<String, Object> shown(HttpSession session) {
        Map<String, Object> shown = new LinkedHashMap<>();
        Object count = session == null ? null : session.getAttribute("count");
        shown.put("user", session == null ? null : session.getAttribute("user"));
        shown.put("note", session == null ? null : session.getAttribute("note"));
        shown.put("count", count == null ? 0 : count);
        shown.put("id", session == null ? null : session.getId());
        return shown;
    }

    private static HttpSession addOne(HttpServletRequest request) {
        HttpSession session = request.getSession();
        Integer count = (Integer) session.getAttribute("count");
        session.setAttribute("count", count == null ? 1 : count + 1);
        return session;
    }

    @GetMapping("/show")
    Map<String, Object> show(HttpServletRequest request) {
        return shown(request.getSession(false));
    }

    @GetMapping("/add")
    Map<String, Object> add(HttpServletRequest request) {
        return shown(addOne(request));
    }

    @GetMapping("/note")
    Map<String, Object> note(HttpServletRequest request, @RequestParam("text") String text) {
        request.getSession().setAttribute("note", text);
        return shown(request.getSession());
    }

    @GetMapping("/login")
    Map<String, Object> login(HttpServletRequest request, @RequestParam("user") String user) {
        request.getSession();
        request.changeSessionId();
        request.getSession().setAttribute("user", user);
        return shown(request.getSession());
    }

    @GetMapping("/logout")
    Map<String, Object> logout(HttpServletRequest request) {
        request.getSession().invalidate();
        return shown(null);
    }

    @GetMapping("/slow")
    Map<String, Object> slow(HttpServletRequest request, @RequestParam("begun") Path begun, @RequestParam("go") Path go)
            throws IOException, InterruptedException {
        HttpSession session = addOne(request);
        Files.writeString(begun, "");
        while (!Files.exists(go)) {
            Thread.sleep(10);
        }
        return shown(session);
    }
}
