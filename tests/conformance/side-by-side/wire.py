"""Frames, methods, field tables and content headers of AMQP 0-9-1, as bytes and back.

The methods come from crates/wire/methods.txt, so that they are declared once. Values keep their field type
(`l:5` is not `I:5`), because brokers differ in types too. Read first: `Value`.
"""

import pathlib
import re
import struct

METHODS_TXT = pathlib.Path(__file__).resolve().parents[3] / "crates" / "wire" / "methods.txt"
FRAME_END = 0xCE
METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
BASIC = 60
# Content properties in the order of their flags: AMQP 0-9-1 §1.8.3.
PROPERTIES = [
    ("content_type", "shortstr"), ("content_encoding", "shortstr"), ("headers", "table"), ("delivery_mode", "octet"),
    ("priority", "octet"), ("correlation_id", "shortstr"), ("reply_to", "shortstr"), ("expiration", "shortstr"),
    ("message_id", "shortstr"), ("timestamp", "longlong"), ("type", "shortstr"), ("user_id", "shortstr"),
    ("app_id", "shortstr"), ("cluster_id", "shortstr"),
]
INTEGERS = {"b": ">b", "B": ">B", "s": ">h", "u": ">H", "I": ">i", "i": ">I", "l": ">q", "L": ">q", "T": ">Q"}
SIZES = {"octet": ">B", "short": ">H", "long": ">I", "longlong": ">Q"}


class Value:
    """A value of a field table: its type character, and an int, a float, bytes, a list, or pairs."""

    def __init__(self, kind, content):
        self.kind, self.content = kind, content

    def __str__(self):
        if self.kind == "A":
            return "A[" + ",".join(map(str, self.content)) + "]"
        if self.kind == "F":
            return table_text(self.content)
        if self.kind in "Sx":
            return f"{self.kind}:{quoted(self.content.decode('utf-8', 'backslashreplace'))}"
        if self.kind == "D":
            return f"D:{self.content[0]}/{self.content[1]}"
        return self.kind if self.kind == "V" else f"{self.kind}:{self.content}"


class Method:
    def __init__(self, group, group_id, name, number, content, fields):
        self.name, self.group_id, self.number, self.content = f"{group}.{name}", group_id, number, content
        self.fields = fields


def quoted(text):
    plain = re.fullmatch(r"[\w.%$*#/+@-]+", text)
    return text if plain else '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def table_text(pairs):
    """Sorted by name: the order of entries is not compared (4.x sorts them)."""
    return "F{" + ",".join(f"{name}={value}" for name, value in sorted(pairs, key=lambda pair: pair[0])) + "}"


def load_methods():
    by_name, by_id, group, group_id = {}, {}, None, None
    for line in METHODS_TXT.read_text().splitlines():
        words = line.split("#")[0].replace(":", " : ", 1).split()
        if not words:
            continue
        if words[0] == "class":
            group, group_id = words[1], int(words[2])
            continue
        split = words.index(":")
        fields = [tuple(word.split(":")) for word in words[split + 1:]]
        method = Method(group, group_id, words[0], int(words[1]), "content" in words[2:split], fields)
        by_name[method.name] = by_id[group_id, method.number] = method
    return by_name, by_id


BY_NAME, BY_ID = load_methods()


def shortstr(content):
    if len(content) > 255:
        raise ValueError(f"{len(content)} bytes are too many for a short string")
    return bytes([len(content)]) + content


def longstr(content):
    return struct.pack(">I", len(content)) + content


def encode_value(value):
    kind, content = value.kind, value.content
    if kind in INTEGERS:
        body = struct.pack(INTEGERS[kind], content)
    elif kind in "Sx":
        body = longstr(content)
    elif kind in "fd":
        body = struct.pack(">" + kind, content)
    elif kind == "D":
        body = struct.pack(">Bi", *content)
    elif kind == "t":
        body = bytes([content])
    elif kind == "A":
        body = longstr(b"".join(map(encode_value, content)))
    elif kind == "F":
        body = encode_table(content)
    else:
        body = b""
    return kind.encode() + body


def encode_table(pairs):
    return longstr(b"".join(shortstr(name.encode()) + encode_value(value) for name, value in pairs))


def encode_field(kind, value):
    if kind == "table":
        return encode_table(value or [])
    if kind == "shortstr":
        return shortstr(value or b"")
    if kind == "longstr":
        return longstr(value or b"")
    return struct.pack(SIZES[kind], value or 0)


def encode_method(method, values):
    """Bits side by side share an octet; reserved fields are zero."""
    out, bits = struct.pack(">HH", method.group_id, method.number), []
    for name, kind in [*method.fields, ("", "")]:
        if kind == "bit":
            bits.append(bool(values.get(name)))
            continue
        if bits:
            out += bytes([sum(bit << at for at, bit in enumerate(bits))])
            bits = []
        if kind:
            out += encode_field(kind, values.get(name))
    return out


def encode_header(size, properties, weight=0, group=BASIC):
    flags, body = 0, b""
    for at, (name, kind) in enumerate(PROPERTIES):
        if name in properties:
            flags |= 1 << (15 - at)
            body += encode_field(kind, properties[name])
    return struct.pack(">HHQH", group, weight, size, flags) + body


def frame(kind, channel, payload, end=FRAME_END):
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + bytes([end])


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, layout):
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def short(self):
        return self.take(self.number(">B"))

    def long(self):
        return self.take(self.number(">I"))

    def table(self):
        inner, pairs = Reader(self.long()), []
        while inner.at < len(inner.data):
            pairs.append((inner.short().decode("utf-8", "backslashreplace"), inner.value()))
        return pairs

    def value(self):
        kind = chr(self.number(">B"))
        if kind in INTEGERS:
            return Value(kind, self.number(INTEGERS[kind]))
        if kind in "Sx":
            return Value(kind, self.long())
        if kind in "fd":
            return Value(kind, self.number(">" + kind))
        if kind == "D":
            return Value(kind, struct.unpack(">Bi", self.take(5)))
        if kind == "t":
            return Value(kind, self.number(">B"))
        if kind == "A":
            inner, items = Reader(self.long()), []
            while inner.at < len(inner.data):
                items.append(inner.value())
            return Value(kind, items)
        if kind == "F":
            return Value(kind, self.table())
        if kind == "V":
            return Value(kind, None)
        raise ValueError(f"field type {kind!r}")

    def field(self, kind):
        if kind == "table":
            return self.table()
        if kind == "shortstr":
            return self.short()
        if kind == "longstr":
            return self.long()
        return self.number(SIZES[kind])


def decode_method(payload):
    """The method and its fields by name; reserved fields are left out."""
    reader = Reader(payload)
    key = reader.number(">H"), reader.number(">H")
    method = BY_ID.get(key)
    if method is None:
        raise ValueError(f"method {key}")
    values, bit, octet = {}, 8, 0
    for name, kind in method.fields:
        if kind == "bit":
            if bit == 8:
                octet, bit = reader.number(">B"), 0
            values[name], bit = octet >> bit & 1, bit + 1
        else:
            bit = 8
            values[name] = reader.field(kind)
    values.pop("_", None)
    return method, values


def decode_header(payload):
    reader = Reader(payload)
    _group, _weight, size, flags = struct.unpack(">HHQH", reader.take(14))
    properties = {}
    for at, (name, kind) in enumerate(PROPERTIES):
        if flags & 1 << (15 - at):
            properties[name] = reader.field(kind)
    return size, properties
