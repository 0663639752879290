"""pika against a running broker: URL A publishes, URL B consumes (both may be the same).

Each check is a function whose docstring is its name; it gets a channel on A and one on B, fresh for each check.
What a check declares is declared on A and deleted at its end. Nothing sleeps: where "nothing comes" is to be shown, a
reply that stands behind it is awaited.
"""

import itertools
import sys
import time
import traceback

import pika
from pika.exceptions import ChannelClosedByBroker, NackError, UnroutableError

TIMEOUT_S = 10
RUN = f"{time.time_ns():x}"
NUMBERS = itertools.count()


def unique(word):
    return f"conformance.pika.{word}.{RUN}.{next(NUMBERS)}"


def take(channel, queue, count, **options):
    """Consumes until `count` messages are here; returns them with the consumer's tag."""
    messages = []
    tag = channel.basic_consume(
        queue, lambda _channel, method, properties, body: messages.append((method, properties, body)), **options
    )
    wait(channel, lambda: len(messages) >= count, f"{count} messages, not {len(messages)}")
    return messages, tag


def wait(channel, condition, what):
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < end, f"waited {TIMEOUT_S} s for {what}"
        channel.connection.process_data_events(time_limit=0.05)


def numbers(messages):
    return [int(body) for _method, _properties, body in messages]


def publish(channel, queue, count):
    """`count` numbers into the queue, confirmed, so that a consumer elsewhere finds them."""
    channel.confirm_delivery()
    for number in range(count):
        channel.basic_publish("", queue, str(number).encode(), mandatory=True)


def confirmed_publishes(a, b):
    """1,000 confirmed publishes arrive once each and in order"""
    queue = unique("confirms")
    a.queue_declare(queue)
    publish(a, queue, 1000)
    messages, _tag = take(b, queue, 1000, auto_ack=True)
    assert numbers(messages) == list(range(1000)), "order or content differs"
    assert not any(method.redelivered for method, _properties, _body in messages)
    a.queue_delete(queue)


def contents(a, b):
    """properties and bodies of 0 to 300,000 bytes arrive as they were sent"""
    queue = unique("contents")
    a.queue_declare(queue)
    a.confirm_delivery()
    sent = pika.BasicProperties(
        content_type="text/plain", content_encoding="utf-8", priority=3, correlation_id="c", reply_to="r",
        expiration=None, message_id="m", timestamp=1_700_000_000, type="t", user_id="guest", app_id="a",
        headers={"text": "x", "number": 2**40, "yes": True, "nothing": None, "list": [1, "b"], "table": {"k": -1}},
    )
    bodies = [b"", b"x", b"y" * 4096, b"z" * 131_064, b"0123456789" * 30_000]
    for body in bodies:
        a.basic_publish("", queue, body, sent, mandatory=True)
    messages, _tag = take(b, queue, len(bodies), auto_ack=True)
    assert [body for _method, _properties, body in messages] == bodies, "bodies differ"
    for method, properties, _body in messages:
        assert properties == sent, f"{properties} is not {sent}"
        assert (method.exchange, method.routing_key) == ("", queue)
    a.queue_delete(queue)


def routing(a, b):
    """bindings made on A route what B publishes, at once"""
    direct, topic, queue = unique("direct"), unique("topic"), unique("bound")
    a.exchange_declare(direct, "direct")
    a.exchange_declare(topic, "topic")
    a.queue_declare(queue)
    a.queue_bind(queue, direct, "one")
    a.queue_bind(queue, topic, "a.*.c")
    a.exchange_bind(direct, topic, "two.#")
    b.confirm_delivery()
    b.basic_publish(direct, "one", b"0", mandatory=True)
    b.basic_publish(topic, "a.b.c", b"1", mandatory=True)
    for exchange, key in ((direct, "two"), (topic, "a.b"), (topic, "two.one")):
        try:
            b.basic_publish(exchange, key, b"9", mandatory=True)
            raise AssertionError(f"{key} was routed")
        except UnroutableError:
            pass
    messages, _tag = take(b, queue, 2, auto_ack=True)
    assert numbers(messages) == [0, 1]
    a.queue_unbind(queue, direct, "one")
    try:
        b.basic_publish(direct, "one", b"9", mandatory=True)
        raise AssertionError("an unbound key was routed")
    except UnroutableError:
        pass
    a.exchange_delete(direct)
    a.exchange_delete(topic)
    a.queue_delete(queue)


def returned(a, _b):
    """an unroutable mandatory message comes back with 312, then its confirm"""
    a.confirm_delivery()
    try:
        a.basic_publish("amq.direct", unique("nowhere"), b"back", pika.BasicProperties(app_id="me"), mandatory=True)
        raise AssertionError("nothing came back")
    except UnroutableError as error:
        (message,) = error.messages
        assert (message.method.reply_code, message.method.reply_text) == (312, "NO_ROUTE"), message.method
        assert (message.body, message.properties.app_id) == (b"back", "me")
    a.basic_publish("amq.direct", unique("nowhere"), b"dropped")


def requeue_order(a, b):
    """messages that are nacked or rejected with requeue come back in their old order, marked redelivered"""
    queue = unique("requeue")
    a.queue_declare(queue)
    publish(a, queue, 6)
    b.basic_qos(prefetch_count=5)
    messages, tag = take(b, queue, 5)
    assert numbers(messages) == [0, 1, 2, 3, 4]
    b.basic_cancel(tag)
    tags = [method.delivery_tag for method, _properties, _body in messages]
    b.basic_nack(tags[3], requeue=True)
    b.basic_reject(tags[1], requeue=True)
    b.basic_nack(tags[2], multiple=True, requeue=True)
    b.basic_ack(tags[4])
    found = [b.basic_get(queue, auto_ack=True) for _ in range(5)]
    assert numbers(found) == [0, 1, 2, 3, 5], f"got {numbers(found)}"
    assert [method.redelivered for method, _properties, _body in found] == [True] * 4 + [False]
    assert b.basic_get(queue)[0] is None
    a.queue_delete(queue)


def rejected(a, b):
    """a message that is rejected without requeue is gone"""
    queue = unique("reject")
    a.queue_declare(queue)
    publish(a, queue, 2)
    messages, _tag = take(b, queue, 2)
    b.basic_reject(messages[0][0].delivery_tag, requeue=False)
    b.basic_nack(messages[1][0].delivery_tag, requeue=False)
    b.close()
    assert a.queue_delete(queue).method.message_count == 0


def prefetch(a, b):
    """a consumer with prefetch 3 holds three messages, and gets one more for each that it acks"""
    queue = unique("qos")
    a.queue_declare(queue)
    publish(a, queue, 10)
    b.basic_qos(prefetch_count=3)
    messages, _tag = take(b, queue, 3)
    # The answer stands behind every delivery that the queue has made.
    ready = b.queue_declare(queue, passive=True).method.message_count
    assert (len(messages), ready) == (3, 7), f"{len(messages)} here, {ready} ready"
    b.basic_ack(messages[0][0].delivery_tag)
    wait(b, lambda: len(messages) == 4, "a fourth message")
    b.basic_ack(messages[3][0].delivery_tag, multiple=True)
    wait(b, lambda: len(messages) == 7, "three more messages")
    ready = b.queue_declare(queue, passive=True).method.message_count
    assert (len(messages), ready) == (7, 3), f"{len(messages)} here, {ready} ready"
    assert numbers(messages) == list(range(7))
    b.close()
    a.queue_delete(queue)


def get(a, b):
    """basic.get gives messages with the number left, and then says empty"""
    queue = unique("get")
    declared = a.queue_declare(queue).method
    assert (declared.queue, declared.message_count, declared.consumer_count) == (queue, 0, 0)
    assert b.basic_get(queue) == (None, None, None)
    publish(a, queue, 3)
    for left in (2, 1):
        method, _properties, body = b.basic_get(queue)
        assert (method.message_count, int(body), method.redelivered) == (left, 2 - left, False)
        b.basic_ack(method.delivery_tag)
    assert b.basic_get(queue, auto_ack=True)[0].message_count == 0
    assert b.basic_get(queue) == (None, None, None)
    a.queue_delete(queue)


def cancelled(a, b):
    """after basic.cancel nothing is delivered, and what is unacked stays with the channel"""
    queue = unique("cancel")
    a.queue_declare(queue)
    publish(a, queue, 1)
    messages, tag = take(b, queue, 1, consumer_tag="mine")
    assert tag == "mine" == messages[0][0].consumer_tag
    b.basic_cancel(tag)
    publish(a, queue, 1)
    declared = b.queue_declare(queue, passive=True).method
    assert (declared.message_count, declared.consumer_count, len(messages)) == (1, 0, 1), declared
    b.basic_ack(messages[0][0].delivery_tag)
    assert int(b.basic_get(queue, auto_ack=True)[2]) == 0
    a.queue_delete(queue)


def consumer_of_deleted_queue(a, b):
    """a consumer is cancelled by the broker when its queue is deleted"""
    queue = unique("gone")
    a.queue_declare(queue)
    seen = []
    b.add_on_cancel_callback(lambda frame: seen.append(frame.method.consumer_tag))
    tag = b.basic_consume(queue, lambda *_message: None)
    a.queue_delete(queue)
    wait(b, lambda: seen, "the cancel")
    assert seen == [tag]


def missing(a, b):
    """404 closes the channel only: a new one on the same connection works"""
    for wrong in (
        lambda channel: channel.queue_declare(unique("missing"), passive=True),
        lambda channel: channel.basic_consume(unique("missing"), lambda *_message: None),
        lambda channel: channel.queue_bind("x", unique("missing"), "k"),
    ):
        channel = b.connection.channel()
        try:
            wrong(channel)
            raise AssertionError("no 404")
        except ChannelClosedByBroker as error:
            assert error.reply_code == 404 and error.reply_text.startswith("NOT_FOUND"), error
        assert channel.is_closed and b.connection.is_open
    channel = b.connection.channel()
    channel.basic_publish(unique("missing"), "k", b"")
    try:
        channel.queue_declare("amq.never", passive=True)
        raise AssertionError("no 404")
    except ChannelClosedByBroker as error:
        assert error.reply_code == 404 and "exchange" in error.reply_text, error
    queue = unique("after404")
    a.queue_declare(queue)
    publish(a, queue, 1)
    messages, _tag = take(b.connection.channel(), queue, 1, auto_ack=True)
    assert numbers(messages) == [0]
    a.queue_delete(queue)


def inequivalent(a, b):
    """declaring again with other properties is 406"""
    queue = unique("durable")
    a.queue_declare(queue, durable=True)
    b.queue_declare(queue, durable=True)
    try:
        b.queue_declare(queue, durable=False)
        raise AssertionError("no 406")
    except ChannelClosedByBroker as error:
        assert error.reply_code == 406 and "PRECONDITION_FAILED" in error.reply_text, error
    a.queue_delete(queue)


def closed_channel(a, b):
    """closing a channel gives its unacked messages back, in order"""
    queue = unique("close")
    a.queue_declare(queue)
    publish(a, queue, 3)
    messages, _tag = take(b, queue, 3)
    b.basic_ack(messages[1][0].delivery_tag)
    b.close()
    assert b.is_closed and b.connection.is_open
    again, _tag = take(b.connection.channel(), queue, 2, auto_ack=True)
    assert numbers(again) == [0, 2]
    assert all(method.redelivered for method, _properties, _body in again)
    a.queue_delete(queue)


def purged(a, b):
    """purge and delete say how many messages went"""
    queue = unique("purge")
    a.queue_declare(queue)
    publish(a, queue, 5)
    assert b.queue_purge(queue).method.message_count == 5
    publish(a, queue, 2)
    assert b.queue_delete(queue).method.message_count == 2
    assert a.queue_delete(queue).method.message_count == 0


def drained(channel, queue):
    """What is ready, as numbers; taken with basic.get."""
    bodies = []
    while (body := channel.basic_get(queue, auto_ack=True)[2]) is not None:
        bodies.append(int(body))
    return bodies


def lengths(a, b):
    """a full queue drops its oldest, or nacks the newest"""
    queue = unique("length")
    a.queue_declare(queue, arguments={"x-max-length": 3})
    publish(a, queue, 5)
    assert drained(b, queue) == [2, 3, 4]
    a.queue_delete(queue)
    a.queue_declare(queue, arguments={"x-max-length": 2, "x-overflow": "reject-publish"})
    outcomes = []
    for number in range(4):
        try:
            a.basic_publish("", queue, str(number).encode())
            outcomes.append(True)
        except NackError:
            outcomes.append(False)
    assert outcomes == [True, True, False, False], outcomes
    assert drained(b, queue) == [0, 1]
    a.queue_delete(queue)


def times(a, b):
    """a message expires by its own time or its queue's, whichever ends first"""
    queue = unique("ttl")
    a.queue_declare(queue, arguments={"x-message-ttl": 60_000})
    a.confirm_delivery()
    a.basic_publish("", queue, b"1", pika.BasicProperties(expiration="20"))
    a.basic_publish("", queue, b"2", pika.BasicProperties(expiration="120000"))
    wait(b, lambda: b.queue_declare(queue, passive=True).method.message_count == 1, "the expiry")
    a.basic_publish("", queue, b"3", pika.BasicProperties(expiration="0"))
    assert drained(b, queue) == [2]
    a.queue_delete(queue)


def priorities(a, b):
    """messages of a higher priority go first, and so do consumers"""
    queue = unique("priority")
    a.queue_declare(queue, arguments={"x-max-priority": 10})
    a.confirm_delivery()
    for number, priority in enumerate((None, 5, 10, 200, 5)):
        a.basic_publish("", queue, str(number).encode(), pika.BasicProperties(priority=priority))
    assert drained(b, queue) == [2, 3, 1, 4, 0]
    b.basic_qos(prefetch_count=1)
    seen = []
    note = lambda _channel, method, _properties, body: seen.append((method.consumer_tag, int(body)))
    b.basic_consume(queue, note, consumer_tag="low")
    b.basic_consume(queue, note, consumer_tag="high", arguments={"x-priority": 5})
    publish(a, queue, 2)
    wait(b, lambda: len(seen) == 2, "two messages")
    assert sorted(seen) == [("high", 0), ("low", 1)], seen
    b.close()
    a.queue_delete(queue)


def single_active(a, b):
    """one consumer is served until it ends, then the next"""
    queue = unique("sac")
    a.queue_declare(queue, arguments={"x-single-active-consumer": True})
    seen = []
    note = lambda _channel, method, _properties, body: seen.append((method.consumer_tag, int(body)))
    for tag in ("first", "second"):
        b.basic_consume(queue, note, auto_ack=True, consumer_tag=tag)
    publish(a, queue, 2)
    wait(b, lambda: len(seen) == 2, "two messages")
    b.basic_cancel("first")
    publish(a, queue, 1)
    wait(b, lambda: len(seen) == 3, "a third message")
    assert seen == [("first", 0), ("first", 1), ("second", 0)], seen
    b.close()
    a.queue_delete(queue)


CHECKS = [
    confirmed_publishes, contents, routing, returned, requeue_order, rejected, prefetch, get, cancelled,
    consumer_of_deleted_queue, missing, inequivalent, closed_channel, purged,
    lengths, times, priorities, single_active,
]


def close_orderly(connection):
    connection.close()
    assert connection.is_closed


def main():
    url_a, url_b, label = sys.argv[1:4]
    failed = 0

    def report(name, run):
        nonlocal failed
        try:
            run()
            print(f"PASS {label}: {name}", flush=True)
        except Exception as error:  # a check fails in any way it likes; the others go on
            failed += 1
            where = traceback.extract_tb(error.__traceback__)[-1]
            print(f"FAIL {label}: {name}: {type(error).__name__} {error} (line {where.lineno})", flush=True)

    connections = []

    def connect():
        for url in (url_a, url_b):
            parameters = pika.URLParameters(url)
            parameters.socket_timeout = parameters.stack_timeout = TIMEOUT_S
            parameters.blocked_connection_timeout = TIMEOUT_S
            connections.append(pika.BlockingConnection(parameters))

    def fresh(position):
        if connections[position].is_closed:
            connections[position] = pika.BlockingConnection(pika.URLParameters((url_a, url_b)[position]))
        return connections[position].channel()

    report("login with guest", connect)
    if len(connections) == 2:
        for check in CHECKS:
            report(check.__doc__, lambda check=check: check(fresh(0), fresh(1)))
        report("connections close orderly", lambda: [close_orderly(connection) for connection in connections])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
