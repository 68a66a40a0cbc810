"""Delays between tries."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.transport.backoff import Backoff


class BackoffTests(SynchronousTestCase):
    """A back-off with a jitter of the test's own."""

    def test_steps(self) -> None:
        """A client would ask a server that is away too often, or wait for minutes when it is back."""
        backoff = Backoff(0.2, 30.0, lambda: 1.0)
        delays = [backoff.delay() for _ in range(10)]
        self.assertEqual(delays[:4], [0.2, 0.4, 0.8, 1.6])
        self.assertEqual(delays[-1], 30.0)
        backoff.reset()
        self.assertEqual(backoff.delay(), 0.2)

    def test_not_all_at_once(self) -> None:
        """All users of a server that died would come to the next one at the same moment."""
        first = {Backoff(0.2, 30.0).delay() for _ in range(100)}
        self.assertGreater(len(first), 90)
        self.assertTrue(all(0.1 <= delay <= 0.2 for delay in first))

    def test_spread(self) -> None:
        """Nodes that lose their Redis would be given other delays than those asked for."""
        for jitter, delays in ((0.0, [0.1, 0.2]), (1.0, [0.3, 0.6])):
            backoff = Backoff(0.2, 30.0, iter((jitter, jitter)).__next__, spread=(0.5, 1.5))
            for delay in delays:
                self.assertAlmostEqual(backoff.delay(), delay)
