"""Open files that are kept back from connections."""

from __future__ import annotations

import os
import resource

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.limits.open_files import FileReserve


class FileReserveTests(SynchronousTestCase):
    """A process that may open few more files than it has."""

    def setUp(self) -> None:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        self.opened: list[int] = []
        self.addCleanup(self.close_all)
        highest = max(int(name) for name in os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 200, before[1]))
        self.reserve = FileReserve()

    def close_all(self) -> None:
        while self.opened:
            os.close(self.opened.pop())

    def open_one(self) -> None:
        self.opened.append(os.open(os.devnull, os.O_RDONLY))

    def test_kept_back(self) -> None:
        """Connections would take what metrics, stores and files need, or far more be kept back than that."""
        while self.reserve.allows_one_more():
            self.open_one()
        left = 0
        try:
            while True:
                self.open_one()
                left += 1
        except OSError:
            pass
        self.assertEqual(left, 31)
        self.assertFalse(self.reserve.allows_one_more())
        for _ in range(33):
            os.close(self.opened.pop())
        self.assertTrue(self.reserve.allows_one_more())

    def test_unlimited(self) -> None:
        """Where the system has no limit, all connections would be refused."""
        self.patch(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
        self.assertTrue(FileReserve().allows_one_more())
