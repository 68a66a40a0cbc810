"""A user of the structured dialect who talks in rooms, too: numbers the messages to each, and resends them."""

from __future__ import annotations

import argparse
import asyncio
import random
from typing import Any

from benchmarks.campaign.rooms.commands import RoomCommands
from benchmarks.campaign.structured_user import QUESTIONS, StructuredUser

FEATURES = ["devices", "rooms"]

_IN_ROOMS = 0.5
"""The share of what is said in rooms, by who is in any."""

_OUTSIDE = ("not-a-member", "unknown-room")
"""Codes by which a message is refused because of who sends it."""


class RoomMember(StructuredUser):
    """A room is a recipient whose number is that of the room below zero."""

    def __init__(
        self, uid: int, others: list[int], options: argparse.Namespace, kind: str = ""
    ) -> None:
        super().__init__(uid, others, options, kind)
        self.commands = RoomCommands(uid, options.plans, self.journal, self.ask, told=self.receives)

    def hello(self) -> dict[str, Any]:
        return {**super().hello(), "features": [*FEATURES, "of-tomorrow"]}

    def welcomed(self, thing: dict[str, Any]) -> None:
        if thing["type"] == "welcome" and set(thing.get("features", ())) != set(FEATURES):
            raise ConnectionError("the features are not granted")

    async def resume(self) -> None:
        await super().resume()
        self.commands.resume()

    def recipients(self) -> list[int]:
        return [*super().recipients(), *self._rooms()]

    def _rooms(self) -> list[int]:
        outbox, doubtful = self.journal.outbox, self.journal.doubtful
        rooms = [-room for room in self.commands.inside]
        return [to for to in rooms if to not in self.again and not (to in doubtful and outbox[to])]

    def choose(self) -> int:
        rooms = self._rooms()
        if rooms and random.random() < _IN_ROOMS:
            return random.choice(rooms)
        return super().choose()

    def submit(self, to: int, k: int) -> None:
        if to > 0:
            super().submit(to, k)
            return
        n = self.journal.outbox[to][k]
        self.outstanding.append((to, n, k))
        self.unknown.add((to, k))
        self.say(type="msg", n=n, room=-to, text=self.text(to, k))

    def hold_tongue(self, seconds: float) -> None:
        super().hold_tongue(seconds)
        due = asyncio.get_running_loop().time() + seconds
        for room in self.commands.inside:
            self.again[-room] = due

    def take(self, thing: dict[str, Any]) -> None:
        if thing.get("re", 0) > QUESTIONS and thing["type"] in ("ok", "error"):
            self.commands.answered(thing)
        if thing.get("re", 0) <= QUESTIONS or "devices" in thing:
            if thing["type"] in ("sent", "error") and "room" in thing:
                thing["to"] = -thing["room"]
            super().take(thing)

    def refused(self, thing: dict[str, Any]) -> None:
        if "to" not in thing or thing["to"] > 0 or thing["code"] not in _OUTSIDE:
            super().refused(thing)
            return
        to = thing["to"]
        n, k = self.answered(thing)
        self.unknown.discard((to, k))
        self.journal.record("x", to, k)
        self.journal.record("rf", -to, k, thing["code"])
        self.commands.leave(-to)
        self.expected[to] = n
        self.again.setdefault(to, 0.0)

    def send_again(self, to: int) -> None:
        if -to not in self.commands.inside and to < 0 and not self.collided:
            self._give_up(to)
        super().send_again(to)

    def _give_up(self, to: int) -> None:
        """Say no more of what would be refused one by one."""
        expected = self.expected.get(to)
        if expected is None:
            return
        given_up = [k for k, n in self.journal.outbox[to].items() if n >= expected]
        for n, k in enumerate(given_up, expected):
            self.journal.record("o", to, n, k)
        for k in reversed(given_up):
            self.unknown.discard((to, k))
            self.journal.record("x", to, k)

    def idle(self) -> None:
        super().idle()
        if not self.finishing:
            self.commands.act(asyncio.get_running_loop().time())
