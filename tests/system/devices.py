"""What holds of several devices of one account at every store, at one server as at two nodes."""

from __future__ import annotations

import shutil
from itertools import count
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.support.clients import StructuredClient, TextClient
from tests.support.processes import (
    PASSWORD,
    ChatServer,
    ServerStores,
    SQLiteStores,
    Stores,
    shared,
)

_NUMBERS = count(1)
PHONE, DESK = "b" * 16, "d" * 16


class World:
    """A server with SQLite, which is both ``a`` and ``b``, or two nodes that share MariaDB and Redis."""

    def __init__(self, nodes: int, *options: str) -> None:
        self.stores: Stores = SQLiteStores() if nodes == 1 else ServerStores()
        self.a = self.b = ChatServer(*self.stores.options, *options).start()
        if nodes == 2:
            self.b = ChatServer(*self.stores.options, *options)
            shutil.copytree(self.a.folder / "keys", self.b.folder / "keys")
            self.b.start()

    def end(self) -> None:
        """Stop the servers, and leave nothing."""
        self.a.remove()
        if self.b is not self.a:
            self.b.remove()


class DevicesCase(SynchronousTestCase):
    """Users of such a world; the first letter of a device's place is its server."""

    nodes: int
    options: tuple[str, ...] = ()

    def setUp(self) -> None:
        self.world = shared(type(self), lambda: World(self.nodes, *self.options), World.end)
        self.a, self.b = self.world.a, self.world.b
        self.me = self.world.stores.add_user(f"user{next(_NUMBERS)}")
        self.other = self.world.stores.add_user(f"user{next(_NUMBERS)}")

    def device(
        self, server: ChatServer, device: str, uid: int | None = None, **more: Any
    ) -> StructuredClient:
        """A registered device, logged in; ``self.ok`` is the answer."""
        client = server.structured(device=device, features=["devices"])
        self.addCleanup(client.close)
        self.assertEqual(client.welcome["features"], ["devices"])
        self.ok = client.log_in(uid or self.me, PASSWORD, **more)
        return client

    def person(self, server: ChatServer, uid: int | None = None) -> TextClient:
        """Somebody at the text dialect, logged in."""
        client = server.text()
        self.addCleanup(client.close)
        client.log_in(uid or self.me, PASSWORD)
        return client

    def write(self, *texts: str) -> list[dict[str, Any]]:
        """Messages of somebody else to me; the answers."""
        writer = self.a.structured()
        writer.log_in(self.other, PASSWORD, receive=False)
        sent = [writer.ask(type="msg", n=n, to=self.me, text=t) for n, t in enumerate(texts, 1)]
        writer.close()
        return sent

    def assert_closed(self, client: StructuredClient) -> None:
        """Fail unless the server has said `bye` and closed."""
        self.assertEqual(client.await_type("bye")["type"], "bye")
        self.assertTrue(client.closed())


class EveryStore(DevicesCase):
    """Devices side by side."""

    def test_side_by_side(self) -> None:
        """One device of a user would throw the other out, or not be shown what came, in order (P2)."""
        phone, desk = self.device(self.a, PHONE), self.device(self.b, DESK)
        person = self.person(self.b)
        self.write("1", "2", "3")
        for client in (phone, desk):
            came = [client.await_type("msg") for _ in range(3)]
            self.assertEqual([message["text"] for message in came], ["1", "2", "3"])
            self.assertEqual([message["id"] for message in came], [1, 2, 3])
            serials = [message["serial"] for message in came]
            self.assertEqual(serials, sorted(set(serials)))
            client.say(type="ack", id=3)
        self.assertTrue(person.read().endswith("1"))
        self.assertTrue(phone.silent())
        self.assertTrue(desk.silent())

    def test_copies(self) -> None:
        """What one device sends, the others would not be shown, or the one that sent it twice (P4)."""
        phone, desk = self.device(self.a, PHONE), self.device(self.b, DESK)
        reader = self.device(self.a, PHONE, self.other)
        sent = phone.ask(type="msg", n=1, to=self.other, text="hi")
        message, copy = reader.await_type("msg"), desk.await_type("msg")
        self.assertEqual((message["serial"], copy["serial"]), (sent["serial"], sent["serial"]))
        self.assertEqual((copy["from"], copy["to"], copy["text"]), (self.me, self.other, "hi"))
        self.assertNotIn("to", message)
        self.write("for me")
        self.assertEqual([c.await_type("msg")["text"] for c in (phone, desk)], ["for me"] * 2)
        desk.say(type="ack", id=copy["id"])
        phone.close()
        phone = self.device(self.b, PHONE)
        self.assertEqual(phone.await_type("msg")["text"], "for me", "not its own, at another node")
        self.assertTrue(phone.silent())

    def test_again_after_a_log_out(self) -> None:
        """A device that comes back would be shown what it has shown, or not what came meanwhile (P2)."""
        phone = self.device(self.a, PHONE)
        desk = self.device(self.b, DESK)
        self.write("1")
        shown = phone.await_type("msg")
        phone.close()
        self.write("2")
        for _ in range(2):
            desk.say(type="ack", id=desk.await_type("msg")["id"])
        phone = self.device(self.b, PHONE, after=shown["id"], serial=shown["serial"])
        self.assertEqual((self.ok["epoch"], phone.next()["text"]), ("", "2"))
        self.assertTrue(phone.silent())
        phone.close()
        phone = self.device(self.b, PHONE, after=0, serial=0)
        missed, message = phone.next(), phone.next()
        self.assertEqual((missed["type"], missed["after"], missed["until"]), ("missed", 0, 1))
        self.assertEqual((message["text"], message["serial"]), ("2", missed["serial"]))

    def test_same_device(self) -> None:
        """Two sessions of one device would both go on, or end the other devices."""
        phone, desk = self.device(self.a, PHONE), self.device(self.a, DESK)
        again = self.device(self.b, PHONE)
        self.assertEqual(phone.await_type("kicked"), {"type": "kicked"})
        self.write("1")
        self.assertEqual([c.await_type("msg")["text"] for c in (again, desk)], ["1", "1"])
        without = self.b.structured(device=PHONE)
        self.addCleanup(without.close)
        without.log_in(self.me, PASSWORD)
        again.await_type("kicked")
        self.assertTrue(desk.silent())

    def test_forget(self) -> None:
        """A lost phone would stay logged in at another node, or come back by its token."""
        phone = self.device(self.b, PHONE)
        token = self.ok["token"]
        desk = self.device(self.a, DESK)
        listed = desk.ask(type="devices", n=5)["devices"]
        self.assertEqual(
            [(one["device"], one["online"], one["this"]) for one in listed],
            [(PHONE, True, False), (DESK, True, True)],
        )
        self.assertEqual(listed[0]["client"], "test/1")
        self.assertEqual(desk.ask(type="forget", n=6, device=PHONE), {"type": "ok", "re": 6})
        self.assert_closed(phone)
        comes_back = self.b.structured(device=PHONE, features=["devices"])
        self.addCleanup(comes_back.close)
        answer = comes_back.ask(type="auth", n=1, uid=self.me, token=token)
        self.assertEqual(answer["code"], "bad-credentials")
        self.assertEqual(len(desk.ask(type="devices", n=7)["devices"]), 1)
        self.assertEqual(desk.ask(type="forget", n=8, device=DESK), {"type": "ok", "re": 8})
        self.assert_closed(desk)

    def test_by_name(self) -> None:
        """Nobody could log in by name, or anybody by one that two have."""
        name = f"unique{next(_NUMBERS)}"
        uid = self.world.stores.add_user(name)
        client = self.a.structured()
        self.addCleanup(client.close)
        answer = client.ask(type="auth", n=1, name=name, password=PASSWORD)
        self.assertEqual((answer["type"], answer["uid"]), ("ok", uid))
        client.ask(type="logout", n=2)
        self.world.stores.add_user(name)
        answer = client.ask(type="auth", n=3, name=name, password=PASSWORD)
        self.assertEqual(answer["code"], "bad-credentials")


class EveryStoreWithFewDevices(DevicesCase):
    """`--devices 2 --device-backlog 5`."""

    options = ("--devices", "2", "--device-backlog", "5")

    def test_too_many(self) -> None:
        """A device more than may be would be let in beside the others, or throw out one that is online."""
        phone, desk = self.device(self.a, PHONE), self.device(self.b, DESK)
        third = self.a.structured(device="e" * 16, features=["devices"])
        self.addCleanup(third.close)
        log_in = {"type": "auth", "uid": self.me, "password": PASSWORD}
        self.assertEqual(third.ask(n=1, **log_in)["code"], "too-many-devices")
        phone.ask(type="logout", n=2)
        self.assertEqual(third.ask(n=3, **log_in)["type"], "ok")
        listed = [one["device"] for one in desk.ask(type="devices", n=3)["devices"]]
        self.assertEqual(listed, [DESK, "e" * 16])

    def test_too_far_behind(self) -> None:
        """A device that acknowledges nothing would hold its user's inbox for ever, or not be told what it misses."""
        phone, desk = self.device(self.a, PHONE), self.device(self.b, DESK)
        for text in range(1, 9):
            self.write(str(text))
            desk.ask(type="ping", n=text)
            desk.say(type="ack", id=desk.await_type("msg")["id"])
        self.assert_closed(phone)
        self.write("9")
        desk.say(type="ack", id=desk.await_type("msg")["id"])
        again = self.device(self.a, PHONE, after=0, serial=0)
        missed = again.next()
        self.assertEqual((missed["type"], missed["after"]), ("missed", 0))
        self.assertGreaterEqual(missed["until"], 8)
