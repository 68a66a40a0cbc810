"""
Log-in throttling: failures make the next attempts wait, longer each time, but nobody for long.

An attempt under way counts as failed until it has ended, or many at once would all be checked before the first has
failed. An attempt that is over the budget for that reason alone is not refused but queued: an office behind one address
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

from chatsvc.limits.token_bucket import AddressLimit, Key, Now, Rate
from chatsvc.limits.wait_list import Caller, Closed, WaitList


class Throttled(Exception):
    """The attempt is refused unchecked; another may be allowed in ``seconds``."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"wait {seconds:.0f} s")
        self.seconds = seconds


@dataclass(frozen=True)
class FreeAttempts:
    """How many failures cost nothing: of an account, and from an address."""

    account: int = 5
    address: int = 20


def parse_free_attempts(text: str) -> FreeAttempts:
    """
    Parse ``ACCOUNT/ADDRESS``, two whole numbers below 1,000,000.

    :raise ValueError: when it is not that; the text is one line for the admin.
    """
    words = text.split("/")
    if len(words) != 2 or not all(w.isascii() and w.isdigit() and len(w) < 7 for w in words):
        raise ValueError("write ACCOUNT/ADDRESS, such as 5/20")
    return FreeAttempts(int(words[0]), int(words[1]))


class Attempt:
    """One attempt to log in. Leave its outcome unset if it was never checked."""

    right: bool | None = None
    """Whether the attempt was right; None: it was not checked."""

    def failed(self) -> None:
        """Record a wrong password, an unknown account or a bad token."""
        self.right = False

    def succeeded(self) -> None:
        """Record success."""
        self.right = True


@dataclass(frozen=True)
class _Failures:
    """How many failures, and when the last one was."""

    count: int
    at: float


_NONE = _Failures(0, -inf)


class _Budget(Generic[Key]):
    """Failures, of which the first cost nothing and each further one 1, 2, 4, … seconds; and attempts under way."""

    def __init__(self, free: int, longest: float, memory: float, now: Now, size: int) -> None:
        self._free = free
        self._longest = longest
        self._now = now
        self._failures: TTLCache[Key, _Failures] = TTLCache(size, memory, timer=now)
        self._waiting: WaitList[Key] = WaitList(now, size, memory)
        self._under_way: Counter[Key] = Counter()
        self._queues: dict[Key, deque[Deferred[None]]] = {}

    def wait(self, key: Key, caller: Caller) -> float | None:
        """Return the seconds until an attempt is allowed, or None: once one that is under way has ended."""
        closed = self._closed(key)
        seconds = self._waiting.wait(key, caller, closed) if closed is not None else 0.0
        if seconds:
            return seconds
        return 0.0 if self._has_room(key) else None

    def _closed(self, key: Key) -> Closed | None:
        """Return since and until when no attempts are allowed, or None if failures cost nothing yet."""
        failures = self._failures.get(key, _NONE)
        if failures.count <= self._free:
            return None
        # From 2**60 on the cap decides.
        delay = min(self._longest, 2.0 ** min(failures.count - self._free - 1, 60))
        return Closed(failures.at, delay)

    def _has_room(self, key: Key) -> bool:
        most = max(1, self._free + 1 - self._failures.get(key, _NONE).count)
        return self._under_way[key] < most

    def wait_turn(self, key: Key) -> Deferred[None]:
        """Wait until it makes sense to call ``wait`` again."""
        queue = self._queues.setdefault(key, deque())
        place: Deferred[None] = Deferred(queue.remove)
        queue.append(place)
        return place

    def begin(self, key: Key) -> None:
        """Count an attempt as under way."""
        self._under_way[key] += 1

    def end(self, key: Key, caller: Caller, right: bool | None, forgiven: bool) -> None:
        """End an attempt; with ``forgiven``, a right one erases all failures."""
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
        queue = self._queues.get(key)
        while queue and (self._is_closed(key) or self._has_room(key)):
            queue.popleft().callback(None)
        if not queue and self._queues.get(key) is queue:
            self._queues.pop(key, None)

    def _is_closed(self, key: Key) -> bool:
        closed = self._closed(key)
        return closed is not None and self._now() < closed.opening


_LOOKUPS = Rate(10, 1000)
"""Names looked up for log-ins from an address: once for everybody in a large office. Each costs five SQL statements."""

_Charge = tuple[_Budget[Any], Hashable, bool]
"""A budget, the key in it, and whether a right password erases its failures."""


class LoginThrottle:
    """
    Throttles log-ins by their failures, counted by account and by address, each with a budget of its own.

    Failures within ``tries`` cost nothing. Each one after them makes the next attempt wait 1, 2, 4, … seconds, but at
    most ``longest``, so that nobody can lock another out for long. All is forgotten ``memory`` seconds after the last
    failure. An address from which an account's owner has logged in has a budget of its own for that account for
    ``known`` seconds, and uses none of the address's for it: attempts of strangers elsewhere, or of neighbours there,
    do not delay the owner. An account is known by its uid, a name that is no account's by a text. ``size`` bounds each
    table.

    Turns go to callers that come back when they were told to (``WaitList``). An owner who does so is checked within two
    of the longest waits, however many others ask without waiting, and however well others wait whose network has
    failed before. A caller that waits as told at a network that has not failed yet, or at the owner's own, has as good
    a claim as the owner: each of its turns costs the owner one more wait. No caller is told to wait for more than two
    of the longest waits. Each wait opens one turn.
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
        self._accounts: _Budget[tuple[int | str, str]] = _Budget(
            tries.account, longest, memory, now, size
        )
        self._addresses: _Budget[str] = _Budget(tries.address, longest, memory, now, size)
        self._known: TTLCache[tuple[int | str, str], None] = TTLCache(size, known, timer=now)
        self._lookups = AddressLimit(_LOOKUPS, now, size)

    def count_lookup(self, caller: Caller) -> None:
        """
        Count that a name is looked up before it is known whose attempt that is.

        :raise Throttled: when the caller's address has had too many looked up.
        """
        wait = self._lookups.wait(caller.network)
        if wait:
            raise Throttled(wait)
        self._lookups.count(caller.network)

    @asynccontextmanager
    async def turn(self, caller: Caller, account: int | str | None) -> AsyncIterator[Attempt]:
        """
        Enter an attempt to log in to an account.

        ``account`` is a uid, or a text for a name that is no account's; None stands for no account, which has no
        budget.

        :raise Throttled: when the attempt must wait.
        """
        charges = self._charges(caller, account)
        await _admit(charges, caller)
        turn = Attempt()
        try:
            yield turn
        finally:
            if turn.right and account is not None:
                self._known[account, caller.network] = None
            for budget, key, forgiven in charges:
                budget.end(key, caller, turn.right, forgiven)

    def _charges(self, caller: Caller, account: int | str | None) -> list[_Charge]:
        if account is not None and (account, caller.network) in self._known:
            return [(self._accounts, (account, caller.network), True)]
        # The address's failures stay, or one account of the guesser's own would let it guess on.
        charges: list[_Charge] = [(self._addresses, caller.network, False)]
        return charges if account is None else [*charges, (self._accounts, (account, ""), True)]


async def _admit(charges: list[_Charge], caller: Caller) -> None:
    """Queue until every budget allows an attempt, and begin it in all of them at once."""
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
