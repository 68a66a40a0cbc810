"""Where the log of ``twistd chat`` goes."""

from __future__ import annotations

import errno
import os
import signal
import sys
import syslog
import threading
from io import StringIO
from pathlib import Path
from typing import Any

from twisted.logger import Logger, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.tap import log as tap_log
from chatsvc.tap.log import Log, log_to
from chatsvc.tap.server import Options

_WRITE = os.write


class _FailingOnce:
    """``os.write`` that fails at its first call."""

    def __init__(self) -> None:
        self.problems = [OSError(errno.ENOSPC, "no space")]

    def __call__(self, descriptor: int, data: bytes) -> int:
        if self.problems:
            raise self.problems.pop()
        return _WRITE(descriptor, data)


class LogTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.addCleanup(signal.signal, signal.SIGUSR1, signal.getsignal(signal.SIGUSR1))

    def log(self, level: str = "info", form: str = "text", journal: str = "", **twistd: Any) -> Log:
        return Log(twistd, {"log-format": form, "log-level": level}, journal)

    def say(self, log: Log, *words: str, level: str = "info") -> None:
        observer = log.begin()
        for word in words:
            getattr(Logger("chatsvc.x", observer=observer), level)(word, event="x")

    def screen(self, name: str) -> StringIO:
        screen = StringIO()
        self.patch(sys, name, screen)
        return screen

    def test_level(self) -> None:
        """An admin who asks for less, or more, would not get it."""
        log = self.log(level="warn", logfile=str(self.path))
        for level in ("debug", "info", "warn", "error"):
            self.say(log, f"<{level}>", level=level)
        self.assertEqual(
            [word in self.path.read_text() for word in ("<debug>", "<info>")], [False] * 2
        )
        self.assertEqual(
            [word in self.path.read_text() for word in ("<warn>", "<error>")], [True] * 2
        )

    def test_stdout(self) -> None:
        """In the foreground nothing would be seen."""
        screen = self.screen("stdout")
        for twistd in ({"logfile": None}, {"logfile": "-"}):
            self.say(self.log(nodaemon=True, **twistd), "seen")
        self.assertEqual(screen.getvalue().count(" info  seen\n"), 2)

    def test_no_stdout(self) -> None:
        """A daemon that is told to log to the terminal would log nowhere."""
        screen = self.screen("__stderr__")
        self.assertRaises(SystemExit, self.log(logfile="-").begin)
        self.assertEqual(screen.getvalue().count("\n"), 1)

    def test_journal(self) -> None:
        """systemd's journal would show two times in a line, and could not pick lines by their level."""
        with open(self.path, "w") as stream:
            self.patch(sys, "stdout", stream)
            status = os.fstat(stream.fileno())
            journal = f"{status.st_dev}:{status.st_ino}"
            self.say(self.log(nodaemon=True, journal=journal), "careful", level="warn")
            self.say(self.log(nodaemon=True, journal="1:2"), "elsewhere")
        first, second = self.path.read_text().splitlines()
        self.assertEqual(first, "<4>careful")
        self.assertRegex(second, r"^\d{4}-.* info  elsewhere$")

    def test_syslog(self) -> None:
        """``twistd --syslog`` would be ignored, or all lines have one level."""
        said: list[Any] = []
        self.patch(syslog, "openlog", said.append)
        self.patch(syslog, "syslog", lambda priority, line: said.append((priority, line)))
        log = self.log(syslog=True, prefix="chat", logfile=None)
        self.say(log, "broken", level="error")
        self.say(self.log(syslog=True, prefix="chat", form="json"), "well")
        self.assertEqual(said[:2], ["chat", (syslog.LOG_ERR, "broken")])
        self.assertEqual(said[3][0], syslog.LOG_INFO)
        self.assertIn('"message": "well"', said[3][1])

    def test_syslog_stands_still(self) -> None:
        """A syslog whose socket is full would hold up everybody."""
        free = threading.Event()
        self.addCleanup(free.set)
        said: list[str] = []
        self.patch(syslog, "openlog", lambda name: None)

        def stand_still(priority: int, line: str) -> None:
            free.wait(20)
            said.append(line)

        self.patch(syslog, "syslog", stand_still)
        log = self.log(syslog=True, nodaemon=True, logfile=None)
        self.say(log, "one", "two")
        self.assertEqual(said, [])
        free.set()
        log.close()
        self.assertEqual(said, ["one", "two"])

    def test_missing_lines(self) -> None:
        """Lines that nobody took would be missing without a word, or the word have another form than the others."""
        for form, word in {"text": "warn  Here 1 lines", "json": '"event": "log-dropped"'}.items():
            with open(self.path, "w") as stream:
                self.patch(sys, "stdout", stream)
                log = self.log(nodaemon=True, form=form)
                self.patch(os, "write", _FailingOnce())
                self.say(log, "lost", "then", "more")
                self.patch(os, "write", _WRITE)
            self.assertEqual(log.dropped, 1)
            self.assertIn(word, self.path.read_text())

    def test_reopen(self) -> None:
        """After a rotation by another program, lines would go on into the file that was put away."""
        log = self.log(logfile=str(self.path))
        self.say(log, "before")
        logger = Logger("chatsvc.x", observer=log.begin())
        away = self.path.rename(f"{self.path}.1")
        log.reopen()
        logger.info("after")
        self.assertIn("before", away.read_text())
        self.assertIn("after", self.path.read_text())
        self.assertNotIn("after", away.read_text())

    def test_reopen_in_vain(self) -> None:
        """A log that cannot be opened anew would be lost."""
        self.path.mkdir()
        path = self.path / "folder" / "log"
        path.parent.mkdir()
        log = self.log(logfile=str(path))
        logger = Logger("chatsvc.x", observer=log.begin())
        away = path.parent.rename(self.path / "other")
        with capturedLogs() as said:
            log.reopen()
        logger.info("after")
        self.assertEqual([event["event"] for event in said], ["not-reloaded"])
        self.assertIn("after", (away / "log").read_text())

    def test_reopen_without_a_file(self) -> None:
        """A reload would fail where the log is no file."""
        self.log().reopen()

    def test_choice(self) -> None:
        """An observer that the admin has asked twistd for would be put aside, or ours not be asked for."""
        log = self.log(nodaemon=True)
        other = {"logger": "some.other"}
        log_to(log, other)
        self.assertEqual(other, {"logger": "some.other"})
        ours: dict[str, Any] = {"logger": None}
        log_to(log, ours)
        self.assertEqual(ours, {"logger": f"{tap_log.__name__}.observer"})
        screen = self.screen("stdout")
        Logger("chatsvc.x", observer=tap_log.observer()).info("seen")
        self.assertIn("seen", screen.getvalue())

    def test_elsewhere_than_under_twistd(self) -> None:
        """``twist``, which knows no ``--logger``, could not start the server."""
        log_to(self.log(), {})
        self.assertIsNone(Options({}).log)
