package org.leveret.sessions.tomcat;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.time.DayOfWeek;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.Period;
import java.time.Year;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.Date;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.LinkedList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.UUID;
import java.util.concurrent.TimeUnit;

import org.junit.jupiter.api.Test;

class ValuesTest {
    private final Values values = new Values(new AllowedClasses("java.util.concurrent.TimeUnit", getClass().getClassLoader()));

    private Object again(Object value) throws IOException {
        return values.read(values.write(value));
    }

    @Test
    void plainValuesComeBackEqualAndOfTheirClass() throws IOException {
        List<Object> all = new ArrayList<>(List.of("", "häse 🐇", 1, -1L, (short) 3, (byte) 4, 1.5f, Double.NaN, true, false, 'ß', new BigInteger("9".repeat(40)),
                new BigDecimal("1.10"), new UUID(1, 2), new Date(5), Instant.EPOCH, LocalDate.of(2026, 2, 28), LocalTime.NOON, LocalDateTime.of(2026, 1, 2, 3, 4),
                ZonedDateTime.of(2026, 1, 2, 3, 4, 5, 6, ZoneId.of("Europe/Berlin")), Duration.ofMillis(3), Period.ofDays(3), Year.of(2026),
                ZoneId.of("Europe/Berlin"), ZoneOffset.ofHours(2), DayOfWeek.MONDAY, Locale.GERMANY, TimeUnit.DAYS, "half \ud800 pair"));
        for (Object value : all) {
            assertNull(values.unknownIn(value), value.toString());
            assertEquals(value, again(value));
            assertEquals(value.getClass(), again(value).getClass());
        }
        assertArrayEquals(new byte[] {1, 2}, (byte[]) again(new byte[] {1, 2}));
        assertEquals(all, again(all));
    }

    @Test
    void collectionsKeepOrderAndKind() throws IOException {
        Map<Object, Object> map = new LinkedHashMap<>();
        map.put("b", Arrays.asList(1, null));
        map.put(1, new TreeSet<>(Set.of("y", "x")));
        map.put(null, new LinkedList<>(List.of("one")));
        for (Object value : List.of(map, new HashMap<>(map), new TreeMap<>(Map.of(2, "b", 1, "a")), new LinkedHashSet<>(List.of(3, 1, 2)), new ArrayList<>(List.of(map)))) {
            assertEquals(value, again(value));
            assertSame(value.getClass(), again(value).getClass());
        }
        assertEquals(List.of(1, 2), again(Collections.unmodifiableList(List.of(1, 2))));
        assertEquals(Map.of("a", 1), again(Map.of("a", 1)));
    }

    @Test
    void whatDoesNotTravelIsNamed() {
        Map<String, Object> inside = new HashMap<>();
        inside.put("deep", List.of(new StringBuilder()));
        assertEquals(StringBuilder.class, values.unknownIn(inside));
        assertEquals(Thread.State.class, values.unknownIn(Thread.State.NEW));
        assertEquals(TreeSet.class, values.unknownIn(new TreeSet<>(Comparator.reverseOrder())));
        List<Object> itself = new ArrayList<>();
        itself.add(itself);
        assertEquals(ArrayList.class, values.unknownIn(itself));
        assertThrows(IOException.class, () -> values.write(itself));
    }

    @Test
    void anyBytesGiveAValueOrAnIOException() throws IOException {
        byte[] good = values.write(new ArrayList<>(List.of("text", 5, Map.of("k", new Date(1)), new byte[20])));
        Random random = new Random(7);
        for (int i = 0; i < 20_000; i++) {
            byte[] bytes = good.clone();
            for (int changes = random.nextInt(4) + 1; changes > 0; changes--) {
                bytes[random.nextInt(bytes.length)] = (byte) random.nextInt(256);
            }
            byte[] cut = Arrays.copyOf(bytes, random.nextInt(bytes.length + 1));
            try {
                values.read(cut);
            } catch (IOException e) {
                continue; // as it should
            }
        }
        for (int length = 0; length < good.length; length++) {
            byte[] cut = Arrays.copyOf(good, length);
            assertThrows(IOException.class, () -> values.read(cut));
        }
    }

    @Test
    void patternsAreNamesAndPackages() {
        AllowedClasses allowed = new AllowedClasses("java.util.concurrent.*, java.time.** java.lang.Thread", null);
        assertEquals(true, allowed.allows(TimeUnit.class));
        assertEquals(false, allowed.allows(java.util.concurrent.atomic.AtomicInteger.class));
        assertEquals(true, allowed.allows(java.time.zone.ZoneRules.class));
        assertEquals(true, allowed.allows(Thread.State.class));
        assertEquals(false, allowed.allows(ThreadLocal.class));
        assertThrows(IllegalArgumentException.class, () -> new AllowedClasses("*", null));
        assertThrows(IllegalArgumentException.class, () -> new AllowedClasses("com.example.*Bean", null));
    }
}
