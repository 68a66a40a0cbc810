"""A service whose start and stop take time: what it opens in order, it closes in the other order."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure


class PreparedService(Service):
    """
    A service that is prepared before the reactor runs, and started under it.

    A subclass opens things in ``prepare`` (without waiting) and ``_start``, and pushes onto ``_closing`` how each is
    closed again. A stop closes them in the reverse order, after half a start too. (Twisted's ``MultiService`` stops all
    its children at once.)
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._closing = AsyncExitStack()
        self._starting: Deferred[None] | None = None
        self._serves = False

    def prepare(self) -> None:
        """
        Do what can be done before the reactor runs.

        :raise CannotStart: the service cannot start; one line for the admin.
        """
        raise NotImplementedError

    def reload(self) -> None:
        """Read the files of the configuration again."""
        raise NotImplementedError

    def startService(self) -> None:
        super().startService()
        self._reactor.callWhenRunning(self._begin)

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return Deferred.fromCoroutine(self._stop()).addErrback(self._could_not_stop)

    async def _start(self) -> None:
        raise NotImplementedError

    def _could_not_start(self, failure: Failure) -> None:
        """Say why the start failed, or was broken off by a stop (``running`` is false then)."""
        raise NotImplementedError

    def _could_not_stop(self, failure: Failure) -> None:
        """Say why the stop failed."""
        raise NotImplementedError

    def _begin(self) -> None:
        self._starting = Deferred.fromCoroutine(self._start_up())
        self._starting.addErrback(self._could_not_start)

    async def _start_up(self) -> None:
        await self._start()
        self._serves = True

    async def _stop(self) -> None:
        self._serves = False
        if self._starting is not None:
            self._starting.cancel()
            await self._starting  # it may still have something to push
        await self._closing.aclose()
