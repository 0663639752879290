"""The processes of a run of the front door: a broker, a door, application servers, and proxies of others."""

import http.client
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATIENCE_S = 60
SERVERS = 6
GUNICORNS = 4
MODULES = "/usr/lib/apache2/modules"

# Each takes a moment for an answer, so that a kill meets some requests.
GUNICORN_APP = """
import os, time
served = os.open(os.environ["SERVED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def app(environ, start_response):
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    number = environ.get("HTTP_X_NUMBER")
    if number:
        os.write(served, (number + "\\n").encode())
    time.sleep(0.005)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
    return [b"ok\\n"]
"""

NODE_APP = """
const fs = require('fs'), http = require('http');
const served = fs.openSync(process.env.SERVED, 'a');
http.createServer((request, response) => {
  request.resume();
  request.on('end', () => {
    const number = request.headers['x-number'];
    if (number) fs.writeSync(served, number + '\\n');
    response.setHeader('Content-Length', 3);
    setTimeout(() => response.end('ok\\n'), 5);
  });
}).listen(Number(process.argv[2]), process.argv[3]);
"""


def free_port(address="127.0.0.1"):
    with socket.socket() as listener:
        listener.bind((address, 0))
        return listener.getsockname()[1]


def wait_for(what, ready):
    end = time.monotonic() + PATIENCE_S
    while not ready():
        if time.monotonic() > end:
            sys.exit(f"{what} did not come")
        time.sleep(0.02)


def answers(port, address="127.0.0.1"):
    try:
        socket.create_connection((address, port), 1).close()
        return True
    except OSError:
        return False


class Stage:
    """The processes of one run, in one directory."""

    def __init__(self, binary, cache, directory, amqp=None):
        self.binary, self.cache, self.directory, self.foreign_broker = binary, cache, directory, amqp is not None
        self.broker_port, self.admin, self.dns = free_port(), free_port(), free_port()
        self.amqp = amqp or f"amqp://127.0.0.1:{self.broker_port}"
        self.broker = None
        self.processes = []
        self.fronts = {}
        self.servers = {}
        self.port = free_port()

    def start(self, name, command, env=None, group=False):
        log = open(self.directory / f"{name}.log", "ab")
        process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env or self.env(),
            start_new_session=group)
        self.processes.append(process)
        return process

    def env(self, **more):
        kept = {key: value for key, value in os.environ.items() if not key.startswith("LEVERET_")}
        return {**kept, "LEVERET_AMQP": self.amqp, "LEVERET_DOOR_AMQP": self.amqp, **more}

    def open(self):
        if not self.foreign_broker:
            self.start_broker()
        self.drivers = self.prepare_proxies()
        self.start_door()
        self.start_proxies(self.dns)
        for number in range(1, SERVERS + 1):
            self.start_server(number)
        for name, (port, _) in self.fronts.items():
            wait_for(name, lambda: self.one(port, "GET", None) is True)
        for number in range(1, SERVERS + 1):
            wait_for(f"server {number}", lambda: self.routed(number))

    def start_broker(self):
        self.broker = self.start("node", [
            self.binary, "serve", "--listen", f"127.0.0.1:{self.broker_port}", "--cluster-listen", "127.0.0.1:0",
            "--data-dir", self.directory / "data"])
        wait_for("the broker", lambda: answers(self.broker_port))

    def start_door(self):
        self.fronts["door"] = (self.port, self.start("door", [
            self.binary, "door", "--listen", f"127.0.0.1:{self.port}", "--admin", f"127.0.0.1:{self.admin}",
            "--dns-listen", f"127.0.0.1:{self.dns}", "--dns-fallback", f"127.0.0.1:{self.port}", *self.drivers]))
        wait_for("the door", lambda: answers(self.port))

    def status(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=10)
        connection.request("GET", "/status")
        return json.loads(connection.getresponse().read())

    def routed(self, number):
        """Whether the door sends requests to this server."""
        try:
            found = self.instance("shop", f"s{number}")
        except (OSError, http.client.HTTPException):
            return False
        return found is not None and found["state"] == "ready" and not found["why_not"]

    def family(self, number):
        """A server's `leveret run` and everything below it, whatever their process groups."""
        parents = {}
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                except OSError:
                    pass
        family = [self.servers[number].pid]
        for pid in family:
            family += [child for child, parent in parents.items() if parent == pid]
        return family

    def signal_all(self, pids, sent):
        for pid in pids:
            try:
                os.kill(pid, sent)
            except ProcessLookupError:
                pass

    def prepare_proxies(self):
        drivers = []
        self.apache_port, self.haproxy_port, self.nginx_port = free_port(), free_port(), free_port()
        self.haproxy_socket = self.directory / "haproxy.sock"
        if shutil.which("haproxy"):
            drivers += ["--haproxy", f"{self.haproxy_socket}=web:shop"]
        if pathlib.Path("/usr/sbin/apache2").exists():
            drivers += ["--httpd", f"http://127.0.0.1:{self.apache_port}/balancer-manager=web:shop"]
        return drivers

    def start_proxies(self, dns):
        root = self.directory
        if shutil.which("haproxy"):
            (root / "haproxy.cfg").write_text(f"""
global
    stats socket {self.haproxy_socket} mode 600 level admin expose-fd listeners
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
frontend in
    bind 127.0.0.1:{self.haproxy_port}
    default_backend web
backend web
    balance leastconn
    option redispatch
    server door 127.0.0.1:{self.port} backup
""")
            self.fronts["haproxy"] = (
                self.haproxy_port, self.start("haproxy", ["haproxy", "-W", "-f", root / "haproxy.cfg"]))
        else:
            print("left out: haproxy is not there")
        if pathlib.Path("/usr/sbin/apache2").exists():
            modules = "".join(f"LoadModule {name}_module {MODULES}/mod_{name}.so\n" for name in (
                "mpm_event", "authz_core", "authz_host", "proxy", "proxy_http", "proxy_balancer", "proxy_hcheck",
                "lbmethod_bybusyness", "slotmem_shm"))
            (root / "httpd.conf").write_text(f"""
ServerRoot {root}
ServerName localhost
Listen 127.0.0.1:{self.apache_port}
PidFile {root}/httpd.pid
DefaultRuntimeDir {root}
ErrorLog {root}/httpd-error.log
{modules}
User nobody
Group nogroup
ProxyPass /balancer-manager !
ProxyPass / balancer://web/
<Proxy balancer://web>
    BalancerMember http://127.0.0.1:{self.port} status=+H
    ProxySet growth=50 lbmethod=bybusyness maxattempts=3
</Proxy>
<Location /balancer-manager>
    SetHandler balancer-manager
    Require local
</Location>
""")
            self.fronts["apache2"] = (
                self.apache_port, self.start("apache2", ["/usr/sbin/apache2", "-f", root / "httpd.conf", "-DFOREGROUND"]))
        else:
            print("left out: apache2 is not there")
        if pathlib.Path("/usr/sbin/nginx").exists():
            paths = "".join(f"{name}_temp_path {root}/nginx-{name};\n" for name in (
                "client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
            (root / "nginx.conf").write_text(f"""
daemon off; master_process off; pid {root}/nginx.pid; error_log {root}/nginx-error.log;
events {{ }}
http {{
    {paths} access_log off;
    resolver 127.0.0.1:{dns} valid=1s;
    server {{
        listen 127.0.0.1:{self.nginx_port};
        location / {{ set $up shop.door.internal; proxy_pass http://$up:{self.port}; }}
    }}
}}
""")
            self.fronts["nginx"] = (
                self.nginx_port, self.start("nginx", ["/usr/sbin/nginx", "-p", root, "-c", root / "nginx.conf"]))
        else:
            print("left out: nginx is not there")

    def start_server(self, number):
        # nginx knows one port for all, so they differ by address.
        address, name = f"127.0.3.{number}", f"s{number}"
        served = self.directory / f"served-{name}"
        words = [self.binary, "run", "--service", "shop", "--instance", name, "--address", address, "--port", self.port]
        if number <= GUNICORNS:
            command = [self.cache / "bin" / "gunicorn", "--chdir", self.directory, "-b", f"{address}:{self.port}", "app:app"]
        else:
            words += ["--keep-alive", "5s"]
            command = ["node", self.directory / "app.js", self.port, address]
        self.servers[number] = self.start(name, [*words, "--", *command], self.env(SERVED=str(served)), group=True)

    def start_by_hand(self):
        """A plain server, announced by the script that docs/door.md shows."""
        (self.directory / "web/by-hand").mkdir(parents=True)
        (self.directory / "web/by-hand/index.html").write_text("ok")
        port = free_port()
        self.start("plain", [
            sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", self.directory / "web", port])
        wait_for("the plain server", lambda: answers(port))
        text = (ROOT / "docs/door.md").read_text().split("```python\n")[1].split("```")[0]
        (self.directory / "announce.py").write_text(text)
        return self.start("announce", [
            self.cache / "bin" / "python", self.directory / "announce.py", "by-hand", "one", port, "/by-hand"])

    def ask_by_hand(self):
        wait_for("its answer through the door", lambda: self.one(self.port, "GET", None, "/by-hand/") is True)

    def instance(self, service, name):
        found = [instance for one in self.status()["services"] if one["name"] == service
                 for instance in one["instances"] if instance["name"] == name]
        return found[0] if found else None

    def one(self, port, method, number, path="/"):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            headers = {"Connection": "close", "Host": "shop"}
            if number is not None:
                headers["X-Number"] = str(number)
            connection.request(method, path, body=b"x" * 100 if method == "POST" else None, headers=headers)
            response = connection.getresponse()
            response.read()
            connection.close()
            return response.status == 200 or f"status {response.status}"
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
