"""A stream: one publisher, one queue, one consumer, each on a node of its own, and the books that are kept of them.

Messages carry their number. What the broker confirmed must arrive; what it never got must not; first deliveries come in
the order of publishing. A queue whose node was killed is gone with its messages: what was confirmed before the kill may
be missing then, what was confirmed later may not.
"""

import collections
import random
import threading
import time

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker, NackError, UnroutableError

EXCHANGE = "chaos"
# A publish is answered within 2 s of its arrival; what lies above that is the client's and the machine's.
ANSWER_S = 2.5
REQUEUED = 0.02


def connect():
    return pika.BlockingConnection(
        pika.ConnectionParameters("127.0.0.1", heartbeat=10, socket_timeout=5, blocked_connection_timeout=30)
    )


class Stream:
    def __init__(self, number, home, publisher, consumer, bound, network, seed):
        self.queue = f"stream-{number}-home-{home}"
        self.home, self.publisher_at, self.consumer_at = home, publisher, consumer
        self.bound, self.network = bound, network
        self.random = random.Random(seed)
        self.sent = 0
        self.confirmed, self.refused, self.unanswered = set(), 0, set()
        self.seen = collections.Counter()
        self.highest = -1
        self.out_of_order, self.slow = [], []
        # numbers below which messages may have died with a home
        self.home_died_at = 0
        self.published_all = threading.Event()

    # ---- what it does -------------------------------------------------------------------------------------------

    def declare(self, stop):
        """Declares the queue on its home until it is there."""
        self.network.enter(self.home)
        while not stop.is_set():
            try:
                connection = connect()
                channel = connection.channel()
                channel.queue_declare(self.queue, durable=True)
                if self.bound:
                    channel.exchange_declare(EXCHANGE, "topic", durable=True)
                    channel.queue_bind(self.queue, EXCHANGE, self.key)
                connection.close()
                return
            except AMQPError:
                time.sleep(0.2)

    @property
    def key(self):
        return f"{self.queue}.message" if self.bound else self.queue

    def home_died(self):
        self.home_died_at = self.sent + 1

    def publish(self, stop, stalls):
        self.network.enter(self.publisher_at)
        channel = None
        while not stop.is_set():
            began = time.monotonic()
            number = self.sent
            try:
                if channel is None:
                    channel = connect().channel()
                    channel.confirm_delivery()
                self.sent += 1
                exchange = EXCHANGE if self.bound else ""
                channel.basic_publish(exchange, self.key, str(number).encode(), mandatory=True)
                self.confirmed.add(number)
            except (NackError, UnroutableError):
                self.refused += 1
                time.sleep(0.05)
            except AMQPError:
                self.unanswered.add(number)
                channel = None
                time.sleep(0.2)
            took = time.monotonic() - began
            if took > ANSWER_S and channel is not None and not stalls.within(self.publisher_at, began):
                self.slow.append((number, round(took, 2)))
            time.sleep(0.004)
        self.published_all.set()

    def consume(self, stop):
        self.network.enter(self.consumer_at)
        while not stop.is_set():
            try:
                connection = connect()
                channel = connection.channel()
                channel.basic_qos(prefetch_count=20)
                for method, _, body in channel.consume(self.queue, inactivity_timeout=0.3):
                    if stop.is_set():
                        break
                    if method is None:
                        if not channel.get_waiting_message_count() and not channel.consumer_tags:
                            break  # cancelled: the home went away
                        continue
                    self.note(int(body), method.redelivered)
                    if self.random.random() < REQUEUED:
                        channel.basic_nack(method.delivery_tag, requeue=True)
                    else:
                        channel.basic_ack(method.delivery_tag)
                connection.close()
            except (AMQPError, ChannelClosedByBroker):
                time.sleep(0.2)

    # ---- its books ----------------------------------------------------------------------------------------------

    def note(self, number, redelivered):
        if not self.seen[number] and not redelivered and number < self.highest:
            self.out_of_order.append((number, self.highest))
        self.seen[number] += 1
        self.highest = max(self.highest, number)

    def missing(self):
        """Confirmed, not seen, and not gone with a killed home."""
        return sorted(number for number in self.confirmed - self.seen.keys() if number >= self.home_died_at)

    def gone(self):
        return sum(1 for number in self.confirmed - self.seen.keys() if number < self.home_died_at)

    def invented(self):
        return sorted(number for number in self.seen if number >= self.sent)

    def problems(self):
        found = {
            "confirmed and lost": self.missing(),
            "never published": self.invented(),
            "out of order": self.out_of_order,
            "answered late": self.slow,
        }
        if not self.published_all.is_set():
            found["a publish without any answer"] = [self.sent - 1]
        return {what: cases for what, cases in found.items() if cases}

    def line(self):
        path = "topic exchange" if self.bound else "default exchange"
        return (
            f"{self.queue}: node {self.publisher_at} -> {self.consumer_at}, {path}: sent {self.sent}, confirmed "
            f"{len(self.confirmed)}, refused {self.refused}, unanswered {len(self.unanswered)}, delivered "
            f"{len(self.seen)}, gone with a killed home {self.gone()}"
        )
