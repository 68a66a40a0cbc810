"""A node's lease: while it lasts, the other nodes publish for this one what they store for its users."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from twisted.internet.interfaces import IReactorTime

from chatsvc.inbox.rollback import DataMark, RollbackDetector
from chatsvc.observability.periodic import PeriodicTask
from chatsvc.storage.url import StoreUnavailable

LEASE = 15.0
"""Seconds after which the others take a node for dead that does not renew its lease."""

ScriptCall = Callable[[bytes, dict[str, Any]], Awaitable[Any]]
"""Calls a command of the script with its arguments."""


class Lease:
    """
    The lease of ``node``, for so many ``seconds`` at a time.

    ``about`` gives what the node publishes about itself. ``call`` reaches the script. ``missed`` is called when the
    lease may have ended for a while: the others took this node for dead then, and published nothing for it.
    ``rollback`` is what this node knows of the data in Redis.
    """

    def __init__(
        self,
        clock: IReactorTime,
        node: str,
        about: Callable[[], str],
        seconds: float,
        call: ScriptCall,
        missed: Callable[[], None],
        rollback: RollbackDetector,
    ) -> None:
        self._clock = clock
        self._node = node
        self._about = about
        self._seconds = seconds
        self._call = call
        self._missed = missed
        self._rollback = rollback
        self.has_serials = True
        """Whether the data has serials; else it is of before there were registered devices."""
        self._in_doubt = False
        """Whether a renewal was given up: it may have run since, and found no lease."""
        self._ahead: float | None = None
        """By how many ms Redis's clock is ahead of ours, as of the last answer."""
        self._renewing = PeriodicTask(clock, "renewing the lease", self._renew_if_possible)

    async def take(self, call: ScriptCall) -> bool:
        """
        Take or renew the lease by ``call``.

        :return: whether there was one.
        :raise StoreUnavailable: it could not be done.
        """
        arguments = {
            "node": self._node,
            "about": self._about(),
            "lease": int(self._seconds * 1000),
            "fresh": secrets.token_hex(8),
            **self._rollback.script_arguments(),
            "seen": str(self._rollback.serial),
        }
        had, now, epoch, run, batches, went_back, serial = await call(b"join", arguments)
        self._rollback.observe(DataMark(epoch, run, batches), went_back)
        self.has_serials = serial != "0"
        self._ahead = now - self._clock.seconds() * 1000
        return bool(had)

    def deadline(self, patience: float) -> dict[str, int]:
        """
        The script argument that ends a command which comes later than ``patience`` seconds from now.

        :return: ``until``, in ms by Redis's clock; nothing while that clock is not known.
        """
        if self._ahead is None:
            return {}
        return {"until": int(self._ahead + (self._clock.seconds() + patience) * 1000)}

    def keep(self) -> None:
        """Renew the lease from now on, whenever a third of it has passed."""
        self._renewing.start(self._seconds / 3, now=False)

    async def renew(self) -> None:
        """
        Renew the lease now.

        :raise StoreUnavailable: it could not be done.
        """
        try:
            had = await self.take(self._call)
        except StoreUnavailable:
            self._in_doubt = True
            raise
        in_doubt, self._in_doubt = self._in_doubt, False
        if in_doubt or not had or self._rollback.is_replaced:
            self._missed()

    async def give_up(self) -> None:
        """
        End the lease, so that the others know at once that this node is gone.

        :raise StoreUnavailable: they will find out when the lease ends.
        """
        if self._renewing.running:
            self._renewing.stop()
            await self._call(b"leave", {})

    async def _renew_if_possible(self) -> None:
        with suppress(StoreUnavailable):
            await self.renew()
