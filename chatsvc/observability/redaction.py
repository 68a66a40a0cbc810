"""What the log says of an error that nobody expected: of what kind it is and where, but not its own words."""

from __future__ import annotations

from twisted.python.failure import Failure


def redacted(failure: Failure | None = None) -> Failure:
    """
    A failure, or that of the exception being handled, for the log alone: its exception is gone afterwards.

    Databases and parsers quote what they were given: a name, a message, a password.
    """
    failure = failure or Failure()
    failure.value = Exception()
    return failure
