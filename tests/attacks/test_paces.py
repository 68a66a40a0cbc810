"""More than the rates allow: it is read more slowly, and all answered in the end, in order."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from tests.attacks.bystanders import AttackCase
from tests.attacks.floods import flood, together
from tests.support.clients import StructuredClient
from tests.support.processes import PASSWORD, new_address

RATE, BURST = 100, 50
MESSAGE_RATE, MESSAGE_BURST = 40, 40

UNDER_WAY = 64
"""Commands that were read before the rate was exceeded are carried out at once (``--max-unanswered``)."""

NUMBER = 150

Kind = tuple[dict[str, Any], str]
"""A request, and the type or the code of its answer."""

ANYBODY: list[Kind] = [
    ({"type": "ping"}, "pong"),
    ({"type": "hello"}, "welcome"),
    ({"type": "nonsense"}, "bad-request"),
    ({"type": "auth"}, "bad-request"),
    ({"type": "msg", "to": 1, "text": ""}, "bad-request"),
    ({"type": "msg", "to": 1, "text": "x" * 8_193}, "too-long"),
]
STRANGER: list[Kind] = [
    *ANYBODY[:-1],
    ({"type": "find", "name": "x"}, "not-logged-in"),
    ({"type": "msg", "to": 1, "text": "x"}, "not-logged-in"),
    ({"type": "ack", "id": 1}, "not-logged-in"),
]


def ask(client: StructuredClient, request: dict[str, Any], number: int = NUMBER) -> set[str]:
    """Ask the same many times; the types and codes of the answers, which must come in order."""
    answers = flood(client, [json.dumps({**request, "n": n}) for n in range(1, number + 1)])
    things = [json.loads(answer) for answer in answers]
    assert [thing["re"] for thing in things] == list(range(1, number + 1)), things
    return {thing.get("code", thing["type"]) for thing in things}


def timed(client: StructuredClient, kind: Kind) -> tuple[set[str], float]:
    """Ask many times; the seconds that it took, too."""
    began = time.monotonic()
    return ask(client, kind[0]), time.monotonic() - began


class PaceTests(AttackCase):
    options = (
        *("--request-rate", f"{RATE}/{BURST}", "--find-rate", "0"),
        *("--rate", f"{MESSAGE_RATE}/{MESSAGE_BURST}"),
    )

    def each_slowly(self, clients: Sequence[StructuredClient], kinds: Sequence[Kind]) -> None:
        """Fail if one of these kinds can be asked faster than the rate."""
        with self.talk():
            outcomes = together(
                [partial(timed, *pair) for pair in zip(clients, kinds, strict=True)]
            )
        for (request, expected), (answers, seconds) in zip(kinds, outcomes, strict=True):
            about = repr(request)[:60]
            self.assertEqual(answers, {expected}, about)
            self.assertGreater(seconds, (NUMBER - BURST) / RATE * 0.9, about)

    def sender(self, uid: int) -> StructuredClient:
        """One of several clients of an account, that does not read."""
        client = self.structured()
        client.log_in(uid, PASSWORD, receive=False)
        return client

    def test_whatever_a_stranger_asks(self) -> None:
        """Some kind of command would be free before a log-in."""
        self.each_slowly([self.structured() for _ in STRANGER], STRANGER)

    def test_whatever_a_user_asks(self) -> None:
        """Some kind of command would be free after a log-in, without being a message that is sent."""
        self.each_slowly([self.structured(self.user()) for _ in ANYBODY], ANYBODY)

    def test_unanswered(self) -> None:
        """Commands without an answer would be free: empty frames, acknowledgements of nothing new."""
        with self.talk():
            for frame in (b"", b'{"type":"ack","id":1}'):
                client = self.structured(self.user())
                began = time.monotonic()
                client.send_many([frame] * NUMBER)
                self.assertEqual(client.ask(type="ping", n=1)["type"], "pong")
                self.assertGreater(time.monotonic() - began, (NUMBER - BURST) / RATE * 0.9, frame)

    def test_address(self) -> None:
        """A stranger could ask as much as fits through, by asking over several connections."""
        here = new_address()
        clients = [self.text(source=here), self.text(source=here)]
        lines = ["help", "x", "msg 1", "msg 1 x"] * 40
        with self.talk():
            began = time.monotonic()
            for answers in together([partial(flood, client, lines) for client in clients]):
                self.assertEqual(answers, answers[:4] * 40)
                self.assertTrue(answers[0].startswith("命令使用说明"))
            self.assertGreater(time.monotonic() - began, (320 - BURST) / RATE * 0.9)

    def test_account(self) -> None:
        """A user could ask as much as fits through, by asking over several connections from several addresses."""
        uid = self.user()
        attack = {"type": "find", "name": "nobody"}
        clients = [self.sender(uid), self.sender(uid)]
        with self.talk():
            began = time.monotonic()
            for answers in together([partial(ask, client, attack) for client in clients]):
                self.assertEqual(answers, {"ok"})
            least = (2 * NUMBER - BURST - 2 * UNDER_WAY) / RATE
            self.assertGreater(time.monotonic() - began, least)

    def test_unknown_users(self) -> None:
        """Messages to uids that do not exist would be free, and tell fast which do exist."""
        client = self.sender(self.user())
        with self.talk():
            began = time.monotonic()
            self.assertEqual(
                ask(client, {"type": "msg", "to": 999_999, "text": "x"}), {"unknown-user"}
            )
            least = (NUMBER - MESSAGE_BURST - UNDER_WAY) / MESSAGE_RATE
            self.assertGreater(time.monotonic() - began, least)
