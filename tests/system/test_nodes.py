"""Two servers on one MySQL, one Redis and one key folder: one chat to their users."""

from __future__ import annotations

import shutil
from itertools import count
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.inbox.nodes import NodeFacts, differences
from tests.cli.shell import chatsvc
from tests.support.clients import StructuredClient, TextClient
from tests.support.processes import PASSWORD, ChatServer, ServerStores, shared, timeless
from tests.support.servers import redis

_NUMBERS = count(1)
_KICKED = "有用户登录您的账号,您已被挤下线!"


class Nodes:
    """Two nodes, ``a`` and ``b``."""

    def __init__(self) -> None:
        self.stores = ServerStores()
        self.a = ChatServer(*self.stores.options).start()
        self.b = ChatServer(*self.stores.options)
        shutil.copytree(self.a.folder / "keys", self.b.folder / "keys")
        self.b.start()

    def end(self) -> None:
        self.a.remove()
        self.b.remove()


class NodesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.nodes = shared(type(self), Nodes, Nodes.end)
        self.a, self.b, self.stores = self.nodes.a.start(), self.nodes.b.start(), self.nodes.stores

    def user(self) -> int:
        return self.stores.add_user(f"user{next(_NUMBERS)}")

    def program(self, node: ChatServer, uid: int, **more: object) -> StructuredClient:
        """A program, logged in at a node."""
        client = node.structured(device=f"{next(_NUMBERS):032x}")
        self.addCleanup(client.close)
        self.login = client.log_in(uid, PASSWORD, **more)
        return client

    def person(self, node: ChatServer, uid: int) -> TextClient:
        """Somebody at the text dialect, logged in at a node."""
        client = node.text()
        self.addCleanup(client.close)
        client.log_in(uid, PASSWORD)
        return client

    def test_between_nodes(self) -> None:
        """Users of different nodes could not talk, would take each other for offline, or see another order."""
        ann, bob = self.user(), self.user()
        writer, reader = self.program(self.a, ann), self.program(self.b, bob)
        messages = [{"type": "msg", "n": n, "to": bob, "text": str(n)} for n in range(1, 51)]
        writer.say_many(messages)
        sent = [writer.await_type("sent") for _ in messages]
        self.assertEqual({answer["state"] for answer in sent}, {"online"})
        came = [reader.await_type("msg") for _ in messages]
        self.assertEqual([message["text"] for message in came], [m["text"] for m in messages])
        self.assertEqual([message["id"] for message in came], [answer["id"] for answer in sent])
        reader.say(type="ack", id=came[-1]["id"])
        answer = reader.ask(type="msg", n=1, to=ann, text="back")
        self.assertEqual(answer["state"], "online")
        self.assertEqual(writer.await_type("msg")["text"], "back")

    def test_text_between_nodes(self) -> None:
        """People at different nodes would read `[离线消息]` although both are there, or nothing."""
        ann, bob = self.user(), self.user()
        writer, reader = self.person(self.a, ann), self.person(self.b, bob)
        said = writer.ask(f"msg {bob} 你好")
        self.assertRegex(timeless(said), rf"^TIME\n\[ user\d+\|UID:{ann} \]:你好$")
        self.assertEqual(timeless(reader.read()), timeless(said))

    def test_offline(self) -> None:
        """A user who left another node would be taken for online, and the sender not hear that the message waits."""
        ann, bob = self.user(), self.user()
        writer, reader = self.program(self.a, ann), self.program(self.b, bob)
        reader.ask(type="logout", n=2)
        answer = writer.ask(type="msg", n=1, to=bob, text="later")
        self.assertEqual((answer["state"], answer["waiting"]), ("offline", 1))
        self.program(self.a, bob)
        self.assertEqual(self.login["waiting"], 1)

    def test_find(self) -> None:
        """Somebody who looks for somebody would see only the users of the same node online."""
        ann, bob = self.user(), self.user()
        asker, _ = self.program(self.a, ann), self.program(self.b, bob)
        ((name,),) = self.stores.sql("SELECT username FROM user WHERE id = ?", (bob,))
        found = asker.ask(type="find", n=3, name=name)
        self.assertEqual(found["users"], [{"uid": bob, "online": True}])

    def test_take_over(self) -> None:
        """A log-in at another node would leave the older connection logged in, or show a message to both."""
        ann, bob = self.user(), self.user()
        older = self.person(self.a, bob)
        newer = self.program(self.b, bob)
        self.assertEqual(older.read(), _KICKED)
        self.assertEqual(older.ask(f"msg {bob} x"), "请登陆!")
        writer = self.program(self.a, ann)
        writer.ask(type="msg", n=1, to=bob, text="one")
        self.assertEqual(newer.await_type("msg")["text"], "one")
        self.assertTrue(older.silent())
        # And back again.
        self.person(self.a, bob)
        self.assertEqual(newer.await_type("kicked")["type"], "kicked")

    def test_token(self) -> None:
        """Users who move to another node would have to type their password again."""
        uid = self.user()
        self.program(self.a, uid)
        mover = self.b.structured()
        self.addCleanup(mover.close)
        answer = mover.ask(type="auth", n=1, uid=uid, token=self.login["token"])
        self.assertEqual(answer["type"], "ok")

    def test_deaf_node(self) -> None:
        """News lost between nodes would be shown only after the next log-in, or somebody stay logged in twice."""
        ann, bob, carol = self.user(), self.user(), self.user()
        writer, reader = self.program(self.a, ann), self.program(self.b, bob)
        moved = self.person(self.b, carol)
        for n in range(1, 21):
            redis().execute("CLIENT", "KILL", "TYPE", "pubsub")
            writer.ask(type="msg", n=n, to=bob, text=str(n))
        redis().execute("CLIENT", "KILL", "TYPE", "pubsub")
        self.person(self.a, carol)
        came = [reader.await_type("msg")["text"] for _ in range(20)]
        self.assertEqual(came, [str(n) for n in range(1, 21)])
        self.assertEqual(moved.read(), _KICKED)
        self.assertTrue(reader.silent())

    def test_crash(self) -> None:
        """Messages that wait for the users of a node that died would be lost, or shown twice at the next one."""
        ann, bob = self.user(), self.user()
        writer, reader = self.program(self.a, ann), self.program(self.b, bob)
        for n in range(1, 6):
            writer.ask(type="msg", n=n, to=bob, text=str(n))
            reader.await_type("msg")
        reader.say(type="ack", id=3)
        reader.ask(type="ping", n=9)
        self.assertTrue(self.stores.until_waiting(bob, 2))
        self.b.kill()
        writer.ask(type="msg", n=6, to=bob, text="6")
        moved = self.program(self.a, bob, after=5)
        came = [moved.await_type("msg") for _ in range(3)]
        self.assertEqual([message["id"] for message in came], [4, 5, 6])
        self.assertEqual(came[-1]["text"], "6")

    def test_another_secret(self) -> None:
        """Admins would wonder why users who move must type their passwords."""
        stranger = ChatServer(*self.stores.options).start()
        self.addCleanup(stranger.remove)
        self.assertTrue(stranger.wait_for("nodes do not share the token secret"))
        self.assertNotIn("do not share", self.a.log() + self.b.log())
        alike = self.check(self.a.folder)
        self.assertIn("running now: ", alike)
        self.assertIn("nodes do not share the token secret", alike, "the stranger runs")
        stranger.stop()
        self.assertNotIn("do not share", self.check(self.a.folder))
        self.assertIn("do not share", self.check(stranger.folder))
        self.assertRegex(self.check(stranger.folder), r"\(keys \| |\| keys\)")

    def check(self, folder: Path) -> str:
        """The report to an admin who checks a node's folder."""
        accounts, inbox = self.stores.accounts, self.stores.inbox
        environment = {"CHATSVC_ACCOUNTS": accounts, "CHATSVC_INBOX": inbox}
        return chatsvc("check", env=environment, folder=folder).stdout


class FactsTests(SynchronousTestCase):
    def test_differences(self) -> None:
        """Nodes that differ would pass for alike, or the other way round."""
        ours = NodeFacts("1", "aa").to_text()
        self.assertEqual(differences({}), [])
        self.assertEqual(differences({"a": ours, "b": NodeFacts("2", "aa").to_text()}), [])
        (line,) = differences({"a": ours, "b": NodeFacts("1", "bb").to_text(), "c": ours})
        self.assertIn("(a, c | b)", line)
        (line,) = differences({"a": ours, "b": "", "c": "[]", "d": "{}"})
        self.assertIn("(a | b, c, d)", line)


def _until_waiting(stores: ServerStores, uid: int, waiting: int) -> bool:
    length = b":%d\r\n" % waiting
    return any(stores.redis("XLEN", f"chat:{{{uid}}}:inbox") == length for _ in range(500))
