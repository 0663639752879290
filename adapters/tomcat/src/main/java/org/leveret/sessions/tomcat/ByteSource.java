package org.leveret.sessions.tomcat;

import java.io.EOFException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Reads what {@link ByteSink} wrote; what is cut short is an {@link IOException}, and no length is believed. */
final class ByteSource {
    private final byte[] bytes;
    private int at;

    ByteSource(byte[] bytes) {
        this.bytes = bytes;
    }

    int one() throws IOException {
        if (at == bytes.length) {
            throw new EOFException("a value is cut short");
        }
        return bytes[at++] & 0xff;
    }

    int int32() throws IOException {
        return one() << 24 | one() << 16 | one() << 8 | one();
    }

    long int64() throws IOException {
        return (long) int32() << 32 | int32() & 0xffff_ffffL;
    }

    /** A number of things that have at least a byte each. */
    int count() throws IOException {
        int count = int32();
        if (count < 0 || count > bytes.length - at) {
            throw new EOFException("a value is cut short");
        }
        return count;
    }

    byte[] counted() throws IOException {
        int length = count();
        at += length;
        return Arrays.copyOfRange(bytes, at - length, at);
    }

    String text() throws IOException {
        return new String(counted(), StandardCharsets.UTF_8);
    }

    void expectEnd() throws IOException {
        if (at != bytes.length) {
            throw new IOException("a value has " + (bytes.length - at) + " bytes too many");
        }
    }
}
