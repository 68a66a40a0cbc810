"""How much one account or one address may ask for: budgets that refill, in bounded memory."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from math import inf, isfinite
from typing import Generic, TypeVar

from cachetools import LRUCache, TTLCache

Now = Callable[[], float]
"""Monotonic seconds."""

Key = TypeVar("Key", str, int)

_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?:/([0-9]+(?:\.[0-9]+)?))?")


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


class _Buckets(Generic[Key]):
    """
    Token buckets, each kept as one number: the moment at which it was, or will be, just empty.

    A bucket that was never used, or was forgotten as the least recently used, is full.
    """

    def __init__(self, rate: Rate, now: Now, size: int) -> None:
        self._each = 1 / rate.per_second
        self._full = rate.burst / rate.per_second
        self._now = now
        self._empty_at: LRUCache[Key, float] = LRUCache(size)

    def take(self, key: Key) -> float:
        """Take one, even one that is not there; returns the seconds until the debt is paid."""
        now = self._now()
        empty_at = max(self._empty_at.get(key, -inf), now - self._full) + self._each
        self._empty_at[key] = empty_at
        return max(0.0, empty_at - now)

    def wait(self, key: Key) -> float:
        """Seconds until there is one to take."""
        now = self._now()
        empty_at = max(self._empty_at.get(key, -inf), now - self._full)
        return max(0.0, empty_at + self._each - now)


class MessageRate:
    """Messages of an account, over all its connections, one after another or at once."""

    def __init__(self, rate: Rate, now: Now, size: int = 100_000) -> None:
        self._buckets: _Buckets[int] | None = _Buckets(rate, now, size) if rate.per_second else None

    def delay(self, uid: int) -> float:
        """
        Count one message that arrived; returns for how many seconds its connection should stop
        reading, 0.0 as long as the account keeps to its rate.
        """
        return self._buckets.take(uid) if self._buckets else 0.0


class RegistrationLimit:
    """Registrations from an address: by default 20 at once, then one each 30 seconds."""

    def __init__(self, now: Now, rate: Rate = Rate(1 / 30, 20), size: int = 100_000) -> None:
        self._buckets: _Buckets[str] = _Buckets(rate, now, size)

    def wait(self, address: str) -> float:
        """Seconds until a registration from there is allowed; 0.0: go on."""
        return self._buckets.wait(_counted(address))

    def registered(self, address: str) -> None:
        """Count a registration; best before its password is hashed, so that none slips by."""
        self._buckets.take(_counted(address))


@dataclass(frozen=True)
class _Failures:
    """How many, and when the last one was."""

    count: int
    at: float


_NONE = _Failures(0, -inf)


class _Growing(Generic[Key]):
    """Failures that cost nothing at first, then 1, 2, 4, … seconds."""

    def __init__(self, free: int, longest: float, memory: float, now: Now, size: int) -> None:
        self._free = free
        self._longest = longest
        self._now = now
        self._failures: TTLCache[Key, _Failures] = TTLCache(size, memory, timer=now)

    def wait(self, key: Key) -> float:
        failures = self._failures.get(key, _NONE)
        if failures.count <= self._free:
            return 0.0
        # Past 2**60 only the cap would matter.
        delay = min(self._longest, 2.0 ** min(failures.count - self._free - 1, 60))
        return max(0.0, failures.at + delay - self._now())

    def take_turn(self, key: Key) -> None:
        """Let nobody else try within the delay, although this try has not failed yet."""
        failures = self._failures.get(key, _NONE)
        if failures.count > self._free:
            self._failures[key] = _Failures(failures.count, self._now())

    def failed(self, key: Key) -> None:
        failures = self._failures.get(key, _NONE)
        self._failures[key] = _Failures(failures.count + 1, self._now())

    def clear(self, key: Key) -> None:
        self._failures.pop(key, None)


class LoginThrottle:
    """
    Failed log-ins, counted by account and by address, each with its own budget.

    The first ``free`` failures of an account (``address_free`` of an address) cost nothing, the
    ones after them make the next try wait 1, 2, 4, … and at most ``longest`` seconds, so that
    nobody can lock another out for long. ``memory`` seconds after the last failure all is
    forgotten. IPv6 addresses count by /64, which is what one customer has.
    """

    def __init__(
        self,
        now: Now,
        size: int = 100_000,
        free: int = 5,
        address_free: int = 20,
        longest: float = 60.0,
        memory: float = 900.0,
    ) -> None:
        self._accounts: _Growing[int] = _Growing(free, longest, memory, now, size)
        self._addresses: _Growing[str] = _Growing(address_free, longest, memory, now, size)

    def wait(self, address: str, uid: int | None) -> float:
        """
        Seconds until a try is allowed; 0.0: go on. Ask once for each try: on an account with
        too many failures, one that may go on makes the others wait, so that guesses sent side
        by side are no faster than one by one.

        ``uid`` is None for a log-in by token, which nobody else's failures can hold up.
        """
        seconds = self._addresses.wait(_counted(address))
        if uid is None:
            return seconds
        seconds = max(seconds, self._accounts.wait(uid))
        if seconds == 0.0:
            self._accounts.take_turn(uid)
        return seconds

    def failed(self, address: str, uid: int | None) -> None:
        """Count a wrong password, an unknown account or a bad token."""
        self._addresses.failed(_counted(address))
        if uid is not None:
            self._accounts.failed(uid)

    def succeeded(self, address: str, uid: int | None) -> None:
        """Forgive the account; not the address, or one good account would let it guess on."""
        if uid is not None:
            self._accounts.clear(uid)


@lru_cache(4096)
def _counted(address: str) -> str:
    """What an address counts as: an IPv6 address its /64, IPv4 inside IPv6 plain IPv4."""
    try:
        ip = ip_address(address)
    except ValueError:  # a UNIX socket
        return address
    if not isinstance(ip, IPv6Address):
        return str(ip)
    if ip.ipv4_mapped:
        return str(ip.ipv4_mapped)
    return str(ip_network((ip.packed, 64), strict=False))
