"""The log: written where the options of ``twistd`` say, in the form and from the level that ours say."""

from __future__ import annotations

import os
import signal
import sys
import syslog
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from twisted.logger import ILogObserver, LogEvent, Logger
from twisted.python.logfile import LogFile
from zope.interface import implementer

from chatsvc.observability.log_format import LEVELS, Line, as_json, dated, level_of, undated
from chatsvc.tap.options import Option, choice, fail

LOG_OPTIONS = (
    Option("log-format", "text", choice("text", "json"), "Form of the log: text or json."),
    Option(
        "log-level",
        "info",
        choice(*LEVELS),
        "From which level: debug, info, warn or error.",
    ),
)
"""The options."""

_PRIORITIES = {
    "debug": syslog.LOG_DEBUG,
    "info": syslog.LOG_INFO,
    "warn": syslog.LOG_WARNING,
    "error": syslog.LOG_ERR,
}

_Sink = Callable[[str, int], None]
"""Takes a line, or a few that belong together, and its priority."""


@implementer(ILogObserver)
@dataclass(frozen=True)
class _Observer:
    line: Line
    least: int
    sink: _Sink

    def __call__(self, event: LogEvent) -> None:
        level = level_of(event)
        if LEVELS.index(level) >= self.least:
            line = self.line(event)
            if line:
                self.sink(line, _PRIORITIES[level])


class Log:
    """
    The log of one process.

    ``twistd`` are the options of ``twistd``, ``ours`` the values of ``LOG_OPTIONS``; ``journal`` is what JOURNAL_STREAM
    says.
    """

    _log = Logger()

    def __init__(self, twistd: Mapping[str, Any], ours: Mapping[str, Any], journal: str) -> None:
        self._twistd = twistd
        self._json = ours["log-format"] == "json"
        self._least = LEVELS.index(ours["log-level"])
        self._journal = journal
        self._file: LogFile | None = None

    def begin(self) -> _Observer:
        """Open the log, and give the observer that ``twistd`` is to log to."""
        name = self._twistd.get("logfile")
        if self._twistd.get("syslog"):
            syslog.openlog(str(self._twistd.get("prefix") or "chatsvc"))
            return self._observer(_to_syslog, dates=False)
        if name == "-" or (not name and self._twistd.get("nodaemon")):
            return self._to_stdout()
        return self._to_file(name or "twistd.log")

    def reopen(self) -> None:
        """Write to the file that has the log's name now: logrotate(8) may have renamed the old one."""
        if self._file is None:
            return
        try:
            # LogFile closes its file before it opens the new one: first see whether that is possible.
            open(self._file.path, "ab").close()
            self._file.reopen()
        except OSError as problem:
            text = "The log stays where it is, {path} cannot be opened: {reason}"
            why = problem.strerror
            self._log.error(text, event="not-reloaded", path=self._file.path, reason=why)

    def _observer(self, sink: _Sink, *, dates: bool) -> _Observer:
        line = as_json if self._json else dated if dates else undated
        return _Observer(line, self._least, sink)

    def _to_stdout(self) -> _Observer:
        if not self._twistd.get("nodaemon"):
            fail("chat: a daemon has no standard output: take -n, or name another --logfile")
        stream: Any = sys.stdout
        with suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")
        to_journal = self._journal == _device_and_inode(stream)

        def write(text: str, priority: int) -> None:
            if to_journal:
                text = "\n".join(f"<{priority}>{line}" for line in text.split("\n"))
            stream.write(f"{text}\n")
            stream.flush()

        return self._observer(write, dates=not to_journal)

    def _to_file(self, path: str) -> _Observer:
        try:
            self._file = file = LogFile.fromFullPath(path)
        except OSError as problem:
            fail(f"chat: --logfile {path!r}: {problem.strerror}")
        if not signal.getsignal(signal.SIGUSR1):  # as twistd has it
            signal.signal(signal.SIGUSR1, lambda *_: _soon(file.rotate))

        def write(text: str, priority: int) -> None:
            file.write(f"{text}\n")
            file.flush()

        return self._observer(write, dates=True)


def _soon(call: Callable[[], object]) -> None:
    from twisted.internet import reactor

    reactor.callFromThread(call)  # type: ignore[attr-defined]


def _to_syslog(text: str, priority: int) -> None:
    for line in text.split("\n"):
        syslog.syslog(priority, line)


def _device_and_inode(stream: Any) -> str:
    """Describe a stream as JOURNAL_STREAM does (systemd.exec(5))."""
    try:
        status = os.fstat(stream.fileno())
    except (AttributeError, OSError, ValueError):
        return "none"
    return f"{status.st_dev}:{status.st_ino}"


_chosen: list[Log] = []


def log_to(log: Log, twistd: Any) -> None:
    """Have ``twistd`` log there, unless its user has asked for another observer."""
    # It takes an observer by the name of a function without arguments.
    if "logger" in twistd and not twistd["logger"]:
        _chosen[:] = [log]
        twistd["logger"] = f"{__name__}.observer"


def observer() -> _Observer:
    """Give the observer that ``log_to`` was called with."""
    return _chosen[-1].begin()
