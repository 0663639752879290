"""Hosts of a small network: one namespace a node, joined by a bridge in a namespace of its own.

Nothing here touches the machine's own network. Needs root, `ip` and `nft`.
"""

import ctypes
import os
import subprocess

BRIDGE = "lvbridge"
CLONE_NEWNET = 0x4000_0000


def shell(command, check=True):
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    if check and done.returncode:
        raise SystemExit(f"{command}: {done.stderr.strip()}")


class Network:
    """`count` hosts, 10.9.0.1 and up, that all reach each other until told otherwise."""

    def __init__(self, count):
        self.count = count
        self.remove()
        shell(f"ip netns add {BRIDGE}")
        shell(f"ip -n {BRIDGE} link add bridge type bridge && ip -n {BRIDGE} link set bridge up")
        for host in range(count):
            name = self.name(host)
            shell(f"ip netns add {name} && ip -n {name} link set lo up")
            shell(f"ip link add wire netns {name} type veth peer name port{host} netns {BRIDGE}")
            shell(f"ip -n {BRIDGE} link set port{host} master bridge up")
            shell(f"ip -n {name} addr add {self.address(host)}/24 dev wire && ip -n {name} link set wire up")

    def remove(self):
        for host in range(self.count):
            shell(f"ip netns del {self.name(host)}", check=False)
        shell(f"ip netns del {BRIDGE}", check=False)

    @staticmethod
    def name(host):
        return f"lvhost{host}"

    @staticmethod
    def address(host):
        return f"10.9.0.{host + 1}"

    def inside(self, host, command):
        return ["ip", "netns", "exec", self.name(host), *command]

    def cut_off(self, host):
        """Nothing comes or goes."""
        shell(f"ip -n {BRIDGE} link set port{host} down")

    def deafen(self, host, to):
        """What `to` sends does not arrive at `host`; the other way it does."""
        inside = f"ip netns exec {self.name(host)} nft"
        shell(f"{inside} add table ip cut")
        shell(f"{inside} 'add chain ip cut in {{ type filter hook input priority 0 ; }}'")
        shell(f"{inside} add rule ip cut in ip saddr {self.address(to)} drop")

    def reset(self, host, to):
        """As `deafen`, but who sends is told at once: each segment is answered with a reset."""
        inside = f"ip netns exec {self.name(host)} nft"
        shell(f"{inside} add table ip cut")
        shell(f"{inside} 'add chain ip cut in {{ type filter hook input priority 0 ; }}'")
        shell(f"{inside} add rule ip cut in ip saddr {self.address(to)} tcp flags != rst reject with tcp reset")

    def heal(self, host):
        shell(f"ip -n {BRIDGE} link set port{host} up")
        shell(f"ip netns exec {self.name(host)} nft delete table ip cut", check=False)

    def enter(self, host):
        """This thread's sockets are the host's from now on."""
        libc = ctypes.CDLL("libc.so.6", use_errno=True)
        descriptor = os.open(f"/var/run/netns/{self.name(host)}", os.O_RDONLY)
        try:
            if libc.setns(descriptor, CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"cannot enter {self.name(host)}")
        finally:
            os.close(descriptor)
