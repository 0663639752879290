package org.leveret.door.tomcat;

import java.io.BufferedReader;
import java.io.IOException;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

/** Real brokers and doors on loopback, which end with the test. */
final class Processes implements AutoCloseable {
    private static final long PATIENCE_S = 30;
    private static final Path BINARY = Path.of(System.getProperty("leveret.binary", "leveret"));

    /** One process: its first lines say where it listens. */
    static final class Started {
        final Process process;
        private final BlockingQueue<String> lines = new LinkedBlockingQueue<>();

        private Started(Process process) {
            this.process = process;
            Thread reader = new Thread(() -> {
                try (BufferedReader output = process.inputReader(StandardCharsets.UTF_8)) {
                    output.lines().forEach(lines::add);
                } catch (IOException | java.io.UncheckedIOException ended) {
                    lines.add("ended");
                }
            });
            reader.setDaemon(true);
            reader.start();
        }

        /** What follows these words in a line of its output. */
        String lineAfter(String words) throws InterruptedException {
            for (String line = lines.poll(PATIENCE_S, TimeUnit.SECONDS); line != null;
                    line = lines.poll(PATIENCE_S, TimeUnit.SECONDS)) {
                if (line.startsWith(words)) {
                    return line.substring(words.length()).strip();
                }
            }
            throw new AssertionError("the process did not say: " + words);
        }

        void kill() throws InterruptedException {
            process.destroyForcibly().waitFor();
        }
    }

    /** A door, and where its two sides are. */
    record Door(Started process, String http, String admin) {
    }

    private final Path directory;
    private final List<Started> started = new ArrayList<>();

    Processes(Path directory) {
        this.directory = directory;
    }

    static boolean areThere() {
        return Files.isExecutable(BINARY);
    }

    /** A broker on a port of its own; gives its URL. */
    String node(int port) throws IOException, InterruptedException {
        Started node = start("serve", "--listen", "127.0.0.1:" + port, "--cluster-listen", "127.0.0.1:0", "--data-dir",
                directory.resolve("node-" + started.size()).toString());
        String address = node.lineAfter("listening for AMQP on ");
        return "amqp://" + address;
    }

    Door door(String... more) throws IOException, InterruptedException {
        List<String> words = new ArrayList<>(List.of("door", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
                "--name", "door-" + started.size()));
        words.addAll(Arrays.asList(more));
        Started door = start(words.toArray(String[]::new));
        String http = door.lineAfter("listening for HTTP on ");
        String admin = door.lineAfter("admin on ");
        return new Door(door, http, admin);
    }

    Started last() {
        return started.get(started.size() - 1);
    }

    Started start(String... words) throws IOException {
        List<String> command = new ArrayList<>(List.of(BINARY.toString()));
        command.addAll(Arrays.asList(words));
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().keySet().removeIf(name -> name.startsWith("LEVERET_"));
        Started one = new Started(builder.start());
        started.add(one);
        return one;
    }

    /** What `leveret door` commands print. */
    static String command(Door door, String... words) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(BINARY.toString(), "door"));
        command.addAll(Arrays.asList(words));
        command.addAll(List.of("--admin", door.admin()));
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        if (process.waitFor() != 0) {
            throw new AssertionError(String.join(" ", command) + ": " + output);
        }
        return output;
    }

    static int freePort() throws IOException {
        try (ServerSocket socket = new ServerSocket(0, 1, java.net.InetAddress.getLoopbackAddress())) {
            return socket.getLocalPort();
        }
    }

    /** Waits for another process to come to a state that only a question shows. */
    static void await(String what, BooleanSupplier holds) throws InterruptedException {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_S);
        while (!holds.getAsBoolean()) {
            if (System.nanoTime() - end > 0) {
                throw new AssertionError("did not happen: " + what);
            }
            Thread.sleep(10);
        }
    }

    @Override
    public void close() throws InterruptedException {
        for (Started each : started) {
            each.kill();
        }
    }
}
