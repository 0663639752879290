package org.leveret.door.tomcat;

import java.net.InetAddress;
import java.net.URI;
import java.net.URISyntaxException;
import java.net.URLDecoder;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;

/**
 * A broker, or all brokers behind one name, from {@code amqp://user:password@host:port/vhost}; without a user
 * {@code guest} and {@code guest}, without a port 5672.
 */
record Broker(String host, int port, String user, String password, String vhost) {

    private static final int AMQP_PORT = 5672;

    static Broker parse(String url) {
        URI uri;
        try {
            uri = new URI(url);
        } catch (URISyntaxException error) {
            // Its message would show the URL, and the password with it.
            throw new SettingsException("a broker's URL is not amqp://HOST[:PORT][/VHOST]");
        }
        if ("amqps".equals(uri.getScheme())) {
            throw new SettingsException("amqps is not built in yet; use amqp over loopback or a tunnel");
        }
        if (!"amqp".equals(uri.getScheme()) || uri.getHost() == null) {
            throw new SettingsException("a broker's URL is not amqp://HOST[:PORT][/VHOST]");
        }
        String login = uri.getRawUserInfo() == null ? "guest:guest" : uri.getRawUserInfo();
        int colon = login.indexOf(':');
        String user = decode(colon < 0 ? login : login.substring(0, colon));
        String password = colon < 0 ? "guest" : decode(login.substring(colon + 1));
        String path = uri.getRawPath() == null ? "" : uri.getRawPath();
        String vhost = path.length() <= 1 ? "/" : decode(path.substring(1));
        int port = uri.getPort() < 0 ? AMQP_PORT : uri.getPort();
        return new Broker(uri.getHost().replaceAll("[\\[\\]]", ""), port, user, password, vhost);
    }

    private static String decode(String text) {
        // In a URL's user and path a plus is a plus.
        return URLDecoder.decode(text.replace("+", "%2B"), StandardCharsets.UTF_8);
    }

    /**
     * Every address that the name has now. One that cannot be looked up is no reason to end: it may have one
     * later.
     */
    List<InetAddress> addresses() throws UnknownHostException {
        return Arrays.stream(InetAddress.getAllByName(host)).limit(Limits.BROKERS_MAX).toList();
    }

    /** Without the password. */
    @Override
    public String toString() {
        return host + ":" + port;
    }
}
