"""What can be wrong with a command, and the code that a program is told."""

from __future__ import annotations

from enum import Enum, auto


class Problem(Enum):
    """Why a command was refused. Finer than the structured dialect's codes: people are told more than programs."""

    NOT_LOGGED_IN = auto()
    ALREADY_LOGGED_IN = auto()
    BAD_CREDENTIALS = auto()
    WRONG_OLD_PASSWORD = auto()
    BAD_PASSWORD = auto()
    BAD_NAME = auto()
    NAME_TAKEN = auto()
    REGISTRATION_CLOSED = auto()
    UNKNOWN_USER = auto()
    INBOX_FULL = auto()
    SHARE_FULL = auto()
    TOO_LONG = auto()
    GAP = auto()
    THROTTLED = auto()
    STORE_UNAVAILABLE = auto()
    MAYBE_NOT_STORED = auto()
    TOO_MANY_CONNECTIONS = auto()
    NOT_UTF8 = auto()
    NOT_JSON = auto()
    BAD_FIELD = auto()
    UNKNOWN_COMMAND = auto()
    UID_NOT_INTEGER = auto()
    AUTH_USAGE = auto()
    SEND_USAGE = auto()
    REGISTER_USAGE = auto()
    PASSWD_USAGE = auto()
    FIND_USAGE = auto()
    LANG_USAGE = auto()


_CODES = {
    Problem.NOT_LOGGED_IN: "not-logged-in",
    Problem.BAD_CREDENTIALS: "bad-credentials",
    Problem.WRONG_OLD_PASSWORD: "bad-credentials",
    Problem.REGISTRATION_CLOSED: "registration-closed",
    Problem.UNKNOWN_USER: "unknown-user",
    Problem.INBOX_FULL: "inbox-full",
    Problem.SHARE_FULL: "inbox-full",
    Problem.TOO_LONG: "too-long",
    Problem.GAP: "gap",
    Problem.THROTTLED: "throttled",
    Problem.STORE_UNAVAILABLE: "store-unavailable",
    Problem.MAYBE_NOT_STORED: "store-unavailable",
    Problem.TOO_MANY_CONNECTIONS: "too-many-connections",
    Problem.NOT_UTF8: "not-utf8",
}


def code_of(problem: Problem) -> str:
    """The structured dialect's code for a problem."""
    return _CODES.get(problem, "bad-request")
