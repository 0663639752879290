package org.leveret.door.tomcat;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Executor;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.function.Supplier;
import org.apache.catalina.connector.Connector;
import org.apache.tomcat.util.threads.ResizableExecutor;

/** Reads what this JVM is doing: the CPU that it uses, the busy threads of a connector, resident memory. */
final class LoadMeter implements Supplier<Load> {
    private final Connector connector;

    LoadMeter(Connector connector) {
        this.connector = connector;
    }

    @Override
    public Load get() {
        return new Load(cpu(), busyThreads(connector.getProtocolHandler().getExecutor()), residentBytes());
    }

    /** Thousandths of the cores that the JVM may use; 0 until it is known. */
    private static int cpu() {
        if (ManagementFactory.getOperatingSystemMXBean() instanceof com.sun.management.OperatingSystemMXBean system) {
            return (int) Math.round(Math.max(0, system.getProcessCpuLoad()) * 1_000);
        }
        return 0;
    }

    /** Tomcat's pool and the JDK's are no relations; virtual threads are in no pool, and are not counted. */
    private static int busyThreads(Executor executor) {
        if (executor instanceof org.apache.tomcat.util.threads.ThreadPoolExecutor pool) {
            return pool.getActiveCount();
        }
        if (executor instanceof ResizableExecutor pool) {
            return pool.getActiveCount();
        }
        return executor instanceof ThreadPoolExecutor pool ? pool.getActiveCount() : 0;
    }

    /** proc(5): the line {@code VmRSS: N kB}; 0 on systems without it. */
    private static long residentBytes() {
        try {
            return Files.readAllLines(Path.of("/proc/self/status"), StandardCharsets.ISO_8859_1).stream()
                    .filter(line -> line.startsWith("VmRSS:"))
                    .mapToLong(line -> Long.parseLong(line.replaceAll("[^0-9]", "")) * 1_024)
                    .findFirst().orElse(0);
        } catch (IOException notLinux) {
            return 0;
        }
    }
}
