"""
Log-in throttling: who fails too often waits, longer each time, and nobody for long. Turns are for those who waited.

A try under way counts as failed until it has ended, or many at once would all be judged before the first one has
failed. What is over the budget for that reason alone is not refused, it waits in line: an office behind one address
that comes back after a power cut is no attack.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import inf
from typing import Any, Generic

from cachetools import TTLCache
from twisted.internet.defer import Deferred

from chatsvc.limits.token_bucket import Key, Now
from chatsvc.limits.wait_list import Caller, Closed, WaitList


class Throttled(Exception):
    """This try is refused without being judged; ``seconds`` until one may be allowed."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"wait {seconds:.0f} s")
        self.seconds = seconds


@dataclass(frozen=True)
class FreeAttempts:
    """How many failures cost nothing: those of an account, and those from an address."""

    account: int = 5
    address: int = 20


def parse_free_attempts(text: str) -> FreeAttempts:
    """
    Read ``ACCOUNT/ADDRESS``, two whole numbers.

    :raise ValueError: it is not that; the text is one line for the admin.
    """
    words = text.split("/")
    if len(words) != 2 or not all(w.isascii() and w.isdigit() and len(w) < 7 for w in words):
        raise ValueError("write ACCOUNT/ADDRESS, such as 5/20")
    return FreeAttempts(int(words[0]), int(words[1]))


class Attempt:
    """One try; say what became of it. Of one that was not judged nothing is said."""

    right: bool | None = None

    def failed(self) -> None:
        """It was a wrong password, an unknown account or a bad token."""
        self.right = False

    def succeeded(self) -> None:
        """It was right."""
        self.right = True


@dataclass(frozen=True)
class _Failures:
    """How many, and when the last one was."""

    count: int
    at: float


_NONE = _Failures(0, -inf)


class _Budget(Generic[Key]):
    """Failures that cost nothing at first, then 1, 2, 4, … seconds; and tries under way."""

    def __init__(self, free: int, longest: float, memory: float, now: Now, size: int) -> None:
        self._free = free
        self._longest = longest
        self._now = now
        self._failures: TTLCache[Key, _Failures] = TTLCache(size, memory, timer=now)
        self._waiting: WaitList[Key] = WaitList(now, size, memory)
        self._under_way: Counter[Key] = Counter()
        self._lines: dict[Key, deque[Deferred[None]]] = {}

    def wait(self, key: Key, caller: Caller) -> float | None:
        """Seconds until a try is allowed, 0.0: now; None: when one that is under way has ended."""
        closed = self._closed(key)
        seconds = self._waiting.wait(key, caller, closed) if closed is not None else 0.0
        if seconds:
            return seconds
        return 0.0 if self._has_room(key) else None

    def _closed(self, key: Key) -> Closed | None:
        """Since and until when there are no tries; None: failures cost nothing yet."""
        failures = self._failures.get(key, _NONE)
        if failures.count <= self._free:
            return None
        # Past 2**60 only the cap would matter.
        delay = min(self._longest, 2.0 ** min(failures.count - self._free - 1, 60))
        return Closed(failures.at, delay)

    def _has_room(self, key: Key) -> bool:
        most = max(1, self._free + 1 - self._failures.get(key, _NONE).count)
        return self._under_way[key] < most

    def wait_turn(self, key: Key) -> Deferred[None]:
        """Wait until it is worth asking again."""
        line = self._lines.setdefault(key, deque())
        place: Deferred[None] = Deferred(line.remove)
        line.append(place)
        return place

    def begin(self, key: Key) -> None:
        self._under_way[key] += 1

    def end(self, key: Key, caller: Caller, right: bool | None, forgiven: bool) -> None:
        """A try has ended; ``forgiven``: a right one takes all failures with it."""
        self._under_way[key] -= 1
        if not self._under_way[key]:
            del self._under_way[key]
        if right is False:
            failures = self._failures.get(key, _NONE)
            self._failures[key] = _Failures(failures.count + 1, self._now())
            self._waiting.failed(key, caller)
        elif right and forgiven:
            self._failures.pop(key, None)
        self._call_next(key)

    def _call_next(self, key: Key) -> None:
        line = self._lines.get(key)
        while line and (self._is_closed(key) or self._has_room(key)):
            line.popleft().callback(None)
        if not line and self._lines.get(key) is line:
            self._lines.pop(key, None)

    def _is_closed(self, key: Key) -> bool:
        closed = self._closed(key)
        return closed is not None and self._now() < closed.opening


_Charge = tuple[_Budget[Any], Hashable, bool]
"""A budget, whose it is, and whether a right password takes its failures away."""


class LoginThrottle:
    """
    Failed log-ins, counted by account and by address, each with its own budget.

    Failures within ``tries`` cost nothing, the ones after them make the next try wait 1, 2, 4, … and at most
    ``longest`` seconds, so that nobody can lock another out for long. ``memory`` seconds after the last failure all is
    forgotten. An address from which an account's owner has logged in has a budget of its own for that account, and for
    that account alone needs none of the address's: what strangers try elsewhere, or neighbours there, does not hold the
    owner up.

    Turns are for those who come when they were told to (`WaitList`). However many others ask without waiting, from
    wherever, and however well those wait who have failed from another address before, an owner who does so is judged
    within two of the longest waits. Who waits as told at an address that has not failed yet, or at the owner's own, has
    as good a claim as the owner: each such turn costs the owner one more wait. A caller is never told more than two of
    the longest waits. One turn opens per wait, whoever has it.
    """

    def __init__(
        self,
        tries: FreeAttempts,
        now: Now,
        size: int = 100_000,
        longest: float = 60.0,
        memory: float = 900.0,
        known: float = 30 * 86400.0,
    ) -> None:
        self._accounts: _Budget[tuple[int, str]] = _Budget(
            tries.account, longest, memory, now, size
        )
        self._addresses: _Budget[str] = _Budget(tries.address, longest, memory, now, size)
        self._known: TTLCache[tuple[int, str], None] = TTLCache(size, known, timer=now)

    @asynccontextmanager
    async def turn(self, caller: Caller, uid: int | None) -> AsyncIterator[Attempt]:
        """
        A try to log in as ``uid``; None: as nobody whose budget could suffer.

        :raise Throttled: not now.
        """
        charges = self._charges(caller, uid)
        await _admit(charges, caller)
        turn = Attempt()
        try:
            yield turn
        finally:
            if turn.right and uid is not None:
                self._known[uid, caller.network] = None
            for budget, key, forgiven in charges:
                budget.end(key, caller, turn.right, forgiven)

    def _charges(self, caller: Caller, uid: int | None) -> list[_Charge]:
        if uid is not None and (uid, caller.network) in self._known:
            return [(self._accounts, (uid, caller.network), True)]
        # The address is not forgiven, or one good account would let it guess on.
        charges: list[_Charge] = [(self._addresses, caller.network, False)]
        return charges if uid is None else [*charges, (self._accounts, (uid, ""), True)]


async def _admit(charges: list[_Charge], caller: Caller) -> None:
    """Wait in line until every budget allows a try, and begin it in all of them at once."""
    while True:
        waits = [budget.wait(key, caller) for budget, key, _ in charges]
        seconds = max(wait or 0.0 for wait in waits)
        if seconds:
            raise Throttled(seconds)
        if None not in waits:
            break
        budget, key, _ = charges[waits.index(None)]
        await budget.wait_turn(key)
    for budget, key, _ in charges:
        budget.begin(key)
