package org.leveret.door.tomcat;

import java.util.Locale;
import java.util.regex.Pattern;

/**
 * Names of services and instances: DNS labels in lower case, so that they fit into routing keys and host
 * names.
 */
final class Names {
    /** Bytes of a name (a DNS label, RFC 1035 §2.3.4). */
    private static final int NAME_BYTES_MAX = 63;
    private static final Pattern NAME = Pattern.compile("[a-z0-9-]{1,63}");
    private static final Pattern ROUTE = Pattern.compile("[A-Za-z0-9_-]{1,63}");
    private static final Pattern HOST = Pattern.compile("(\\*\\.)?[a-z0-9_.:\\[\\]-]+");

    private Names() {
    }

    static boolean isName(String text) {
        return NAME.matcher(text).matches();
    }

    static boolean isRoute(String text) {
        return ROUTE.matcher(text).matches();
    }

    /** An exact host in lower case, or {@code *.} and a domain. */
    static boolean isHost(String text) {
        return text.length() <= Limits.CLAIM_BYTES_MAX && HOST.matcher(text).matches();
    }

    static boolean isPath(String text) {
        return text.startsWith("/") && text.length() <= Limits.CLAIM_BYTES_MAX
                && text.chars().allMatch(c -> c > ' ' && c < 0x7f);
    }

    /**
     * The service of a path: doors choose among all instances of a service, so contexts that come and go one
     * by one need services of their own. {@code /} belongs to {@code base} itself, {@code /a/b} to {@code
     * base-a-b}.
     *
     * @return a text that is a name unless it is too long
     */
    static String serviceOf(String base, String path) {
        return path.equals("/") ? base : base + "-" + dashed(path.substring(1));
    }

    /** Host name, port and process id, as {@code leveret run} names its instances. */
    static String defaultInstance(String host, int port, long pid) {
        String label = host.isEmpty() ? "host" : dashed(host);
        return label.substring(0, Math.min(label.length(), 40)) + "-" + port + "-" + pid;
    }

    /** Says what is expected where {@link #isName} does not hold. */
    static String expectedName() {
        return "1 to " + NAME_BYTES_MAX + " of a-z, 0-9 and -";
    }

    private static String dashed(String text) {
        return text.toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9]", "-");
    }
}
