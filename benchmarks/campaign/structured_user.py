"""A user of the structured dialect: numbers messages, resends them, records what is shown and then acknowledges."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from typing import Any

from benchmarks.campaign.changing import Changing
from benchmarks.campaign.journal import is_message, message_of
from benchmarks.campaign.user import User

_BETWEEN_PINGS = 5
_SELDOM = 2.0
"""Seconds between the acknowledgements of the one who acknowledges seldom."""

_HOLD_BACK = (0.1, 2.0)
"""Seconds in which nothing more is said to somebody whose inbox is full."""

_HOLD_BACK_AT_THE_END = 0.2
_GIVEN_UP = 0.5
"""The share of the messages refused with a full inbox that are not tried again."""

_MOVES_TOO = 0.3
"""The share of those who leave for another node although they may not be at the one that does not answer."""

_BACK = 5
"""So many of the last numbers are lost at most."""

QUESTIONS = 1 << 40
"""Numbers of requests that are no messages begin here."""


def device_of(uid: int, number: int, change: int) -> str:
    """The device of a user's session with this number, which has changed its device so many times."""
    return f"{uid:016x}{number:08x}{change:08x}"


class StructuredUser(User):
    """Keeps the promise's other half, as docs/protocol.md asks of a client."""

    number = 0
    """Tells the user's sessions apart in their devices."""
    receives = True
    token = ""
    acknowledged = 0
    acknowledged_at = pinged = 0.0
    collided = False
    """Whether another text was stored under a number than the one that has it now."""
    questions = 0
    shunned = ""
    """Where it does not connect before something has been confirmed, if there is another place."""
    again: dict[int, float]
    """To whom nothing new is said, and when all that is unconfirmed is sent again."""
    expected: dict[int, int]
    unknown: set[tuple[int, int]]
    """The unconfirmed (recipient, K) that may have been stored."""

    def __init__(
        self, uid: int, others: list[int], options: argparse.Namespace, kind: str = ""
    ) -> None:
        super().__init__(uid, others, options, kind)
        self.again = {}
        self._changing = Changing(self.name, self.journal, self.ask)

    @property
    def unconfirmed(self) -> int:
        return super().unconfirmed + len(self.journal.changes)

    async def log_in(self, reader: asyncio.StreamReader) -> None:
        await self.read(reader)
        self.again, self.expected, self.collided = {}, {}, False
        self.unknown = {(to, k) for to, ks in self.journal.outbox.items() for k in ks}
        self.say(**self.hello(), device=self.device)
        self.say(type="auth", n=1, uid=self.uid, **self._proof(), **self.purpose())
        while True:
            frame = await self.read(reader)
            if not frame.startswith(b"{"):
                continue  # the goodbye of a server that stops before it has heard ours
            thing = json.loads(frame)
            if thing["type"] == "ok":
                break
            if thing["type"] == "error":
                self.token = "" if thing["code"] == "bad-credentials" else self.token
                raise ConnectionError(thing["code"])
            self.welcomed(thing)
        self.token = thing["token"]
        self._entered(thing)

    @property
    def device(self) -> str:
        """What it calls itself in ``hello``."""
        return device_of(self.uid, self.number, self.journal.device)

    def hello(self) -> dict[str, Any]:
        """The frame, without the device."""
        return {"type": "hello", "version": 1, "client": "campaign/1"}

    def welcomed(self, thing: dict[str, Any]) -> None:
        """React to ``welcome``."""

    def _entered(self, thing: dict[str, Any]) -> None:
        if self.receives and thing["epoch"] != self.journal.epoch:
            self.forget_older()
            self.journal.record("e", thing["epoch"])
        if self.receives and self.is_beside_devices:
            self.journal.record("l")
        self.acknowledged = 0

    def _proof(self) -> dict[str, Any]:
        return {"token": self.token} if self.token else {"password": f"pw{self.uid}"}

    def purpose(self) -> dict[str, Any]:
        """What ``auth`` says beside who it is."""
        return {"after": self.journal.cursor} if self.receives else {"receive": False}

    async def resume(self) -> None:
        for to in self.journal.outbox:
            self._submit_all(to)
        self._changing.resume()

    def _submit_all(self, to: int) -> None:
        for k in list(self.journal.outbox[to]):
            self.submit(to, k)

    def say(self, writer: asyncio.StreamWriter | None = None, **thing: Any) -> None:
        self.send(json.dumps(thing), writer)

    def ask(self, **question: Any) -> int:
        """Ask for what is no message; the number of the request."""
        self.questions += 1
        self.say(n=QUESTIONS + self.questions, **question)
        return QUESTIONS + self.questions

    def submit(self, to: int, k: int) -> None:
        n = self.journal.outbox[to][k]
        self.outstanding.append((to, n, k))
        self.unknown.add((to, k))
        self.say(type="msg", n=n, to=to, text=self.text(to, k))

    def recipients(self) -> list[int]:
        """
        To whom something new may be said. Where a number may have been used, one at a time: the next one could be
        accepted although it is not.
        """
        outbox, doubtful = self.journal.outbox, self.journal.doubtful
        return [
            to for to in self.others if to not in self.again and not (to in doubtful and outbox[to])
        ]

    def free(self) -> bool:
        return not self.collided and bool(self.recipients())

    def choose(self) -> int:
        return random.choice(self.recipients())

    def leave(self, target: str) -> None:
        if self.place == target or random.random() < _MOVES_TOO:
            self.avoided = target
            random.choice((self.hop, self.move))()

    def insist(self) -> None:
        self.again = dict.fromkeys(self.again, 0.0)

    def hold_tongue(self, seconds: float) -> None:
        due = asyncio.get_running_loop().time() + seconds
        self.again = {to: max(due, self.again.get(to, 0.0)) for to in self.others}

    def target(self) -> str:
        self.avoided = self.avoided or self.shunned
        return super().target()

    def forget_numbers(self, target: str) -> None:
        """Its disk has lost the last numbers; what was said under them is forgotten, and they are used again."""
        for to, n in list(self.journal.next_n.items()):
            self.journal.record("b", to, max(1, n - random.randint(1, _BACK)))
        self.shunned = target
        self.forget_older()
        self.move()

    def idle(self) -> None:
        now = asyncio.get_running_loop().time()
        self._acknowledge(now)
        if now > self.pinged + _BETWEEN_PINGS:
            self.pinged = now
            self.say(type="ping")
        self._changing.act(now, is_over=self.finishing)
        awaited = {to for to, _, _ in self.outstanding}
        for to in [to for to, due in self.again.items() if due <= now and to not in awaited]:
            # Everything to it has been answered, so nothing of what is left can still be on its way.
            del self.again[to]
            self.send_again(to)
        if self.collided and not self.outstanding and not self.unknown:
            # None of what is left was stored, so that it may be numbered anew.
            self.journal.record("d", self.journal.device + 1)
            raise ConnectionError("the numbers of this device are used")

    def _acknowledge(self, now: float) -> None:
        if not self._waits_to_acknowledge(now) and self.journal.cursor > self.acknowledged:
            self.acknowledged, self.acknowledged_at = self.journal.cursor, now
            self.say(type="ack", id=self.acknowledged)

    def _waits_to_acknowledge(self, now: float) -> bool:
        seldom = self.uid == self.options.slow and not self.finishing
        return seldom and now < max(self.acknowledged_at + _SELDOM, self.hoard_until)

    def send_again(self, to: int) -> None:
        """Send what is unconfirmed to somebody once more, all of which has been answered."""
        unconfirmed = self.journal.outbox[to]
        if self.collided and not any((to, k) in self.unknown for k in unconfirmed):
            return
        expected = self.expected.pop(to, None)
        if expected is not None and not self.collided:
            # A lower number was accepted, though its answer was lost: it is asked for again as it is.
            refused = [k for k, n in unconfirmed.items() if n >= expected]
            for n, k in enumerate(refused, expected):
                self.journal.record("o", to, n, k)
        self._submit_all(to)

    def heard(self, frame: str) -> None:
        thing = json.loads(frame)
        if not self._changing.answered(thing):
            self.take(thing)

    def take(self, thing: dict[str, Any]) -> None:
        """React to a frame."""
        kind = thing["type"]
        if kind == "msg":
            self.show(thing)
        elif kind == "sent":
            _, k = self.answered(thing)
            self.unknown.discard((thing["to"], k))
            self.shunned = ""
            told = (thing["at"], thing.get("id", 0), thing.get("serial", 0))
            self.journal.record("c", thing["to"], k, *told)
            if "serial" in thing and not self.finishing:
                self._changing.plan(thing["to"], k, thing["serial"])
        elif kind == "error":
            self.refused(thing)
        elif kind == "event":
            self.journal.record("w", "event-without-devices:", thing["event"])
        elif kind in ("bye", "kicked"):
            if kind == "kicked" and not self.is_lent():
                self.journal.record("k")
            raise ConnectionError(kind)

    def heard_late(self, frame: str, writer: asyncio.StreamWriter) -> None:
        self.take_late(json.loads(frame), writer)

    def take_late(self, thing: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        """React to a frame on an older connection."""
        # What was confirmed there is sent again on the newer connection, and confirmed there.
        if thing["type"] == "msg":
            self.show(thing)
            self.say(writer, type="ack", id=thing["id"])
        elif thing["type"] in ("bye", "kicked"):
            raise ConnectionError(thing["type"])

    def is_lent(self) -> bool:
        """Whether somebody else may be this device now."""
        return False

    def show(self, thing: dict[str, Any]) -> None:
        if thing["id"] > self.journal.cursor:
            self.record_shown(thing)
        for word in ("serial", "to", "room"):
            if word in thing:
                self.journal.record("w", "without-devices:", json.dumps(thing).replace(" ", ""))

    def record_shown(self, thing: dict[str, Any]) -> None:
        """Show a message, which is on disk then."""
        if not is_message(
            thing["text"]
        ):  # an invitation into a room, to a program that knows no rooms
            self.journal.record("i", thing["id"], thing.get("serial", 0), 0)
            return
        message = message_of(thing["text"])
        self.journal.record("s", thing["id"], *message, thing["at"], thing.get("serial", 0))
        self.shown += 1

    def answered(self, thing: dict[str, Any]) -> tuple[int, int]:
        """The N and the K that this is the answer to."""
        for answered in self.outstanding:
            if answered[:2] == (thing["to"], thing["re"]):
                self.outstanding.remove(answered)
                return answered[1:]
        raise ConnectionError("an answer to nothing")

    def refused(self, thing: dict[str, Any]) -> None:
        """React to ``error``."""
        if "to" not in thing:
            raise ConnectionError(thing["code"])
        to, code = thing["to"], thing["code"]
        n, k = self.answered(thing)
        hold_back = 0.0
        if code != "store-unavailable":
            self.unknown.discard((to, k))
        if code == "gap" and thing["expected"] > n:
            self.collided = True
        elif code == "gap":
            self.expected[to] = thing["expected"]
        elif code == "inbox-full":
            hold_back = _HOLD_BACK_AT_THE_END if self.finishing else random.uniform(*_HOLD_BACK)
            if random.random() < _GIVEN_UP:
                self.journal.record("x", to, k)
                self.expected[to] = n
        due = asyncio.get_running_loop().time() + hold_back
        self.again[to] = max(due, self.again.get(to, 0.0))
