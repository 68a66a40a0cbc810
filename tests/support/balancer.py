"""HAProxy, as docs/balancer.md has it, before two nodes of a test."""

from __future__ import annotations

import re
import shutil
import socket
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

from tests.support.processes import ChatServer, ServerStores
from tests.support.servers import PrivateServer, free_port, needed, redis

PAGE = Path(__file__).parents[2] / "docs" / "balancer.md"
_PATIENCE = 15.0
_FASTER = {"inter 2s": "inter 100ms", "fall 5": "fall 3", "timeout check 3s": "timeout check 500ms"}


def documented() -> str:
    """The configuration on the page."""
    found = re.search(r"```haproxy\n(.*?)```", PAGE.read_text(), re.S)
    assert found is not None
    return found[1]


class Node(ChatServer):
    """A server with a port for the balancer (``behind``), one for its checks, and a Redis user of its own."""

    def __init__(self, name: str, stores: ServerStores, *options: str) -> None:
        self.name = name
        self.behind, self.http = free_port(), free_port()
        self._let_in()
        inbox = f"redis://{name}:{name}@127.0.0.1:{redis().port}/{stores.db}"
        health = ("--metrics", f"tcp:{self.http}:interface=127.0.0.1")
        super().__init__("--accounts", stores.accounts, "--inbox", inbox, *health, *options)
        self.ports = (*self.ports, f"haproxy:ssl:{self.behind}:interface=127.0.0.1")

    def cut_off(self) -> None:
        """Let Redis refuse this node, and no other."""
        redis().execute("ACL", "SETUSER", self.name, "off")
        redis().execute("CLIENT", "KILL", "USER", self.name)

    def heal(self) -> None:
        """Undo everything that was done to it."""
        self._let_in()
        self.start()

    def _let_in(self) -> None:
        rights = ("on", f">{self.name}", "~*", "&*", "+@all")
        redis().execute("ACL", "SETUSER", self.name, *rights)


class HAProxy(PrivateServer):
    """
    Listens at ``port`` and passes on to ``nodes``, at most so many ``connections``. It looks after them more often than
    on the page.
    """

    def __init__(self, nodes: Sequence[Node], connections: int = 500) -> None:
        super().__init__()
        text = documented()
        for slow, fast in _FASTER.items():
            assert slow in text, slow
            text = text.replace(slow, fast)
        text = text.replace("/run/haproxy/admin.sock", self.socket)
        text = text.replace("bind :10000", f"bind 127.0.0.1:{self.port}")
        text = re.sub(r"^ *server \w.*\n", "", text, flags=re.M).replace(" port 9100", "")
        servers = (f"    server {n.name} 127.0.0.1:{n.behind} port {n.http}\n" for n in nodes)
        # The page leaves this to the system's number of open files.
        text = text.replace("global\n", f"global\n    maxconn {connections}\n")
        (self.folder / "haproxy.cfg").write_text(text.rstrip() + "\n" + "".join(servers))

    def say(self, command: str) -> str:
        """Its answer to a command at its socket."""
        with closing(socket.socket(socket.AF_UNIX)) as line:
            line.settimeout(5)
            line.connect(self.socket)
            line.sendall(command.encode() + b"\n")
            return b"".join(iter(lambda: line.recv(65_536), b"")).decode()

    def state(self, node: Node) -> str:
        """What it takes a node for: ``UP``, ``DOWN``, ``DRAIN`` or ``MAINT``, perhaps with how sure it is."""
        rows = [row.split(",") for row in self.say("show stat").splitlines()]
        column = rows[0].index("status")
        return next(row[column] for row in rows if row[:2] == ["nodes", node.name])

    def wait_for(self, node: Node, state: str) -> None:
        """Wait until it takes a node for that."""
        deadline = time.monotonic() + _PATIENCE
        while not self.state(node).startswith(state):
            if time.monotonic() > deadline:
                raise AssertionError(f"{node.name} is {self.state(node)}, not {state}")
            time.sleep(0.02)

    def _command(self) -> list[str]:
        return [program(), "-db", "-f", str(self.folder / "haproxy.cfg")]

    def _answers(self) -> bool:
        with suppress(OSError):
            return "Name: HAProxy" in self.say("show info")
        return False


def program() -> str:
    """The program's path."""
    return needed("install HAProxy (Debian: apt install haproxy)", "haproxy")


class Balanced:
    """Two nodes on one MariaDB, one Redis and one key folder, and a balancer before them."""

    def __init__(self, *options: str, connections: int = 500) -> None:
        self.stores = ServerStores()
        a, b = Node("a", self.stores, *options), Node("b", self.stores, *options)
        self.nodes = (a, b)
        a.start()
        shutil.copytree(a.folder / "keys", b.folder / "keys")
        b.start()
        self.balancer = HAProxy(self.nodes, connections)
        self.balancer.start()

    def heal(self) -> None:
        """Let all be well again."""
        for node in self.nodes:
            node.heal()
            self.balancer.say(f"enable health nodes/{node.name}")
            self.balancer.say(f"set server nodes/{node.name} state ready")
        for node in self.nodes:
            self.balancer.wait_for(node, "UP")

    def node_of(self, uid: int) -> tuple[Node, Node]:
        """The node at which a user is logged in, and the other one."""
        a, b = self.nodes
        last = [max(0, node.log().rfind(f"uid {uid}: logged in ")) for node in self.nodes]
        assert bool(last[0]) != bool(last[1]), last
        return (a, b) if last[0] else (b, a)

    def end(self) -> None:
        self.balancer.remove()
        for node in self.nodes:
            node.remove()
