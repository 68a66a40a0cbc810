"""The log: written where the options of ``twistd`` say, in the form and from the level that ours say."""

from __future__ import annotations

import atexit
import fcntl
import os
import select
import signal
import stat
import sys
import syslog
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel
from zope.interface import implementer

from chatsvc.observability.line_writer import LineWriter, Write
from chatsvc.observability.log_format import LEVELS, Line, as_json, dated, level_of, undated
from chatsvc.tap.options import Option, choice, fail
from chatsvc.transport.twisted_internals import AppendingLogFile

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

_LAST_LINES = 1.0
"""Seconds that the end of the process waits for the last lines to be taken."""


@implementer(ILogObserver)
@dataclass(frozen=True)
class _Observer:
    line: Line
    least: int
    sink: LineWriter

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
        self._file: AppendingLogFile | None = None
        self._writer: LineWriter | None = None

    @property
    def dropped(self) -> int:
        """How many lines were lost, because nobody took them."""
        return self._writer.dropped if self._writer is not None else 0

    def begin(self) -> _Observer:
        """Open the log, and give the observer that ``twistd`` is to log to."""
        name = self._twistd.get("logfile")
        if self._twistd.get("syslog"):
            syslog.openlog(str(self._twistd.get("prefix") or "chatsvc"))
            return self._observer(_to_syslog, dates=False, may_block=True)
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

    def close(self) -> None:
        """Let the last lines be taken, as far as somebody takes them."""
        if self._writer is not None:
            self._writer.drain(_LAST_LINES)

    def _observer(self, write: Write, *, dates: bool, may_block: bool) -> _Observer:
        line = as_json if self._json else dated if dates else undated
        self._writer = writer = LineWriter(write, lambda count: _dropped(line, count))
        if may_block and self._twistd.get("nodaemon"):
            writer.start()
        elif may_block:
            _when_running(writer.start)  # after the forks by which twistd goes to the background
        atexit.register(self.close)
        return _Observer(line, self._least, writer)

    def _to_stdout(self) -> _Observer:
        if not self._twistd.get("nodaemon"):
            fail("chat: a daemon has no standard output: take -n, or name another --logfile")
        stream: Any = sys.stdout
        write, is_file = _writer_to(stream)
        to_journal = self._journal == _device_and_inode(stream)

        def write_line(text: str, priority: int) -> None:
            if to_journal:
                text = "\n".join(f"<{priority}>{line}" for line in text.split("\n"))
            write(f"{text}\n")

        return self._observer(write_line, dates=not to_journal, may_block=not is_file)

    def _to_file(self, path: str) -> _Observer:
        try:
            self._file = file = AppendingLogFile.fromFullPath(path)
        except OSError as problem:
            fail(f"chat: --logfile {path!r}: {problem.strerror}")
        if not signal.getsignal(signal.SIGUSR1):  # as twistd has it
            signal.signal(signal.SIGUSR1, lambda *_: _soon(file.rotate))

        def write(text: str, priority: int) -> None:
            file.write(f"{text}\n")
            file.flush()

        return self._observer(write, dates=True, may_block=False)


def _dropped(line: Line, count: int) -> tuple[str, int]:
    """Give the line, and its priority, that stands where ``count`` lines are missing."""
    event = {
        "log_namespace": __name__,
        "log_level": LogLevel.warn,
        "log_time": time.time(),
        "log_format": "Here {count} lines of the log are missing: nobody took them",
        "event": "log-dropped",
        "count": count,
    }
    return line(event), syslog.LOG_WARNING


def _writer_to(stream: Any) -> tuple[Callable[[str], object], bool]:
    """
    Give what writes a text to a stream, and whether that never has to wait: it is a file, or no real stream.

    It writes past the stream's buffer. A thread that waits in there would keep the process from ending.
    """
    try:
        descriptor, encoding = stream.fileno(), stream.encoding
    except (AttributeError, OSError, ValueError):
        return lambda text: _to_object(stream, text), True
    is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
    if is_file:  # which somebody else may cut off: `> file` does not open it to append
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_APPEND)

    def write(text: str) -> None:
        data = text.encode(encoding, "backslashreplace")
        while data:
            try:
                data = data[os.write(descriptor, data) :]
            except BlockingIOError:  # another process that shares it has made it so
                select.select([], [descriptor], [])

    return write, is_file


def _to_object(stream: Any, text: str) -> None:
    if stream is None:
        raise OSError("standard output is closed")
    stream.write(text)
    stream.flush()


def _when_running(call: Callable[[], object]) -> None:
    from twisted.internet import reactor

    reactor.callWhenRunning(call)  # type: ignore[attr-defined]


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
