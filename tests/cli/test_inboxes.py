"""``chatsvc inbox`` beside a running server, on both kinds of store."""

from __future__ import annotations

import sys
import time

import orjson
import pexpect
from twisted.trial.unittest import SynchronousTestCase

from tests.cli.shell import chatsvc
from tests.support.clients import StructuredClient
from tests.support.processes import (
    PASSWORD,
    ChatServer,
    Outcome,
    ServerStores,
    SQLiteStores,
)

HARMFUL = "a\x1b[2J\tb\r\nc\u202e"
HARMLESS = "a␛[2J␉b␊c\ufffd"


class BothKinds:
    """What holds on both kinds of store."""

    class Tests(SynchronousTestCase):
        stores: SQLiteStores | ServerStores

        def setUp(self) -> None:
            self.inbox = self.stores.options[-1]
            self.server = ChatServer(*self.stores.options).start()
            self.addCleanup(self.server.remove)

        def run_inbox(self, *words: str, status: int = 0) -> Outcome:
            done = chatsvc("inbox", *words, env={"CHATSVC_INBOX": self.inbox})
            self.assertEqual(done.status, status, done)
            return done

        def client(self, uid: int) -> StructuredClient:
            client = StructuredClient(self.server.port, self.server.ca)
            self.addCleanup(client.close)
            client.log_in(uid, PASSWORD)
            return client

        def make_users(self) -> tuple[int, int]:
            """A sender and a reader."""
            return self.stores.add_user("张三"), self.stores.add_user("李四")

        def test_waiting(self) -> None:
            """An admin could not see or remove what waits, or a text could drive the admin's terminal."""
            sender, reader = self.make_users()
            alice = self.client(sender)
            sent = [alice.ask(type="msg", n=n, to=reader, text=HARMFUL) for n in (1, 2, 3)]

            backlog = {"uid": reader, "waiting": 3, "last_id": 3}
            (found,) = orjson.loads(self.run_inbox("count", "--json").stdout)
            self.assertEqual({**backlog, "oldest": sent[0]["at"]}, found)
            lines = self.run_inbox("show", str(reader), "--limit", "2").stdout.splitlines()
            self.assertEqual(len(lines), 2)
            for number, line in enumerate(lines, 1):
                id, by, name, at, text = line.split("\t")
                self.assertEqual((id, by, name), (str(number), str(sender), "张三"))
                self.assertEqual(text, HARMLESS)
                time.strptime(at, "%Y-%m-%d %H:%M:%S")
            *_, third = orjson.loads(self.run_inbox("show", str(reader), "--json").stdout)
            message = {"id": 3, "from": sender, "name": "张三", "at": sent[2]["at"]}
            self.assertEqual(third, {**message, "text": HARMFUL})

            refused = self.run_inbox("purge", str(reader), status=1)
            self.assertEqual(refused.stderr.count("\n"), 1)
            self.assertIn("use --yes", refused.stderr)
            done = self.run_inbox("purge", str(reader), "--up-to", "2", "--yes")
            self.assertEqual(done.stdout, "Removed 2 messages.\n")

            bob = self.client(reader)
            self.assertEqual(bob.await_type("msg")["id"], 3)
            alice.ask(type="msg", n=4, to=reader, text="four")
            self.assertEqual(bob.await_type("msg")["id"], 4)
            self.run_inbox("purge", str(reader), "--yes")
            bob.say(type="ack", id=4)
            self.assertEqual(alice.ask(type="msg", n=5, to=reader, text="five")["id"], 5)
            self.assertEqual(bob.await_type("msg")["id"], 5)
            self.assertEqual(bob.ask(type="ping", n=9)["type"], "pong")
            bob.hang_up()
            self.assertEqual(self.client(reader).await_type("msg")["text"], "five")


class SQLiteInboxTests(BothKinds.Tests):
    def setUp(self) -> None:
        self.stores = SQLiteStores()
        super().setUp()

    def test_questions(self) -> None:
        """An admin could not say no, or what was asked about would not be what is removed."""
        sender, reader = self.make_users()
        alice = self.client(sender)
        for n in (1, 2):
            alice.ask(type="msg", n=n, to=reader, text="x")
        for answer, printed in (("\x03", "Aborted!"), ("y\n", "Removed 2")):
            terminal = pexpect.spawn(
                sys.executable,
                ["-m", "chatsvc.cli", "inbox", "purge", str(reader), "--inbox", self.inbox],
                encoding="utf-8",
                timeout=30,
            )
            terminal.expect_exact(f"Remove 2 of 2 messages that wait for {reader} (up to id 2)?")
            if answer == "y\n":
                alice.ask(type="msg", n=3, to=reader, text="later")
            terminal.send(answer)
            terminal.expect_exact(printed)
            terminal.expect(pexpect.EOF)
            terminal.close()
            self.assertEqual(terminal.exitstatus, 0 if "y" in answer else 1)
        self.assertEqual(self.run_inbox("count", str(reader)).stdout, "1\n")


class RedisInboxTests(BothKinds.Tests):
    def setUp(self) -> None:
        self.stores = ServerStores()
        super().setUp()
