"""One dialogue carried out: connections, channels, and what came back as normalized lines.

An answer to a method is listed under its step. Everything that a broker sends by itself (deliveries, confirms, returns,
errors of methods without an answer) is listed under the next `wait`, and at the end. Within a `wait`, lines are grouped
by connection and channel, and deliveries stand last: their order relative to others on the channel is not promised.
Steps that are no methods:

    wait                     until the broker is quiet, or has sent as many lines as expected
    pause MS                 let time pass (only for expiry)
    drop b                   close b's socket
    tcp b                    connect without a handshake
    greet b [in-full]        the same with the protocol header; `in-full` shows what the start method holds
    bytes b "AMQP..."        as they are
    frame b TYPE CHANNEL "payload" [end=0]
    b/1: header SIZE [class=60] [weight=0], b/1: body "text"      the parts of a content
"""

import re
import select
import socket
import time

import wire
from dialogue import method_step, place, tokens, unquote

PLAIN = b"\0guest\0guest"
GREETING = b"AMQP\0\0\x09\x01"
CAPABILITIES = ["authentication_failure_close", "basic.nack", "connection.blocked", "consumer_cancel_notify",
                "exchange_exchange_bindings", "publisher_confirms"]
ANSWER_S = 5
QUIET_RECORDING_S, QUIET_S, EXPECTED_S = 0.35, 0.06, 2.5
SETTLE_S = 8
HIDDEN = [
    (re.compile(r"amq\.gen-[\w-]{22}"), "amq.gen-*"),
    (re.compile(r"amq\.ctag-[\w.=+/-]+"), "amq.ctag-*"),
    # as a value it is quoted, whichever characters a broker makes its addresses of
    (re.compile(r'(?<=[=:])"?amq\.rabbitmq\.reply-to\.[\w.=+/-]+"?'), '"amq.rabbitmq.reply-to.*"'),
    (re.compile(r"amq\.rabbitmq\.reply-to\.[\w.=+/-]+"), "amq.rabbitmq.reply-to.*"),
    (re.compile(r"<[\w@-]*\.?\d+\.\d+\.\d+>"), "<pid>"),
    (re.compile(r"time=T:\d+"), "time=T:*"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:*"),
]
ALSO_ANSWER = {"basic.get": ["basic.get-ok", "basic.get-empty"], "connection.start-ok": ["connection.tune"],
               "connection.tune-ok": [], "exchange.bind": ["exchange.bind-ok"]}
ERRORS = ("channel.close", "connection.close", "(socket closed)")


class Event:
    def __init__(self, connection, channel, name, text):
        self.connection, self.channel, self.name, self.text = connection, channel, name, text
        self.stale = False

    def place(self):
        return self.connection, self.channel

    def line(self):
        return f"{self.connection}/{self.channel} {self.name} {self.text}".rstrip()


class Connection:
    def __init__(self, label, address):
        self.label, self.buffer, self.open_channels = label, b"", set()
        self.socket = socket.create_connection(address, ANSWER_S)
        self.socket.settimeout(ANSWER_S)
        self.alive, self.closing = True, False
        self.unconfirmed, self.contents, self.consumers = {}, {}, set()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            self.alive = False

    def method(self, channel, name, **fields):
        method = wire.BY_NAME[name]
        self.send(wire.frame(wire.METHOD, channel, wire.encode_method(method, fields)))

    def frames(self):
        """What arrived: (type, channel, payload), and (None, 0, bytes) for a protocol header."""
        while self.buffer:
            if self.buffer[:4] == b"AMQP" and len(self.buffer) >= 8:
                yield None, 0, self.buffer[:8]
                self.buffer = self.buffer[8:]
                continue
            if len(self.buffer) < 8:
                return
            size = int.from_bytes(self.buffer[3:7], "big")
            if len(self.buffer) < size + 8:
                return
            kind, channel = self.buffer[0], int.from_bytes(self.buffer[1:3], "big")
            payload, self.buffer = self.buffer[7:7 + size], self.buffer[8 + size:]
            yield kind, channel, payload


class Session:
    def __init__(self, address, prefix):
        self.address, self.prefix = address, prefix
        self.connections, self.inbox, self.named, self.used = {}, [], {}, set()
        self.in_full = False

    def run(self, dialogue, expected=None):
        """The answers to each step; `expected` says how many to wait for."""
        results = []
        for at, step in enumerate(dialogue.steps):
            self.used.update(re.findall(r"%([a-z][\w.-]*)", step.text))
            count = None if expected is None else len(expected[at])
            if at == len(dialogue.steps) - 1 and step.text != "wait":
                raise ValueError(f"{dialogue.name}: the last step is no `wait`")
            results.append([self.normalized(event.line()) for event in self.step(step.text, count)])
        return results

    def step(self, text, count):
        text = re.sub(r"%(?=[a-z])", self.prefix, text)
        for name, content in self.named.items():
            text = text.replace("$" + name, f'"{content}"')
        label, channel, opens, rest = place(text)
        words = tokens(rest)
        plain = getattr(self, "on_" + words[0], None)
        if plain:
            return plain(words[1:], label, channel, count) or []
        channel = 1 if channel is None else channel
        found = method_step(words)
        if found is None:
            raise ValueError(f"what is {words[0]}?")
        return self.send_method(label, channel, opens, *found)

    def send_method(self, label, channel, opens, method, fields, properties, body):
        connection = self.connection(label) if opens else self.connections[label]
        opens = opens and channel and method.name != "channel.open"
        if opens and channel not in connection.open_channels:
            self.open_channel(connection, channel)
        data = wire.frame(wire.METHOD, channel, wire.encode_method(method, fields))
        if method.content:
            data += wire.frame(wire.HEADER, channel, wire.encode_header(len(body), properties))
            size = 131072 - 8
            data += b"".join(
                wire.frame(wire.BODY, channel, body[at:at + size]) for at in range(0, len(body), size)
            )
            if channel in connection.unconfirmed:
                connection.unconfirmed[channel].append(None)
        connection.closing = connection.closing or method.name == "connection.close"
        connection.send(data)
        if method.name == "confirm.select":
            connection.unconfirmed.setdefault(channel, Confirms())
        answers = ALSO_ANSWER.get(method.name, [name for name in [method.name + "-ok"] if name in wire.BY_NAME])
        if fields.get("no_wait"):
            connection.consumers.add((channel, fields.get("consumer_tag")))
            return []
        if not answers:
            return []
        return self.answer(connection, channel, answers)

    def answer(self, connection, channel, names):
        """The first event that is one of `names`, or an error that ends the channel or the connection."""
        end = time.monotonic() + ANSWER_S
        while True:
            for event in self.inbox:
                mine = event.connection == connection.label and event.channel in (0, channel) and not event.stale
                if mine and (event.name in names or event.name in ERRORS):
                    before = self.inbox[:self.inbox.index(event)]
                    if any(one.name == "basic.cancel" and one.place() == event.place() for one in before):
                        # Clients that wait for an answer take this for a loss: py-amqp raises ConsumerCancelled.
                        event.text += " (after basic.cancel)"
                    self.inbox.remove(event)
                    return [event]
            if time.monotonic() > end:
                return [Event(connection.label, channel, "(no answer)", "")]
            self.pump(end - time.monotonic())

    def connection(self, label):
        connection = self.connections.get(label)
        if connection is None or not connection.alive:
            self.outdate(lambda event: event.connection == label)
            connection = self.connections[label] = Connection(label, self.address)
            connection.send(GREETING)
            self.expect(connection, 0, "connection.start")
            capabilities = [(name, wire.Value("t", 1)) for name in CAPABILITIES]
            connection.method(0, "connection.start-ok", mechanism=b"PLAIN", response=PLAIN, locale=b"en_US",
                              client_properties=[("capabilities", wire.Value("F", capabilities))])
            self.expect(connection, 0, "connection.tune")
            connection.method(0, "connection.tune-ok", channel_max=2047, frame_max=131072, heartbeat=0)
            connection.method(0, "connection.open", virtual_host=b"/")
            self.expect(connection, 0, "connection.open-ok")
        return connection

    def open_channel(self, connection, channel):
        self.outdate(lambda event: event.place() == (connection.label, channel))
        connection.method(channel, "channel.open")
        self.expect(connection, channel, "channel.open-ok")

    def outdate(self, which):
        """What ended a channel or connection before is no answer to what comes now; the next `wait` lists it."""
        for event in self.inbox:
            event.stale = event.stale or which(event)

    def expect(self, connection, channel, name):
        event = self.answer(connection, channel, [name])[0]
        if event.name != name:
            raise RuntimeError(f"{name} did not come, but {event.line()}")

    def pump(self, timeout):
        """Takes in what arrives; False if nothing did within `timeout` seconds."""
        alive = [connection for connection in self.connections.values() if connection.alive]
        ready, _, _ = select.select([c.socket for c in alive], [], [], max(0.0, timeout))
        for connection in alive:
            if connection.socket in ready:
                self.receive(connection)
        return bool(ready)

    def receive(self, connection):
        try:
            data = connection.socket.recv(1 << 18)
        except OSError:
            data = b""
        connection.buffer += data
        for kind, channel, payload in connection.frames():
            self.take_frame(connection, kind, channel, payload)
        if not data and connection.alive:
            connection.alive = False
            if not connection.closing:
                self.inbox.append(Event(connection.label, 0, "(socket closed)", ""))

    def take_frame(self, connection, kind, channel, payload):
        if kind is None:
            self.inbox.append(Event(connection.label, 0, "protocol header", " ".join(map(str, payload[4:]))))
        elif kind == wire.METHOD:
            method, values = wire.decode_method(payload)
            if method.content:
                connection.contents[channel] = [method, values, None, None, b""]
            else:
                self.take_method(connection, channel, method, values)
        elif kind in (wire.HEADER, wire.BODY) and channel in connection.contents:
            content = connection.contents[channel]
            if kind == wire.HEADER:
                content[2], content[3] = wire.decode_header(payload)
            else:
                content[4] += payload
            if len(content[4]) == content[2]:
                method, values, _size, properties, body = connection.contents.pop(channel)
                self.take_content(connection, channel, method, values, properties, body)

    def take_content(self, connection, channel, method, values, properties, body):
        text = fields_text(values) + properties_text(properties)
        text += f" body={wire.quoted(body.decode('latin-1'))}" if len(body) < 200 else f" body_bytes={len(body)}"
        if method.name == "basic.deliver" and (channel, values["consumer_tag"]) not in connection.consumers:
            text += " (before consume-ok)"
        if "reply_to" in properties:
            self.named["reply"] = properties["reply_to"].decode()
        self.inbox.append(Event(connection.label, channel, method.name, text))

    def take_method(self, connection, channel, method, values):
        name, label = method.name, connection.label
        if name in ("basic.ack", "basic.nack") and channel in connection.unconfirmed:
            for tag in connection.unconfirmed[channel].settle(values["delivery_tag"], values["multiple"]):
                self.inbox.append(Event(label, channel, name, str(tag)))
            return
        if name == "channel.close":
            connection.method(channel, "channel.close-ok")
            self.forget_channel(connection, channel)
        elif name == "channel.close-ok":
            self.forget_channel(connection, channel)
        elif name == "channel.open-ok":
            connection.open_channels.add(channel)
        elif name == "connection.close":
            connection.closing = True
            connection.method(0, "connection.close-ok")
            connection.alive = False
        elif name == "connection.close-ok":
            connection.alive = False
        elif name == "queue.declare-ok":
            self.named["queue"] = values["queue"].decode()
        elif name == "basic.consume-ok":
            self.named["tag"] = values["consumer_tag"].decode()
            connection.consumers.add((channel, values["consumer_tag"]))
        elif name == "connection.start":
            hidden = [(key, shape(content)) for key, content in values["server_properties"]]
            values = values | {"server_properties": hidden} if self.in_full else {}
        self.inbox.append(Event(label, channel, name, fields_text(values)))

    @staticmethod
    def forget_channel(connection, channel):
        connection.open_channels.discard(channel)
        connection.unconfirmed.pop(channel, None)
        connection.contents.pop(channel, None)

    def normalized(self, line):
        line = line.replace(self.prefix, "%")
        for pattern, text in HIDDEN:
            line = pattern.sub(text, line)
        return line

    def on_wait(self, _words, _label, _channel, count):
        quiet = QUIET_RECORDING_S if count is None else QUIET_S
        end = time.monotonic() + SETTLE_S
        if count is not None:
            enough = time.monotonic() + EXPECTED_S
            while len(self.inbox) < count and time.monotonic() < enough:
                self.pump(enough - time.monotonic())
        while self.pump(quiet) and time.monotonic() < end:
            pass
        events, self.inbox = self.inbox, []
        key = lambda event: (event.connection, event.channel, event.name == "basic.deliver")
        return sorted(events, key=key)

    def on_pause(self, words, *_rest):
        end = time.monotonic() + int(words[0]) / 1000
        while (left := end - time.monotonic()) > 0:
            self.pump(left) or time.sleep(max(0.0, min(left, end - time.monotonic())))

    def on_drop(self, words, *_rest):
        self.connections[words[0]].alive = False
        self.connections[words[0]].socket.close()

    def on_tcp(self, words, *_rest):
        self.connections[words[0]] = Connection(words[0], self.address)

    def on_greet(self, words, *_rest):
        self.on_tcp(words)
        self.in_full = "in-full" in words
        self.connections[words[0]].send(GREETING)
        return self.answer(self.connections[words[0]], 0, ["connection.start"])

    def on_bytes(self, words, *_rest):
        self.connections[words[0]].send(unquote(words[1]))

    def on_frame(self, words, *_rest):
        end = int(words[4].removeprefix("end=")) if len(words) > 4 else wire.FRAME_END
        self.send_part(words[0], int(words[1]), int(words[2]), unquote(words[3]), end)

    def send_part(self, label, kind, channel, payload, end=wire.FRAME_END):
        connection = self.connection(label)
        if channel and channel not in connection.open_channels:
            self.open_channel(connection, channel)
        connection.send(wire.frame(kind, channel, payload, end))

    def on_header(self, words, label, channel, _count):
        options = dict(word.split("=") for word in words[1:])
        payload = wire.encode_header(int(words[0]), {}, int(options.get("weight", 0)), int(options.get("class", 60)))
        self.send_part(label, wire.HEADER, channel or 1, payload)

    def on_body(self, words, label, channel, _count):
        self.send_part(label, wire.BODY, channel or 1, unquote(words[0]))

    def close(self):
        """Closes what is open and takes away what this dialogue declared."""
        for connection in self.connections.values():
            connection.socket.close()
        cleaner = Session(self.address, self.prefix)
        try:
            connection = cleaner.connection("z")
            cleaner.open_channel(connection, 1)
            for name in sorted(self.used):
                name = (self.prefix + name).encode()
                for method, field in (("queue.delete", "queue"), ("exchange.delete", "exchange")):
                    connection.method(1, method, **{field: name})
                    if cleaner.answer(connection, 1, [method + "-ok"])[0].name == "channel.close":
                        cleaner.open_channel(connection, 1)
            connection.method(0, "connection.close", reply_code=200)
            cleaner.answer(connection, 0, ["connection.close-ok"])
        finally:
            for connection in cleaner.connections.values():
                connection.socket.close()


class Confirms:
    """Which publishes of a channel are not confirmed yet: `multiple` is spelled out, since coalescing is free."""

    def __init__(self):
        self.count, self.open = 0, []

    def append(self, _nothing):
        self.count += 1
        self.open.append(self.count)

    def settle(self, tag, multiple):
        tags = [one for one in self.open if one <= tag] if multiple else [tag]
        if multiple and tag == 0:
            tags = list(self.open)
        self.open = [one for one in self.open if one not in tags]
        return tags


def shape(content):
    """A server property without what differs between any two brokers."""
    return content if content.kind in "Ft" else wire.Value("S", b"*")


def fields_text(values):
    return " ".join(f"{name}={field_text(content)}" for name, content in values.items())


def field_text(content):
    if isinstance(content, bytes):
        return wire.quoted(content.decode("utf-8", "backslashreplace"))
    return wire.table_text(content) if isinstance(content, list) else str(content)


def properties_text(properties):
    return "".join(f" {name}={field_text(content)}" for name, content in properties.items())
