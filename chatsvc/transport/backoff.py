"""How long to wait before the next try."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """
    Delays whose steps double from ``least`` to ``most`` seconds.

    Each delay is a random part of its step, between the two factors of ``spread``, from the first on: many clients lose
    their server at the same moment and must not all come back at once. ``jitter`` gives a number from 0 to 1.
    """

    def __init__(
        self,
        least: float,
        most: float,
        jitter: Callable[[], float] = random.random,
        spread: tuple[float, float] = (0.5, 1.0),
    ) -> None:
        self._least = least
        self._most = most
        self._jitter = jitter
        self._spread = spread
        self._tries = 0

    @property
    def tried(self) -> bool:
        """Whether a delay was taken since the last success."""
        return self._tries > 0

    def delay(self) -> float:
        """The next delay in seconds: its step times a factor within the spread."""
        # The exponent is bounded: a float overflows after a thousand failures.
        step = min(self._most, self._least * 2.0 ** min(self._tries, 30))
        self._tries += 1
        low, high = self._spread
        return step * (low + self._jitter() * (high - low))

    def reset(self) -> None:
        """Begin with the first step again, after a success."""
        self._tries = 0
