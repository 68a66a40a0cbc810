"""Questions and answers: each command but a message carries a number of its own, which the answer repeats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from twisted.internet.defer import Deferred

from chatsvc.wire import commands as c
from chatsvc.wire.client_codec import encode, understand
from chatsvc.wire.events import Event

_ASKED_AGAIN = frozenset({c.Auth, c.Find})
"""What does no harm when it is asked a second time because the connection was lost before the answer."""


class RequestLost(Exception):
    """The connection was lost before the answer came; whether the command was carried out is not known."""


@dataclass(slots=True)
class _Request:
    command: c.Command
    answer: Deferred[Event]
    keeps: bool
    sent: bool = False


class RequestTracker:
    """What was asked and is not answered, over all connections."""

    def __init__(self) -> None:
        self._write: Callable[[bytes], None] | None = None
        self._ready = False
        self._last_n = 0
        self._open: dict[int, _Request] = {}

    @property
    def outstanding(self) -> int:
        """How many answers have not come."""
        return len(self._open)

    def ask(self, command: c.Command) -> Deferred[Event]:
        """Ask as soon as there is a connection that is ready; what the answer means, or :class:`RequestLost`."""
        question = self._note(command, keeps=type(command) in _ASKED_AGAIN)
        if self._ready:
            self._send(self._last_n, question)
        return question.answer

    def ask_at_once(self, command: c.Command) -> Deferred[Event]:
        """Ask on the connection that there is, ready or not."""
        question = self._note(command, keeps=False)
        self._send(self._last_n, question)
        return question.answer

    def answered(self, answer: Event) -> None:
        """
        An answer has come.

        :raise NotUnderstood: it is none to what was asked.
        """
        question = self._open.pop(answer.re, None) if answer.re is not None else None
        if question is not None:
            question.answer.callback(understand(question.command, answer))

    def connected(self, write: Callable[[bytes], None]) -> None:
        """There is a connection; ``write`` sends a frame."""
        self._write = write

    def ready(self) -> None:
        """The connection can take what waits to be asked."""
        self._ready = True
        for n, question in list(self._open.items()):
            if not question.sent:
                self._send(n, question)

    def lost(self) -> None:
        """The connection is gone."""
        self._write, self._ready = None, False
        for n, question in list(self._open.items()):
            if question.sent and question.keeps:
                question.sent = False
            elif question.sent:
                del self._open[n]
                question.answer.errback(RequestLost())

    def notify(self, command: c.Command) -> None:
        """Send what is not answered, or not by this number; without a connection it is dropped."""
        if self._write is not None:
            self._write(encode(command))

    def _note(self, command: c.Command, *, keeps: bool) -> _Request:
        self._last_n += 1
        question = self._open[self._last_n] = _Request(command, Deferred(), keeps)
        return question

    def _send(self, n: int, question: _Request) -> None:
        question.sent = True
        self.notify(replace(question.command, n=n))
