package org.leveret.sessions.tomcat;

import java.io.IOException;
import java.io.NotSerializableException;
import java.io.Serializable;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.time.DayOfWeek;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.Month;
import java.time.MonthDay;
import java.time.OffsetDateTime;
import java.time.OffsetTime;
import java.time.Period;
import java.time.Year;
import java.time.YearMonth;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Date;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.LinkedList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;

/**
 * Values of attributes as bytes. Plain values and collections of the JDK have a tag of one byte each; objects of classes that
 * {@link AllowedClasses} allows travel by Java serialisation behind the tag {@code J}.
 */
final class Values {
    /** Collections inside one another. A collection that contains itself ends here. */
    static final int DEPTH_MAX = 64;

    /** Values that have a text from which they are made again, by tag. */
    private enum Texts {
        INTEGER('i', Integer.class, Integer::valueOf), LONG('l', Long.class, Long::valueOf), SHORT('h', Short.class, Short::valueOf),
        BYTE('b', Byte.class, Byte::valueOf), FLOAT('f', Float.class, Float::valueOf), DOUBLE('d', Double.class, Double::valueOf),
        BIG_INTEGER('I', BigInteger.class, BigInteger::new), BIG_DECIMAL('N', BigDecimal.class, BigDecimal::new),
        UNIQUE('U', UUID.class, UUID::fromString), INSTANT('1', Instant.class, Instant::parse), DATE('2', LocalDate.class, LocalDate::parse),
        TIME('3', LocalTime.class, LocalTime::parse), DATE_TIME('4', LocalDateTime.class, LocalDateTime::parse),
        ZONED('5', ZonedDateTime.class, ZonedDateTime::parse), OFFSET('6', OffsetDateTime.class, OffsetDateTime::parse),
        OFFSET_TIME('7', OffsetTime.class, OffsetTime::parse), DURATION('8', Duration.class, Duration::parse),
        PERIOD('9', Period.class, Period::parse), YEAR('y', Year.class, Year::parse), YEAR_MONTH('m', YearMonth.class, YearMonth::parse),
        MONTH_DAY('q', MonthDay.class, MonthDay::parse), ZONE_OFFSET('o', ZoneOffset.class, ZoneOffset::of),
        DAY('w', DayOfWeek.class, DayOfWeek::valueOf), MONTH('M', Month.class, Month::valueOf);

        final char tag;
        final Class<?> type;
        final Function<String, Object> parse;

        Texts(char tag, Class<?> type, Function<String, Object> parse) {
            this.tag = tag;
            this.type = type;
            this.parse = parse;
        }
    }

    private static final Map<Class<?>, Texts> BY_TYPE = new HashMap<>();
    private static final Map<Character, Texts> BY_TAG = new HashMap<>();
    /** Tags of collections by the class that they have again when they are read. */
    private static final Map<Class<?>, Character> COLLECTIONS = Map.of(ArrayList.class, 'A', LinkedList.class, 'K', HashSet.class, 'H',
            LinkedHashSet.class, 'S', TreeSet.class, 'R', HashMap.class, 'P', LinkedHashMap.class, 'L', TreeMap.class, 'E',
            ConcurrentHashMap.class, 'C');

    static {
        for (Texts texts : Texts.values()) {
            BY_TYPE.put(texts.type, texts);
            BY_TAG.put(texts.tag, texts);
        }
    }

    private final AllowedClasses allowed;

    Values(AllowedClasses allowed) {
        this.allowed = allowed;
    }

    /** True if a value of this class cannot be changed in place. */
    static boolean isImmutable(Object value) {
        return value == null || value instanceof String || value instanceof Boolean || value instanceof Character || value instanceof Enum
                || value instanceof ZoneId || value instanceof Locale || BY_TYPE.containsKey(value.getClass());
    }

    /** The first class in a value that does not travel; null if all of it does, as far as can be said without writing it. */
    Class<?> unknownIn(Object value) {
        return unknownIn(value, 0);
    }

    private Class<?> unknownIn(Object value, int depth) {
        if (isPlain(value)) {
            return null;
        }
        if (value instanceof Enum<?> constant) {
            return allowed.allows(constant.getDeclaringClass()) ? null : constant.getDeclaringClass();
        }
        if (depth > DEPTH_MAX || tagOf(value) == 0) {
            return value instanceof Serializable && allowed.allows(value.getClass()) ? null : value.getClass();
        }
        if (value instanceof Map<?, ?> map) {
            for (Map.Entry<?, ?> entry : map.entrySet()) {
                Class<?> unknown = unknownIn(entry.getKey(), depth + 1);
                unknown = unknown == null ? unknownIn(entry.getValue(), depth + 1) : unknown;
                if (unknown != null) {
                    return unknown;
                }
            }
            return null;
        }
        for (Object item : (Collection<?>) value) {
            Class<?> unknown = unknownIn(item, depth + 1);
            if (unknown != null) {
                return unknown;
            }
        }
        return null;
    }

    private static boolean isPlain(Object value) {
        return value instanceof byte[] || value instanceof Date && value.getClass() == Date.class
                || isImmutable(value) && (!(value instanceof Enum) || BY_TYPE.containsKey(value.getClass()));
    }

    /** The tag of a collection of the JDK; 0 for another class, which may have fields of its own. */
    private static char tagOf(Object value) {
        Character own = COLLECTIONS.get(value.getClass());
        boolean sorts = value instanceof SortedSet<?> set && set.comparator() != null || value instanceof SortedMap<?, ?> map && map.comparator() != null;
        if (own != null) {
            return sorts ? 0 : own;
        }
        if (!value.getClass().getName().startsWith("java.util.") || sorts) {
            return 0;
        }
        // List.of, Arrays.asList, unmodifiable and synchronized ones come back as the common classes
        return value instanceof List ? 'A' : value instanceof Set ? 'S' : value instanceof Map && !(value instanceof SortedMap) ? 'L' : 0;
    }

    byte[] write(Object value) throws IOException {
        ByteSink out = new ByteSink(64);
        write(out, value, 0);
        return out.toBytes();
    }

    private void write(ByteSink out, Object value, int depth) throws IOException {
        if (depth > DEPTH_MAX) {
            throw new NotSerializableException("a collection in which more than " + DEPTH_MAX + " others are inside one another");
        }
        Texts texts = value == null ? null : BY_TYPE.get(value.getClass());
        if (value == null) {
            out.one('0');
        } else if (texts != null) {
            out.one(texts.tag).counted(utf8(value instanceof Enum<?> constant ? constant.name() : value.toString()));
        } else if (value instanceof String text) {
            writeText(out, text);
        } else if (value instanceof Boolean flag) {
            out.one(flag ? 'T' : 'F');
        } else if (value instanceof Character one) {
            out.one('c').int32(one);
        } else if (value instanceof byte[] bytes) {
            out.one('B').counted(bytes);
        } else if (value.getClass() == Date.class) {
            out.one('D').int64(((Date) value).getTime());
        } else if (value instanceof ZoneId zone) {
            out.one('z').counted(utf8(zone.getId()));
        } else if (value instanceof Locale locale) {
            out.one('g').counted(utf8(locale.toLanguageTag()));
        } else if (value instanceof Enum<?> constant) {
            check(constant.getDeclaringClass());
            out.one('e').counted(utf8(constant.getDeclaringClass().getName())).counted(utf8(constant.name()));
        } else {
            writeObject(out, value, depth);
        }
    }

    private static void writeText(ByteSink out, String text) {
        byte[] bytes = utf8(text);
        if (new String(bytes, StandardCharsets.UTF_8).equals(text)) {
            out.one('s').counted(bytes);
        } else {
            // half a surrogate pair has no UTF-8
            out.one('u').int32(2 * text.length());
            text.chars().forEach(unit -> out.one(unit >>> 8).one(unit));
        }
    }

    private void writeObject(ByteSink out, Object value, int depth) throws IOException {
        char tag = tagOf(value);
        if (tag == 0) {
            check(value.getClass());
            out.one('J').counted(allowed.write(value));
        } else if (value instanceof Map<?, ?> map) {
            // the size is written behind: the map may change meanwhile, and its iterator says so
            ByteSink entries = new ByteSink(64);
            int count = 0;
            for (Map.Entry<?, ?> entry : map.entrySet()) {
                write(entries, entry.getKey(), depth + 1);
                write(entries, entry.getValue(), depth + 1);
                count++;
            }
            out.one(tag).int32(count).bytes(entries.toBytes());
        } else {
            ByteSink items = new ByteSink(64);
            int count = 0;
            for (Object item : (Collection<?>) value) {
                write(items, item, depth + 1);
                count++;
            }
            out.one(tag).int32(count).bytes(items.toBytes());
        }
    }

    private void check(Class<?> type) throws IOException {
        if (!allowed.allows(type)) {
            throw new NotSerializableException(type.getName() + " is not among javaClasses");
        }
    }

    /** Any fault of the bytes is an {@link IOException}. */
    Object read(byte[] bytes) throws IOException {
        ByteSource in = new ByteSource(bytes);
        try {
            Object value = read(in, 0);
            in.expectEnd();
            return value;
        } catch (ClassNotFoundException | RuntimeException | StackOverflowError | LinkageError e) {
            throw new IOException(e.toString(), e);
        }
    }

    private Object read(ByteSource in, int depth) throws IOException, ClassNotFoundException {
        if (depth > DEPTH_MAX) {
            throw new IOException("collections are nested too deeply");
        }
        char tag = (char) in.one();
        Texts texts = BY_TAG.get(tag);
        if (texts != null) {
            return texts.parse.apply(in.text());
        }
        return switch (tag) {
            case '0' -> null;
            case 's' -> in.text();
            case 'u' -> halfPairs(in);
            case 'T' -> Boolean.TRUE;
            case 'F' -> Boolean.FALSE;
            case 'c' -> (char) in.int32();
            case 'B' -> in.counted();
            case 'D' -> new Date(in.int64());
            case 'z' -> ZoneId.of(in.text());
            case 'g' -> Locale.forLanguageTag(in.text());
            case 'e' -> allowed.constant(in.text(), in.text());
            case 'J' -> allowed.read(in.counted());
            case 'A' -> items(in, depth, new ArrayList<>());
            case 'K' -> items(in, depth, new LinkedList<>());
            case 'H' -> items(in, depth, new HashSet<>());
            case 'S' -> items(in, depth, new LinkedHashSet<>());
            case 'R' -> items(in, depth, new TreeSet<>());
            case 'P' -> entries(in, depth, new HashMap<>());
            case 'L' -> entries(in, depth, new LinkedHashMap<>());
            case 'E' -> entries(in, depth, new TreeMap<>());
            case 'C' -> entries(in, depth, new ConcurrentHashMap<>());
            default -> throw new IOException("no value begins with byte " + (int) tag);
        };
    }

    private static String halfPairs(ByteSource in) throws IOException {
        byte[] units = in.counted();
        StringBuilder text = new StringBuilder(units.length / 2);
        for (int i = 0; i + 1 < units.length; i += 2) {
            text.append((char) ((units[i] & 0xff) << 8 | units[i + 1] & 0xff));
        }
        return text.toString();
    }

    private Object items(ByteSource in, int depth, Collection<Object> items) throws IOException, ClassNotFoundException {
        for (int count = in.count(); count > 0; count--) {
            items.add(read(in, depth + 1));
        }
        return items;
    }

    private Object entries(ByteSource in, int depth, Map<Object, Object> entries) throws IOException, ClassNotFoundException {
        for (int count = in.count(); count > 0; count--) {
            entries.put(read(in, depth + 1), read(in, depth + 1));
        }
        return entries;
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
