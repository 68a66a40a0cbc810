"""What all journals together know of rooms' logs: the serials of messages, and what stood where at which time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.campaign.losses import Loss
from benchmarks.campaign.rooms.records import RoomSession, Shown

_END = 1 << 53


@dataclass(frozen=True)
class Span:
    """Between which serials a message has its own."""

    low: int
    high: int


def is_lost(losses: Sequence[Loss], told: Shown, serial: int = 0) -> bool:
    """Whether a store lost what was told of; ``serial`` is its own where it says none. Losses are in order."""
    serial = told.serial or serial
    for place in range(bisect_left(losses, told.at, key=_end), len(losses)):
        loss = losses[place]
        if told.time < loss.begin:
            break
        if not serial or not loss.serial or serial > loss.serial:
            return True
    return False


def _end(loss: Loss) -> float:
    return loss.end


class Known:
    """``losses`` are exempt: what a store lost has no place in a log."""

    def __init__(self, sessions: Iterable[RoomSession], losses: list[Loss]) -> None:
        self._serials: dict[tuple[int, str], dict[int, int]] = defaultdict(dict)
        self._order: dict[tuple[int, str], list[int]] = {}
        self._ids: dict[int, list[tuple[float, int]]] = defaultdict(list)
        self._places: dict[int, dict[int, float]] = defaultdict(dict)
        self.seen: dict[tuple[int, int], float] = {}
        """By room and serial, when an event was first shown to anybody."""
        for session in sessions:
            for room, shown in session.shown.items():
                for one in shown:
                    self._take(room, one, losses)
                    if one.event:
                        first = self.seen.get((room, one.serial), one.time)
                        self.seen[room, one.serial] = min(first, one.time)
            for room, confirmed in session.confirmed.items():
                for one in confirmed.values():
                    self._take(room, one, losses)
        for key, serials in self._serials.items():
            self._order[key] = sorted(serials)
        self._sort()

    def _take(self, room: int, one: Shown, losses: list[Loss]) -> None:
        if one.id:
            self._ids[room].append((one.time, one.id))
        if not one.serial or is_lost(losses, one):
            return
        self._places[room][one.serial] = one.at
        if one.k:
            self._serials[room, one.sender][one.k] = one.serial

    def _sort(self) -> None:
        self._newest: dict[int, tuple[list[float], list[int]]] = {}
        for room, pairs in self._ids.items():
            newest, ids = 0, []
            for _, id in sorted(pairs):
                newest = max(newest, id)
                ids.append(newest)
            self._newest[room] = (sorted(time for time, _ in pairs), ids)
        self._by_serial = {room: sorted(places) for room, places in self._places.items()}

    def newest(self, room: int, time: float) -> int:
        """The greatest id of a room that anybody knew by then."""
        times, ids = self._newest.get(room, ([], []))
        place = bisect_right(times, time)
        return ids[place - 1] if place else 0

    def behind(self, room: int, serial: int, time: float) -> int:
        """How many entries had come by then above a serial."""
        serials = self._by_serial.get(room, [])
        above = serials[bisect_right(serials, serial) :]
        return sum(self._places[room][one] <= time for one in above)

    def span(self, room: int, sender: str, k: int) -> Span:
        """Where a message stands; of what one session said to a room, serials grow with K."""
        known, ks = self._serials.get((room, sender), {}), self._order.get((room, sender), [])
        place = bisect_left(ks, k)
        if place < len(ks) and ks[place] == k:
            return Span(known[k], known[k])
        low = known[ks[place - 1]] if place else 0
        return Span(low, known[ks[place]] if place < len(ks) else _END)

    def disordered(self) -> list[str]:
        """Messages of one session that stand before earlier ones of its own."""
        found = []
        for (room, sender), known in self._serials.items():
            newest = 0
            for k in self._order[room, sender]:
                if known[k] < newest:
                    found.append(f"{sender}>room {room}#{k}")
                newest = max(newest, known[k])
        return found
