package org.leveret.door.tomcat;

/**
 * What a Tomcat is doing.
 *
 * @param cpu thousandths of the cores that it may use
 * @param inflight busy threads of the connector
 * @param rss resident bytes
 */
record Load(int cpu, int inflight, long rss) {
}
