"""Redaction: unexpected errors are logged with their kind and traceback, but without their text."""

from __future__ import annotations

from twisted.python.failure import Failure


def redacted(failure: Failure | None = None) -> Failure:
    """
    Return a failure, or that of the exception being handled, without its exception; use it for the log alone.

    Databases and parsers quote their input, which may be a name, a message or a password.
    """
    failure = failure or Failure()
    failure.value = Exception()
    return failure
