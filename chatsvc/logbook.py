"""What the log hears of one connection's session: who came and went, never what was said."""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from chatsvc.unexpected import wordless
from chatsvc.wire.problems import Problem, code_of


class Logbook:
    """The entries of connection ``number``, from ``address`` (empty: a local socket)."""

    _log = Logger()

    def __init__(self, number: int, address: str) -> None:
        self._number = number
        self._address = address or "a local socket"
        self._throttled = False

    def logged_in(self, uid: int, *, receives: bool) -> None:
        """Somebody has logged in; who does not receive only sends."""
        text = "logged in from {address}" + ("" if receives else ", only to send")
        self._note("login", text, uid, address=self._address, receives=receives)

    def refused(self, uid: int | None, problem: Problem) -> None:
        """A log-in was refused; None: as somebody who does not exist."""
        throttled = problem is Problem.THROTTLED
        if throttled and self._throttled:
            return  # a guesser shall not fill the log
        self._throttled = throttled
        whose = "log-in of nobody we know" if uid is None else "log-in"
        level = LogLevel.warn if throttled else LogLevel.info
        text, reason = whose + " from {address} refused: {reason}", code_of(problem)
        self._note("login-refused", text, uid, level, address=self._address, reason=reason)

    def logged_out(self, uid: int, seconds: float, why: str) -> None:
        """A log-in has ended."""
        text = "logged out after {seconds:.1f} s: {reason}"
        self._note("logout", text, uid, seconds=seconds, reason=why)

    def registered(self, uid: int) -> None:
        """An account was made."""
        self._note("registered", "registered from {address}", uid, address=self._address)

    def password_changed(self, uid: int) -> None:
        """A password was changed."""
        self._note("password-changed", "changed the password", uid)

    def broken(self, uid: int | None, kind: str, failure: Failure) -> None:
        """A command has failed in a way that nobody expected."""
        facts: dict[str, Any] = self._facts(uid) | {"event": "command-failed", "kind": kind}
        self._log.failure("{kind} failed", wordless(failure), **facts)

    def _note(
        self, event: str, text: str, uid: int | None, level: Any = LogLevel.info, **facts: Any
    ) -> None:
        self._log.emit(level, text, event=event, **self._facts(uid), **facts)

    def _facts(self, uid: int | None) -> dict[str, int]:
        return {"connection": self._number, **({} if uid is None else {"uid": uid})}
