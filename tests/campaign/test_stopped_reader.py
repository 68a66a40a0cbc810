"""A reader that stops reading, in short; the long measurement is ``benchmarks/stopped_reader.py``."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from benchmarks.stopped_reader import measure


class StoppedReaderTests(TestCase):
    def test_memory_and_order(self) -> None:
        """A reader who stops reading would fill the server's memory, or miss or reorder what came meanwhile."""
        outcome = measure(5)
        self.assertLess(outcome.highest - outcome.before, 10, outcome)
        self.assertEqual(outcome.got, outcome.sent)
        self.assertTrue(outcome.in_order)
