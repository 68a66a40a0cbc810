"""Takers who give nothing: readers that never read, senders that never read their answers, or fill an inbox."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Sequence

from tests.attacks.bystanders import AttackCase
from tests.attacks.floods import flood
from tests.support.clients import FrameClient, StructuredClient

LIMIT, SHARE = 300, 200
"""Messages in an inbox, in all and from one sender."""

LONGEST = "\x01" * 8_192
"""As long a text as there is; JSON writes it with six times as many bytes."""

MEMORY = 24.0
"""MiB that any of these may cost the server."""


def little(client: FrameClient) -> None:
    """Let the kernel take but little for a client."""
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)


def outcomes(sender: StructuredClient, to: int, number: int, text: str = "x") -> list[str]:
    """Send messages; what became of each."""
    message = {"type": "msg", "to": to, "text": text}
    frames = [json.dumps({**message, "n": n}) for n in range(1, number + 1)]
    things = [json.loads(answer) for answer in flood(sender, frames)]
    assert [thing["re"] for thing in things] == list(range(1, number + 1)), things
    return [thing.get("code", thing["type"]) for thing in things]


def stuff(client: FrameClient, frames: Sequence[str]) -> int:
    """Send frames and read nothing, until no more are taken for a while; how many were taken whole."""
    client.socket.settimeout(1.0)
    for number, frame in enumerate(frames):
        data = frame.encode()
        try:
            client.socket.sendall(struct.pack("!H", len(data)) + data)
        except TimeoutError:
            return number
    return len(frames)


class TakersCase(AttackCase):
    def forgetful(self, uid: int) -> StructuredClient:
        """A program that numbers nothing: a message of it that is refused leaves no gap."""
        return self.structured(uid, device="")


class ReadersTests(TakersCase):
    options = ("--rate", "0", "--inbox-limit", str(LIMIT), "--inbox-share", str(SHARE))

    def test_never_reading(self) -> None:
        """Messages to people who never read would wait in the server's memory, or without limit."""
        readers = [self.user() for _ in range(4)]
        with self.talk():
            for uid in readers:
                little(self.structured(uid))
            one, other = self.forgetful(self.user()), self.forgetful(self.user())
            before = self.server.resident()
            for uid in readers:
                self.assertEqual(outcomes(one, uid, SHARE, LONGEST), ["sent"] * SHARE)
                left = LIMIT - SHARE
                expected = ["sent"] * left + ["inbox-full"] * (SHARE - left)
                self.assertEqual(outcomes(other, uid, SHARE, LONGEST), expected)
            self.assertLess(self.server.resident() - before, MEMORY)

    def test_filling_an_inbox(self) -> None:
        """One sender could fill an inbox, so that nobody else's messages get in."""
        uid = self.user()
        with self.talk():
            greedy, other = self.forgetful(self.user()), self.forgetful(self.user())
            for _ in range(3):
                refused = ["inbox-full"] * LIMIT
                self.assertEqual(outcomes(greedy, uid, SHARE + LIMIT), ["sent"] * SHARE + refused)
                self.assertEqual(outcomes(greedy, uid, LIMIT), refused)
                self.assertEqual(outcomes(other, uid, 10), ["sent"] * 10)
                reader = self.structured(uid)
                messages = [reader.await_type("msg") for _ in range(SHARE + 10)]
                self.assertEqual(reader.unread, [])
                reader.say(type="ack", id=messages[-1]["id"])
                reader.ask(type="logout", n=2)


class AnswersTests(TakersCase):
    # Without a history, whose database's memory would be counted as that of the answers.
    options = (
        *("--rate", "0", "--inbox-limit", "100000", "--inbox-share", "100000"),
        *("--history-days", "0"),
    )

    def test_never_reading(self) -> None:
        """Answers that nobody reads would gather in the server's memory, or be lost when they are read after all."""
        uid = self.user()
        lines = [f"msg {uid} {n:04} {'x' * 8_000}" for n in range(2_000)]
        with self.talk():
            before = self.server.resident()
            senders = [self.text(self.user()) for _ in range(3)]
            for sender in senders:
                little(sender)
            taken = [stuff(sender, lines) for sender in senders]
            self.assertLess(max(taken), len(lines))
            self.assertLess(self.server.resident() - before, MEMORY)
            for sender, number in zip(senders, taken, strict=True):
                for line in lines[:number]:
                    self.assertEqual(sender.read().partition(" ]:")[2], line.split(" ", 2)[2])
                # TLS wants the frame again that it could not send.
                sender.send(lines[number])
                self.assertIn(f" ]:{number:04} ", sender.read())
