"""
Fan-out: what rooms' feeds have taken is handed to their many readers, a bounded number of connections a turn.

So a room of a thousand does not hold up everybody else. What comes within ``GATHERED`` seconds goes together: one write
a connection instead of many.
"""

from __future__ import annotations

from collections import deque

from twisted.internet.interfaces import IReactorTime

from chatsvc.delivery.feed import RoomFeed

GATHERED = 0.05
"""Seconds between two flushes of one feed: a quiet room's entry leaves at once, those of a busy one gather."""

AT_ONCE = 64
"""Connections that are written to in one turn of the reactor."""


class FanOut:
    """Flushes feeds, in turn."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._scheduled: set[RoomFeed] = set()
        self._flushing: deque[RoomFeed] = deque()

    def schedule(self, feed: RoomFeed) -> None:
        """Flush a feed when its time has come; it is no matter if that was said before."""
        if feed in self._scheduled:
            return
        self._scheduled.add(feed)
        wait = feed.flushed_at + GATHERED - self._clock.seconds()
        self._clock.callLater(max(0.0, wait), self._begin, feed)

    def _begin(self, feed: RoomFeed) -> None:
        feed.begin_flush(self._clock.seconds())
        self._flushing.append(feed)
        if len(self._flushing) == 1:
            self._next()

    def _next(self) -> None:
        left, flushing = AT_ONCE, self._flushing
        while flushing and left > 0:
            feed = flushing.popleft()
            left -= feed.flush_some(left)
            if feed.is_flushing:
                flushing.append(feed)
            else:
                self._scheduled.discard(feed)
                if feed.has_gathered:
                    self.schedule(feed)
        if flushing:
            self._clock.callLater(0, self._next)
