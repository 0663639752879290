package org.leveret.door.tomcat;

import com.google.gson.stream.JsonWriter;
import java.io.IOException;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;

/**
 * What an instance says about itself, as JSON ({@code docs/formats/services.md}, 2).
 *
 * @param id names and boot
 * @param seq rises with each announcement of this boot
 * @param state what it can do now
 * @param address where requests go, numeric, with the port
 * @param terms what it offers
 * @param sessions while it drains it still takes requests of its own sessions
 * @param load what it is doing; {@code null}: not known
 */
record Announcement(InstanceId id, long seq, State state, String address, Terms terms, boolean sessions, Load load) {

    private static final int VERSION = 1;

    /** Whether every announcement of an instance stays within what doors read. */
    static boolean alwaysFits(InstanceId id, Terms terms) {
        String address = "[" + "f".repeat(39) + "]:65535";
        Load load = new Load(Integer.MAX_VALUE, Integer.MAX_VALUE, Long.MAX_VALUE);
        Announcement longest = new Announcement(id, Long.MAX_VALUE, State.DRAINING, address, terms, true, load);
        return longest.toBody().length <= Limits.ANNOUNCEMENT_BYTES_MAX;
    }

    String routingKey() {
        return "announce." + id.service() + "." + id.instance();
    }

    byte[] toBody() {
        StringWriter text = new StringWriter(512);
        try (JsonWriter json = new JsonWriter(text)) {
            json.setSerializeNulls(false);
            json.beginObject();
            json.name("v").value(VERSION);
            json.name("service").value(id.service());
            json.name("instance").value(id.instance());
            // A text: numbers of JSON are floating point in most languages.
            json.name("boot").value(Long.toHexString(id.boot()));
            json.name("seq").value(seq);
            json.name("state").value(state.text);
            json.name("address").value(address);
            writeTerms(json);
            json.name("drain").value(sessions ? "sessions" : "requests");
            json.name("ttl_ms").value(Limits.INSTANCE_TTL_MS);
            if (load != null) {
                json.name("load").beginObject();
                json.name("cpu").value(load.cpu());
                json.name("inflight").value(load.inflight());
                json.name("rss").value(load.rss());
                json.endObject();
            }
            json.name("kind").value("http");
            json.endObject();
        } catch (IOException impossible) {
            throw new UncheckedIOException("a StringWriter does not fail", impossible);
        }
        return text.toString().getBytes(StandardCharsets.UTF_8);
    }

    private void writeTerms(JsonWriter json) throws IOException {
        json.name("scheme").value("http");
        if (!terms.hosts().isEmpty()) {
            json.name("hosts").beginArray();
            for (String host : terms.hosts()) {
                json.value(host);
            }
            json.endArray();
        }
        json.name("path").value(terms.path());
        json.name("route").value(terms.route());
        json.name("weight").value(terms.weight());
        json.name("max_inflight").value(terms.maxInflight());
        json.name("keep_alive_ms").value(terms.keepAliveMs());
        json.name("warm_up_ms").value(terms.warmUpMs());
        json.name("health").value(terms.health());
    }
}
