"""A clock for a program whose user may stop it, or close the lid: what passes meanwhile is nobody's delay."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from chatsvc.transport.twisted_internals import use_monotonic_clock

_TICK = 1.0
"""Seconds for which a reactor sleeps at most."""

_ASLEEP = 3 * _TICK
"""Seconds between two looks at the clock from which on this process did not run in between."""


class AwakeClock:
    """
    Monotonic seconds, without those in which this process was stopped.

    A process that goes on after SIGSTOP, or with its virtual machine, has answers to read that came in time; with any
    other clock its deadlines are over before it reads them. It must be asked at least once in every ``_TICK``.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._last = now()
        self._asleep = 0.0

    def __call__(self) -> float:
        """Seconds that have passed, from some beginning."""
        now = self._now()
        if now - self._last >= _ASLEEP:
            self._asleep += now - self._last
        self._last = now
        return now - self._asleep


def use_awake_clock(reactor: Any) -> None:
    """Time a reactor's calls by such a clock; call it before any call is scheduled."""
    use_monotonic_clock(reactor, AwakeClock())

    def tick() -> None:
        reactor.callLater(_TICK, tick)

    reactor.callWhenRunning(tick)
