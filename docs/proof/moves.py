"""What a move of queues costs, on two nodes over loopback: moves.py LEVERET KIND...

Needs pika. KIND: `pause-100MB`, `pause-1GB` and `pause-empty` publish 5,000 messages of 1 KiB a second with confirms to
the node that stays, while the queue's home leaves; `leave-1KiB` and `leave-64KiB` have 1 GB in one queue,
`leave-empty` 1,000 queues. Each kind gets two new nodes, and says in the end what arrived.
"""
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time

import pika
from pika import frame, spec

PORTS = [(26701, 26711), (26702, 26712)]
RATE = 5_000
# messages, bytes of each, seconds of publishing
KINDS = {
    "pause-empty": (0, 1024, 6),
    "pause-100MB": (102_400, 1024, 6),
    "pause-1GB": (1_024_000, 1024, 14),
    "leave-1KiB": (1_024_000, 1024, 0),
    "leave-64KiB": (16_384, 65_536, 0),
    "leave-empty": (0, 0, 0),
}


def url(node):
    return pika.URLParameters(f"amqp://guest:guest@127.0.0.1:{PORTS[node][0]}/%2F")


def start(leveret, directory, node):
    client, cluster = PORTS[node]
    command = [leveret, "serve", "--memory", "4GiB", "--data-dir", f"{directory}/{node}"]
    command += ["--listen", f"127.0.0.1:{client}", "--cluster-listen", f"127.0.0.1:{cluster}"]
    if node == 1:
        command += ["--seed", f"127.0.0.1:{PORTS[0][1]}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ready = [leveret, "status", "--ready", "--data-dir", f"{directory}/{node}"]
    while subprocess.run(ready, capture_output=True).returncode != 0:
        time.sleep(0.05)
    return process


def fill(count, size):
    connection = pika.BlockingConnection(url(0))
    channel = connection.channel()
    if not size:
        for number in range(1_000):
            channel.queue_declare(f"q{number}")
        return connection.close()
    channel.queue_declare("q")
    if count:
        # pika would take minutes
        raw = socket.create_connection(("127.0.0.1", PORTS[0][0]))
        method = lambda number, what: frame.Method(number, what).marshal()
        raw.sendall(b"AMQP\0\0\x09\x01")
        raw.recv(65_536)
        raw.sendall(method(0, spec.Connection.StartOk({}, "PLAIN", "\0guest\0guest", "en_US")))
        raw.recv(65_536)
        raw.sendall(method(0, spec.Connection.TuneOk(10, 131_072, 0)) + method(0, spec.Connection.Open("/")))
        raw.recv(65_536)
        raw.sendall(method(1, spec.Channel.Open()))
        raw.recv(65_536)
        publish = method(1, spec.Basic.Publish(exchange="", routing_key="q"))
        content = frame.Header(1, size, spec.BasicProperties()).marshal() + frame.Body(1, b"x" * size).marshal()
        for _ in range(count // 64):
            raw.sendall((publish + content) * 64)
        while channel.queue_declare("q", passive=True).method.message_count < count:
            time.sleep(0.05)
        raw.close()
    connection.close()


def leave(leveret, directory):
    begun = time.perf_counter()
    subprocess.run([leveret, "leave", "--data-dir", f"{directory}/0"], capture_output=True, check=True)
    return begun, time.perf_counter()


def publish_meanwhile(seconds, leaves):
    """Gives what was published and nacked, and when and after how long each was confirmed."""
    sent, answered, span = {}, [], []
    at = {"number": 0, "nacks": 0, "begun": 0.0}

    def on_confirm(confirm):
        now, method = time.perf_counter(), confirm.method
        at["nacks"] += isinstance(method, spec.Basic.Nack)
        known = [tag for tag in sent if tag <= method.delivery_tag] if method.multiple else [method.delivery_tag]
        answered.extend((sent[tag], now - sent.pop(tag)) for tag in known if tag in sent)

    def tick():
        now = time.perf_counter() - at["begun"]
        goes_on = now < seconds or not span
        while goes_on and at["number"] < now * RATE:
            at["number"] += 1
            sent[at["number"]] = time.perf_counter()
            channel[0].basic_publish("", "q", b"x" * 1024)
        if goes_on or sent:
            return connection.ioloop.call_later(0.001, tick)
        connection.close()

    def begin(_):
        at["begun"] = time.perf_counter()
        threading.Thread(target=lambda: (time.sleep(2), span.extend(leaves())), daemon=True).start()
        tick()

    channel = []

    def on_channel(opened):
        channel.append(opened)
        opened.confirm_delivery(on_confirm, callback=begin)

    connection = pika.SelectConnection(
        url(1),
        on_open_callback=lambda opened: opened.channel(on_open_callback=on_channel),
        on_close_callback=lambda closed, _: closed.ioloop.stop(),
    )
    connection.ioloop.start()
    return at["number"], at["nacks"], answered, span


def run(leveret, kind):
    count, size, seconds = KINDS[kind]
    with tempfile.TemporaryDirectory() as directory:
        nodes = [start(leveret, directory, node) for node in range(2)]
        time.sleep(1)
        fill(count, size)
        if seconds:
            number, nacks, answered, (begun, ended) = publish_meanwhile(seconds, lambda: leave(leveret, directory))
            count += number
            times = sorted(took * 1e3 for at, took in answered if begun <= at <= ended)
            part = lambda share: times[min(len(times) - 1, int(len(times) * share))]
            text = f"confirms, ms: p50 {part(0.5):.1f}, p99 {part(0.99):.1f}, max {times[-1]:.1f}; {nacks} nacks; "
        else:
            (begun, ended), text = leave(leveret, directory), ""
        code = nodes[0].wait()
        told = subprocess.run([leveret, "status", "--json", "--data-dir", f"{directory}/1"], capture_output=True)
        queues = json.loads(told.stdout)["queues"]
        there = sum(queue["ready"] for queue in queues)
        text += f"leave {ended - begun:.2f} s, exit code {code}; {len(queues)} queues, {there} of {count} messages"
        print(f"{kind}: {text}", flush=True)
        nodes[1].terminate()
        nodes[1].wait()


for kind in sys.argv[2:]:
    run(sys.argv[1], kind)
