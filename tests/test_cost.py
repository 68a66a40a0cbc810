"""
What a message costs the server's own code, counted in function calls: a figure that is the same on every machine.

Who changes a figure here says why in the commit; ``docs/performance.md`` says what calls have to do with speed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from chatsvc.limits.token_bucket import Rate
from tests.support.connections import ProtocolCase
from tests.support.worlds import BOB

MESSAGES = 50
MARGIN = 0.1
"""How far a figure may be from the one that is stated: other versions of Python and of libraries call a little more."""


def calls_of(act: Callable[[], object]) -> int:
    """How many functions are called, Python's and C's."""
    calls = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        act()
    finally:
        sys.setprofile(None)
    return calls


class CostTests(ProtocolCase):
    def setUp(self) -> None:
        self.make(Rate(1e6, 1e6))

    def assert_cost(self, stated: float, frames: Callable[[int], Any], sender: Any) -> None:
        """Fail unless a message among many costs as many calls as stated."""
        packed = [sender.pack(*map(frames, range(n, n + MESSAGES))) for n in (1, 1 + MESSAGES)]

        def exchange(data: bytes) -> None:
            sender.protocol.dataReceived(data)
            self.turn()
            self.turn()

        exchange(packed[0])  # caches are filled
        each = calls_of(lambda: exchange(packed[1])) / MESSAGES
        self.assertEqual(len(self.world.inbox.waiting[BOB]), 2 * MESSAGES)
        low, high = stated * (1 - MARGIN), stated * (1 + MARGIN)
        self.assertTrue(low <= each <= high, f"{each:.1f} calls a message, {stated} are stated")

    def test_text(self) -> None:
        """A message in the text dialect would have become dearer, and nobody would know since when."""
        self.text(BOB)
        self.assert_cost(83, lambda n: f"msg {BOB} hello {n}", self.text())

    def test_structured(self) -> None:
        """A message in the structured dialect would have become dearer, and nobody would know since when."""
        self.structured(BOB)
        sender = self.structured()
        self.assert_cost(89, lambda n: {"type": "msg", "n": n, "to": BOB, "text": "x"}, sender)
