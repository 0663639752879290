package org.leveret.sessions.tomcat;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What one request did to one session: names that it set or removed, and objects that it was handed and may have changed in
 * place. An object is kept with the digest that its bytes had then, because a refresh may put another one in its place.
 */
final class Changes {
    /** Objects under one name; a request that is handed more has the earliest one forgotten. */
    private static final int HANDED_MAX = 16;

    /** {@code digest} is null for what is not in the cluster yet. */
    record Handed(Object value, Digest digest) {
    }

    private byte[] base = new byte[0];
    private final Set<String> changed = new LinkedHashSet<>();
    private final Map<String, List<Handed>> handed = new LinkedHashMap<>();

    synchronized void change(String name) {
        changed.add(name);
    }

    synchronized void hand(String name, Object value, Digest digest) {
        List<Handed> list = handed.computeIfAbsent(name, absent -> new ArrayList<>(1));
        for (Handed one : list) {
            if (one.value() == value) {
                return;
            }
        }
        if (list.size() == HANDED_MAX) {
            list.remove(0);
        }
        list.add(new Handed(value, digest));
    }

    synchronized void setBase(byte[] token) {
        base = token;
    }

    synchronized byte[] base() {
        return base;
    }

    synchronized void clear() {
        changed.clear();
        handed.clear();
    }

    synchronized boolean isEmpty() {
        return changed.isEmpty() && handed.isEmpty();
    }

    synchronized Set<String> changed() {
        return new LinkedHashSet<>(changed);
    }

    synchronized Map<String, List<Handed>> handed() {
        Map<String, List<Handed>> copy = new LinkedHashMap<>();
        handed.forEach((name, list) -> copy.put(name, List.copyOf(list)));
        return copy;
    }

    /** Takes over what another one has, which is empty then. */
    void takeAll(Changes other) {
        Set<String> names;
        Map<String, List<Handed>> objects;
        synchronized (other) {
            names = other.changed();
            objects = other.handed();
            other.changed.clear();
            other.handed.clear();
        }
        synchronized (this) {
            changed.addAll(names);
            objects.forEach((name, list) -> list.forEach(one -> hand(name, one.value(), one.digest())));
        }
    }

    /** These names have been committed; {@code digests} is what the cluster has of them now. */
    synchronized void committed(Set<String> names, Map<String, Digest> digests) {
        changed.removeAll(names);
        handed.forEach((name, list) -> {
            if (digests.containsKey(name)) {
                list.replaceAll(one -> new Handed(one.value(), digests.get(name)));
            }
        });
    }
}
