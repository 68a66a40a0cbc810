"""
A watermark: how far a store's data was, kept in the key folder.

By it a server notices that the store went back while no server ran.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import orjson
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from chatsvc.inbox.rollback import DataMark
from chatsvc.observability.periodic import PeriodicTask
from chatsvc.storage.private_files import write_atomically

_EVERY = 1.0
"""Seconds between writes of a mark that has changed: a Redis with ``appendfsync everysec`` can lose as much."""


class Watermark:
    """
    The watermark in the file ``path``.

    ``reactor`` has a clock and threads, because writing waits for the disk. The mark can be older than the store's data
    but never newer: what came after the last write is not in it.
    """

    _log = Logger()

    def __init__(self, reactor: Any, path: str) -> None:
        self._reactor = reactor
        self._path = path
        self._written = self._read()
        self._mark: Callable[[], DataMark | None] = lambda: None
        self._writing = PeriodicTask(reactor, "writing the watermark", self._write_later)
        self._warned = False

    @property
    def known(self) -> DataMark | None:
        """The mark that was written last; None: there is none that can be read."""
        return self._written

    def follow(self, mark: Callable[[], DataMark | None]) -> None:
        """Write what ``mark`` returns, from now on, whenever it has changed."""
        self._mark = mark
        self._writing.start(_EVERY, now=False)

    def close(self) -> None:
        """Write the mark a last time."""
        if self._writing.running:
            self._writing.stop()
            self._write(self._mark())

    def _read(self) -> DataMark | None:
        with suppress(OSError, ValueError, TypeError), open(self._path, "rb") as file:
            mark = DataMark(**orjson.loads(file.read()))
            if isinstance(mark.batches, int) and isinstance(mark.epoch, str):
                return mark
        return None

    def _write_later(self) -> Deferred[None] | None:
        mark = self._mark()
        if mark is None or mark == self._written:
            return None
        pool = self._reactor.getThreadPool()
        return deferToThreadPool(self._reactor, pool, self._write, mark)

    def _write(self, mark: DataMark | None) -> None:
        if mark is None or mark == self._written:
            return
        if self._is_behind(mark):
            return
        try:
            write_atomically(self._path, orjson.dumps(asdict(mark)))
            self._written = mark
        except OSError as problem:
            self._warn_once(f"{self._path} cannot be written: {problem.strerror}")

    def _is_behind(self, mark: DataMark) -> bool:
        """Whether another worker, with the same key folder, has written a later mark."""
        there = self._read()
        return (
            there is not None
            and (there.epoch, there.run) == (mark.epoch, mark.run)
            and there.batches >= mark.batches
        )

    def _warn_once(self, problem: str) -> None:
        if not self._warned:
            self._warned = True
            text = "{problem}; a store that goes back while no server runs will not be noticed"
            self._log.warn(text, event="watermark-not-kept", problem=problem)
