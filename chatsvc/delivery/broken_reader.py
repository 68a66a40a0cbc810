"""The end of a reader that has raised."""

from __future__ import annotations

from typing import Protocol

from twisted.logger import Logger
from twisted.python.failure import Failure

from chatsvc.observability.redaction import redacted


class Reader(Protocol):
    """The reader of an inbox, or of a session's rooms."""

    def failed(self, failure: Failure) -> None:
        """End reading because of an error of ours."""


def end_broken(reader: Reader, log: Logger) -> None:
    """
    End a reader whose exception is being handled.

    It may have passed over a message, and must acknowledge nothing after it.
    """
    failure = Failure()
    try:
        reader.failed(failure)
    except Exception:
        log.failure("Ending a reader failed", redacted(), event="reader-broken")
