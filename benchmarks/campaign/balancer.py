"""The balancer in front of the nodes: HAProxy, as docs/balancer.md has it, with shorter times."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from benchmarks.campaign.node import Node
from benchmarks.campaign.process import Process, wait_until

_CONFIG = """
global
    stats socket {folder}/haproxy.sock level admin
    maxconn 2000
defaults
    mode tcp
    timeout connect 2s
    timeout client 1h
    timeout server 1h
    timeout check 1s
    option clitcpka
frontend chat
    bind :{port}
    default_backend nodes
backend nodes
    balance leastconn
    option httpchk GET /health
    option redispatch
    default-server check inter 500ms fall 3 rise 1 on-marked-down shutdown-sessions send-proxy-v2
"""


class Balancer:
    """Listens at ``port`` and passes users on to those of the nodes that are well."""

    def __init__(self, folder: Path, port: int, nodes: Sequence[Node], namespace: str) -> None:
        program = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin")
        if program is None:
            raise SystemExit("haproxy is not installed (Debian: apt install haproxy)")
        config = folder / "haproxy.cfg"
        servers = (
            f"    server {node.name} 127.0.0.1:{node.ports.behind} port {node.ports.health}\n"
            for node in nodes
        )
        config.write_text(_CONFIG.format(folder=folder, port=port) + "".join(servers))
        self._socket = folder / "haproxy.sock"
        self.process = Process([program, "-db", "-f", str(config)], folder, "haproxy", namespace)

    def start(self, well: Sequence[Node]) -> None:
        """Start it, and wait until it has found these nodes well: users who come before that all go to one of them."""
        self.process.start()
        wait_until(self._socket.exists, "haproxy", 10)
        for node in well:
            wait_until(partial(self._finds_well, node), f"haproxy's trust in {node.name}", 30)

    def _finds_well(self, node: Node) -> bool:
        lines = self._say("show stat -1 4 -1").splitlines()
        return any(line.startswith(f"nodes,{node.name},") and ",L7OK," in line for line in lines)

    def take_out(self, node: Node) -> None:
        """Send nobody there any more, and end the connections that are there."""
        self._say(f"set server nodes/{node.name} state maint")
        self._say(f"shutdown sessions server nodes/{node.name}")

    def put_back(self, node: Node) -> None:
        self._say(f"set server nodes/{node.name} state ready")

    def close(self) -> None:
        self.process.end()

    def _say(self, command: str) -> str:
        with closing(socket.socket(socket.AF_UNIX)) as line:
            line.settimeout(5)
            line.connect(str(self._socket))
            line.sendall(command.encode() + b"\n")
            return b"".join(iter(lambda: line.recv(65_536), b"")).decode()
