package org.leveret.door.tomcat;

import com.google.gson.stream.JsonReader;
import com.google.gson.stream.JsonToken;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Reads messages of strangers: their length is bounded first, and what is no message of the format is passed
 * over, since others' mistakes are the doors' to tell. The JSON reader is a streaming one with a bound on
 * nesting.
 */
final class MessageReader {

    private MessageReader() {
    }

    /**
     * Reads a message by its routing key.
     *
     * @param user the sender, as the broker checked it; {@code null} if it did not
     */
    static Optional<Message> read(String routingKey, byte[] body, String user) {
        String[] words = routingKey.split("\\.", -1);
        try {
            if (words.length == 1 && words[0].equals("ask")) {
                return readAsk(body).map(Message.class::cast);
            }
            if (words.length == 2 && words[0].equals("door")) {
                return readReport(body).filter(report -> report.door().equals(words[1])).map(Message.class::cast);
            }
            if (words.length == 3 && words[0].equals("command")) {
                return readCommand(body).map(command -> new Message.Order(words[1], words[2], command, user));
            }
        } catch (IOException | IllegalStateException | NumberFormatException notOfTheFormat) {
            return Optional.empty();
        }
        return Optional.empty();
    }

    private static JsonReader open(byte[] body, int bytesMax) throws IOException {
        if (body.length > bytesMax) {
            throw new IOException("longer than the bound");
        }
        return new JsonReader(new InputStreamReader(new ByteArrayInputStream(body), StandardCharsets.UTF_8));
    }

    private static Optional<Message.Ask> readAsk(byte[] body) throws IOException {
        String door = readText(body, "door");
        return door != null && Names.isName(door) ? Optional.of(new Message.Ask(door)) : Optional.empty();
    }

    private static Optional<Message.Command> readCommand(byte[] body) throws IOException {
        String command = readText(body, "command");
        if (command == null) {
            return Optional.empty();
        }
        return switch (command) {
            case "drain" -> Optional.of(Message.Command.DRAIN);
            case "ready" -> Optional.of(Message.Command.READY);
            case "stop" -> Optional.of(Message.Command.STOP);
            default -> Optional.empty();
        };
    }

    /** The text of one member of a short object. */
    private static String readText(byte[] body, String member) throws IOException {
        JsonReader json = open(body, Limits.ANNOUNCEMENT_BYTES_MAX);
        String text = null;
        json.beginObject();
        while (json.hasNext()) {
            if (json.nextName().equals(member) && json.peek() == JsonToken.STRING) {
                text = json.nextString();
            } else {
                json.skipValue();
            }
        }
        json.endObject();
        return text;
    }

    private static Optional<Message.Report> readReport(byte[] body) throws IOException {
        JsonReader json = open(body, Limits.REPORT_BYTES_MAX);
        String door = null;
        List<Message.Ack> acks = new ArrayList<>();
        json.beginObject();
        while (json.hasNext()) {
            switch (json.nextName()) {
                case "door" -> door = json.nextString();
                case "acks" -> readAcks(json, acks);
                default -> json.skipValue();
            }
        }
        json.endObject();
        return door != null && Names.isName(door) ? Optional.of(new Message.Report(door, acks)) : Optional.empty();
    }

    private static void readAcks(JsonReader json, List<Message.Ack> acks) throws IOException {
        json.beginArray();
        while (json.hasNext()) {
            if (acks.size() == Limits.REPORT_ACKS_MAX) {
                throw new IOException("more acknowledgements than a report has");
            }
            acks.add(readAck(json));
        }
        json.endArray();
    }

    private static Message.Ack readAck(JsonReader json) throws IOException {
        String service = null;
        String instance = null;
        String boot = null;
        long seq = -1;
        long inflight = -1;
        json.beginObject();
        while (json.hasNext()) {
            switch (json.nextName()) {
                case "service" -> service = json.nextString();
                case "instance" -> instance = json.nextString();
                case "boot" -> boot = json.nextString();
                case "seq" -> seq = json.nextLong();
                case "inflight" -> inflight = json.nextLong();
                default -> json.skipValue();
            }
        }
        json.endObject();
        if (service == null || instance == null || boot == null || seq < 0 || inflight < 0) {
            throw new IOException("an acknowledgement without one of its members");
        }
        return new Message.Ack(new InstanceId(service, instance, Long.parseUnsignedLong(boot, 16)), seq, inflight);
    }
}
