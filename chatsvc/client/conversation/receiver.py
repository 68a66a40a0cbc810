"""
Shows messages once and acknowledges what is on record: shown first, then written to disk, then acknowledged.

What arrives in one turn of the reactor, or while the last is still being shown, is shown, recorded and acknowledged
together.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from chatsvc.client.state.outbox import Outbox
from chatsvc.wire.events import Message


class ShownInPart(Exception):
    """Only the first ``shown`` of some messages were shown, and nothing more will be."""

    def __init__(self, shown: int) -> None:
        super().__init__(shown)
        self.shown = shown


class MessageSink(Protocol):
    """Who reads."""

    def show(self, messages: Sequence[Message]) -> Deferred[None]:
        """
        Show messages; fires when they are where no crash of this process can take them away, or fails, perhaps with
        :class:`ShownInPart`.
        """

    def recorded(self, messages: Sequence[Message]) -> None:
        """They are on record as shown: they will not come again."""


@dataclass
class MessageQuota:
    """How many more messages are wanted, over all log-ins; what comes after them is left for another time."""

    left: int = sys.maxsize


class Receiver:
    """
    One log-in's reading. ``acknowledge`` tells the server of an id; ``failed`` hears why nothing can be shown or
    recorded any more. ``awaited`` counts the messages that waited at log-in and have not come yet.
    """

    def __init__(
        self,
        clock: IReactorTime,
        outbox: Outbox,
        epoch: str,
        waiting: int,
        reader: MessageSink,
        acknowledge: Callable[[int], None],
        failed: Callable[[Failure], None],
        quota: MessageQuota,
    ) -> None:
        self._clock = clock
        self._outbox = outbox
        self._epoch = epoch
        self.awaited = waiting
        self._reader = reader
        self._acknowledge = acknowledge
        self._failed = failed
        self._quota = quota
        self._arrived: list[Message] = []
        self._busy = False
        self._idle: list[Deferred[None]] = []

    def received(self, message: Message) -> None:
        """The server has handed a message over."""
        self.awaited -= 1
        self._arrived.append(message)
        if not self._busy:
            self._busy = True
            self._clock.callLater(0, self._turn)

    def retire(self) -> None:
        """The log-in is over: what still is being shown is recorded, and not acknowledged."""
        self._acknowledge = lambda id: None

    def drained(self) -> Deferred[None]:
        """Fires when all that has arrived is recorded."""
        drained: Deferred[None] = Deferred()
        if self._busy:
            self._idle.append(drained)
        else:
            drained.callback(None)
        return drained

    def _turn(self) -> None:
        turn = Deferred.fromCoroutine(self._take())
        turn.addErrback(self._failed)
        turn.addCallback(self._next)

    def _next(self, _: object) -> None:
        if self._arrived:
            self._clock.callLater(0, self._turn)
            return
        self._busy = False
        idle, self._idle = self._idle, []
        for waiting in idle:
            waiting.callback(None)

    async def _take(self) -> None:
        arrived, self._arrived = self._arrived, []
        last = self._outbox.last_shown
        fresh = [message for message in arrived if message.id > last][: self._quota.left]
        cut: ShownInPart | None = None
        if fresh:
            try:
                await self._reader.show(fresh)
            except ShownInPart as problem:
                cut, fresh = problem, fresh[: problem.shown]
        if fresh:
            last = fresh[-1].id
            self._outbox.mark_shown(self._epoch, last)
            self._quota.left -= len(fresh)
            self._reader.recorded(fresh)
        # Also what is not fresh: that it came again shows that its acknowledgement was lost.
        self._acknowledge(min(arrived[-1].id, last))
        if cut is not None:
            raise cut
