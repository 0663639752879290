package org.leveret.door.tomcat;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicLong;

/** Clients that send GET and POST in turn, each request with a number, until they are stopped. */
final class Clients implements AutoCloseable {
    private static final int CLIENTS = 4;
    /** Of all clients together: a number stands for one request. */
    private static final AtomicLong NUMBERS = new AtomicLong();
    private final HttpClient http = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private final URI uri;
    private final List<Thread> threads = new ArrayList<>();
    final Queue<String> failures = new ConcurrentLinkedQueue<>();
    final AtomicLong answered = new AtomicLong();
    /** Names of the Tomcats that answered. */
    final Set<String> answerers = ConcurrentHashMap.newKeySet();
    private volatile boolean stopped;

    Clients(String authority, String path) {
        uri = URI.create("http://" + authority + path);
        for (int client = 0; client < CLIENTS; client++) {
            Thread thread = new Thread(this::send);
            threads.add(thread);
            thread.start();
        }
    }

    private void send() {
        while (!stopped) {
            long number = NUMBERS.incrementAndGet();
            HttpRequest.Builder request = HttpRequest.newBuilder(uri).timeout(Duration.ofSeconds(30))
                    .header("X-Number", Long.toString(number));
            String body = "x".repeat((int) (number % 2_000));
            request = number % 2 == 0 ? request.GET() : request.POST(HttpRequest.BodyPublishers.ofString(body));
            try {
                HttpResponse<String> response = http.send(request.build(), HttpResponse.BodyHandlers.ofString());
                if (response.statusCode() == 200) {
                    answered.incrementAndGet();
                    answerers.add(response.body());
                } else {
                    failures.add(number + ": " + response.statusCode() + " " + response.body());
                }
            } catch (IOException error) {
                failures.add(number + ": " + error);
            } catch (InterruptedException interrupted) {
                return;
            }
        }
    }

    /** Until so many more requests have been answered. */
    void awaitMore(int requests) throws InterruptedException {
        long wanted = answered.get() + requests;
        Processes.await(requests + " more answers; failed so far: " + failures, () -> answered.get() >= wanted);
    }

    /** Until this Tomcat has answered. */
    void awaitAnswerOf(String name) throws InterruptedException {
        answerers.remove(name);
        Processes.await("an answer of " + name + "; failed so far: " + failures, () -> answerers.contains(name));
    }

    @Override
    public void close() throws InterruptedException {
        stopped = true;
        for (Thread thread : threads) {
            thread.join();
        }
    }
}
