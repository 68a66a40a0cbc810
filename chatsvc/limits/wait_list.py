"""
The list of callers that wait for a turn, so that asking again and again gains nothing.

Where turns are few, a caller that asks all the time would take each as it opens, and one that comes back when it was
told to would never get any. So a turn goes to a caller that was told to wait and did.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Generic

from cachetools import TTLCache

from chatsvc.limits.network import network_of
from chatsvc.limits.token_bucket import Key, Now

_EARLY = 0.1
"""Seconds by which a caller may come too early and still have waited: clocks differ, and numbers are rounded."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller: the network of its address, and the number of its connection."""

    network: str
    connection: int

    @classmethod
    def at(cls, address: str, connection: int) -> Caller:
        """Make a caller from the address of its connection."""
        return cls(network_of(address), connection)


@dataclass(frozen=True, slots=True)
class Closed:
    """No turns for ``delay`` seconds after the failure at ``since``."""

    since: float
    delay: float

    @property
    def opening(self) -> float:
        """When the next turn opens."""
        return self.since + self.delay


@dataclass(frozen=True, slots=True)
class _Place:
    """A caller was told at ``asked`` to come back at ``due``."""

    asked: float
    due: float


class WaitList(Generic[Key]):
    """
    Decides when callers that want a turn of ``key`` may have it, and tells the others when to come back.

    A caller is known by its connection and by its network. Having waited as either is enough, and coming too early
    restarts the wait of both. So a caller that asks all the time delays neither others nor, behind the same address,
    those whose connection waits; and a caller that lost its connection has still waited, if nobody else asks from
    there.

    While somebody is expected back, a newcomer gets no turn at once: it waits for as long as a failure costs. While
    networks that have not failed wait, networks that have failed get a turn one opening later.

    At most ``size`` entries of each kind are kept, for ``memory`` seconds; the least recently used go first.
    """

    def __init__(self, now: Now, size: int, memory: float) -> None:
        self._now = now
        self._places: TTLCache[tuple[Key, int | str], _Place] = TTLCache(size, memory, timer=now)
        self._failed: TTLCache[tuple[Key, str], None] = TTLCache(size, memory, timer=now)
        # Until when somebody is expected back, and until when somebody from a network that has not failed.
        self._expected: TTLCache[Key, float] = TTLCache(size, memory, timer=now)
        self._preferred: TTLCache[Key, float] = TTLCache(size, memory, timer=now)

    def failed(self, key: Key, caller: Caller) -> None:
        """Record that a caller had a turn and failed."""
        self._failed[key, caller.network] = None

    def wait(self, key: Key, caller: Caller, closed: Closed) -> float:
        """Return the seconds until a caller should come back; 0.0 means that it may have the turn now."""
        now, due = self._now(), self._due(key, caller, closed)
        if now >= due:
            return 0.0
        self._give_place((key, caller.network), due)
        promised = self._give_place((key, caller.connection), due)
        until = promised + closed.delay
        self._expected[key] = max(until, self._expected.get(key, until))
        if (key, caller.network) not in self._failed:
            self._preferred[key] = max(until, self._preferred.get(key, until))
        return promised - now

    def _give_place(self, name: tuple[Key, int | str], due: float) -> float:
        """Note that a caller comes back at ``due``, or when it was told to if that is later; return the time."""
        place = self._places.get(name)
        due = max(due, place.due) if place is not None else due
        self._places[name] = _Place(self._now(), due)
        return due

    def _due(self, key: Key, caller: Caller, closed: Closed) -> float:
        now = self._now()
        places = [self._places.get((key, name)) for name in (caller.connection, caller.network)]
        waited = [place for place in places if place is not None and place.due <= now + _EARLY]
        promised = [place.due for place in waited if place.asked >= closed.since]
        if promised:  # a promise holds, whoever has come since
            return max(closed.opening, min(promised))
        opening = closed.opening
        if (key, caller.network) in self._failed and now < self._preferred.get(key, -inf):
            opening += closed.delay
        if waited or now >= self._expected.get(key, -inf):
            return opening
        return max(opening, now + closed.delay)
