#!/usr/bin/env bash
# RabbitMQ 3.10.8: a client that answers the server's basic.cancel loses its connection.
#
# AMQP 0-9-1 gives basic.cancel a reply, basic.cancel-ok, and RabbitMQ sends basic.cancel to clients that announced
# `consumer_cancel_notify`. A client that replies as the grammar says, although the server set no-wait, is closed with
# 503 COMMAND_INVALID, and every other channel of its connection with it. Debian 12, RabbitMQ 3.10.8-1.1+deb12u1 on
# Erlang 25.2.3; seen 2026-11-30. Client: amqp 5.3.1 (py-amqp), which is told to reply by hand.
#
# Prints what the server closed with; exits 1 if that is no longer so.
set -euo pipefail
readonly PORT=25673 DIST=25683 EPMD=25693
dir=$(mktemp -d)
started=()
finish() {
    for process in "${started[@]}"; do
        kill "$process" 2> /dev/null || true
        wait "$process" 2> /dev/null || true
    done
    rm -rf "$dir"
}
trap finish EXIT

cd "$dir"
# the packages that the server needs, unpacked here and installed nowhere
erlang=(base asn1 crypto eldap ftp inets mnesia os-mon parsetools public-key runtime-tools snmp ssl syntax-tools tftp tools xmerl)
apt-get download -q -o APT::Sandbox::User=root "rabbitmq-server=3.10.8-1.1+deb12u1" "${erlang[@]/#/erlang-}" > /dev/null
for package in ./*.deb; do dpkg -x "$package" root; done
sed -i "s|/usr/lib/erlang|$dir/root/usr/lib/erlang|g" root/usr/lib/erlang/bin/erl
python3 -m venv venv
venv/bin/pip -q install amqp==5.3.1 vine==5.1.0

# its port mapper would stay behind as a daemon
env ERL_EPMD_PORT=$EPMD ERL_EPMD_ADDRESS=127.0.0.1 root/usr/lib/erlang/bin/epmd &
started+=($!)
home=$(echo root/usr/lib/rabbitmq/lib/rabbitmq_server-*)
mkdir data log
env PATH="$dir/root/usr/lib/erlang/bin:$PATH" HOME="$dir" RABBITMQ_HOME="$dir/$home" RABBITMQ_NODENAME=finding@localhost \
    RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT=$PORT RABBITMQ_DIST_PORT=$DIST ERL_EPMD_PORT=$EPMD \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}" \
    RABBITMQ_MNESIA_BASE="$dir/data" RABBITMQ_LOG_BASE="$dir/log" RABBITMQ_ENABLED_PLUGINS_FILE="$dir/plugins" \
    RABBITMQ_CONF_ENV_FILE="$dir/none" RABBITMQ_CONFIG_FILE="$dir/none" \
    bash "$home/sbin/rabbitmq-server" > server.log 2>&1 &
started=($! "${started[@]}")

cat > client.py <<'PY'
import sys, time
import amqp
from amqp import spec

def connect():
    for _ in range(120):
        try:
            c = amqp.Connection(f"127.0.0.1:{sys.argv[1]}", connect_timeout=5)
            c.connect()
            return c
        except OSError:
            time.sleep(0.5)
    sys.exit("the server did not start: see server.log")

holder, other = connect(), connect()
channel = holder.channel()
channel.queue_declare("q", auto_delete=False)
cancelled = []
channel.basic_consume("q", consumer_tag="t", on_cancel=cancelled.append)
other.channel().queue_delete("q")
while not cancelled:
    holder.drain_events(timeout=10)
print("server properties:", holder.server_properties["product"], holder.server_properties["version"])
print("basic.cancel came for", cancelled)
channel.send_method(spec.Basic.CancelOk, "s", ("t",))
try:
    holder.channel()
except amqp.exceptions.ConnectionError as closed:
    print("the connection was closed with", closed.code, closed.message)
    sys.exit(0 if closed.code == 503 else 1)
print("the connection goes on")
sys.exit(1)
PY
venv/bin/python client.py $PORT
