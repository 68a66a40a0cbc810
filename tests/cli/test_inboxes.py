"""``chatsvc inbox`` beside a running server, on both kinds of store, and with a store in memory."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import orjson
import pexpect
from click import ClickException
from click.testing import CliRunner
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.cli import inboxes as module
from chatsvc.inbox.interface import Backlog
from chatsvc.wire.entries import Invitation, Joining, Mark, Reference
from chatsvc.wire.events import Device, Message
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


class FakeInbox:
    """A store in which ``waiting`` of ``entries`` wait; ``purged`` is up to which id it was purged."""

    def __init__(self, waiting: int, entries: list[Message]) -> None:
        self.waiting, self.entries = waiting, entries
        self.purged = 0
        self.registered = [Device("b" * 16, "x/1", 1, 2, True)]

    async def backlogs(self, uid: int | None) -> list[Backlog]:
        last = self.entries[-1].id
        return [Backlog(uid or 1, self.waiting, last, 1)] if self.waiting else []

    async def read(self, uid: int, after: int, limit: int) -> list[Message]:
        return [message for message in self.entries if message.id > after][:limit]

    async def devices(self, uid: int) -> list[Device]:
        return self.registered

    async def purge(self, uid: int, up_to: int) -> int:
        self.purged = up_to
        return sum(message.id <= up_to for message in self.entries)


class RestoredNodes:
    """A store that was restored; ``running`` are the nodes that are found, each time the last of them."""

    def __init__(self, *running: str) -> None:
        self.running = list(running)
        self.renewed = 0

    async def renew_epoch(self) -> None:
        self.renewed += 1

    async def nodes(self) -> dict[str, str]:
        return {self.running.pop(): ""} if self.running else {}


class RestoredTests(SynchronousTestCase):
    """Whether a server runs when a back-up is said to be restored."""

    def restored(self, store: Any) -> Deferred[None]:
        """Say it, with a minute of time."""
        clock = Clock()
        done = Deferred.fromCoroutine(module._restored(store, clock))
        clock.pump([1.0] * 60)
        self.assertEqual(store.renewed, 1)
        return done

    def test_running(self) -> None:
        """A script would go on, though a server gives ids out that readers have seen: the status would be 0."""
        failed = self.failureResultOf(self.restored(RestoredNodes(*["host:1"] * 60)))
        said = "a server seems to run, host:1: stop it and do this again"
        self.assertEqual(failed.getErrorMessage(), said)
        failed.trap(ClickException)

    def test_gone(self) -> None:
        """A node of the back-up, or one that was killed a moment ago, would pass for one that runs."""
        self.successResultOf(self.restored(RestoredNodes(*["host:1"] * 15)))
        self.successResultOf(self.restored(RestoredNodes()))


class DevicesTests(SynchronousTestCase):
    """Inboxes of users with registered devices: copies, and entries that only some devices have acknowledged."""

    def setUp(self) -> None:
        # 4 was acknowledged by one of two devices; 5 and 7 are copies.
        copies = {5: 20001, 7: -3}
        self.fake = FakeInbox(
            3,
            [
                Message(id, 10001, "张三", 1000, "x", serial=id * 10, to=copies.get(id, 0))
                for id in range(4, 10)
            ],
        )
        self.patch(module, "_at_inbox", self.at_inbox)

    def at_inbox(self, url: str, work: Callable[[Any], Any]) -> Any:
        """Run something that never waits, on the store of this test."""
        try:
            work(self.fake).send(None)
        except StopIteration as end:
            return end.value
        raise AssertionError("it waits")

    def run_inbox(self, *words: str) -> str:
        done = CliRunner().invoke(module.inbox, words)
        self.assertEqual(done.exit_code, 0, done.output)
        return done.output

    def test_copies(self) -> None:
        """What the user has sent from another device would pass for what somebody sent to the user."""
        lines = [line.split("\t") for line in self.run_inbox("show", "10001").splitlines()]
        self.assertEqual({len(line) for line in lines}, {5})
        names = [line[2] for line in lines]
        self.assertEqual(names[:4], ["张三", "张三 → 20001", "张三", "张三 → -3"])
        found = orjson.loads(self.run_inbox("show", "10001", "--json"))
        self.assertEqual([one["serial"] for one in found], [40, 50, 60, 70, 80, 90])
        self.assertEqual({one["name"] for one in found}, {"张三"})
        self.assertEqual([one.get("to") for one in found[:4]], [None, 20001, None, -3])
        self.fake.entries = [Message(1, 2, "x", 3, "of before the upgrade")]
        (found,) = orjson.loads(self.run_inbox("show", "10001", "--json"))
        self.assertEqual(set(found), {"id", "from", "name", "at", "text"})

    def test_what_is_no_message(self) -> None:
        """An edit would pass for a message, a retraction or a joining for one without a text."""
        marks: tuple[Mark, ...] = (
            Reference("edited", 40),
            Reference("retracted", 50),
            Joining(7, 121, 60),
            Reference("reply", 40),
            Invitation(7, "dev"),
        )
        self.fake.entries = [
            Message(id, 10001, "张三", 1000, text, serial=id * 10, mark=mark)
            for id, (text, mark) in enumerate(zip(("b", "", "", "x", "y"), marks, strict=True), 4)
        ]
        lines = [line.split("\t") for line in self.run_inbox("show", "10001").splitlines()]
        texts = [line[4] for line in lines]
        self.assertEqual(texts, ["* edited 40: b", "* retracted 50", "* joined room 7", "x", "y"])
        found = orjson.loads(self.run_inbox("show", "10001", "--json"))
        keys = ("event", "target", "room", "reply", "invite")
        self.assertEqual(
            [{key: one[key] for key in keys if key in one} for one in found],
            [
                {"event": "edited", "target": 40},
                {"event": "retracted", "target": 50},
                {"event": "joined", "room": 7},
                {"reply": 40},
                {"invite": {"room": 7, "name": "dev"}},
            ],
        )

    def test_without_devices(self) -> None:
        """A script of before there were devices would meet a field that it does not know."""
        self.fake.registered = []
        found = orjson.loads(self.run_inbox("show", "10001", "--json"))
        self.assertEqual([one for one in found if "serial" in one], [])

    def test_how_many_would_go(self) -> None:
        """An admin would be asked about other messages than those that go: copies, or what was read elsewhere."""
        self.patch(module, "_PAGE", 2)
        asked: list[str] = []
        self.patch(module, "make_sure", lambda question, yes: asked.append(question))
        counts = ((9, 3, 3), (8, 2, 3), (7, 1, 3), (6, 1, 2), (99, 3, 3))
        for up_to, some, others in counts:
            asked.clear()
            said = self.run_inbox("purge", "10001", "--up-to", str(up_to), "--yes")
            what = f"Remove {some} of 3 messages that wait for 10001, and {others} more"
            last = min(up_to, 9)
            self.assertEqual(asked, [f"{what} that are kept for devices (up to id {last})?"])
            self.assertEqual(
                (self.fake.purged, said), (last, f"Removed {some + others} messages.\n")
            )

    def test_what_does_not_wait(self) -> None:
        """An admin could not remove what is listed, because it is only kept for a second device."""
        for waiting, words, last, count in (
            (3, ("--up-to", "5"), 5, 2),
            (3, ("--up-to", "4"), 4, 1),
            (0, ("--up-to", "7"), 7, 4),
            (0, (), 9, 6),
        ):
            asked: list[str] = []
            self.patch(
                module, "make_sure", lambda question, yes, asked=asked: asked.append(question)
            )
            self.fake.waiting = waiting
            said = self.run_inbox("purge", "10001", *words, "--yes")
            what = f"{count} messages that are kept for devices of 10001"
            self.assertEqual(asked, [f"Remove {what} (up to id {last})?"])
            self.assertEqual((self.fake.purged, said), (last, f"Removed {count} messages.\n"))
        self.fake.purged = 0
        said = self.run_inbox("purge", "10001", "--up-to", "3", "--yes")
        self.assertEqual((self.fake.purged, said), (0, "There was nothing to remove.\n"))


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

        def test_kept_for_another_device(self) -> None:
            """An admin could not remove what one device has read and another has not, or it would come back."""
            sender, reader = self.make_users()
            phone, desk = self.device(reader, "b" * 16), self.device(reader, "d" * 16)
            alice = self.client(sender)
            for n in (1, 2, 3):
                alice.ask(type="msg", n=n, to=reader, text="x")
                self.assertEqual(phone.await_type("msg")["id"], n)
            phone.say(type="ack", id=3)
            phone.ask(type="ping", n=9)
            desk.hang_up()
            deadline = time.monotonic() + 10
            while self.run_inbox("count", str(reader)).stdout != "0\n":
                self.assertLess(time.monotonic(), deadline)
            done = self.run_inbox("purge", str(reader), "--up-to", "2", "--yes")
            self.assertEqual(done.stdout, "Removed 2 messages.\n")
            self.assertEqual(self.run_inbox("show", str(reader)).stdout.count("\n"), 1)
            done = self.run_inbox("purge", str(reader), "--yes")
            self.assertEqual(done.stdout, "Removed 1 messages.\n")
            done = self.run_inbox("purge", str(reader), "--yes")
            self.assertEqual(done.stdout, "There was nothing to remove.\n")

        def device(self, uid: int, device: str) -> StructuredClient:
            """A registered device that is logged in."""
            client = StructuredClient(self.server.port, self.server.ca)
            self.addCleanup(client.close)
            hello = {"type": "hello", "version": 1, "device": device, "features": ["devices"]}
            client.ask(n=1, **hello)
            self.assertEqual(client.ask(type="auth", n=2, uid=uid, password=PASSWORD)["type"], "ok")
            return client

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
