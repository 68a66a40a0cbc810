"""The user's own messages that are not confirmed yet, as they stand above the line that is being typed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from chatsvc.client.i18n.labels import Labels
from chatsvc.client.input.contacts import Contacts
from chatsvc.client.input.graphemes import shortened
from chatsvc.wire.commands import Send
from chatsvc.wire.sanitize import sanitized

_SOON = 0.3
"""Seconds before a message without an answer is shown."""

_MOST_LINES = 5
_MOST_CHARACTERS = 40


class UnconfirmedMessages:
    """Messages on their way; ``redraw`` is called when their lines change."""

    def __init__(self, clock: IReactorTime, contacts: Contacts, redraw: Callable[[], None]) -> None:
        self._clock = clock
        self._contacts = contacts
        self._redraw = redraw
        self._numbers = count()
        self._waiting: dict[int, tuple[Send, float]] = {}
        self._later: IDelayedCall | None = None

    def add(self, message: Send, result: Deferred[bool]) -> None:
        """Show a message as on its way until ``result`` fires."""
        number = next(self._numbers)
        self._waiting[number] = (message, self._clock.seconds() + _SOON)
        result.addBoth(self._decided, number)
        if self._later is None and self._waiting:
            self._later = self._clock.callLater(_SOON, self._look)

    def lines(self, labels: Labels) -> list[str]:
        """A line for each message that has waited for a while, the oldest first."""
        now = self._clock.seconds()
        waiting = [message for message, shown in self._waiting.values() if shown <= now]
        lines = [self._line(message, labels) for message in waiting[:_MOST_LINES]]
        if len(waiting) > _MOST_LINES:
            lines.append(labels.more_waiting.format(count=len(waiting) - _MOST_LINES))
        return lines

    def stop(self) -> None:
        """Redraw no more."""
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def _line(self, message: Send, labels: Labels) -> str:
        text = sanitized(message.text.replace("\n", " "))
        whom = sanitized(self._contacts.label(message.to))
        return labels.waiting.format(whom=whom, text=shortened(text, _MOST_CHARACTERS))

    def _decided(self, result: bool, number: int) -> bool:
        _, shown = self._waiting.pop(number)
        if shown <= self._clock.seconds():
            self._redraw()
        return result

    def _look(self) -> None:
        self._later = None
        self._redraw()
        if self._waiting:
            self._later = self._clock.callLater(_SOON, self._look)
