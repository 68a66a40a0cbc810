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

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from chatsvc.client.conversation.reading import Reading
from chatsvc.waiters import Waiters
from chatsvc.wire.events import Message


class ShownInPart(Exception):
    """Only the first ``shown`` of some messages were shown, and nothing more will be."""

    def __init__(self, shown: int) -> None:
        super().__init__(shown)
        self.shown = shown


class MessageSink(Protocol):
    """Shows messages to the user."""

    def show(self, messages: Sequence[Message]) -> Deferred[None]:
        """
        Show messages.

        :return: fires when they are where no crash of this process can take them away; or fails, perhaps with
            :class:`ShownInPart`
        """

    def recorded(self, messages: Sequence[Message]) -> None:
        """They are on record as shown: they will not come again."""


@dataclass
class MessageQuota:
    """How many more messages are wanted, over all log-ins; what comes after them is left for another time."""

    left: int = sys.maxsize


class Receiver:
    """
    Receives one log-in's messages.

    ``awaited`` counts the messages that waited at log-in and have not come yet; it goes below 0 with those that are
    new. Copies of what the user's other devices have sent do not count.

    :param reading: which messages were shown before
    :param waiting: how many messages waited at log-in
    :param acknowledge: tells the server that all messages up to an id are on record
    :param failed: called with the reason why nothing can be shown or recorded any more
    """

    def __init__(
        self,
        clock: IReactorTime,
        reading: Reading,
        waiting: int,
        sink: MessageSink,
        acknowledge: Callable[[int], None],
        failed: Callable[[Failure], None],
        quota: MessageQuota,
    ) -> None:
        self._clock = clock
        self._reading = reading
        self.awaited = waiting
        self._sink = sink
        self._acknowledge = acknowledge
        self._failed = failed
        self._quota = quota
        self._unshown: list[Message] = []
        self._busy = False
        self._drained = Waiters[None]()

    def received(self, message: Message) -> None:
        """The server has delivered a message."""
        self.awaited -= not message.to
        self._unshown.append(message)
        if not self._busy:
            self._busy = True
            self._clock.callLater(0, self._turn)

    def retire(self) -> None:
        """The log-in is over: what still is being shown is recorded, and not acknowledged."""
        self._acknowledge = lambda id: None

    def drained(self) -> Deferred[None]:
        """Fires when all that has arrived is recorded."""
        return self._drained.wait() if self._busy else succeed(None)

    def _turn(self) -> None:
        turn = Deferred.fromCoroutine(self._show())
        turn.addErrback(self._failed)
        turn.addCallback(self._next)

    def _next(self, _: object) -> None:
        if self._unshown:
            self._clock.callLater(0, self._turn)
            return
        self._busy = False
        self._drained.fire(None)

    async def _show(self) -> None:
        received, self._unshown = self._unshown, []
        last = self._reading.last
        fresh = self._reading.fresh(received, all_came=self.awaited <= 0)[: self._quota.left]
        cut: ShownInPart | None = None
        # What this program does not know has nothing to show.
        visible = [message for message in fresh if message.text or message.mark]
        if visible:
            try:
                await self._sink.show(visible)
            except ShownInPart as problem:
                cut, fresh = problem, fresh[: fresh.index(visible[problem.shown])]
        if fresh:
            last = fresh[-1].id
            self._reading.mark(fresh[-1])
            self._quota.left -= len(fresh)
            self._sink.recorded(fresh)
        # Also what is not fresh: that it came again shows that its acknowledgement was lost.
        if last:
            self._acknowledge(min(received[-1].id, last))
        if cut is not None:
            raise cut
