package org.leveret.sessions.tomcat;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.ObjectOutputStream;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

import org.apache.commons.collections.Transformer;
import org.apache.commons.collections.functors.ConstantTransformer;
import org.apache.commons.collections.keyvalue.TiedMapEntry;
import org.apache.commons.collections.map.LazyMap;

/** Values that must not become objects. */
final class BadBytes {
    private BadBytes() {
    }

    static Map<String, byte[]> all() throws IOException {
        Map<String, byte[]> all = new LinkedHashMap<>();
        byte[] list = new ByteSink(64).one('A').int32(2).one('s').counted("x".getBytes()).one('T').toBytes();
        all.put("empty", new byte[0]);
        all.put("no-tag", new byte[] {1, 2, 3});
        all.put("cut", Arrays.copyOf(list, list.length - 1));
        all.put("too-long", Arrays.copyOf(list, list.length + 1));
        all.put("huge-count", new ByteSink(8).one('A').int32(Integer.MAX_VALUE).toBytes());
        all.put("negative", new ByteSink(8).one('B').int32(-5).toBytes());
        all.put("no-number", new ByteSink(8).one('i').counted("seven".getBytes()).toBytes());
        all.put("deep", deep());
        all.put("not-allowed", java(new TroubleTest.Unknown()));
        all.put("gadget", java(gadget()));
        all.put("bomb", java(bomb()));
        byte[] cart = java(new TroubleTest.Cart("hare", new java.util.ArrayList<>()));
        all.put("cut-java", Arrays.copyOf(cart, cart.length - 3));
        all.put("enum", new ByteSink(64).one('e').counted("java.lang.Thread$State".getBytes()).counted("NEW".getBytes()).toBytes());
        return all;
    }

    private static byte[] deep() {
        ByteSink sink = new ByteSink(1 << 20);
        for (int i = 0; i < 100_000; i++) {
            sink.one('A').int32(1);
        }
        return sink.one('0').toBytes();
    }

    /** A list of one list of one list …: its hash takes two to the power of its depth. */
    private static Object bomb() {
        Set<Object> root = new HashSet<>();
        Set<Object> one = root;
        Set<Object> other = new HashSet<>();
        for (int i = 0; i < 100; i++) {
            Set<Object> next = new HashSet<>();
            Set<Object> beside = new HashSet<>();
            next.add("x");
            one.add(next);
            one.add(beside);
            other.add(next);
            other.add(beside);
            one = next;
            other = beside;
        }
        return root;
    }

    /** The well-known chain of commons-collections 3, with a payload that does nothing. */
    private static Object gadget() {
        Map<Object, Object> target = new HashMap<>();
        Transformer harmless = new ConstantTransformer("reached");
        Map<Object, Object> holder = new HashMap<>();
        @SuppressWarnings("unchecked")
        Map<Object, Object> lazy = LazyMap.decorate(target, harmless);
        holder.put(new TiedMapEntry(lazy, "key"), "value");
        return holder;
    }

    private static byte[] java(Object value) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
            out.writeObject(value);
        }
        return new ByteSink(bytes.size()).one('J').counted(bytes.toByteArray()).toBytes();
    }
}
