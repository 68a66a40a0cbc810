"""Other processes of a user, which log in as registered devices: as new ones, or as one that is in use."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import secrets
from collections.abc import Coroutine
from typing import Any

from benchmarks.campaign.forgettings import record_forgetting
from benchmarks.campaign.structured_user import StructuredUser, device_of
from benchmarks.campaign.user import LOST

_STRANGERS = 0xFF00
"""The first session's number of those who are registered and never come back."""

_STAY = (0.3, 2.0)
"""Seconds in which another process is a device that is in use."""

_LENT_FOR = 30.0
"""Seconds in which a log-in elsewhere may be that of such a process."""

_GLANCE = 0.9
"""Seconds in which somebody must have logged in who is to be before another one."""

_LONGEST = 12.0
"""Seconds that a visit takes at most."""


def is_stranger(device: str) -> bool:
    """Whether a device is one of those that never come back."""
    return int(device[16:24], 16) >= _STRANGERS


class Visits:
    """The other processes of a user's session: each has a connection of its own, and acknowledges nothing by itself."""

    def __init__(self, user: StructuredUser) -> None:
        self._user = user
        self._lent_until = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._heard_id = 0
        self._writer: asyncio.StreamWriter | None = None
        self._entered = 0

    def let_in(self, strangers: int) -> None:
        """Have so many more devices registered."""
        self._begin(self._let_in(strangers))

    def borrow(self, kind: str) -> None:
        """Be the user's device for a moment, as a ``registered`` one or not; it knows nothing of what was shown."""
        user = self._user
        hello = user.hello() if kind == "registered" else StructuredUser.hello(user)
        place = random.choice(user.options.target)
        self._lend()
        self._begin(self._visit(place, user.device, hello, {}, random.uniform(*_STAY)))

    def stay(self, place: str) -> None:
        """Be the user's device, at a certain node, until somebody else is."""
        self._lend()
        self._begin(self._visit(place, self._user.device, self._user.hello(), {}, _LONGEST))

    def acknowledge(self) -> None:
        """Acknowledge what was heard during the last stay, at the node where it was."""
        if self._writer is not None and self._heard_id:
            self._user.say(self._writer, type="ack", id=self._heard_id)

    def glance(self, place: str) -> None:
        """Log in at a certain node, as the session itself does, and crash before anything is shown."""
        self._lend()
        self._begin(self._glance(place))

    @property
    def is_lent(self) -> bool:
        """Whether another process may be the device now."""
        return asyncio.get_running_loop().time() < self._lent_until

    def _lend(self) -> None:
        self._lent_until = asyncio.get_running_loop().time() + _LENT_FOR

    def _begin(self, visit: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(visit)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _let_in(self, strangers: int) -> None:
        user = self._user
        for _ in range(strangers):
            number = _STRANGERS + secrets.randbelow(256)
            device = device_of(user.uid, number, secrets.randbits(32))
            place = random.choice(user.options.target)
            await self._visit(place, device, user.hello(), {}, 0.1)

    async def _glance(self, place: str) -> None:
        user = self._user
        entered = self._entered
        visit = self._visit(place, user.device, user.hello(), user.purpose(), 0)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(visit, _GLANCE)
        if self._entered == entered:  # nobody has taken over from the one before
            record_forgetting(user.options.state, user.name)

    async def _visit(
        self,
        place: str,
        device: str,
        hello: dict[str, Any],
        purpose: dict[str, Any],
        seconds: float,
    ) -> None:
        user = self._user
        with contextlib.suppress(*LOST):
            reader, writer = await user.open(place)
            self._writer, self._heard_id = writer, 0
            try:
                user.say(writer, **hello, device=device)
                proof = {"password": f"pw{user.uid}"}
                user.say(writer, type="auth", n=1, uid=user.uid, **proof, **purpose)
                await asyncio.wait_for(self._hear(reader, seconds), _LONGEST)
            finally:
                writer.transport.abort()

    async def _hear(self, reader: asyncio.StreamReader, seconds: float) -> None:
        """Hear what comes for so long after the log-in."""
        ends = float("inf")
        while asyncio.get_running_loop().time() < ends:
            thing = await self._user.read(reader)
            if thing.startswith(b"{"):
                self._take(json.loads(thing))
            if thing.startswith(b'{"type":"ok"'):
                self._entered += 1
                ends = asyncio.get_running_loop().time() + seconds

    def _take(self, thing: dict[str, Any]) -> None:
        if thing["type"] in ("msg", "event") and "room" not in thing:
            self._heard_id = thing["id"]
        elif thing["type"] in ("error", "kicked", "bye"):
            raise ConnectionError(thing["type"])
