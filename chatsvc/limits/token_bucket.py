"""Rate limits of accounts, addresses and connections: token buckets in bounded memory."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from math import inf, isfinite
from typing import Generic, TypeVar

from chatsvc.limits.network import network_of

Now = Callable[[], float]
"""A clock: monotonic seconds."""

Key = TypeVar("Key", bound=Hashable)

_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?:/([0-9]+(?:\.[0-9]+)?))?")

_ROUNDING = 1e-6
"""Seconds that count as none: sums are rounded, and a bucket with one token would never seem quite full."""


@dataclass(frozen=True)
class Rate:
    """A rate: ``per_second`` in the long run, ``burst`` at once; ``per_second`` 0 means no limit."""

    per_second: float
    burst: float


def parse_rate(text: str) -> Rate:
    """
    Parse ``N[/BURST]``, both decimal; BURST is 5 * N by default, and at least 1.

    :raise ValueError: when it is neither that nor 0; the text is one line for the admin.
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
    Token buckets by key, each stored as one number: the time at which it was, or will be, just empty.

    At most ``size`` buckets are kept. One that was never used, or was dropped as the least recently used, is full.
    (cachetools' ``LRUCache`` takes ten times as long as an ``OrderedDict``, and every message takes a token.)
    """

    def __init__(self, rate: Rate, now: Now, size: int) -> None:
        self._each = 1 / rate.per_second
        self._full = rate.burst / rate.per_second
        self._now = now
        self._size = size
        self._empty_at: OrderedDict[Key, float] = OrderedDict()

    def take(self, key: Key) -> float:
        """Take a token, even from an empty bucket; return the seconds until that debt is paid, 0.0 if there is none."""
        now = self._now()
        full = now - self._full
        empty_at = self._empty_at.pop(key, full)
        empty_at = (full if empty_at < full else empty_at) + self._each
        self._empty_at[key] = empty_at
        if len(self._empty_at) > self._size:
            self._empty_at.popitem(last=False)
        return empty_at - now if empty_at > now else 0.0

    def wait(self, key: Key) -> float:
        """Return the seconds until there is a token to take."""
        now = self._now()
        empty_at = max(self._empty_at.get(key, -inf), now - self._full)
        seconds = empty_at + self._each - now
        return seconds if seconds > _ROUNDING else 0.0


class RateLimiter(Generic[Key]):
    """A rate of an account or an address, over all its connections: past it, they are read more slowly."""

    delay: Callable[[Key], float]
    """
    Count one thing that arrived; return for how many seconds its connection should stop reading, 0.0 within the rate.

    An attribute and not a method, so that a message costs one call less.
    """

    def __init__(self, rate: Rate, now: Now, size: int = 100_000) -> None:
        self.delay = TokenBuckets[Key](rate, now, size).take if rate.per_second else lambda key: 0.0


class AddressLimit:
    """A rate of things that an address may do; past it they are refused."""

    def __init__(self, rate: Rate, now: Now, size: int = 100_000) -> None:
        self._buckets: TokenBuckets[str] | None = (
            TokenBuckets(rate, now, size) if rate.per_second else None
        )

    def wait(self, address: str) -> float:
        """Return the seconds until the address may do one more; 0.0 means now."""
        return self._buckets.wait(network_of(address)) if self._buckets else 0.0

    def count(self, address: str) -> None:
        """Count one. Count before waiting for anything, or many at once would pass."""
        if self._buckets:
            self._buckets.take(network_of(address))


class RegistrationLimit(AddressLimit):
    """A rate of registrations from an address."""

    registered = AddressLimit.count
