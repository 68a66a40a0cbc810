"""A writer of lines that never holds anybody up: lines that nobody takes are dropped and counted."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

_MOST_WAITING = 1024 * 1024
"""Characters of lines that may wait to be written: some thousand lines."""

Write = Callable[[str, int], object]
"""Writes a line, or a few that belong together, with its priority; it may block, or raise OSError."""


class LineWriter:
    """
    Hands lines to ``write``, in their order.

    Until it is started it does so at once. From then on a thread of its own does: a pipe whose reader stands still,
    or a terminal that is held by Ctrl-S, would otherwise stand in the way of everything. ``notice`` gives the line and
    the priority that say how many lines are missing, where they are missing. ``most`` is in characters.
    """

    def __init__(
        self, write: Write, notice: Callable[[int], tuple[str, int]], most: int = _MOST_WAITING
    ) -> None:
        self._write = write
        self._notice = notice
        self._most = most
        self._waiting: deque[tuple[str, int]] = deque()
        self._size = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._unsaid = 0
        """How many were dropped since that was said last."""
        self._failing = False
        self.dropped = 0
        """How many lines were never written."""

    def start(self) -> None:
        """Write in a thread from now on. A thread would not outlive a fork: call it after the last one."""
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def __call__(self, line: str, priority: int) -> None:
        """Write a line, before long."""
        with self._changed:
            # Not again before there is room for many: else every second line would say that one is missing.
            most = self._most // 2 if self._unsaid else self._most
            if self._waiting and self._size + len(line) > most:
                self._drop()
                return
            if self._unsaid and not self._failing:
                missing, self._unsaid = self._unsaid, 0
                self._take(*self._notice(missing))
            self._take(line, priority)

    def drain(self, patience: float) -> None:
        """Wait until all is written, at most so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, patience)

    def _take(self, line: str, priority: int) -> None:
        if self._thread is None:
            self._try(line, priority)
        else:
            self._waiting.append((line, priority))
            self._size += len(line)
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                line, priority = self._waiting[0]
            self._try(line, priority)
            with self._changed:
                self._waiting.popleft()
                self._size -= len(line)
                self._changed.notify_all()

    def _try(self, line: str, priority: int) -> None:
        try:
            self._write(line, priority)
        except OSError:  # a full disk, a reader that has gone
            with self._changed:
                self._failing = True
                self._drop()
        else:
            self._failing = False

    def _drop(self) -> None:
        self.dropped += 1
        self._unsaid += 1
