#!/usr/bin/env bash
# Debian's rabbitmq-server, privately on loopback: own directories, own epmd, own ports, no service, no root daemon.
#
#   apt-get install -y --no-install-recommends rabbitmq-server    # 3.10.8 in Debian 12
#   tests/peers/rabbitmq.sh start [PORT] [DIR]   # default 5673, /tmp/leveret-rabbitmq-PORT; prints PID and URL
#   tests/peers/rabbitmq.sh pid   [PORT] [DIR]   # its process, for `leveret bench --pid`
#   tests/peers/rabbitmq.sh exec  [PORT] [DIR]   # in the foreground until SIGTERM, for `leveret bench start --exec`
#   tests/peers/rabbitmq.sh stop  [PORT] [DIR]   # ends exactly what start started and removes DIR
#
# Stock configuration, no plugins. Its distribution port is PORT+20000, its epmd's PORT+10000.
set -euo pipefail

action=${1:-}
port=${2:-5673}
dir=$(realpath -m "${3:-/tmp/leveret-rabbitmq-$port}")
server=/usr/lib/rabbitmq/bin/rabbitmq-server
epmd_port=$((port + 10000))
marker=$dir/made-by-rabbitmq.sh

die() { echo "rabbitmq.sh: $*" >&2; exit 1; }

alive() { grep -qs '^State:.[^Z]' "/proc/$1/status"; }

# The process recorded in $1, if it still runs the program named $2: a number that was reused is nobody's.
running() {
    local pid
    pid=$(cat "$1" 2>/dev/null) || return 1
    alive "$pid" || return 1
    [[ $(cat "/proc/$pid/comm" 2>/dev/null) == "$2"* ]] && echo "$pid"
}

# The Erlang machine: the one child of the start script, which stays and hands SIGTERM on.
node() {
    local script
    script=$(running "$dir/server.pid" rabbitmq) && awk '{ print $1 }' "/proc/$script/task/$script/children"
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

prepare() {
    [[ -x $server ]] || die "no $server; apt-get install -y --no-install-recommends rabbitmq-server"
    ! answers "$port" || die "port $port is taken; give another one"
    [[ ! -e $dir || -e $marker ]] || die "$dir exists and is not ours; give another DIR"
    mkdir -p "$dir"/{mnesia,log,home}
    # what an earlier start said there is not what this one says
    rm -f "$dir"/log/*.log
    : >"$marker"
    : >"$dir/env.conf"
    : >"$dir/rabbitmq.conf"
    echo '[].' >"$dir/advanced.config"
    echo '[].' >"$dir/enabled_plugins"
    # the Erlang cookie: only processes with this HOME know it
    [[ -e $dir/home/.erlang.cookie ]] || (umask 077; head -c 24 /dev/urandom | base64 | tr -dc A-Za-z >"$dir/home/.erlang.cookie")
    chmod 400 "$dir/home/.erlang.cookie"
    cd "$dir"
    export ERL_CRASH_DUMP=$dir/log/erl_crash.dump
    export HOME=$dir/home ERL_EPMD_PORT=$epmd_port ERL_EPMD_ADDRESS=127.0.0.1
    export RABBITMQ_NODENAME=bench$port@localhost RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT=$port
    export RABBITMQ_DIST_PORT=$((port + 20000)) RABBITMQ_CONF_ENV_FILE=$dir/env.conf
    export RABBITMQ_CONFIG_FILE=$dir/rabbitmq.conf RABBITMQ_ADVANCED_CONFIG_FILE=$dir/advanced.config
    export RABBITMQ_MNESIA_BASE=$dir/mnesia RABBITMQ_LOG_BASE=$dir/log RABBITMQ_PID_FILE=$dir/node.pid
    export RABBITMQ_ENABLED_PLUGINS_FILE=$dir/enabled_plugins
    export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}'
}

start_epmd() {
    epmd -port "$epmd_port" -address 127.0.0.1 </dev/null >"$dir/log/epmd" 2>&1 &
    epmd=$!
    echo "$epmd" >"$dir/epmd.pid"
    for _ in $(seq 100); do answers "$epmd_port" && return; sleep 0.05; done
    die "epmd does not listen on $epmd_port; see $dir/log/epmd"
}

end() { # PIDFILE NAME: SIGTERM, 60 s later SIGKILL
    local pid
    pid=$(running "$1" "$2") || return 0
    kill "$pid"
    for _ in $(seq 600); do
        running "$1" "$2" >/dev/null || return 0
        sleep 0.1
    done
    kill -KILL "$pid"
}

case $action in
start)
    prepare
    start_epmd
    setsid "$server" </dev/null >"$dir/log/console" 2>&1 &
    started=$!
    echo "$started" >"$dir/server.pid"
    for _ in $(seq 600); do
        # by number alone: until it has become the server it has the name of this shell
        alive "$started" || die "it ended; see $dir/log/console"
        # it listens before it is ready: the log says when it is
        if grep -qs "Server startup complete" "$dir"/log/*.log; then
            echo "pid $(node) url amqp://guest:guest@127.0.0.1:$port/"
            exit 0
        fi
        sleep 0.1
    done
    die "not up within 60 s; see $dir/log"
    ;;
exec)
    prepare
    start_epmd
    "$server" </dev/null >"$dir/log/console" 2>&1 &
    node=$!
    trap 'kill $node 2>/dev/null || true' TERM INT
    wait "$node" || true
    wait "$node" 2>/dev/null || true
    kill "$epmd" 2>/dev/null || true
    rm -rf "$dir"
    ;;
pid)
    node || die "it does not run"
    ;;
stop)
    [[ -e $marker ]] || die "$dir is not ours"
    end "$dir/server.pid" rabbitmq
    end "$dir/epmd.pid" epmd
    rm -rf "$dir"
    ;;
*)
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
