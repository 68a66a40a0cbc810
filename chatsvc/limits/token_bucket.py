"""How much one account, one address or one connection may ask for: budgets that refill, in bounded memory."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from math import inf, isfinite
from typing import Generic, TypeVar

from chatsvc.limits.network import network_of

Now = Callable[[], float]
"""Monotonic seconds."""

Key = TypeVar("Key", bound=Hashable)

_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?:/([0-9]+(?:\.[0-9]+)?))?")

_ROUNDING = 1e-6
"""Seconds that are only the rounding of sums, else a bucket that holds one would seem never quite full."""


@dataclass(frozen=True)
class Rate:
    """So many a second for long, so many at once; ``per_second`` 0: no limit."""

    per_second: float
    burst: float


def parse_rate(text: str) -> Rate:
    """
    Read ``N[/BURST]``, both decimal; without BURST it is 5 * N, and at least 1.

    :raise ValueError: it is neither that nor 0; the text is one line for the admin.
    """
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no rate: write N or N/BURST, such as 20/100, or 0: no limit")
    per_second = float(match[1])
    burst = max(1.0, 5 * per_second) if match[2] is None else float(match[2])
    if not isfinite(per_second + burst):
        raise ValueError(f"the rate {text[:20]}… is too large")
    if per_second and burst < 1:
        raise ValueError(f"the rate {text!r} lets nothing pass: its burst is less than 1")
    return Rate(per_second, burst)


class TokenBuckets(Generic[Key]):
    """
    Token buckets, each kept as one number: the moment at which it was, or will be, just empty.

    A bucket that was never used, or was forgotten as the least recently used, is full. (cachetools' ``LRUCache`` takes
    ten times as long as an ``OrderedDict``, and every message takes from one.)
    """

    def __init__(self, rate: Rate, now: Now, size: int) -> None:
        self._each = 1 / rate.per_second
        self._full = rate.burst / rate.per_second
        self._now = now
        self._size = size
        self._empty_at: OrderedDict[Key, float] = OrderedDict()

    def take(self, key: Key) -> float:
        """Take one, even one that is not there; returns the seconds until the debt is paid."""
        now = self._now()
        full = now - self._full
        empty_at = self._empty_at.pop(key, full)
        empty_at = (full if empty_at < full else empty_at) + self._each
        self._empty_at[key] = empty_at
        if len(self._empty_at) > self._size:
            self._empty_at.popitem(last=False)
        return empty_at - now if empty_at > now else 0.0

    def wait(self, key: Key) -> float:
        """Seconds until there is one to take."""
        now = self._now()
        empty_at = max(self._empty_at.get(key, -inf), now - self._full)
        seconds = empty_at + self._each - now
        return seconds if seconds > _ROUNDING else 0.0


class RateLimiter(Generic[Key]):
    """What an account or an address may send, over all its connections: past the rate it is read more slowly."""

    delay: Callable[[Key], float]
    """
    Count one thing that arrived; returns for how many seconds its connection should stop reading, 0.0 as long as the
    rate is kept to.
    """

    def __init__(self, rate: Rate, now: Now, size: int = 100_000) -> None:
        self.delay = TokenBuckets[Key](rate, now, size).take if rate.per_second else lambda key: 0.0


class AddressLimit:
    """Things that an address may do so often, and that are refused past it."""

    def __init__(self, rate: Rate, now: Now, size: int = 100_000) -> None:
        self._buckets: TokenBuckets[str] | None = (
            TokenBuckets(rate, now, size) if rate.per_second else None
        )

    def wait(self, address: str) -> float:
        """Seconds until one is allowed from there; 0.0: go on."""
        return self._buckets.wait(network_of(address)) if self._buckets else 0.0

    def count(self, address: str) -> None:
        """Count one; best before anything is waited for, so that none slips by."""
        if self._buckets:
            self._buckets.take(network_of(address))


class RegistrationLimit(AddressLimit):
    """Registrations from an address."""

    registered = AddressLimit.count
