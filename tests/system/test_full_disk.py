"""A disk that is full, under a real server: a small file system of its own, which it alone mounts."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.support.clients import StructuredClient
from tests.support.processes import PASSWORD, ChatServer
from tests.support.watching import Watch

SIZE = 8
"""MiB of the disk."""

TEXT = "消" * 2500
"""Some 7.5 KB."""


class _SmallDisk(ChatServer):
    """Keeps its accounts and messages on a disk of `SIZE`, which goes with it."""

    def command(self) -> list[str]:
        (self.folder / "disk").mkdir(exist_ok=True)
        mount = f'mount -t tmpfs -o size={SIZE}m none "$0" && exec "$@"'
        inside = ["sh", "-c", mount, str(self.folder / "disk"), *super().command()]
        return ["unshare", "--mount", "--propagation", "private", *inside]

    @property
    def disk(self) -> Path:
        """The disk, seen from outside."""
        assert self._process is not None
        return Path(f"/proc/{self._process.pid}/root{self.folder}/disk")


class FullDiskTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.watch = Watch()
        stores = ("--accounts", "sqlite:disk/chat.db", "--inbox", "sqlite:disk/chat.db")
        limits = ("--rate", "0", "--inbox-share", "1000", "--registration-rate", "0")
        self.server = _SmallDisk(*stores, *self.watch.options, *limits)
        self.server.start()
        self.addCleanup(self.server.remove)
        self.sender, self.reader = (self.user(name) for name in ("sender", "reader"))

    def user(self, name: str) -> int:
        """Make an account with the password `PASSWORD`."""
        client = self.server.structured()
        self.addCleanup(client.close)
        return int(client.ask(type="register", n=1, name=name, password=PASSWORD)["uid"])

    def client(self, uid: int) -> StructuredClient:
        """A client with a device, logged in."""
        client = self.server.structured(device=f"{uid:032x}")
        self.addCleanup(client.close)
        client.log_in(uid, PASSWORD)
        return client

    def fill(self) -> Path:
        """Fill the disk to the last byte, as some other program's log does; the file."""
        filler: Path = self.server.disk / "other.log"
        with open(filler, "wb", buffering=0) as file:
            for size in (65_536, 1):
                try:
                    while file.write(b"x" * size) == size:
                        pass
                except OSError:
                    continue
        return filler

    def eventually(self, works: Callable[[], Any], what: str) -> None:
        """Fail unless something works soon."""
        deadline = time.monotonic() + 15
        while not works():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.1)

    def ok(self) -> bool:
        """Whether those who watch see a store that is well."""
        return self.watch.get("health") == (200, "ok\n")

    def up(self) -> float:
        return self.watch.value('chatsvc_store_up{store="inbox"}')

    def said(self, event: str) -> int:
        """How many lines of the log say something of the inbox."""
        return sum(
            f"inbox store sqlite:disk/chat.db {event}" in line
            for line in self.server.log().splitlines()
        )

    def send(self, client: StructuredClient, n: int) -> bool:
        """Send a message; whether it is confirmed. Else it was answered that nobody knows."""
        answer = client.ask(type="msg", n=n, to=self.reader, text=f"{n} {TEXT}")
        if answer["type"] == "sent":
            return True
        self.assertEqual(answer["code"], "store-unavailable")
        return False

    def test_nobody_sends(self) -> None:
        """Those who watch would learn of a full disk from the first message that is refused; or not of its end."""
        self.assertTrue(self.ok())
        filler = self.fill()
        self.eventually(lambda: not self.ok(), "a full disk is no trouble")
        self.assertIn("disk is full", self.watch.get("health")[1])
        self.assertEqual(self.up(), 0)
        filler.unlink()
        self.eventually(self.ok, "the trouble does not end")
        self.assertEqual((self.up(), self.said("is away"), self.said("is back")), (1, 1, 1))
        self.assertEqual(self.server.tracebacks(), [])

    def test_reading_makes_room(self) -> None:
        """
        Who reads would free nothing while senders send, or could not log in; something confirmed would be lost or come
        twice; or nothing would fit for good, though all was read.
        """
        sender = self.client(self.sender)
        n = 1
        while n <= 40:
            self.assertTrue(self.send(sender, n))
            n += 1
        self.fill()
        for _ in range(300):
            if not self.send(sender, n):
                break
            n += 1
        else:
            self.fail("the disk was never full")
        self.eventually(lambda: not self.ok(), "a full disk is no trouble")
        stored = n - 1
        reader = self.client(self.reader)
        ids = []
        for expected in range(1, stored + 1):
            message = reader.await_type("msg")
            self.assertEqual(message["text"].split(" ")[0], str(expected))
            ids.append(message["id"])
            # While others try to send, so that there is a message in each batch.
            reader.say(type="ack", id=message["id"])
            sender.say(type="msg", n=n, to=self.reader, text=f"{n} {TEXT}")
        self.assertEqual(ids, list(range(1, stored + 1)))
        answers = [sender.next()["type"] for _ in range(stored)]
        self.eventually(lambda: self.send(sender, n), "nothing fits, though all was read")
        self.eventually(self.ok, "a file with free pages takes messages")
        self.assertTrue(self.send(sender, n + 1))
        texts = [reader.await_type("msg")["text"].split(" ")[0] for _ in range(2)]
        self.assertEqual(texts, [str(n), str(n + 1)], answers)
        self.assertTrue(reader.silent(0.3))
        self.assertEqual(self.server.tracebacks(), [])
