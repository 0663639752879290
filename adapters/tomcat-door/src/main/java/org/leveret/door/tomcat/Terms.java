package org.leveret.door.tomcat;

import java.util.List;

/**
 * What an instance offers to doors; see {@code docs/formats/services.md}, 2.
 *
 * @param hosts hosts that it claims; empty: any
 * @param path prefix that it claims, by whole segments
 * @param route suffix of session ids that belong here; {@code null}: none
 * @param weight share of the requests, 1 to 1,000
 * @param maxInflight requests at a time from one door; 0: no bound
 * @param keepAliveMs after this Tomcat closes an idle connection
 * @param warmUpMs time from ready to the full weight
 * @param health path that a door asks when it doubts the instance; {@code null}: it connects
 */
record Terms(List<String> hosts, String path, String route, int weight, int maxInflight, int keepAliveMs,
        int warmUpMs, String health) {
}
