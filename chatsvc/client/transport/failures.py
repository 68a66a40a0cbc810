"""Sorts what Twisted and OpenSSL say of a lost or missing connection into causes that people understand."""

from __future__ import annotations

import re
from enum import Enum, auto

from OpenSSL import SSL
from twisted.internet import error

from chatsvc.wire.client_codec import NotUnderstood


class NoAnswer(Exception):
    """The other end has said nothing for too long."""


class ClosedEarly(Exception):
    """The other end has closed the connection before TLS stood."""


class Cause(Enum):
    """Why there is no connection."""

    REFUSED = auto()
    NO_SUCH_HOST = auto()
    TIMED_OUT = auto()
    UNREACHABLE = auto()
    NO_ANSWER = auto()
    CLOSED = auto()
    CLOSED_EARLY = auto()
    LOST = auto()
    NOT_UNDERSTOOD = auto()
    NO_TLS = auto()
    NO_COMMON_TLS = auto()
    WANTS_CERTIFICATE = auto()
    TLS_FAILED = auto()
    SYSTEM = auto()
    OTHER = auto()


_BY_CLASS: tuple[tuple[type[BaseException], Cause], ...] = (
    (NoAnswer, Cause.NO_ANSWER),
    (ClosedEarly, Cause.CLOSED_EARLY),
    (NotUnderstood, Cause.NOT_UNDERSTOOD),
    (error.ConnectionRefusedError, Cause.REFUSED),
    (error.DNSLookupError, Cause.NO_SUCH_HOST),
    (error.UnknownHostError, Cause.NO_SUCH_HOST),
    (error.TimeoutError, Cause.TIMED_OUT),
    (error.TCPTimedOutError, Cause.TIMED_OUT),
    (error.NoRouteError, Cause.UNREACHABLE),
    (error.ConnectError, Cause.SYSTEM),
    (error.ConnectionDone, Cause.CLOSED),
    (error.ConnectionClosed, Cause.LOST),
    (ValueError, Cause.NO_SUCH_HOST),  # what HostnameEndpoint says of a name that cannot be one
)
"""The first class that fits counts."""

_BY_TLS_REASON = {
    "wrong version number": Cause.NO_TLS,
    "packet length too long": Cause.NO_TLS,
    "record layer failure": Cause.NO_TLS,
    "http request": Cause.NO_TLS,
    "unexpected message": Cause.NO_TLS,
    "unsupported protocol": Cause.NO_COMMON_TLS,
    "alert protocol version": Cause.NO_COMMON_TLS,
    "alert handshake failure": Cause.NO_COMMON_TLS,
    "alert certificate required": Cause.WANTS_CERTIFICATE,
}
"""By OpenSSL's words, without the version of TLS that it puts before an alert: its own versions differ in that."""

_VERSION = re.compile(r"^(?:ssl|tls)\S* (?=alert )")


def cause(problem: BaseException | None) -> Cause:
    """The cause that an exception stands for."""
    if isinstance(problem, SSL.Error):
        reasons = (_BY_TLS_REASON.get(reason) for reason in _tls_reasons(problem))
        return next(filter(None, reasons), Cause.TLS_FAILED)
    return next((cause for kind, cause in _BY_CLASS if isinstance(problem, kind)), Cause.OTHER)


def system_number(problem: BaseException | None) -> int:
    """The system's number of an error (``errno``); 0: it has none."""
    number = getattr(problem, "osError", None)
    return number if isinstance(number, int) else 0


def _tls_reasons(problem: SSL.Error) -> list[str]:
    errors = problem.args[0] if problem.args else None
    return (
        [_VERSION.sub("", entry[-1]) for entry in errors if entry]
        if isinstance(errors, list)
        else []
    )
