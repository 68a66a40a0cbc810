"""``chatsvc send --wait``: until the reader was there."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

from tests.client.programs import PASSWORD
from tests.client.script.script_case import ScriptCase, until
from tests.client.waiting import await_idle, await_that
from tests.support.clients import StructuredClient


class Waited(ScriptCase):
    def test_reader_comes_later(self) -> None:
        """A script could not wait until its message was taken."""
        process = self.begin("send", "--to", str(self.other), "--wait", "--json", "x")
        await_that(self.waiting_of_other, "the message waits")
        await_idle(process.pid)
        self.assertIsNone(process.poll())
        self.read()
        sent = json.loads(self.done(self.ended(process)))
        self.assertEqual((sent["id"], sent["state"], sent["waiting"]), (1, "online", 0))
        self.assertEqual(self.waiting(self.other), [])

    def read(self) -> StructuredClient:
        """The reader comes, takes a message, and stays."""
        reader = self.server.structured()
        self.addCleanup(reader.close)
        reader.log_in(self.other, PASSWORD)
        reader.say(type="ack", id=reader.await_type("msg")["id"])
        reader.ask(type="ping", n=2)
        return reader

    def test_reader_is_there(self) -> None:
        """A script would wait for a reader who is there."""
        reader = self.server.structured()
        self.addCleanup(reader.close)
        reader.log_in(self.other, PASSWORD)
        self.assertEqual(self.done(self.send("--wait=20", "x")), "")
        self.assertEqual(reader.await_type("msg")["text"], "x")

    def test_reader_does_not_come(self) -> None:
        """A script would wait for ever, not know that its message is safe, or have sent it several times."""
        outcome = self.send("--wait=3", "--json", "x")
        self.assertEqual((outcome.status, json.loads(outcome.output)["state"]), (1, "offline"))
        self.assertRegex(
            outcome.errors, rf"^chatsvc send: sent, but {self.other} was not seen.*3 s\n$"
        )
        self.assertEqual((self.waiting(self.other), self.unconfirmed()), (["x"], 0))

    def test_reader_was_there_between(self) -> None:
        """A reader who has taken it and left again would be waited for."""
        process = self.begin("send", "--to", str(self.other), "--wait=20", "--json", "x")
        await_that(self.waiting_of_other, "the message waits")
        self.read().close()
        self.assertEqual(json.loads(self.done(self.ended(process)))["waiting"], 0)

    def waiting_of_other(self) -> int:
        client = self.server.structured()
        waiting: int = client.log_in(self.other, PASSWORD, receive=False)["waiting"]
        client.close()
        return waiting

    def test_forgotten_device(self) -> None:
        """A message that is waited for would be stored again once the server has forgotten who sent it."""
        process = self.begin(
            "send", "--to", str(self.other), "--wait=20", "--verbose", "waited for"
        )
        assert process.stdout
        until(process.stdout, ":waited for")
        with (
            closing(sqlite3.connect(self.server.folder / "chat.db", timeout=30)) as database,
            database,
        ):
            database.execute("DELETE FROM chat_sending WHERE uid = ?", (self.other,))
        self.failed(self.ended(process), "sent, but", "no longer knows the number")
        self.assertEqual(self.waiting(self.other), ["waited for"])

    def test_server_restarts(self) -> None:
        """A restart of the server would end the waiting, or store the message again."""
        process = self.begin("send", "--to", str(self.other), "--wait=20", "x", "--verbose")
        assert process.stdout
        until(process.stdout, ":x")
        self.server.crash()
        self.read()
        self.done(self.ended(process))
        self.assertEqual(self.waiting(self.other), [])
