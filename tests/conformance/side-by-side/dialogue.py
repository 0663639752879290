"""Dialogues as text: which steps a client takes, and what a broker answered.

    == exclusive-queue-is-locked
    rows: A10
    queue.declare %q exclusive
    < a/1 queue.declare-ok queue=%q message_count=0 consumer_count=0
    b: queue.declare %q passive

A step names a method of methods.txt: plain words are its fields in order, then flags, `field=value`, and entries of its
table (`x-max-length=5`). In front stands the connection and channel if it is not `a/1:`; both are opened on first use,
unless `!` stands in front. `%q` is a name of this dialogue's own, `$queue`, `$tag`, `$reply` are what the broker named
last. In publishes, `h.NAME=value` is a header, other names are properties. The steps that are no methods are in
`session.py`. Lines with `<` are answers: they stand in recordings, and in dialogues whose oracle is `ours`.
`but: A is B because ...` replaces A in the oracle's answers.
"""

import dataclasses
import re

from wire import BY_NAME, PROPERTIES, Value

ORACLES = ("4.3.6", "3.10.8", "ours")
TOKEN = re.compile(r'\s*((?:[^\s"]|"(?:[^"\\]|\\.)*")+)')
PLACE = re.compile(r"(! ?)?([a-z])(?:/(\d+))?:\s+")


@dataclasses.dataclass
class Step:
    text: str
    line: int
    answers: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Dialogue:
    name: str
    area: str
    rows: str = ""
    oracle: str = "4.3.6"
    reason: str = ""
    instead: tuple = ()
    steps: list = dataclasses.field(default_factory=list)


def parse(text, area):
    """The dialogues of a file, in order."""
    dialogues = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("== "):
            dialogues.append(Dialogue(line[3:].strip(), area))
            continue
        if not dialogues:
            raise ValueError(f"{area}:{number}: a line before the first dialogue")
        current = dialogues[-1]
        key, _, rest = line.partition(": ")
        if key == "rows":
            current.rows = rest
        elif key == "oracle":
            current.oracle, _, current.reason = rest.partition(" because ")
            if current.oracle not in ORACLES or (current.oracle == "ours") != bool(current.reason):
                raise ValueError(f"{area}:{number}: an oracle is one of {ORACLES}, and `ours` has a reason")
        elif key == "but":
            was, found, now = rest.partition(" because ")[0].partition(" is ")
            if not found or " because " not in rest:
                raise ValueError(f"{area}:{number}: wants `but: WHAT THEY SAY is WHAT WE SAY because ...`")
            current.instead = was, now
        elif line.startswith("<"):
            current.steps[-1].answers.append(line[1:].strip())
        else:
            current.steps.append(Step(line, number))
    return dialogues


def render(dialogues):
    """What `parse` reads: steps with their answers."""
    out = []
    for dialogue in dialogues:
        out.append(f"== {dialogue.name}")
        for step in dialogue.steps:
            out.append(step.text)
            out += [f"< {answer}" for answer in step.answers]
        out.append("")
    return "\n".join(out)


def place(text):
    """Connection, channel or None, whether it is opened on first use, and the rest of the step."""
    found = PLACE.match(text)
    if not found:
        return "a", None, True, text
    channel = None if found[3] is None else int(found[3])
    return found[2], channel, not found[1], text[found.end():]


def tokens(text):
    return [match[1] for match in TOKEN.finditer(text)]


def unquote(token):
    """Bytes of a word; inside quotes, escapes as in Python."""
    def inner(match):
        return match[1].encode("latin-1", "backslashreplace").decode("unicode_escape")

    return re.sub(r'"((?:[^"\\]|\\.)*)"', inner, token).encode("utf-8" if not token.isascii() else "latin-1")


def split_outside(text):
    """Parts between commas that stand in no bracket and no quotes."""
    parts, depth, start, quote = [], 0, 0, False
    for at, letter in enumerate(text):
        if letter == '"' and text[at - 1:at] != "\\":
            quote = not quote
        if not quote:
            depth += (letter in "[{") - (letter in "]}")
            if letter == "," and depth == 0:
                parts.append(text[start:at])
                start = at + 1
    return [part for part in [*parts, text[start:]] if part]


def value(text):
    """`5` is a signed 32-bit integer, `l:5` a 64-bit one, `true` a boolean; other words are strings."""
    if text == "V":
        return Value("V", None)
    if text.startswith("A[") and text.endswith("]"):
        return Value("A", [value(part) for part in split_outside(text[2:-1])])
    if text.startswith("F{") and text.endswith("}"):
        pairs = (part.partition("=") for part in split_outside(text[2:-1]))
        return Value("F", [(unquote(name).decode(), value(rest)) for name, _, rest in pairs])
    if re.fullmatch(r"-?\d+", text):
        return Value("I", int(text))
    if text in ("true", "false"):
        return Value("t", int(text == "true"))
    kind, colon, rest = text.partition(":")
    if colon and kind in tuple("bBsuIilLTt"):
        return Value(kind, int(rest))
    if colon and kind in ("f", "d"):
        return Value(kind, float(rest))
    if colon and kind == "D":
        scale, _, digits = rest.partition("/")
        return Value("D", (int(scale), int(digits)))
    if colon and kind in ("S", "x"):
        return Value(kind, unquote(rest))
    return Value("S", unquote(text))


def method_step(words):
    """Method, field values, properties and body of a step; None if its first word names no method."""
    method = BY_NAME.get(words[0])
    if method is None:
        return None
    kinds = {name: kind for name, kind in method.fields if name != "_"}
    plain = [name for name, kind in kinds.items() if kind not in ("bit", "table")]
    table = next((name for name, kind in kinds.items() if kind == "table"), None)
    fields, properties, pairs, body = {}, {}, [], b""
    for word in words[1:]:
        name, equals, rest = word.partition("=") if re.match(r'[\w.-]+=|"[^"]*"=', word) else (word, "", "")
        if not equals and kinds.get(word) == "bit":
            fields[word] = 1
        elif not equals:
            name = next((name for name in plain if name not in fields), None)
            if name is None:
                raise ValueError(f"{words[0]}: what is {word}?")
            fields[name] = field_value(kinds[name], word)
        elif name in kinds and kinds[name] != "table":
            fields[name] = field_value(kinds[name], rest)
        elif name == "body":
            body = unquote(rest)
        elif name == "body_bytes":
            body = b"x" * int(rest)
        elif name.startswith("h."):
            properties.setdefault("headers", []).append((name[2:], value(rest)))
        elif name in dict(PROPERTIES) and method.content:
            kind = dict(PROPERTIES)[name]
            properties[name] = [] if kind == "table" else field_value(kind, rest)
        else:
            pairs.append((unquote(name).decode(), value(rest)))
    if table:
        fields[table] = pairs
    elif pairs:
        raise ValueError(f"{words[0]}: what is {pairs[0][0]}?")
    return method, fields, properties, body


def field_value(kind, word):
    if kind == "bit":
        return int(word)
    return unquote(word) if kind in ("shortstr", "longstr") else int(word)
