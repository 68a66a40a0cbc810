"""
The log of a connection's session: who logged in and out and what failed, never the text of a message.

Any peer can cause these lines, so each has a rate limit.
"""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from chatsvc.limits.network import network_of
from chatsvc.limits.token_bucket import Now, Rate
from chatsvc.observability.log_limiter import Allowed, KeyedLogLimiter
from chatsvc.observability.redaction import redacted
from chatsvc.wire.problems import Problem, code_of

_A_MINUTE = 1 / 60


class LogBudget:
    """The limits of log lines that the sessions of all connections share."""

    _log = Logger()

    def __init__(self, now: Now) -> None:
        # For each network and uid the first one, then one a minute; for all together some a second.
        self.refusals: KeyedLogLimiter[tuple[str, int | None]] = KeyedLogLimiter(
            now, Rate(_A_MINUTE, 1), Rate(5, 50)
        )
        # Only an account's owner can cause these, and log-ins have a rate limit of their own.
        self.sessions: KeyedLogLimiter[tuple[str, int]] = KeyedLogLimiter(now, Rate(_A_MINUTE, 30))
        self.fights: KeyedLogLimiter[int] = KeyedLogLimiter(now, Rate(_A_MINUTE, 1))
        self.registrations: KeyedLogLimiter[str] = KeyedLogLimiter(
            now, Rate(_A_MINUTE, 50), Rate(5, 200)
        )
        self.costly_hashes: KeyedLogLimiter[int] = KeyedLogLimiter(
            now, Rate(1 / 86_400, 1), Rate(_A_MINUTE, 10)
        )
        self.failures: KeyedLogLimiter[str] = KeyedLogLimiter(now, Rate(_A_MINUTE, 3))

    def too_costly(self, uid: int) -> None:
        """Log that an account's hash costs too much to check, so that nobody can log in to it."""
        passed = self.costly_hashes.hit(uid)
        if passed is not None:
            text = (
                "the password's hash costs too much to check: nobody can log in until it is changed"
            )
            facts = {"uid": uid, **_counts(passed)}
            self._log.warn(text + _how_many(passed), event="password-too-dear", **facts)


class SessionLog:
    """The log lines of connection ``number``, from ``address`` (empty: a local socket)."""

    _log = Logger()

    def __init__(self, number: int, address: str, budget: LogBudget) -> None:
        self._number = number
        self._network = network_of(address)
        self.address = address or "a local socket"
        self._budget = budget

    def logged_in(self, uid: int, *, receives: bool) -> None:
        """Log a log-in; one that does not receive only sends."""
        text = "logged in from {address}" + ("" if receives else ", only to send")
        passed = self._budget.sessions.hit(("login", uid))
        self._note("login", text, uid, passed, address=self.address, receives=receives)

    def refused(self, uid: int | None, problem: Problem) -> None:
        """Log a refused log-in; the uid is None if there is no such account."""
        throttled = problem is Problem.THROTTLED
        whose = "log-in of nobody we know" if uid is None else "log-in"
        level = LogLevel.warn if throttled else LogLevel.info
        text, reason = whose + " from {address} refused: {reason}", code_of(problem)
        passed = self._budget.refusals.hit((self._network, uid), severity=int(throttled))
        self._note("login-refused", text, uid, passed, level, address=self.address, reason=reason)

    def logged_out(self, uid: int, seconds: float, why: str, by: str = "") -> None:
        """Log the end of a log-in, after so many seconds; ``by``: where the one comes from that has ended it."""
        text = "logged out after {seconds:.1f} s: {reason}" + (", from {by}" if by else "")
        passed = self._budget.sessions.hit(("logout", uid))
        facts = {"by": by} if by else {}
        self._note("logout", text, uid, passed, seconds=seconds, reason=why, **facts)

    def take_over_slowed(self, uid: int, seconds: float) -> None:
        """Log that a log-in waits for so many seconds, because log-ins of the same user end one another."""
        text = (
            "log-ins end one another: the one from {address} waits {seconds:.0f} s (two programs?)"
        )
        passed = self._budget.fights.hit(uid)
        level, facts = LogLevel.warn, {"address": self.address, "seconds": seconds}
        self._note("take-over-slowed", text, uid, passed, level, **facts)

    def registered(self, uid: int) -> None:
        """Log a registration."""
        passed = self._budget.registrations.hit(self._network)
        self._note("registered", "registered from {address}", uid, passed, address=self.address)

    def password_changed(self, uid: int) -> None:
        """Log a change of password."""
        passed = self._budget.sessions.hit(("password-changed", uid))
        self._note("password-changed", "changed the password", uid, passed)

    def broken(self, uid: int | None, kind: str, failure: Failure) -> None:
        """Log a command that has failed unexpectedly; ``kind`` is the command's name."""
        passed = self._budget.failures.hit(kind)
        if passed is not None:
            facts = self._facts(uid) | _counts(passed) | {"event": "command-failed", "kind": kind}
            self._log.failure("{kind} failed" + _how_many(passed), redacted(failure), **facts)

    def _note(
        self,
        event: str,
        text: str,
        uid: int | None,
        passed: Allowed | None,
        level: Any = LogLevel.info,
        **facts: Any,
    ) -> None:
        if passed is not None:
            facts = self._facts(uid) | _counts(passed) | facts
            self._log.emit(level, text + _how_many(passed), event=event, **facts)

    def _facts(self, uid: int | None) -> dict[str, Any]:
        return {"connection": self._number, **({} if uid is None else {"uid": uid})}


def _counts(passed: Allowed) -> dict[str, Any]:
    """Return how many hits a line stands for, as arguments of the log call; empty if only one."""
    return {
        **({"count": passed.count} if passed.count > 1 else {}),
        **({"others": passed.others} if passed.others else {}),
    }


def _how_many(passed: Allowed) -> str:
    """Return the same as text for the line's end."""
    return (" ({count} since this was said last)" if passed.count > 1 else "") + (
        " ({others} others are not said)" if passed.others else ""
    )
