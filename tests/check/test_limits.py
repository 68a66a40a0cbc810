"""Limits of connections and of open files, compared."""

from __future__ import annotations

import resource
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.check import limits as check_limits
from chatsvc.check.finding import Severity
from chatsvc.check.limits import compare_limits
from chatsvc.limits.connections import ConnectionLimits


class CompareTests(SynchronousTestCase):
    def found(
        self, files: int, total: int = 20_000, workers: int = 1, of_all: str = "9000000"
    ) -> list[tuple[Severity, str]]:
        """What is found where so many files may be open."""
        self.patch(resource, "getrlimit", lambda _: (64, files))
        path = Path(self.mktemp())
        path.write_text(of_all)
        self.patch(check_limits, "_OF_ALL", str(path))
        findings = compare_limits(ConnectionLimits(total=total, per_address=200), workers)
        return [(finding.verdict, finding.text) for finding in findings]

    def test_enough(self) -> None:
        """A machine that is well would be warned of."""
        for files, total, workers in ((20_264, 20_000, 1), (5_264, 20_000, 4), (-1, 10**6, 1)):
            verdicts = [verdict for verdict, _ in self.found(files, total, workers)]
            self.assertEqual(verdicts, [Severity.OK], files)

    def test_fewer(self) -> None:
        """An admin would learn only from lost connections that the system allows fewer than the options."""
        ((verdict, text),) = self.found(1024)
        self.assertEqual(verdict, Severity.WARN)
        self.assertIn("so 760 connections: 20264 are needed for 20000", text)

    def test_too_few(self) -> None:
        """A server that can hardly serve one person would be called fit."""
        ((verdict, text),) = self.found(256)
        self.assertEqual(verdict, Severity.FAIL)
        self.assertIn("only 256 files", text)

    def test_all_programs(self) -> None:
        """The limit of the whole system would be passed over."""
        (_, (verdict, text)) = self.found(100_000, workers=4, of_all="20000")
        self.assertEqual(verdict, Severity.WARN)
        self.assertIn("21056 may be needed", text)
        self.assertEqual(len(self.found(100_000, of_all="nonsense")), 1)

    def test_one_address(self) -> None:
        """One address could take all places, and nobody know."""
        ((verdict, text), _) = self.found(100_000, total=100)
        self.assertEqual(verdict, Severity.WARN)
        self.assertIn("--max-per-ip 200", text)
