package org.leveret.door.tomcat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.UnaryOperator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What the operator wrote into server.xml, checked. The words and defaults are those of {@code leveret run}.
 */
final class Settings {
    private static final Pattern TIME = Pattern.compile("([0-9]{1,9})(ms|s|m|h)");
    private static final String DEFAULT_BROKER = "amqp://127.0.0.1:5672";

    final List<Broker> brokers;
    final String service;
    /** {@code null}: from host name, port and process id. */
    final String instance;
    /** Services by path; empty: all contexts, by {@link Names#serviceOf}. */
    final Map<String, String> contexts;
    /** The Host of server.xml whose contexts are announced; {@code null}: the engine's default. */
    final String host;
    final List<String> claimedHosts;
    /** {@code null}: the first connector that speaks plain HTTP. */
    final Integer port;
    /** {@code null}: the connector's, or that of the link's own end. */
    final String address;
    /** {@code null}: the engine's jvmRoute. */
    final String route;
    final int weight;
    final int maxInflight;
    final Duration warmUp;
    final String health;
    final Instance.StopRules stopRules;

    /**
     * Reads attributes.
     *
     * @param given attributes of the Listener element
     * @param property system properties
     * @param environment variables
     */
    Settings(Map<String, String> given, UnaryOperator<String> property, UnaryOperator<String> environment) {
        brokers = brokers(given, property, environment);
        service = demandName("service", given.get("service"));
        instance = given.containsKey("instance") ? demandName("instance", given.get("instance")) : null;
        contexts = contexts(service, given.get("contexts"));
        host = given.get("host");
        claimedHosts = words(given.get("hosts"));
        demand(claimedHosts.size() <= Limits.CLAIMED_HOSTS_MAX, "hosts", "at most " + Limits.CLAIMED_HOSTS_MAX);
        demand(claimedHosts.stream().allMatch(Names::isHost), "hosts", "a.example.org or *.example.org, in lower case");
        port = given.containsKey("port") ? number(given, "port", 0, 1, 65_535) : null;
        address = given.get("address");
        demand(address == null || address.matches("[0-9.]+|[0-9a-fA-F:]*:[0-9a-fA-F:.]+"), "address",
                "a numeric address, such as 10.0.0.7 or fd00::7");
        route = given.get("route");
        demand(route == null || Names.isRoute(route), "route", "1 to 63 letters, digits, - or _");
        weight = number(given, "weight", 100, 1, Limits.WEIGHT_MAX);
        maxInflight = number(given, "maxInflight", 0, 0, Integer.MAX_VALUE);
        warmUp = time(given, "warmUp", "0s");
        health = given.get("health");
        demand(health == null || Names.isPath(health), "health", "a path");
        List<String> commanders = words(given.get("commanders"));
        stopRules = new Instance.StopRules(time(given, "drainSessions", "0s").toNanos(),
                time(given, "drain", "30s").toNanos(),
                commanders.isEmpty() ? brokers.stream().map(Broker::user).distinct().toList() : commanders);
    }

    /** The service under which a context is announced; empty: it is not. */
    Optional<String> serviceOf(String path) {
        if (!contexts.isEmpty()) {
            return Optional.ofNullable(contexts.get(path));
        }
        return Optional.of(Names.serviceOf(service, path)).filter(Names::isName);
    }

    /** Whether the operator named this context: then it is announced even if it filters addresses. */
    boolean isNamed(String path) {
        return contexts.containsKey(path);
    }

    private static List<Broker> brokers(Map<String, String> given, UnaryOperator<String> property,
            UnaryOperator<String> environment) {
        List<String> urls = words(given.get("amqp"));
        if (urls.isEmpty() && given.containsKey("amqpFile")) {
            urls = lines("amqpFile", given.get("amqpFile"));
        }
        if (urls.isEmpty()) {
            urls = words(property.apply("leveret.amqp"));
        }
        if (urls.isEmpty()) {
            urls = words(environment.apply("LEVERET_AMQP"));
        }
        String file = environment.apply("LEVERET_AMQP_FILE");
        if (urls.isEmpty() && file != null) {
            urls = lines("LEVERET_AMQP_FILE", file);
        }
        if (urls.isEmpty()) {
            urls = List.of(DEFAULT_BROKER);
        }
        demand(urls.size() <= Limits.BROKERS_MAX, "amqp", "at most " + Limits.BROKERS_MAX + " brokers");
        return urls.stream().map(Broker::parse).toList();
    }

    private static List<String> lines(String key, String file) {
        try {
            Path path = Path.of(file);
            demand(Files.size(path) <= Limits.AMQP_FILE_BYTES_MAX, key,
                    "a file of at most " + Limits.AMQP_FILE_BYTES_MAX + " bytes");
            List<String> urls = Files.readAllLines(path, StandardCharsets.UTF_8).stream().map(String::strip)
                    .filter(line -> !line.isEmpty() && !line.startsWith("#")).toList();
            demand(!urls.isEmpty(), key, "a file with broker URLs, one a line");
            return urls;
        } catch (IOException error) {
            throw new SettingsException(key + ": cannot be read: " + error);
        }
    }

    private static Map<String, String> contexts(String service, String text) {
        Map<String, String> contexts = new LinkedHashMap<>();
        Set<String> services = new HashSet<>();
        for (String word : words(text)) {
            int equals = word.indexOf('=');
            String path = equals < 0 ? word : word.substring(0, equals);
            demand(Names.isPath(path) && (path.equals("/") || !path.endsWith("/")), "contexts",
                    "paths such as /shop, or /shop=SERVICE");
            String name = demandName("contexts",
                    equals < 0 ? Names.serviceOf(service, path) : word.substring(equals + 1));
            demand(services.add(name), "contexts", "another service for each path; two have " + name);
            contexts.put(path, name);
        }
        demand(contexts.size() <= Limits.CONTEXTS_MAX, "contexts", "at most " + Limits.CONTEXTS_MAX);
        return contexts;
    }

    private static List<String> words(String text) {
        if (text == null) {
            return List.of();
        }
        return Arrays.stream(text.split("[,\\s]+")).filter(word -> !word.isEmpty()).toList();
    }

    private static int number(Map<String, String> given, String key, int usual, int least, int most) {
        String text = given.get(key);
        if (text == null) {
            return usual;
        }
        try {
            int number = Integer.parseInt(text.strip());
            demand(number >= least && number <= most, key, "a number from " + least + " to " + most);
            return number;
        } catch (NumberFormatException error) {
            throw new SettingsException(key + ": expected a number from " + least + " to " + most);
        }
    }

    private static Duration time(Map<String, String> given, String key, String usual) {
        Matcher matcher = TIME.matcher(given.getOrDefault(key, usual).strip());
        demand(matcher.matches(), key, "a time such as 500ms, 30s, 10m or 1h");
        long count = Long.parseLong(matcher.group(1));
        return switch (matcher.group(2)) {
            case "ms" -> Duration.ofMillis(count);
            case "s" -> Duration.ofSeconds(count);
            case "m" -> Duration.ofMinutes(count);
            default -> Duration.ofHours(count);
        };
    }

    private static String demandName(String key, String text) {
        demand(text != null && Names.isName(text), key, "a name of " + Names.expectedName());
        return text;
    }

    private static void demand(boolean holds, String key, String expected) {
        if (!holds) {
            throw new SettingsException(key + ": expected " + expected);
        }
    }
}
