"""A restored back-up, as an admin and a reader see it: real processes, both kinds of store."""

from __future__ import annotations

import shutil
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.support.clients import StructuredClient
from tests.support.processes import ChatServer, run
from tests.support.servers import PrivateRedis


class Restored:
    """The shared behaviour."""

    class Tests(TestCase):
        inbox: str
        server: ChatServer

        def back_up(self) -> None:
            """Copy the store, while nobody uses it."""
            raise NotImplementedError

        def restore(self) -> None:
            """Put the copy back."""
            raise NotImplementedError

        def chatsvc(self, *words: str) -> None:
            done = run(
                "chatsvc", *words, env={"CHATSVC_INBOX": self.inbox}, folder=self.server.folder
            )
            self.assertEqual(done.status, 0, done.stderr)

        def test_epoch(self) -> None:
            """A reader would drop new messages, because they have ids that it saw before the back-up was restored."""
            alice = self.client(10001)
            alice.ask(type="register", n=5, name="Alice", password="pw")
            alice.ask(type="register", n=6, name="Bob", password="pw")
            alice.log_in(10001, "pw")
            self.send_and_read(alice, "one", 1)
            self.server.stop()
            self.back_up()
            self.server.start()
            alice = self.client(10001)
            alice.log_in(10001, "pw")
            before = self.send_and_read(alice, "two", 2)
            self.server.stop()
            self.restore()
            self.chatsvc("inbox", "restored", "--yes")
            self.server.start()
            alice = self.client(10001)
            alice.log_in(10001, "pw")
            answer = alice.ask(type="msg", n=3, to=10002, text="three")
            self.assertEqual((answer["code"], answer["expected"]), ("gap", 2))
            after = self.send_and_read(alice, "three", 2)
            self.assertEqual(after[1], before[1])
            self.assertNotEqual(after[0], before[0])

        def client(self, uid: int) -> StructuredClient:
            client = StructuredClient(self.server.port, self.server.ca, device=f"{uid:032x}")
            self.addCleanup(client.close)
            return client

        def send_and_read(self, alice: StructuredClient, text: str, n: int) -> tuple[str, int]:
            """The reader's epoch, and the id under which the message came."""
            self.assertEqual(alice.ask(type="msg", n=n, to=10002, text=text)["type"], "sent")
            bob = self.client(10002)
            epoch = bob.log_in(10002, "pw")["epoch"]
            message = bob.await_type("msg")
            self.assertEqual(message["text"], text)
            bob.say(type="ack", id=message["id"])
            bob.ask(type="ping", n=9)
            self.assertEqual(bob.ask(type="logout", n=10)["type"], "ok")
            return epoch, message["id"]


class SQLiteRestoredTests(Restored.Tests):
    inbox = "sqlite:inbox.db"

    def setUp(self) -> None:
        self.server = ChatServer("--inbox", self.inbox).start()
        self.addCleanup(self.server.remove)

    def back_up(self) -> None:
        folder = Path(self.server.folder)
        shutil.copy(folder / "inbox.db", folder / "copy.db")

    def restore(self) -> None:
        folder = Path(self.server.folder)
        for left in folder.glob("inbox.db-*"):
            left.unlink()
        shutil.copy(folder / "copy.db", folder / "inbox.db")


class RedisRestoredTests(Restored.Tests):
    def setUp(self) -> None:
        self.redis = PrivateRedis()
        self.redis.start()
        self.addCleanup(self.redis.stop)
        self.inbox = self.redis.url()
        self.server = ChatServer("--inbox", self.inbox).start()
        self.addCleanup(self.server.remove)

    def back_up(self) -> None:
        self.move("appendonlydir", "copy")

    def restore(self) -> None:
        self.move("copy", "appendonlydir")

    def move(self, source: str, target: str) -> None:
        self.redis.stop()
        shutil.rmtree(self.redis.folder / target, ignore_errors=True)
        shutil.copytree(self.redis.folder / source, self.redis.folder / target)
        self.redis.start()
