"""A reader of the text dialect who is in rooms: types commands now and then, and is shown what is said there."""

from __future__ import annotations

import argparse
import random
import re
import ssl
import time
from collections.abc import Iterator

from benchmarks.campaign.journal import message_of
from benchmarks.campaign.rooms.plan import PUBLIC, RoomPlan
from benchmarks.campaign.text_user import TextReader, milliseconds
from benchmarks.campaign.user import LENGTH

_MESSAGE = re.compile(
    r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\n\[ #\S+?\|.*?\|UID:\d+ \]:(\w+>-\d+#\d+)(?: |$)"
)
_INVITATION = re.compile(r"\]:邀请您加入 #(\S+),")

_BETWEEN_COMMANDS = (2.0, 9.0)
_LEAVING = 0.15
"""The share of the commands by which one leaves."""


class RoomTextReader(TextReader):
    """Joins what it may join and was invited into, and leaves again."""

    def __init__(
        self, uid: int, others: list[int], options: argparse.Namespace, kind: str = ""
    ) -> None:
        super().__init__(uid, others, options, kind)
        self._plans: list[RoomPlan] = [plan for plan in options.plans if uid in plan.members]
        self._invited: list[str] = []
        self._due = 0.0

    def log_in_now(self, connection: ssl.SSLSocket) -> Iterator[str] | None:
        frames = super().log_in_now(connection)
        if frames is not None:
            self.journal.record("a")
        return frames

    def tick(self, connection: ssl.SSLSocket) -> None:
        now = time.monotonic()
        if now < self._due or self.finishing or not self._plans:
            return
        self._due = now + random.uniform(*_BETWEEN_COMMANDS)
        command = self._choose_command().encode()
        if command:
            connection.sendall(LENGTH.pack(len(command)) + command)

    def _choose_command(self) -> str:
        if self._invited:
            return f"join #{self._invited.pop()}"
        plan = random.choice(self._plans)
        if random.random() < _LEAVING:
            return f"leave #{plan.name}"
        return f"join #{plan.name}" if plan.kind == PUBLIC else ""

    def take(self, frame: str) -> None:
        message = _MESSAGE.match(frame)
        if message:
            sender, to, k = message_of(message[2])
            self.journal.record("rs", -to, 0, 0, sender, k, milliseconds(message[1]))
            self.shown += 1
        elif invitation := _INVITATION.search(frame):
            self._invited.append(invitation[1])
        else:
            super().take(frame)
