"""The processes of the checks: redis-server, leveret, and the applications; and how their parts are installed."""

import functools
import hashlib
import os
import pathlib
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading

import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
READY_S = 30
STOP_S = 10


class Process:
    """A program that is ended with the block; its output is read line by line until a word comes."""

    def __init__(self, name):
        self.name = name
        self.directory = tempfile.mkdtemp(prefix="leveret-sessions-")
        self.lines = queue.Queue()

    def start(self, command, environment=None):
        clean = {key: value for key, value in os.environ.items() if not key.startswith("LEVERET_")}
        self.log = open(os.path.join(self.directory, "log"), "w+")
        self.process = subprocess.Popen(
            command, env={**clean, **(environment or {})}, stdout=subprocess.PIPE, stderr=self.log, text=True,
            start_new_session=True,
        )
        threading.Thread(target=self.pump, daemon=True).start()

    def pump(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def until(self, pattern):
        """The first line that matches, and all before it."""
        seen, end = [], time.monotonic() + READY_S
        while True:
            try:
                line = self.lines.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise SystemExit(f"{self.name} is not ready after {READY_S} s; it said {seen}") from None
            if line is None:
                self.log.seek(0)
                raise SystemExit(f"{self.name} ended: {seen} {self.log.read()[-3000:]}")
            seen.append(line)
            if found := re.search(pattern, line):
                return found, seen

    def stop(self):
        # to its group: the workers of PHP's server outlive it otherwise
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def __exit__(self, *_error):
        self.stop()
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)


class Redis(Process):
    """A redis-server on a free port."""

    def __init__(self):
        super().__init__("redis")

    def __enter__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.start(["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", self.directory])
        self.until("Ready to accept connections")
        self.urls = [f"redis://127.0.0.1:{port}"]
        return self


class Leveret(Process):
    """A node with sessions on, on free ports."""

    def __init__(self, binary, seed=None, more=()):
        super().__init__("leveret")
        self.binary, self.seed, self.more = binary, seed, more

    def __enter__(self):
        command = [self.binary, "serve", "--data-dir", self.directory, *self.more]
        for flag in ("--listen", "--cluster-listen", "--session-listen"):
            command += [flag, "127.0.0.1:0"]
        if self.seed:
            command += ["--seed", self.seed]
        self.start([str(word) for word in command])
        _, seen = self.until("^ready$")
        facts = dict(re.fullmatch(r"listening for (\w+) on (\S+)", line).groups() for line in seen if "listening for" in line)
        self.sessions, self.cluster = facts["sessions"], facts["cluster"]
        self.url = f"redis://{self.sessions}"
        self.urls = [self.url]
        return self


class Cluster:
    """Three nodes that know each other."""

    name = "leveret x3"

    def __init__(self, binary):
        self.binary, self.nodes = binary, []

    def __enter__(self):
        for _ in range(3):
            seed = self.nodes[0].cluster if self.nodes else None
            self.nodes.append(Leveret(self.binary, seed).__enter__())
        return self

    @property
    def urls(self):
        return [node.url for node in self.nodes]

    def __exit__(self, *error):
        for node in self.nodes:
            node.__exit__(*error)


class RoundRobin:
    """An application once for each node; each request goes to the next one."""

    def __init__(self, store, installs, urls):
        self.store, self.instances, self.turn = store, [Application(store, installs, url) for url in urls], 0

    def __enter__(self):
        for instance in self.instances:
            instance.__enter__()
        return self

    @property
    def port(self):
        self.turn += 1
        return self.instances[self.turn % len(self.instances)].port

    def own_tests(self):
        self.instances[0].own_tests()

    def __exit__(self, *error):
        for instance in self.instances:
            instance.__exit__(*error)


class Application(Process):
    """One of the applications on a free port."""

    def __init__(self, store, installs, url):
        super().__init__(store)
        self.store, self.installs, self.url = store, installs, url

    def __enter__(self):
        python, modules = self.installs
        environment = {"STORE_URL": self.url, "PYTHONDONTWRITEBYTECODE": "1", "NODE_PATH": str(modules)}
        if self.store == "phpredis":
            return self.php(environment)
        if self.store == "tower-sessions":
            return self.listening([str(built_example())], environment)
        if self.store == "spring":
            jar = packaged_spring(modules.parent.parent)
            return self.listening(["java", "-Xmx256m", "-jar", str(jar)], {**environment, "SPRING_DATA_REDIS_URL": self.url})
        programs = {
            "express": ["node", str(HERE / "express_app.js")],
            "express-merging": ["node", str(HERE / "express_app.js"), "merging"],
            "flask": [str(python), str(HERE / "flask_app.py")],
            "django": [str(python), str(HERE / "django_app.py"), "django.core.cache.backends.redis.RedisCache"],
            "django-redis": [str(python), str(HERE / "django_app.py"), "django_redis.cache.RedisCache"],
        }
        return self.listening(programs[self.store], environment)

    def listening(self, program, environment):
        self.start(program, environment)
        found, _ = self.until(r"^listening (\d+)$")
        self.port = int(found[1])
        return self

    def own_tests(self):
        """Of an adapter, against the server that the application has."""
        environment = {**os.environ, "LEVERET_URL": self.url, "NODE_PATH": str(self.installs[1])}
        folder, command = {
            "express-merging": ("express", ["node", "--test"]),
            "tower-sessions": ("tower-sessions", ["cargo", "test", "--quiet"]),
        }[self.store]
        done = subprocess.run(
            command, cwd=ROOT / "adapters" / folder, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        if done.returncode:
            raise AssertionError(done.stdout[-3000:])

    def php(self, environment):
        """PHP's own server: several workers, so that one slow request does not hold up the others."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        address = self.url.replace("redis://", "tcp://")
        command = ["php", "-d", "session.save_handler=redis", "-d", f"session.save_path={address}", "-d", "display_errors=stderr"]
        command += ["-S", f"127.0.0.1:{self.port}", str(HERE / "php_app.php")]
        self.start(command, {**environment, "PHP_CLI_SERVER_WORKERS": "4"})
        end = time.monotonic() + READY_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                if time.monotonic() > end:
                    raise SystemExit("php does not listen") from None
                time.sleep(0.05)


def build():
    subprocess.run(["cargo", "build", "--release", "--package", "leveret"], cwd=ROOT, check=True)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target"))
    return ROOT / target / "release" / "leveret"


@functools.cache
def built_example():
    """The application of adapters/tower-sessions."""
    folder = ROOT / "adapters" / "tower-sessions"
    subprocess.run(["cargo", "build", "--quiet", "--example", "application"], cwd=folder, check=True)
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR", folder / "target")) / "debug" / "examples" / "application"


@functools.cache
def packaged_spring(cache):
    """The application of spring/, packaged anew when its source changes."""
    source, copy = HERE / "spring", cache / "spring"
    files = {path.relative_to(source): path.read_bytes() for path in source.rglob("*") if path.is_file()}
    mark, wanted = copy / "packaged.txt", hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
    if not mark.exists() or mark.read_text() != wanted:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(source, copy)
        subprocess.run(["mvn", "--batch-mode", "--quiet", "package"], cwd=copy, check=True)
        mark.write_text(wanted)
    return copy / "target" / "application.jar"


def installed(cache):
    """Python with its packages, and the place of node's; each is made anew when the pinned versions change."""
    wanted = (HERE / "requirements.txt").read_text()
    venv, mark = cache / "venv", cache / "venv" / "installed.txt"
    if not mark.exists() or mark.read_text() != wanted:
        shutil.rmtree(venv, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        pip = [venv / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--requirement", HERE / "requirements.txt"], check=True)
        mark.write_text(wanted)
    node = cache / "node"
    mark, wanted = node / "installed.json", (HERE / "package-lock.json").read_text()
    if not mark.exists() or mark.read_text() != wanted:
        shutil.rmtree(node, ignore_errors=True)
        node.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, node / name)
        subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=node, check=True)
        mark.write_text(wanted)
    return venv / "bin" / "python", node / "node_modules"
