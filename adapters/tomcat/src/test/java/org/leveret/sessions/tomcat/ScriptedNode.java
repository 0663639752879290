package org.leveret.sessions.tomcat;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Function;

/** Stands for a node that does what no good node does: it answers with the bytes of a test, or not at all. */
final class ScriptedNode implements AutoCloseable {
    private final ServerSocket server;
    private final List<Socket> sockets = new CopyOnWriteArrayList<>();
    final List<List<String>> commands = new CopyOnWriteArrayList<>();

    /** @param script bytes for a command; null: no answer; empty: the end of the connection */
    ScriptedNode(Function<List<String>, String> script) throws IOException {
        server = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
        Thread accept = new Thread(() -> {
            try {
                while (true) {
                    Socket socket = server.accept();
                    sockets.add(socket);
                    Thread thread = new Thread(() -> serve(socket, script));
                    thread.setDaemon(true);
                    thread.start();
                }
            } catch (IOException e) {
                // closed
            }
        });
        accept.setDaemon(true);
        accept.start();
    }

    private void serve(Socket socket, Function<List<String>, String> script) {
        try (socket) {
            BufferedReader in = new BufferedReader(new InputStreamReader(socket.getInputStream(), StandardCharsets.ISO_8859_1));
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                List<String> words = new ArrayList<>();
                for (int count = Integer.parseInt(line.substring(1)); count > 0; count--) {
                    in.readLine();
                    words.add(in.readLine());
                }
                commands.add(words);
                String answer = script.apply(words);
                if (answer == null) {
                    continue;
                }
                if (answer.isEmpty()) {
                    return;
                }
                socket.getOutputStream().write(answer.getBytes(StandardCharsets.ISO_8859_1));
            }
        } catch (IOException e) {
            // the test is over
        }
    }

    Node node() {
        return new Node("127.0.0.1", server.getLocalPort(), new Node.Login(null, null, 0));
    }

    String address() {
        return "127.0.0.1:" + server.getLocalPort();
    }

    @Override
    public void close() throws IOException {
        server.close();
        for (Socket socket : sockets) {
            socket.close();
        }
    }
}
