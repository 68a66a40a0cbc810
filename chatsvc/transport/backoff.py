"""How long to wait before the next try."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """
    Delays whose steps double from ``least`` to ``most`` seconds, jittered from the first on: many clients lose their
    server at the same moment, and shall not come back at one.
    """

    def __init__(
        self, least: float, most: float, jitter: Callable[[], float] = random.random
    ) -> None:
        self._least = least
        self._most = most
        self._jitter = jitter
        self._tries = 0

    @property
    def tried(self) -> bool:
        """Whether a delay was asked for since the last success."""
        return self._tries > 0

    def delay(self) -> float:
        """The next delay: between half and the whole of its step."""
        # The exponent is bounded: a float overflows after a thousand failures.
        step = min(self._most, self._least * 2.0 ** min(self._tries, 30))
        self._tries += 1
        return step * (0.5 + self._jitter() / 2)

    def reset(self) -> None:
        """It worked."""
        self._tries = 0
