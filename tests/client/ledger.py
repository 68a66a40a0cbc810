"""What a server remembers of its senders' devices, and a conversation with one that answers by it."""

from __future__ import annotations

from typing import Any

from tests.client.peer import PeerCase

REMEMBERED = 64
"""Of how many of a device's last texts a server keeps digests."""


class Ledger:
    """
    The messages that are stored, and by device and recipient those that were accepted. With ``digests`` it tells
    another text under a used number from the one that was accepted; servers before that could not.
    """

    def __init__(self, *, digests: bool = True) -> None:
        self.stored: list[str] = []
        self._digests = digests
        self._accepted: dict[tuple[str, int], list[str]] = {}

    def answer(self, device: str, message: dict[str, Any]) -> dict[str, Any]:
        """The answer to a numbered message."""
        to, n, text = message["to"], message["n"], message["text"]
        accepted = self._accepted.setdefault((device, to), [])
        sent = {"type": "sent", "to": to, "re": n, "at": 1, "state": "online"}
        if n <= len(accepted) and self._may_be(accepted, n, text):
            return {**sent, "duplicate": True}
        if n != len(accepted) + 1 or message.get("again"):
            error = {"type": "error", "to": to, "re": n, "code": "gap", "text": "gap"}
            return {**error, "expected": len(accepted) + 1}
        accepted.append(text)
        self.stored.append(text)
        return {**sent, "id": len(self.stored)}

    def _may_be(self, accepted: list[str], n: int, text: str) -> bool:
        far = len(accepted) - n >= REMEMBERED
        return far or not self._digests or accepted[n - 1] == text


class LedgerCase(PeerCase):
    """A server that answers everything at once, by its ``ledger``."""

    def setUp(self) -> None:
        super().setUp()
        self.ledger = Ledger()
        self.device = ""
        self.said: list[tuple[str, Any]] = []

    def serve(self) -> None:
        """Answer what the client has sent, and what it sends upon that."""
        for _ in range(10_000):
            if not self.frames:
                return
            frame = self.frames.pop(0)
            self._answer(frame)
        raise AssertionError("it does not come to an end")

    def _answer(self, frame: dict[str, Any]) -> None:
        kind, n = frame["type"], frame.get("n")
        if kind == "hello":
            self.device = frame.get("device", "")
            self.said.append((kind, self.device))
            self.say(type="welcome", version=1, server="x", registration="open", re=n)
        elif kind == "auth":
            self.accept(frame)
        elif kind == "ping":
            self.say(type="pong", re=n)
        elif kind == "msg":
            self.said.append((kind, (frame["n"], frame["text"], frame.get("again", False))))
            self.say(**self.ledger.answer(self.device, frame))
