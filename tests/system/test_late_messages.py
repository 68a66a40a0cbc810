"""What was said in a session that has ended, and reaches the store late; and stores that went back meanwhile."""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.support.clients import StructuredClient
from tests.support.processes import PASSWORD, ChatServer, ServerStores, SQLiteStores, Stores

_NUMBERS = count(1)


class LateTests(SynchronousTestCase):
    """``ann`` sends as one device, in two sessions that only send; ``bob`` takes one message of a sender at a time."""

    def start(self, stores: Stores, *options: str) -> ChatServer:
        server = ChatServer(*stores.options, "--inbox-share", "1", *options)
        self.addCleanup(server.remove)
        return server.start()

    def people(self, stores: Stores) -> tuple[int, int]:
        ann, bob = (stores.add_user(f"late{next(_NUMBERS)}") for _ in range(2))
        return ann, bob

    def program(self, server: ChatServer, uid: int, **more: Any) -> StructuredClient:
        client = server.structured(device=f"{uid:032x}")
        self.addCleanup(client.close)
        self.login = client.log_in(uid, PASSWORD, **more)
        return client

    def acknowledge(self, reader: StructuredClient, sender: StructuredClient, bob: int) -> None:
        """Let the reader take what waits, and wait until that is known."""
        reader.say(type="ack", id=reader.await_type("msg")["id"])
        reader.ask(type="ping", n=9)
        for _ in range(500):
            question = sender.ask(type="find", n=9, name="nobody at all")
            self.assertEqual(question["type"], "ok")
            if not self.waiting(bob):
                return
            time.sleep(0.01)
        self.fail("it was not acknowledged")

    def waiting(self, bob: int) -> int:
        client = self.server.structured()
        answer = client.log_in(bob, PASSWORD, receive=False)
        client.close()
        return int(answer["waiting"])

    def gone(self, server: ChatServer, uid: int) -> None:
        """Wait until the server has read all that a session of ``uid`` has said, and its end."""
        for _ in range(1000):
            if any(e["event"] == "logout" and e["uid"] == uid for e in server.events()):
                return
            time.sleep(0.01)
        self.fail("the older session did not end")

    def given_back(self, bob: int, older: StructuredClient, newer: StructuredClient) -> None:
        """The number 1 is refused to the newer session, while an older "A" under it is still on its way."""
        older.say(type="msg", n=1, to=bob, text="A")
        older.hang_up()
        refused = newer.ask(type="msg", n=1, to=bob, text="A")
        self.assertEqual(refused["code"], "inbox-full")

    def is_shown(self, bob: int, newer: StructuredClient, reader: StructuredClient) -> None:
        """The next message that is confirmed is the next one that the reader sees."""
        answer = newer.ask(type="msg", n=1, to=bob, text="B")
        self.assertEqual((answer["type"], answer.get("duplicate")), ("sent", None), answer)
        self.assertEqual(reader.await_type("msg")["text"], "B")

    def test_hung_node(self) -> None:
        """
        A message that was refused would be shown when a node that hung goes on, and the next one be confirmed and shown
        to nobody.
        """
        stores = ServerStores()
        hung = self.start(stores)
        self.server = server = ChatServer(*stores.options, "--inbox-share", "1")
        self.addCleanup(server.remove)
        shutil.copytree(hung.folder / "keys", server.folder / "keys")
        server.start()
        ann, bob = self.people(stores)
        older = self.program(hung, ann, receive=False)
        hung.freeze()
        try:
            newer = self.program(server, ann, receive=False)
            newer.ask(type="msg", to=bob, text="first")  # without a number: it fills bob's share
            self.given_back(bob, older, newer)
            reader = self.program(server, bob)
            self.acknowledge(reader, newer, bob)
        finally:
            hung.thaw()
        # It has read what was left for it when a later question is answered.
        other = self.program(hung, bob, receive=False)
        other.ask(type="msg", to=ann, text="behind it")
        self.is_shown(bob, newer, reader)

    def test_connection_that_was_read_late(self) -> None:
        """The same on one server and SQLite, where a connection was read late because its sender was too fast."""
        stores = SQLiteStores()
        self.server = server = self.start(stores, "--rate", "2/1", "--log-format", "json")
        ann, bob = self.people(stores)
        older = self.program(server, ann, receive=False)
        # The last four are refused, for bob's share is used up; now the connection is not read for two seconds.
        older.say_many([{"type": "msg", "to": bob, "text": "first"}] * 5)
        older.await_type("sent")
        newer = self.program(server, ann, receive=False)
        self.given_back(bob, older, newer)
        reader = self.program(server, bob)
        self.acknowledge(reader, newer, bob)
        self.gone(server, ann)
        self.is_shown(bob, newer, reader)

    def test_kicked(self) -> None:
        """A program would go on sending into nowhere when another one has taken its device."""
        stores = SQLiteStores()
        server = self.start(stores)
        ann, bob = self.people(stores)
        older, newer = (self.program(server, ann, receive=False) for _ in range(2))
        refused = older.ask(type="msg", n=1, to=bob, text="A")
        self.assertEqual(refused["code"], "not-logged-in")
        older.await_type("kicked")
        self.assertEqual(newer.ask(type="msg", n=1, to=bob, text="B")["type"], "sent")


class OlderFileTests(SynchronousTestCase):
    def test_older_file(self) -> None:
        """A program that has shown ten messages would drop new ones, whose ids an older back-up gives out again."""
        stores = SQLiteStores()
        server = ChatServer(*stores.options)
        self.addCleanup(server.remove)
        server.start()
        ann, bob = stores.add_user("ann"), stores.add_user("bob")
        file = Path(stores.path)
        copy = file.with_name("copy.db")

        def send(device: str, texts: list[str]) -> None:
            client = server.structured(device=device)
            client.log_in(ann, PASSWORD, receive=False)
            for n, text in enumerate(texts, 1):
                self.assertEqual(client.ask(type="msg", n=n, to=bob, text=text)["type"], "sent")
            client.close()

        def read(after: int) -> tuple[str, list[str]]:
            client = server.structured()
            login = client.log_in(bob, PASSWORD, after=after)
            messages = [client.await_type("msg") for _ in range(login["waiting"])]
            if messages:
                client.say(type="ack", id=messages[-1]["id"])
            client.ask(type="logout", n=2)
            client.close()
            return login["epoch"], [message["text"] for message in messages]

        send("a" * 32, ["1", "2"])
        with closing(sqlite3.connect(file)) as here:
            here.execute("VACUUM INTO ?", (str(copy),))
        send("b" * 32, ["3", "4"])
        epoch, texts = read(0)
        self.assertEqual(texts, ["1", "2", "3", "4"])
        server.stop()
        for one in file.parent.glob("chat.db*"):
            one.unlink()
        shutil.copy(copy, file)
        server.start()
        self.assertIn("does not hold the data that it held", server.log())
        send("c" * 32, ["new 3", "new 4", "new 5"])
        newer, texts = read(4)
        self.assertNotEqual(newer, epoch)
        self.assertEqual(texts, ["1", "2", "new 3", "new 4", "new 5"])
