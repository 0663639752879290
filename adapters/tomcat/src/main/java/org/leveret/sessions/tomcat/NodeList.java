package org.leveret.sessions.tomcat;

import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Follows the cluster as it grows and shrinks: asks it now and then who its nodes are ({@code SESSION.NODES}). The configured nodes
 * stay, in their order and in front, since somebody must be asked after all others are gone. Nodes that leave, and those that
 * the cluster does not reach, are asked last.
 */
final class NodeList {
    private static final int NODES_MAX = 256;

    private final Nodes nodes;
    private final List<Node> configured;
    private final Node.Login login;

    NodeList(Nodes nodes, Node.Login login) {
        this.nodes = nodes;
        this.configured = nodes.all();
        this.login = login;
    }

    /** Leaves the list as it is if nobody answers, or if the nodes are of a version that does not know the command. */
    void refresh() {
        List<?> rows;
        try {
            rows = (List<?>) nodes.read(SessionClient.bytes("SESSION.NODES"));
        } catch (RespError | SessionsUnavailableException | ClassCastException e) {
            return;
        }
        Map<InetSocketAddress, String> states = new LinkedHashMap<>();
        for (Object row : rows) {
            if (row instanceof List<?> parts && parts.size() >= 3 && states.size() < NODES_MAX) {
                try {
                    Address address = Address.parse(SessionClient.text(parts.get(1)));
                    states.put(new InetSocketAddress(address.host(), address.port()), SessionClient.text(parts.get(2)));
                } catch (IllegalArgumentException e) {
                    continue; // a node without a listener for sessions
                }
            }
        }
        List<Node> first = new ArrayList<>();
        List<Node> last = new ArrayList<>();
        for (Node node : nodes.all()) {
            String state = states.remove(node.resolved());
            if ("serving".equals(state) || state == null && configured.contains(node)) {
                first.add(node);
            } else if (state != null) {
                last.add(node);
            }
        }
        states.forEach((address, state) -> (state.equals("serving") ? first : last)
                .add(new Node(address.getHostString(), address.getPort(), login)));
        // configured ones in their order, as a node may have left and come back
        first.sort((one, other) -> Integer.compare(place(one), place(other)));
        first.addAll(last);
        nodes.replace(first);
    }

    private int place(Node node) {
        int at = configured.indexOf(node);
        return at < 0 ? Integer.MAX_VALUE : at;
    }
}
