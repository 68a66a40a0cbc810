"""
Who has waited for a turn, and who has not: so that to ask again and again gains nothing.

Where turns are few, one who asks all the time would take each as it opens, and one who comes back when told would never
have any. So a turn is for who was told to wait and has waited.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Generic

from cachetools import TTLCache

from chatsvc.limits.network import network_of
from chatsvc.limits.token_bucket import Key, Now

_EARLY = 0.1
"""Seconds by which one may come too early, as clocks and rounding have it, and still have waited."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who tries: an address, as its network, on a connection with this number."""

    network: str
    connection: int

    @classmethod
    def at(cls, address: str, connection: int) -> Caller:
        """One at an address as the connection has it."""
        return cls(network_of(address), connection)


@dataclass(frozen=True, slots=True)
class Closed:
    """Turns are closed: since a failure at ``since``, until ``opening``, for ``delay`` seconds in all."""

    since: float
    delay: float

    @property
    def opening(self) -> float:
        return self.since + self.delay


@dataclass(frozen=True, slots=True)
class _Place:
    """Somebody was told at ``asked`` to come back at ``due``."""

    asked: float
    due: float


class WaitList(Generic[Key]):
    """
    Tells those who want a turn of ``key`` when to come, and who may have it when they do.

    A caller is known by its connection and by its network: to have waited as either is enough, and to come too early
    begins the wait of both anew. So one who asks all the time holds up neither others nor, behind the same address,
    those whose connection waits; and one whose connection was lost has still waited, if nobody else asks from there.

    While somebody is waited for, a stranger has no turn at once: it waits for as long as a failure costs. Where
    networks that have not failed wait, those that have come one opening later.

    At most ``size`` of each thing are remembered, for ``memory`` seconds, and those longest unused are forgotten.
    """

    def __init__(self, now: Now, size: int, memory: float) -> None:
        self._now = now
        self._places: TTLCache[tuple[Key, int | str], _Place] = TTLCache(size, memory, timer=now)
        self._failed: TTLCache[tuple[Key, str], None] = TTLCache(size, memory, timer=now)
        # Until when somebody is waited for; and until when somebody from a network that has not failed.
        self._expected: TTLCache[Key, float] = TTLCache(size, memory, timer=now)
        self._preferred: TTLCache[Key, float] = TTLCache(size, memory, timer=now)

    def failed(self, key: Key, caller: Caller) -> None:
        """A caller had a turn, and failed."""
        self._failed[key, caller.network] = None

    def wait(self, key: Key, caller: Caller, closed: Closed) -> float:
        """Seconds until a caller should come back; 0.0: it may have the turn now."""
        now, due = self._now(), self._due(key, caller, closed)
        if now >= due:
            return 0.0
        self._give_place((key, caller.network), due)
        told = self._give_place((key, caller.connection), due)
        until = told + closed.delay
        self._expected[key] = max(until, self._expected.get(key, until))
        if (key, caller.network) not in self._failed:
            self._preferred[key] = max(until, self._preferred.get(key, until))
        return told - now

    def _give_place(self, name: tuple[Key, int | str], due: float) -> float:
        """Let somebody come at ``due``, or when it was told to come if that is later."""
        place = self._places.get(name)
        due = max(due, place.due) if place is not None else due
        self._places[name] = _Place(self._now(), due)
        return due

    def _due(self, key: Key, caller: Caller, closed: Closed) -> float:
        now = self._now()
        places = [self._places.get((key, name)) for name in (caller.connection, caller.network)]
        waited = [place for place in places if place is not None and place.due <= now + _EARLY]
        promised = [place.due for place in waited if place.asked >= closed.since]
        if promised:  # what it was told holds, whoever has come since
            return max(closed.opening, min(promised))
        opening = closed.opening
        if (key, caller.network) in self._failed and now < self._preferred.get(key, -inf):
            opening += closed.delay
        if waited or now >= self._expected.get(key, -inf):
            return opening
        return max(opening, now + closed.delay)
