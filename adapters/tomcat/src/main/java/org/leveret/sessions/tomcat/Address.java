package org.leveret.sessions.tomcat;

import java.net.URI;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** A node as the configuration names it: {@code host}, {@code host:port}, {@code [v6]:port}. */
record Address(String host, int port) {
    private static final int PORT = 6379;

    static List<Address> parseList(String text) {
        List<Address> list = new ArrayList<>();
        for (String one : text.split("[,\\s]+")) {
            if (!one.isEmpty()) {
                list.add(parse(one));
            }
        }
        return list;
    }

    static Address parse(String text) {
        try {
            URI uri = URI.create("redis://" + text);
            if (uri.getHost() != null && uri.getUserInfo() == null && uri.getPath().isEmpty()) {
                String host = uri.getHost().replaceAll("^\\[|]$", "");
                return new Address(host, uri.getPort() < 0 ? PORT : uri.getPort());
            }
        } catch (IllegalArgumentException e) {
            // said below, in words of ours
        }
        throw new IllegalArgumentException("\"" + text + "\" is no host:port");
    }

    /** {@code redis://[[user]:password@]host:port[,host:port...][/database]}. */
    record Url(List<Address> nodes, String user, String password, int database) {
        static Url parse(String url) {
            if (!url.startsWith("redis://")) {
                throw new IllegalArgumentException("the url of sessions begins with redis://");
            }
            String rest = url.substring("redis://".length());
            int slash = rest.indexOf('/', rest.lastIndexOf('@') + 1);
            String database = slash < 0 ? "" : rest.substring(slash + 1);
            rest = slash < 0 ? rest : rest.substring(0, slash);
            int at = rest.lastIndexOf('@');
            String[] login = at < 0 ? new String[0] : rest.substring(0, at).split(":", 2);
            String user = login.length == 0 || login[0].isEmpty() ? null : decode(login[0]);
            String password = login.length < 2 ? null : decode(login[1]);
            try {
                int number = database.isEmpty() ? 0 : Integer.parseInt(database);
                return new Url(parseList(rest.substring(at + 1)), user, password, number);
            } catch (NumberFormatException e) {
                // the url itself is not said: a password may be in it
                throw new IllegalArgumentException("the url of sessions ends with a database that is no number");
            }
        }

        private static String decode(String text) {
            return URLDecoder.decode(text.replace("+", "%2B"), StandardCharsets.UTF_8);
        }
    }
}
