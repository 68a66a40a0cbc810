"""A connection, as the session on it sees it: no bytes, no sockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from chatsvc.wire import events as e


class Connection(Protocol):
    """What a session needs of its connection."""

    number: int
    address: str

    def say(self, event: e.Event) -> None:
        """Send an event."""

    def deliver(self, message: e.Message) -> None:
        """Send a message to its reader."""

    def track_acks(self, received: Callable[[int], object]) -> None:
        """From now on, tell which of the messages that are handed have been received, if the peer cannot say it."""

    def poll_acks(self) -> None:
        """Find out now what has been received."""

    def stop_tracking_acks(self) -> None:
        """End what ``track_acks`` began."""

    def speak(self, lang: str) -> None:
        """Use another language."""

    def hold(self, reason: str) -> None:
        """Read no more commands, until every reason has been released."""

    def release(self, reason: str) -> None:
        """One reason less to read no commands."""

    def expect_again(self, seconds: float) -> None:
        """A log-in is to come again in so many seconds: the connection may stay until then, and a while longer."""

    def authenticated(self) -> None:
        """Somebody has logged in: the connection may stay."""

    def logged_out(self) -> None:
        """Nobody is logged in any more: the connection may have to make room for others."""

    def inbox_restarted(self) -> None:
        """The ids that this connection was handed no longer count."""

    def close(self, why: str) -> None:
        """Send what was said, then close; ``why`` is a word for the log."""
