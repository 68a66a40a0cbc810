"""SIGTERM while people talk: all is finished or said to be unfinished, and everybody is told."""

from __future__ import annotations

import signal
import time

from twisted.trial.unittest import TestCase

from tests.support.clients import StructuredClient
from tests.support.processes import ChatServer

_MESSAGES = 150
_DESIGN_LIMIT = 10.0
"""Seconds that a stop may take, by the design."""


class StoppingTests(TestCase):
    def setUp(self) -> None:
        self.server = ChatServer("--rate", "0").start()
        self.addCleanup(self.server.remove)

    def join(self, name: str) -> tuple[int, StructuredClient]:
        """A new user, logged in to send only."""
        client = self.server.structured(device="cd" * 8)
        self.addCleanup(client.close)
        uid = client.ask(type="register", n=1, name=name, password="secret")["uid"]
        client.log_in(uid, "secret", receive=False)
        return uid, client

    def test_programs_are_told_when_to_come_back(self) -> None:
        """A hundred programs would not know that the server stops, or come back all at the same moment."""
        crowd = [self.server.structured() for _ in range(50)]
        people = [self.server.text() for _ in range(50)]
        for one in crowd:
            one.ask(type="ping", n=1)
        begun = time.monotonic()
        self.server.terminate()
        waits = [one.await_type("bye")["retry_after"] for one in crowd]
        self.assertTrue(all(0 < wait <= 10 for wait in waits), waits)
        self.assertGreater(len(set(waits)), 10)
        for client in (*crowd, *people):
            self.assertTrue(client.closed())
        self.assertEqual(self.server.wait(), -signal.SIGTERM)
        self.assertLess(time.monotonic() - begun, _DESIGN_LIMIT)
        self.assertEqual(self.server.tracebacks(), [])
        self.assertIn("Stopping; connections: 100\n", self.server.log())

    def test_confirmed_is_stored(self) -> None:
        """A message confirmed while the server stopped would be lost, or stored twice when it is sent again."""
        uid, writer = self.join("Ann")
        messages = [
            {"type": "msg", "n": n, "to": uid, "text": str(n)} for n in range(1, _MESSAGES + 1)
        ]
        writer.say_many(messages)
        self.server.terminate()
        confirmed = []
        while (answer := writer.await_type("sent", "bye"))["type"] == "sent":
            confirmed.append(answer["re"])
        self.server.wait()
        self.server.start()
        with_again = self.server.structured(device="cd" * 8)
        self.addCleanup(with_again.close)
        with_again.log_in(uid, "secret")
        with_again.say_many(messages[len(confirmed) :])
        came = [with_again.await_type("msg")["text"] for _ in messages]
        self.assertEqual(came, [message["text"] for message in messages])
        self.assertTrue(with_again.silent())

    def test_signals_at_once(self) -> None:
        """A terminal and an init system that stop the server in one moment would fill the log with a traceback."""
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            self.server.terminate(number)
        self.assertIn(self.server.wait(), (-signal.SIGTERM, -signal.SIGINT))
        self.assertEqual(self.server.tracebacks(), [])
        self.assertEqual(self.server.log().count("Stopped, after "), 1)

    def test_a_second_signal_changes_nothing(self) -> None:
        """An impatient admin's second signal would break off the stop, or fill the log with a traceback."""
        _, client = self.join("Ann")
        self.server.terminate(signal.SIGINT)
        client.await_type("bye")
        self.server.terminate()
        self.assertEqual(self.server.wait(), -signal.SIGINT)
        self.assertEqual(self.server.tracebacks(), [])
        for words in ("Stopping; ", "Stopping already", "Stopped, after "):
            self.assertEqual(self.server.log().count(words), 1, words)
