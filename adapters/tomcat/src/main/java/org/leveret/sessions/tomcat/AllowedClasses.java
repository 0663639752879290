package org.leveret.sessions.tomcat;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InvalidClassException;
import java.io.ObjectInputFilter;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.io.ObjectStreamClass;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * The classes of the application that travel by Java serialisation (option {@code javaClasses}). Bytes out of the cluster
 * are read under a filter that lets in these, plain values and collections of the JDK, and nothing else, so that no bytes
 * can make an object of a class that happens to be on the class path.
 *
 * <p>A pattern is a class name, {@code com.example.*} for a package, or {@code com.example.**} for what is below it too.
 */
final class AllowedClasses {
    /** Sets inside one another, each twice, cost 2 to the power of this in hashes. */
    private static final int DEPTH_MAX = 20;
    private static final long REFERENCES_MAX = 1_000_000;
    private static final long ARRAY_MAX = 16L * 1024 * 1024;
    private static final long BYTES_MAX = 16L * 1024 * 1024;

    /** What fields of allowed classes are made of. No class here calls others while it is read, but for equals and hash. */
    private static final Set<String> PLAIN = Set.of("java.lang.String", "java.lang.Number", "java.lang.Integer", "java.lang.Long",
            "java.lang.Short", "java.lang.Byte", "java.lang.Float", "java.lang.Double", "java.lang.Boolean", "java.lang.Character",
            "java.lang.Enum", "java.lang.Object", "java.math.BigInteger", "java.math.BigDecimal", "java.util.ArrayList", "java.util.LinkedList",
            "java.util.Arrays$ArrayList", "java.util.HashMap", "java.util.LinkedHashMap", "java.util.TreeMap", "java.util.HashSet",
            "java.util.LinkedHashSet", "java.util.TreeSet", "java.util.EnumMap", "java.util.CollSer", "java.util.Map",
            "java.util.Map$Entry", "java.util.Collections$EmptyList", "java.util.Collections$EmptyMap",
            "java.util.Collections$EmptySet", "java.util.Date", "java.util.UUID", "java.util.Locale", "java.util.Currency",
            "java.time.Ser");
    private static final Pattern NAME = Pattern.compile("[\\w$]+(\\.[\\w$]+)*(\\.\\*{1,2})?");

    private final List<String> patterns = new ArrayList<>();
    private final ClassLoader loader;

    /** @param patterns with commas, blanks or semicolons between, or null */
    AllowedClasses(String patterns, ClassLoader loader) {
        for (String pattern : (patterns == null ? "" : patterns).split("[,;\\s]+")) {
            if (pattern.isEmpty()) {
                continue;
            }
            if (!NAME.matcher(pattern).matches()) {
                throw new IllegalArgumentException("javaClasses: \"" + pattern + "\" is neither a class name nor package.* or package.**");
            }
            this.patterns.add(pattern);
        }
        this.loader = loader;
    }

    ClassLoader loader() {
        return loader;
    }

    boolean allows(Class<?> type) {
        String name = type.getName();
        return patterns.stream().anyMatch(pattern -> matches(pattern, name));
    }

    private static boolean matches(String pattern, String name) {
        if (pattern.endsWith(".**")) {
            return name.startsWith(pattern.substring(0, pattern.length() - 2));
        }
        if (pattern.endsWith(".*")) {
            String prefix = pattern.substring(0, pattern.length() - 1);
            return name.startsWith(prefix) && name.indexOf('.', prefix.length()) < 0;
        }
        // its nested classes, as enums with bodies have, belong to it
        return name.equals(pattern) || name.startsWith(pattern + "$");
    }

    private ObjectInputFilter.Status check(ObjectInputFilter.FilterInfo info) {
        if (info.depth() > DEPTH_MAX || info.references() > REFERENCES_MAX || info.arrayLength() > ARRAY_MAX || info.streamBytes() > BYTES_MAX) {
            return ObjectInputFilter.Status.REJECTED;
        }
        Class<?> type = info.serialClass();
        if (type == null) {
            return ObjectInputFilter.Status.UNDECIDED;
        }
        while (type.isArray()) {
            type = type.getComponentType();
        }
        boolean isFine = type.isPrimitive() || PLAIN.contains(type.getName()) || allows(type);
        return isFine ? ObjectInputFilter.Status.ALLOWED : ObjectInputFilter.Status.REJECTED;
    }

    byte[] write(Object value) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(256);
        try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
            out.writeObject(value);
        }
        return bytes.toByteArray();
    }

    Object read(byte[] bytes) throws IOException, ClassNotFoundException {
        try (ObjectInputStream in = new FilteredStream(bytes)) {
            return in.readObject();
        }
    }

    /** An enum constant of an allowed class. */
    Object constant(String className, String constant) throws IOException, ClassNotFoundException {
        if (patterns.stream().noneMatch(pattern -> matches(pattern, className))) {
            throw new InvalidClassException(className, "is not among javaClasses");
        }
        Class<?> type = Class.forName(className, false, loader);
        if (!type.isEnum()) {
            throw new InvalidClassException(className, "is no enum");
        }
        for (Object one : type.getEnumConstants()) {
            if (((Enum<?>) one).name().equals(constant)) {
                return one;
            }
        }
        throw new InvalidClassException(className, "has no constant " + constant);
    }

    private final class FilteredStream extends ObjectInputStream {
        FilteredStream(byte[] bytes) throws IOException {
            super(new ByteArrayInputStream(bytes));
            setObjectInputFilter(AllowedClasses.this::check);
        }

        @Override
        protected Class<?> resolveClass(ObjectStreamClass description) throws IOException, ClassNotFoundException {
            try {
                return Class.forName(description.getName(), false, loader);
            } catch (ClassNotFoundException e) {
                return super.resolveClass(description); // primitives
            }
        }

        @Override
        protected Class<?> resolveProxyClass(String[] interfaces) throws IOException {
            throw new InvalidClassException(Proxy.class.getName(), "dynamic proxies do not travel");
        }
    }
}
