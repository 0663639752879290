package org.leveret.sessions.tomcat;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A real node on free ports of loopback. The program is {@code LEVERET}, or the release of this tree. */
final class LeveretNode implements AutoCloseable {
    private static final Pattern LISTENS = Pattern.compile("listening for (\\w+) on (\\S+)");

    private final Process process;
    private final Map<String, String> ports = new HashMap<>();

    private LeveretNode(Process process) {
        this.process = process;
    }

    static LeveretNode start(LeveretNode seed) throws IOException {
        Path data = Files.createTempDirectory(Path.of("target"), "leveret-tomcat-");
        List<String> command = new ArrayList<>(List.of(program(), "serve", "--data-dir", data.toString()));
        for (String listener : List.of("--listen", "--cluster-listen", "--session-listen")) {
            command.addAll(List.of(listener, "127.0.0.1:0"));
        }
        if (seed != null) {
            command.addAll(List.of("--seed", seed.ports.get("cluster")));
        }
        ProcessBuilder builder = new ProcessBuilder(command).redirectError(data.resolve("log").toFile());
        builder.environment().keySet().removeIf(name -> name.startsWith("LEVERET_"));
        LeveretNode node = new LeveretNode(builder.start());
        Runtime.getRuntime().addShutdownHook(new Thread(node.process::destroyForcibly));
        BufferedReader lines = new BufferedReader(new InputStreamReader(node.process.getInputStream()));
        for (String line = lines.readLine(); !"ready".equals(line); line = lines.readLine()) {
            if (line == null) {
                throw new IOException("leveret ended: " + Files.readString(data.resolve("log")));
            }
            Matcher listens = LISTENS.matcher(line);
            if (listens.matches()) {
                node.ports.put(listens.group(1), listens.group(2));
            }
        }
        return node;
    }

    private static String program() throws IOException {
        String named = System.getenv("LEVERET");
        Path program = named == null ? Path.of("../../target/release/leveret") : Path.of(named);
        if (!Files.isExecutable(program)) {
            throw new IOException(program.toAbsolutePath() + " is not there: build it, or name the program in LEVERET");
        }
        return program.toString();
    }

    String sessions() {
        return ports.get("sessions");
    }

    /** As kill -9. */
    void kill() throws InterruptedException {
        process.destroyForcibly().waitFor();
    }

    @Override
    public void close() {
        process.destroyForcibly();
    }
}
