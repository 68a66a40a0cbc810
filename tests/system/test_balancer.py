"""Two servers behind HAProxy, as docs/balancer.md puts them there: addresses, health, nodes that stop and die."""

from __future__ import annotations

import subprocess
from itertools import count

from twisted.trial.unittest import SynchronousTestCase

from tests.support.balancer import Balanced, Node, documented, program
from tests.support.clients import StructuredClient, TextClient
from tests.support.processes import PASSWORD, new_address, shared

THERE = 3
"""Connections that one address may have at each node."""

_NUMBERS = count(1)
_GREETING = "请登陆!"
_LIMITS = ("--max-per-ip", str(THERE), "--login-tries", "5/3")


class BalancerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = shared(type(self), lambda: Balanced(*_LIMITS), Balanced.end)
        self.world.heal()
        self.balancer = self.world.balancer
        self.ca = self.world.nodes[0].ca

    def user(self) -> int:
        return self.world.stores.add_user(f"user{next(_NUMBERS)}")

    def person(self, address: str = "") -> TextClient:
        """Somebody at the text dialect, who comes from this address."""
        source = address or new_address()
        client = TextClient(self.balancer.port, self.ca, source=source)
        self.addCleanup(client.close)
        return client

    def program(self) -> StructuredClient:
        device = f"{next(_NUMBERS):032x}"
        source = new_address()
        client = StructuredClient(self.balancer.port, self.ca, device=device, source=source)
        self.addCleanup(client.close)
        return client

    def reader(self) -> tuple[int, StructuredClient, str]:
        """Somebody who is logged in behind the balancer: uid, connection and token."""
        uid, client = self.user(), self.program()
        return uid, client, client.log_in(uid, PASSWORD)["token"]

    def writer(self, node: Node) -> StructuredClient:
        """Somebody who is logged in at this very node."""
        client = node.structured(device=f"{next(_NUMBERS):032x}", source=new_address())
        self.addCleanup(client.close)
        client.log_in(self.user(), PASSWORD)
        return client

    def comes_back(self, uid: int, token: str, after: int) -> StructuredClient:
        """The user connects once more and logs in by the token."""
        client = self.program()
        answer = client.ask(type="auth", n=1, uid=uid, token=token, after=after)
        self.assertEqual(answer["type"], "ok", answer)
        return client

    def test_page(self) -> None:
        """HAProxy would not take, or complain of, what the page tells to write."""
        checked = subprocess.run(
            [program(), "-c", "-f", "/dev/stdin"],
            input=documented(),
            capture_output=True,
            text=True,
            check=False,
        )
        said = checked.stdout + checked.stderr
        self.assertEqual((checked.returncode, "WARNING" in said, "ALERT" in said), (0, 0, 0), said)

    def alone(self) -> Node:
        """The one node to which the balancer sends everybody from now on."""
        node, other = self.world.nodes
        self.balancer.say(f"set server nodes/{other.name} state maint")
        return node

    def test_connections_of_an_address(self) -> None:
        """All users would count as one address, the balancer's, and only the first few of them come in."""
        self.alone()
        address = new_address()
        for _ in range(THERE):
            self.assertEqual(self.person(address).greeting, _GREETING)
        self.assertRegex(self.person(address).greeting, "^连接过多")
        self.assertEqual(self.person().greeting, _GREETING)

    def test_guesses(self) -> None:
        """Somebody who guesses passwords would lock out everybody behind the balancer, or not be slowed down."""
        node = self.alone()
        uid, address = self.user(), new_address()
        guesser = self.person(address)
        for nobody in range(900_000, 900_004):
            self.assertEqual(guesser.ask(f"auth {nobody} x"), "认证失败!")
            self.assertEqual(guesser.read(), _GREETING)
        self.assertRegex(guesser.ask(f"auth {uid} {PASSWORD}"), "^尝试太频繁")
        self.assertIn(f"log-in of nobody we know from {address} refused", node.log())
        self.person().log_in(uid, PASSWORD)

    def test_store_away(self) -> None:
        """Users of a node that cannot reach Redis would stay there, or new ones be sent to it."""
        uid, client, token = self.reader()
        node, other = self.world.node_of(uid)
        node.cut_off()
        self.balancer.wait_for(node, "DOWN")
        self.assertTrue(client.closed())
        answer = self.writer(other).ask(type="msg", n=1, to=uid, text="meanwhile")
        self.assertEqual(answer["type"], "sent")
        moved = self.comes_back(uid, token, 0)
        self.assertEqual(moved.await_type("msg")["text"], "meanwhile")
        self.assertEqual(self.balancer.state(other), "UP")
        self.world.heal()
        self.assertEqual(node.tracebacks(), [])

    def test_stop(self) -> None:
        """Users of a node that is stopped would hang, find no other node, or miss what was written meanwhile."""
        uid, client, token = self.reader()
        node, other = self.world.node_of(uid)
        self.balancer.say(f"set server nodes/{node.name} state drain")
        for _ in range(THERE):  # more than evenly
            newcomer = self.user()
            self.person().log_in(newcomer, PASSWORD)
            self.assertEqual(self.world.node_of(newcomer)[0], other)
        writer = self.writer(other)
        writer.ask(type="msg", n=1, to=uid, text="1")
        self.assertEqual(client.await_type("msg")["text"], "1")
        node.terminate()
        writer.say_many({"type": "msg", "n": n, "to": uid, "text": str(n)} for n in range(2, 22))
        self.assertGreater(client.await_type("bye")["retry_after"], 0)
        shown = ["1", *(thing["text"] for thing in client.unread)]
        client.hang_up()
        moved = self.comes_back(uid, token, len(shown))
        while len(shown) < 21:
            message = moved.await_type("msg")
            if message["id"] > len(shown):  # what was not acknowledged comes again
                shown.append(message["text"])
        self.assertEqual(shown, [str(n) for n in range(1, 22)])
        for _ in range(20):
            writer.await_type("sent")
        node.wait()
        self.assertEqual((node.tracebacks(), other.tracebacks()), ([], []))

    def test_crash(self) -> None:
        """Somebody who comes while a node dies would be refused, or messages to its users be lost or shown twice."""
        uid, client, token = self.reader()
        node, other = self.world.node_of(uid)
        writer = self.writer(other)
        for n in range(1, 6):
            writer.ask(type="msg", n=n, to=uid, text=str(n))
            client.await_type("msg")
        client.say(type="ack", id=3)
        self.assertTrue(self.world.stores.until_waiting(uid, 2))
        self.balancer.say(f"disable health nodes/{node.name}")  # it has not noticed yet
        node.kill()
        for _ in self.world.nodes:
            self.person()
        moved = self.comes_back(uid, token, 5)
        writer.ask(type="msg", n=6, to=uid, text="6")
        self.assertEqual([moved.await_type("msg")["id"] for _ in range(3)], [4, 5, 6])
        self.assertTrue(client.closed())
