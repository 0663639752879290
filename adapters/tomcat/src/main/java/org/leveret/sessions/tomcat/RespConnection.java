package org.leveret.sessions.tomcat;

import java.io.Closeable;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * One connection that speaks RESP 2, or 3 after HELLO, a command at a time. An answer is {@code byte[]}, {@code Long}, {@code List}, or
 * null for nil; a simple string is {@code byte[]} too, a map the list of its names and values, a push a list. An error reply is thrown.
 */
final class RespConnection implements Closeable {
    /** The longest bulk either way: the largest session of a cluster. */
    static final int BULK_BYTES_MAX = 16 * 1024 * 1024;
    /** Elements of one array: names and values of a session with every attribute, and some. */
    private static final int ARRAY_MAX = 8_192;
    private static final int DEPTH_MAX = 8;

    private final Socket socket = new Socket();
    private final InputStream in;
    private final OutputStream out;
    private final byte[] buffer = new byte[16 * 1024];
    private int from;
    private int to;
    private boolean broken;

    RespConnection(InetSocketAddress address, int connectMs) throws IOException {
        try {
            socket.setTcpNoDelay(true);
            socket.connect(address, connectMs);
            in = socket.getInputStream();
            out = socket.getOutputStream();
        } catch (IOException e) {
            socket.close();
            throw e;
        }
    }

    /** Sends a command in one piece. */
    void send(byte[]... arguments) throws IOException {
        int bytes = 16;
        for (byte[] argument : arguments) {
            bytes += argument.length + 16;
        }
        ByteSink sink = new ByteSink(bytes);
        sink.text("*").text(Integer.toString(arguments.length)).text("\r\n");
        for (byte[] argument : arguments) {
            sink.text("$").text(Integer.toString(argument.length)).text("\r\n").bytes(argument).text("\r\n");
        }
        try {
            sink.writeTo(out);
        } catch (IOException e) {
            broken = true;
            throw e;
        }
    }

    /** True as soon as the answer has begun; false if it has not after {@code ms}. Nothing is consumed. */
    boolean awaitAnswer(int ms) throws IOException {
        if (from < to) {
            return true;
        }
        try {
            socket.setSoTimeout(Math.max(1, ms));
            fill();
            return true;
        } catch (SocketTimeoutException e) {
            return false;
        } catch (IOException e) {
            broken = true;
            throw e;
        }
    }

    /** Reads an answer; the connection is of no use after a time-out, because the rest may come later. */
    Object answer(int ms) throws IOException {
        boolean whole = false;
        try {
            socket.setSoTimeout(Math.max(1, ms));
            Object answer = read(0);
            whole = true;
            return answer;
        } catch (RespError e) {
            whole = true;
            throw e;
        } finally {
            broken |= !whole;
        }
    }

    boolean isBroken() {
        return broken;
    }

    @Override
    public void close() {
        broken = true;
        try {
            socket.close();
        } catch (IOException e) {
            // it is closed either way
        }
    }

    private Object read(int depth) throws IOException {
        if (depth > DEPTH_MAX) {
            throw new IOException("the server's answer is nested too deeply");
        }
        int kind = next();
        String line = line();
        switch (kind) {
            case '+':
                return line.getBytes(StandardCharsets.UTF_8);
            case '-':
                if (depth > 0) {
                    throw new IOException("an error inside an answer: " + line);
                }
                throw new RespError(line);
            case ':':
                return number(line);
            case '$':
                return bulk(number(line));
            case '*', '>':
                return array(number(line), depth);
            case '%':
                return array(2 * number(line), depth);
            case '_':
                return null;
            default:
                throw new IOException("this is not RESP: a reply begins with byte " + kind);
        }
    }

    private static long number(String line) throws IOException {
        try {
            return Long.parseLong(line);
        } catch (NumberFormatException e) {
            throw new IOException("this is not RESP: a bad number");
        }
    }

    private byte[] bulk(long length) throws IOException {
        if (length == -1) {
            return null;
        }
        if (length < 0 || length > BULK_BYTES_MAX) {
            throw new IOException("the server's answer has " + length + " bytes");
        }
        byte[] bytes = new byte[(int) length];
        int have = 0;
        while (have < bytes.length) {
            if (from == to) {
                fill();
            }
            int count = Math.min(to - from, bytes.length - have);
            System.arraycopy(buffer, from, bytes, have, count);
            from += count;
            have += count;
        }
        if (next() != '\r' || next() != '\n') {
            throw new IOException("this is not RESP: a bulk does not end");
        }
        return bytes;
    }

    private List<Object> array(long length, int depth) throws IOException {
        if (length == -1) {
            return null;
        }
        if (length < 0 || length > ARRAY_MAX) {
            throw new IOException("the server's answer has " + length + " elements");
        }
        List<Object> list = new ArrayList<>((int) length);
        for (long i = 0; i < length; i++) {
            list.add(read(depth + 1));
        }
        return list;
    }

    private String line() throws IOException {
        ByteSink sink = new ByteSink(32);
        for (int one = next(); one != '\r'; one = next()) {
            if (sink.size() >= 64 * 1024) {
                throw new IOException("this is not RESP: a line does not end");
            }
            sink.one(one);
        }
        if (next() != '\n') {
            throw new IOException("this is not RESP: a line ends by CR alone");
        }
        return new String(sink.toBytes(), StandardCharsets.UTF_8);
    }

    private int next() throws IOException {
        if (from == to) {
            fill();
        }
        return buffer[from++] & 0xff;
    }

    private void fill() throws IOException {
        int count = in.read(buffer, 0, buffer.length);
        if (count < 0) {
            throw new EOFException("the node has closed the connection");
        }
        from = 0;
        to = count;
    }
}
