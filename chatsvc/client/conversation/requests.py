"""Requests and their answers: each command but a message carries a number of its own, which its answer repeats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chatsvc.transport.backoff import Backoff
from chatsvc.wire import commands as c
from chatsvc.wire.client_codec import encode, understand
from chatsvc.wire.events import Event

_REPEATABLE = frozenset({c.Auth, c.Find})
"""Commands that are sent again on the next connection when the answer was lost: twice does no harm."""


_PATIENCE = 15.0
"""Seconds that a server may take for an answer; one whose store is away answers after 5 (docs/protocol.md)."""

_PASSWORD_PATIENCE = 60.0
"""The same where passwords are hashed: an office that comes back after a power cut stands in line."""

_HASHED = frozenset({c.Auth, c.Register, c.Passwd})


class RequestLost(Exception):
    """The connection was lost before the answer came; whether the command was carried out is not known."""


def ignore_lost_request(failure: Failure) -> None:
    """Of a hello: the next connection begins with one of its own."""
    failure.trap(RequestLost)


MESSAGE_PATIENCE = _PATIENCE
"""Seconds that a server may take to confirm or refuse a message."""


def request_backoff() -> Backoff:
    """Delays before a request is made again that the server has refused for now."""
    return Backoff(0.5, 15.0)


@dataclass(slots=True)
class _Request:
    command: c.Command
    answer: Deferred[Event]
    repeatable: bool
    sent: bool = False


class RequestTracker:
    """Matches answers with requests, over all connections."""

    def __init__(self) -> None:
        self._write: Callable[[bytes], None] | None = None
        self._ready = False
        self._last_n = 0
        self._open: dict[int, _Request] = {}

    def ask(self, command: c.Command) -> Deferred[Event]:
        """
        Ask as soon as a connection is ready.

        :return: fires with the answer's meaning, or fails with :class:`RequestLost`
        """
        request = self._track(command, repeatable=type(command) in _REPEATABLE)
        if self._ready:
            self._send(self._last_n, request)
        return request.answer

    def ask_at_once(self, command: c.Command) -> Deferred[Event]:
        """
        Ask on the present connection, ready or not.

        :return: fires with the answer's meaning, or fails with :class:`RequestLost`
        """
        request = self._track(command, repeatable=False)
        self._send(self._last_n, request)
        return request.answer

    def answered(self, answer: Event) -> None:
        """
        Hand an answer to its request; one without a request is dropped.

        :raise NotUnderstood: it cannot be the answer to what was asked
        """
        request = self._open.pop(answer.re, None) if answer.re is not None else None
        if request is not None:
            request.answer.callback(understand(request.command, answer))

    @property
    def patience(self) -> float | None:
        """How many seconds the server may take for what it has been asked; None: it owes no answer."""
        sent = {type(request.command) for request in self._open.values() if request.sent}
        if not sent:
            return None
        return _PASSWORD_PATIENCE if sent & _HASHED else _PATIENCE

    def connected(self, write: Callable[[bytes], None]) -> None:
        """There is a connection; ``write`` sends a frame."""
        self._write = write

    def ready(self) -> None:
        """Send what waits: the connection takes requests now."""
        self._ready = True
        for n, request in list(self._open.items()):
            if not request.sent:
                self._send(n, request)

    def hold(self) -> None:
        """Send nothing more that can wait for another connection."""
        self._ready = False

    def lost(self) -> None:
        """The connection is gone: fail what was sent, unless it may be sent again."""
        self._write, self._ready = None, False
        for n, request in list(self._open.items()):
            if request.sent and request.repeatable:
                request.sent = False
            elif request.sent:
                del self._open[n]
                request.answer.errback(RequestLost())

    def notify(self, command: c.Command) -> None:
        """Send a command whose answer, if any, carries no request number; without a connection it is dropped."""
        if self._write is not None:
            self._write(encode(command))

    def _track(self, command: c.Command, *, repeatable: bool) -> _Request:
        self._last_n += 1
        request = self._open[self._last_n] = _Request(command, Deferred(), repeatable)
        return request

    def _send(self, n: int, request: _Request) -> None:
        request.sent = True
        self.notify(replace(request.command, n=n))
