package org.leveret.sessions.tomcat;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;

import org.junit.jupiter.api.Test;

/** Nodes that are slow, silent, gone, or speak nonsense. */
class NodesTest {
    private static final byte[] PING = "PING".getBytes();

    @Test
    void aLoadThatIsNotAnsweredSoonGoesToTheSecondNodeToo() throws Exception {
        try (var silent = new ScriptedNode(words -> null); var well = new ScriptedNode(words -> "+well\r\n")) {
            Nodes nodes = new Nodes(List.of(silent.node(), well.node()), 4_000);
            assertArrayEquals("well".getBytes(), (byte[]) nodes.read(PING));
            assertEquals(1, nodes.secondAsked.sum());
            assertEquals(List.of("PING"), silent.commands.get(0));
            nodes.close();
        }
    }

    @Test
    void aChangeWhoseConnectionBreaksIsRepeatedUnderItsId() throws Exception {
        try (var dying = new ScriptedNode(words -> ""); var well = new ScriptedNode(words -> "*2\r\n$5\r\ntoken\r\n*0\r\n")) {
            SessionClient client = new SessionClient(new Nodes(List.of(dying.node(), well.node()), 4_000));
            var order = new SessionClient.Order(new byte[0], true, 1_000, null, Map.of("a", new byte[] {'1'}), List.of());
            assertEquals(SessionClient.Outcome.APPLIED, client.commit("key".getBytes(), order).outcome());
            assertEquals(dying.commands.get(0), well.commands.get(0));
            assertEquals("SESSION.COMMIT", well.commands.get(0).get(0));
        }
    }

    @Test
    void tryAgainIsAskedAgainAndOtherErrorsAreSaid() throws Exception {
        AtomicInteger asked = new AtomicInteger();
        try (var node = new ScriptedNode(words -> switch (asked.incrementAndGet()) {
            case 1, 2 -> "-TRYAGAIN later\r\n";
            case 3 -> ":7\r\n";
            default -> "-NOPERM no\r\n";
        })) {
            Nodes nodes = new Nodes(List.of(node.node()), 4_000);
            assertEquals(7L, nodes.change(PING));
            assertTrue(assertThrows(RespError.class, () -> nodes.change(PING)).is("NOPERM"));
        }
    }

    @Test
    void nonsenseIsNoAnswer() throws Exception {
        for (String nonsense : List.of("?\r\n", "$99999999999\r\n", "*-7\r\n", ":x\r\n", "$3\r\nabcXX", "*1\r\n".repeat(20), "*1\r\n-ERR inside\r\n", "+no end\r+")) {
            try (var node = new ScriptedNode(words -> nonsense)) {
                try (RespConnection connection = new RespConnection(node.node().resolved(), 1_000)) {
                    connection.send(PING);
                    assertThrows(IOException.class, () -> connection.answer(200), nonsense);
                    assertTrue(connection.isBroken(), nonsense);
                }
            }
        }
    }

    @Test
    void noNodeAtAllIsSaid() throws Exception {
        ScriptedNode gone = new ScriptedNode(words -> null);
        gone.close();
        Nodes nodes = new Nodes(List.of(gone.node()), 4_000);
        assertThrows(SessionsUnavailableException.class, () -> nodes.read(PING));
    }

    @Test
    void theListFollowsTheClusterAndKeepsConfiguredNodesInFront() throws Exception {
        StringBuilder rows = new StringBuilder();
        try (var one = new ScriptedNode(words -> rows.toString()); var two = new ScriptedNode(words -> null); var three = new ScriptedNode(words -> null)) {
            Nodes nodes = new Nodes(List.of(one.node(), two.node()), 4_000);
            NodeList list = new NodeList(nodes, new Node.Login(null, null, 0));
            rows.append("*3\r\n").append(row(three.address(), "serving")).append(row(two.address(), "leaving")).append(row(one.address(), "serving"));
            list.refresh();
            assertEquals(List.of(one.address(), three.address(), two.address()), names(nodes));
            rows.setLength(0);
            rows.append("*2\r\n").append(row(one.address(), "serving")).append(row("", "serving"));
            list.refresh();
            assertEquals(List.of(one.address(), two.address()), names(nodes));
            rows.setLength(0);
            rows.append("-ERR unknown command 'SESSION.NODES', with args beginning with: \r\n");
            list.refresh();
            assertEquals(List.of(one.address(), two.address()), names(nodes));
            nodes.close();
        }
    }

    private static String row(String address, String state) {
        return "*3\r\n$4\r\nhare\r\n$" + address.length() + "\r\n" + address + "\r\n$" + state.length() + "\r\n" + state + "\r\n";
    }

    private static List<String> names(Nodes nodes) {
        return nodes.all().stream().map(Node::name).toList();
    }
}
