package org.leveret.sessions.tomcat;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;

/** Bytes that grow, big-endian where it matters. */
final class ByteSink {
    private final ByteArrayOutputStream out;

    ByteSink(int bytes) {
        out = new ByteArrayOutputStream(bytes);
    }

    ByteSink one(int value) {
        out.write(value);
        return this;
    }

    ByteSink int32(int value) {
        return one(value >>> 24).one(value >>> 16).one(value >>> 8).one(value);
    }

    ByteSink int64(long value) {
        return int32((int) (value >>> 32)).int32((int) value);
    }

    ByteSink bytes(byte[] bytes) {
        out.write(bytes, 0, bytes.length);
        return this;
    }

    /** Bytes behind their length. */
    ByteSink counted(byte[] bytes) {
        return int32(bytes.length).bytes(bytes);
    }

    ByteSink text(String text) {
        return bytes(text.getBytes(StandardCharsets.UTF_8));
    }

    int size() {
        return out.size();
    }

    byte[] toBytes() {
        return out.toByteArray();
    }

    void writeTo(OutputStream target) throws IOException {
        out.writeTo(target);
        target.flush();
    }
}
