#!/usr/bin/env python3
"""Clients that harm a node, for the bars `offended` of docs/proof/run: what do the others notice?

    docs/proof/offenders.py NAME HOST:PORT    prints `ready` once the harm is done, and goes on with it until it is killed

Each has a test with the same offence in crates/leveret/tests/bad_input, which asserts what is answered, closed and kept.
"""

import collections
import itertools
import os
import resource
import selectors
import socket
import struct
import sys
import time

HEADER = b"AMQP\0\0\x09\x01"
QUEUE = b"offended"
BODY_FRAME = 131_000
# A node whose socket took nothing for so long has stopped to read.
STALL_S = 2
# New connections a second of those that come again and again.
STORM = 2_000


def short(text):
    return bytes([len(text)]) + text


def frame(kind, channel, payload):
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def method(channel, cls, number, arguments=b""):
    return frame(1, channel, struct.pack(">HH", cls, number) + arguments)


LOGIN = b"\0guest\0guest"
START_OK = method(0, 10, 11, bytes(4) + short(b"PLAIN") + struct.pack(">I", len(LOGIN)) + LOGIN + short(b"en_US"))
TUNE_OPEN = method(0, 10, 31, struct.pack(">HIH", 2047, 131_072, 0)) + method(0, 10, 40, short(b"/") + b"\0\0")
DECLARE = method(1, 50, 10, b"\0\0" + short(QUEUE) + b"\0" + bytes(4))
CONSUME = method(1, 60, 20, b"\0\0" + short(QUEUE) + short(b"") + b"\x02" + bytes(4))


def begin(body_bytes, key=QUEUE):
    """A publish up to its header."""
    publish = method(1, 60, 40, b"\0\0" + short(b"") + short(key) + b"\0")
    return publish + frame(2, 1, struct.pack(">HHQH", 60, 0, body_bytes, 0))


def message(body_bytes):
    bodies = (min(BODY_FRAME, body_bytes - at) for at in range(0, body_bytes, BODY_FRAME))
    return begin(body_bytes) + b"".join(frame(3, 1, bytes(size)) for size in bodies)


class Client:
    """Logged in, with channel 1 open."""

    def __init__(self, address, receive_bytes=None):
        self.socket = socket.socket(socket.AF_INET)
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.connect(address)
        self.inbox = b""
        for step, answer in [
            (HEADER, (10, 10)), (START_OK, (10, 30)), (TUNE_OPEN, (10, 41)), (method(1, 20, 10, short(b"")), (20, 11)),
        ]:  # fmt: skip
            self.ask(step, answer)

    def ask(self, step, expected):
        self.socket.sendall(step)
        while len(self.inbox) < 7 or len(self.inbox) < 8 + struct.unpack(">I", self.inbox[3:7])[0]:
            block = self.socket.recv(65_536)
            if not block:
                sys.exit("the node hangs up")
            self.inbox += block
        size = struct.unpack(">I", self.inbox[3:7])[0]
        answer, self.inbox = self.inbox[7 : 7 + size], self.inbox[8 + size :]
        if struct.unpack(">HH", answer[:4]) != expected:
            sys.exit(f"{expected} expected, not {answer!r}")

    def flood(self, burst):
        """Publishes until the node takes nothing any more."""
        self.socket.settimeout(STALL_S)
        try:
            while True:
                self.socket.sendall(burst)
        except TimeoutError:
            return


def ready():
    print("ready", flush=True)


def hold():
    while True:
        time.sleep(60)


def come_again(address, hello, keep):
    """Connections that never log in, of which so many stay open at this end."""
    kept = collections.deque()
    selector = selectors.DefaultSelector()
    begun = time.monotonic()
    for number in itertools.count(1):
        stream = socket.create_connection(address)
        stream.setblocking(False)
        try:
            stream.send(hello)
        except OSError:
            pass  # it was dropped at once
        kept.append(stream)
        if len(kept) > keep:
            kept.popleft().close()
        if number == keep:
            ready()
        early = begun + number / STORM - time.monotonic()
        if early > 0:
            selector.select(early)


def handshakes(address):
    come_again(address, HEADER, 3_000)


def silent(address):
    come_again(address, b"", 3_000)


def garbage(address):
    come_again(address, bytes(range(256)) * 64, 100)


def flood(address):
    client = Client(address)
    client.ask(DECLARE, (50, 11))
    client.flood(message(10_000) * 7)
    ready()
    hold()


def unread(address):
    """Many consumers that take what is published and read none of it."""
    publisher = Client(address)
    publisher.ask(DECLARE, (50, 11))
    slow = [Client(address, receive_bytes=16_384) for _ in range(400)]
    for client in slow:
        client.ask(CONSUME, (60, 21))
    publisher.flood(message(60_000))
    ready()
    hold()


def unfinished(address):
    """Messages of 16 MiB that are begun again and again and never ended."""
    kept = collections.deque()
    for number in itertools.count(1):
        client = Client(address)
        try:
            client.socket.sendall(begin(16 << 20) + frame(3, 1, bytes(BODY_FRAME)) * 32)
        except OSError:
            pass  # the node had enough of it
        kept.append(client)
        if len(kept) > 60:
            kept.popleft().socket.close()
        if number == 60:
            ready()
        time.sleep(0.05)


OFFENDERS = {
    offender.__name__: offender for offender in (handshakes, silent, garbage, flood, unread, unfinished)
}


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # its own work is not to be measured
    os.nice(10)
    host, port = sys.argv[2].rsplit(":", 1)
    OFFENDERS[sys.argv[1]]((host, int(port)))
