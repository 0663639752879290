package org.leveret.door.tomcat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** The rules of an instance, by a clock that the test holds: the cases of {@code supervised/tests.rs}. */
class InstanceTest {
    private static final long MS = 1_000_000;
    private static final long SECOND = 1_000 * MS;
    private static final InstanceId ID = new InstanceId("shop", "a", 0x9f0cL);
    private static final Terms TERMS = new Terms(List.of(), "/", "n1", 100, 0, 20_000, 0, null);

    private record Sent(Announcement announcement, boolean change) {
    }

    private final List<Sent> sent = new ArrayList<>();
    private final List<Instance.Note> notes = new ArrayList<>();
    private final Doors doors = new Doors();
    private final Instance.Link link = new Instance.Link(0);
    private long now;
    private Instance instance;

    private void start(Duration drainSessions) {
        link.up = true;
        link.address = "10.0.0.7:8080";
        Instance.StopRules rules =
                new Instance.StopRules(drainSessions.toNanos(), 30 * SECOND, List.of("operator"));
        instance = new Instance(ID, TERMS, rules, link, doors, new Instance.Outbox() {
            @Override
            public void announce(Announcement announcement, boolean change) {
                sent.add(new Sent(announcement, change));
            }

            @Override
            public void note(InstanceId id, Instance.Note note) {
                notes.add(note);
            }
        }, new Random(7));
        instance.start(now);
    }

    /** A link and a door that are known for longer than it takes to know every door. */
    private void startOfAge() {
        start(Duration.ZERO);
        doors.asked(now, "web1");
        pass(3 * SECOND);
        report("web1");
    }

    private void pass(long time) {
        for (long end = now + time; now < end; now = Math.min(end, Math.max(now + 1, instance.deadline(now)))) {
            instance.poll(now);
        }
        instance.poll(now);
    }

    private void report(String door, Message.Ack... acks) {
        doors.reported(now, new Message.Report(door, List.of(acks)), ID::equals);
        instance.poll(now);
    }

    private Message.Ack ack(long seq, long inflight) {
        return new Message.Ack(ID, seq, inflight);
    }

    private Announcement last() {
        return sent.get(sent.size() - 1).announcement();
    }

    /** Begins the drain, has the broker take it, and gives its seq. */
    private long drain(boolean routed) {
        instance.stop(now);
        long seq = last().seq();
        assertTrue(sent.get(sent.size() - 1).change());
        instance.onSettled(now, seq, routed);
        instance.poll(now);
        return seq;
    }

    @Test
    void itAnnouncesItselfEachSecondWithARisingSeq() {
        start(Duration.ZERO);
        pass(3 * SECOND);
        assertEquals(List.of(1L, 2L, 3L, 4L), sent.stream().map(each -> each.announcement().seq()).toList());
        assertEquals(List.of(true, false, false, false), sent.stream().map(Sent::change).toList());
        assertEquals(State.READY, last().state());
    }

    @Test
    void anAskIsAnsweredWithin100Ms() {
        start(Duration.ZERO);
        instance.onAsk(now);
        assertTrue(instance.deadline(now) - now < 100 * MS);
        pass(100 * MS);
        assertEquals(2, sent.size());
    }

    @Test
    void aDrainWaitsUntilTheDoorHasNothingInFlight() {
        startOfAge();
        long seq = drain(true);
        assertEquals(State.DRAINING, last().state());
        report("web1", ack(seq - 1, 0));
        assertFalse(instance.drained().isDone(), "the door acts on an older word");
        report("web1", ack(seq, 3));
        assertFalse(instance.drained().isDone(), "three requests are here");
        report("web1");
        assertFalse(instance.drained().isDone(), "a report without us changes nothing");
        report("web1", ack(seq + 1, 0));
        assertTrue(instance.drained().isDone());
        assertInstanceOf(Instance.Note.Drained.class, notes.get(notes.size() - 1));
        assertEquals(State.DRAINING, last().state());
        instance.leave(now);
        assertEquals(State.LEFT, last().state());
    }

    @Test
    void aDrainWaitsForEveryDoorAndAlsoForOneThatOnlyAsked() {
        startOfAge();
        doors.asked(now, "web2");
        long seq = drain(true);
        report("web1", ack(seq, 0));
        assertFalse(instance.drained().isDone());
        report("web2", ack(seq, 0));
        assertTrue(instance.drained().isDone());
    }

    @Test
    void aDoorThatAsksAnewHasAcknowledgedNothing() {
        startOfAge();
        long seq = drain(true);
        doors.asked(now, "web2");
        report("web2", ack(seq, 0));
        doors.asked(now, "web2");
        report("web1", ack(seq, 0));
        assertFalse(instance.drained().isDone());
    }

    @Test
    void aDoorThatFallsSilentIsNotWaitedForLongerThanItsTime() {
        startOfAge();
        drain(true);
        pass(6 * SECOND - 1);
        assertFalse(instance.drained().isDone());
        pass(1);
        assertTrue(instance.drained().isDone());
    }

    @Test
    void aDrainIsOverWhenItsTimeIs() {
        startOfAge();
        long seq = drain(true);
        for (int second = 0; second < 30; second++) {
            assertFalse(instance.drained().isDone());
            report("web1", ack(seq, 2));
            pass(SECOND);
        }
        assertEquals(new Instance.Note.DrainTimedOut(2), notes.get(notes.size() - 1));
        assertTrue(instance.drained().isDone());
    }

    @Test
    void withoutADoorNothingIsWaitedFor() {
        start(Duration.ZERO);
        instance.onSettled(now, 1, false);
        assertEquals(List.of(new Instance.Note.NoDoorListens()), notes);
        drain(false);
        assertTrue(instance.drained().isDone());
    }

    @Test
    void aYoungLinkWaitsForDoorsThatItHasNotHeard() {
        start(Duration.ZERO);
        drain(true);
        assertFalse(instance.drained().isDone(), "somebody got it");
        pass(500 * MS - 1);
        assertFalse(instance.drained().isDone());
        pass(1);
        assertTrue(instance.drained().isDone());
    }

    @Test
    void withoutABrokerAStopTriesForTwoSeconds() {
        start(Duration.ZERO);
        link.up = false;
        link.since = now;
        pass(10 * SECOND);
        int before = sent.size();
        instance.stop(now);
        pass(2 * SECOND - 1);
        assertFalse(instance.drained().isDone());
        pass(1);
        assertTrue(instance.drained().isDone());
        assertEquals(before, sent.size(), "nothing is sent without a link");
        assertEquals(new Instance.Note.DrainUntold(), notes.get(notes.size() - 1));
    }

    @Test
    void aLinkThatReturnsInTimeTellsTheDrainAgain() {
        startOfAge();
        instance.stop(now);
        long seq = last().seq();
        link.up = false;
        link.since = now;
        doors.linkIsGone(now);
        pass(SECOND);
        link.up = true;
        link.since = now;
        doors.linkIsBack(now);
        instance.onLinkUp(now);
        assertEquals(State.DRAINING, last().state());
        assertTrue(last().seq() > seq);
        report("web1", ack(last().seq(), 0));
        assertFalse(instance.drained().isDone(), "the broker has not confirmed it on this link");
        instance.onSettled(now, last().seq(), true);
        pass(500 * MS);
        assertTrue(instance.drained().isDone());
    }

    @Test
    void aDoorIsNotForgottenWhileItCannotBeHeard() {
        startOfAge();
        doors.linkIsGone(now);
        now += 60 * SECOND;
        doors.linkIsBack(now);
        assertEquals(1, doors.counted(now));
    }

    @Test
    void commandsAreObeyedOnlyFromTheAllowedUsers() {
        start(Duration.ZERO);
        for (String user : new String[] {null, "guest"}) {
            assertFalse(instance.onCommand(now, new Message.Order("shop", "a", Message.Command.STOP, user)));
            assertEquals(new Instance.Note.CommandRefused(user), notes.get(notes.size() - 1));
            assertEquals(State.READY, last().state());
        }
        command(Message.Command.DRAIN);
        assertEquals(State.DRAINING, last().state());
        command(Message.Command.READY);
        assertEquals(State.READY, last().state());
        assertTrue(instance.onCommand(now, new Message.Order("shop", "a", Message.Command.STOP, "operator")));
    }

    private void command(Message.Command command) {
        assertFalse(instance.onCommand(now, new Message.Order("shop", "a", command, "operator")));
    }

    @Test
    void beforeTheDrainItsOwnSessionsStillGetIn() {
        start(Duration.ofMinutes(10));
        instance.stop(now);
        assertTrue(last().sessions());
        pass(600 * SECOND);
        assertFalse(last().sessions());
        assertInstanceOf(Instance.Note.Draining.class, notes.get(0));
    }

    @Test
    void anAnnouncementReadsAsTheFormatSays() {
        start(Duration.ZERO);
        instance.onLoad(new Load(250, 3, 52_428_800));
        pass(SECOND);
        assertEquals("{\"v\":1,\"service\":\"shop\",\"instance\":\"a\",\"boot\":\"9f0c\",\"seq\":2,\"state\":\"ready\","
                + "\"address\":\"10.0.0.7:8080\",\"scheme\":\"http\",\"path\":\"/\",\"route\":\"n1\",\"weight\":100,"
                + "\"max_inflight\":0,\"keep_alive_ms\":20000,\"warm_up_ms\":0,\"drain\":\"requests\",\"ttl_ms\":3000,"
                + "\"load\":{\"cpu\":250,\"inflight\":3,\"rss\":52428800},\"kind\":\"http\"}",
                new String(last().toBody(), StandardCharsets.UTF_8));
    }

    @Test
    void anInstanceWhoseAnnouncementsDoorsWouldRefuseIsKnownBefore() {
        InstanceId id = new InstanceId("x".repeat(63), "x".repeat(63), -1);
        String path = "/" + "x".repeat(Limits.CLAIM_BYTES_MAX - 1);
        String route = "x".repeat(63);
        for (int length : new int[] {170, 250}) {
            List<String> hosts = Collections.nCopies(Limits.CLAIMED_HOSTS_MAX, "x".repeat(length));
            Terms terms = new Terms(hosts, path, route, 1_000, Integer.MAX_VALUE, Integer.MAX_VALUE, 0, path);
            assertEquals(length == 170, Announcement.alwaysFits(id, terms), "" + length);
        }
    }
}
