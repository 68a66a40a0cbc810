"""The journals of all sessions, read for what they say of rooms: what was said, confirmed and shown in each."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.campaign.changes import SessionChanges
from benchmarks.campaign.journal import Entry
from benchmarks.campaign.records import DEVICE, TEXT, read_journals

Words = tuple[int, str, int]
"""A room, a message's sender, and its K: what names a message."""


@dataclass(frozen=True)
class Shown:
    """
    An entry of a room's log that was shown, or a message that was confirmed.

    ``time`` is when that was, ``at`` when the server had accepted it, in seconds since 1970. A message has ``sender``
    and ``k``; else it is the ``event`` of what ``by`` did to ``user``, or, by the change ``n``, to the message
    ``target``. ``serial`` 0: nobody knows.
    """

    time: float
    at: float
    id: int
    serial: int
    sender: str = ""
    k: int = 0
    event: str = ""
    by: int = 0
    user: int = 0
    target: int = 0
    n: int = 0

    @property
    def name(self) -> tuple[str, int]:
        """Which message it is, or which change of one; the same for all other events."""
        return (str(self.target), self.n) if self.target else (self.sender, self.k)

    @property
    def what(self) -> tuple[str, int, int, int]:
        """What an event says, and under which id."""
        return (self.event, self.by, self.user, self.id)


@dataclass(frozen=True)
class Gap:
    """A session was told at ``time`` that what has serials above ``shown``, below ``serial``, is no longer kept."""

    time: float
    shown: int
    until: int
    serial: int


@dataclass(frozen=True)
class End:
    """A session was told at ``time`` that its user is in a room no longer; ``last`` is what it had shown of it last."""

    time: float
    last: Shown | None


@dataclass(frozen=True)
class Asked:
    """A change of a room that was asked for first at ``asked`` and confirmed at ``done``."""

    room: int
    what: str
    user: int
    asked: float
    done: float


@dataclass
class RoomSession:
    """What one session says of rooms, by room; ``told_gone`` are the times at which its inbox was said to lack some."""

    name: str
    uid: int
    kind: str
    logins: list[float] = field(default_factory=list)
    said: dict[int, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    confirmed: dict[int, dict[int, Shown]] = field(default_factory=lambda: defaultdict(dict))
    refused: dict[int, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    outside: list[tuple[float, int, int]] = field(default_factory=list)
    """When which K to which room was refused because its sender is no member."""
    shown: dict[int, list[Shown]] = field(default_factory=lambda: defaultdict(list))
    gaps: dict[int, list[Gap]] = field(default_factory=lambda: defaultdict(list))
    ends: dict[int, list[End]] = field(default_factory=lambda: defaultdict(list))
    told_gone: list[float] = field(default_factory=list)
    changes: list[Asked] = field(default_factory=list)
    of_messages: SessionChanges = field(default_factory=SessionChanges)
    """The edits and retractions that it has asked for."""
    _asked: dict[tuple[str, ...], float] = field(default_factory=dict)

    @property
    def is_device(self) -> bool:
        """Whether it is that of a registered device, which is shown everything once."""
        return self.kind.startswith(DEVICE)

    @property
    def reads(self) -> bool:
        """Whether it is shown rooms."""
        return self.is_device or self.kind == TEXT

    def take(self, entry: Entry) -> None:
        """Take an entry of its journal into account; they come in their order."""
        match entry.kind:
            case "o" | "c" | "x":
                to, *words = map(int, entry.words)
                if to < 0:
                    self._take_said(entry, -to, words)
            case "v" | "vk" | "vx":
                self.of_messages.take(entry)
            case "rs" | "re" | "rv" | "rm" | "rl":
                self._take_told(entry, int(entry.words[0]))
            case "rf":
                self.outside.append((entry.time, int(entry.words[0]), int(entry.words[1])))
            case "rq":
                self._asked[tuple(entry.words)] = entry.time
            case "rk":
                room, what, user = entry.words
                asked = self._asked.get(tuple(entry.words), entry.time)
                self.changes.append(Asked(int(room), what, int(user), asked, entry.time))
            case "a":
                self.logins.append(entry.time)
            case "l" if self.is_device:
                self.logins.append(entry.time)
            case "m":
                self.told_gone.append(entry.time)

    def _take_said(self, entry: Entry, room: int, words: list[int]) -> None:
        match entry.kind:
            case "o":
                self.said[room].setdefault(words[1], entry.time)
            case "c":
                k, at, id, serial = words
                told = Shown(entry.time, at / 1000, id, serial, self.name, k)
                self.confirmed[room][k] = told
            case "x":
                self.refused[room][words[0]] = entry.time

    def _take_told(self, entry: Entry, room: int) -> None:
        words, shown = entry.words[1:], self.shown[room]
        last = shown[-1] if shown else None
        match entry.kind:
            case "rs":
                id, serial, sender, k, at = words
                place = (entry.time, int(at) / 1000, int(id), int(serial))
                shown.append(Shown(*place, sender, int(k)))
            case "re":
                id, serial, at, event, by, user = words
                place = (entry.time, int(at) / 1000, int(id), int(serial))
                shown.append(Shown(*place, event=event, by=int(by), user=int(user)))
            case "rv":
                id, serial, at, event, by, target, n = words
                place = (entry.time, int(at) / 1000, int(id), int(serial))
                shown.append(Shown(*place, event=event, by=int(by), target=int(target), n=int(n)))
            case "rm":
                shown_last = last.serial if last else 0
                self.gaps[room].append(Gap(entry.time, shown_last, int(words[1]), int(words[2])))
            case "rl":
                self.ends[room].append(End(entry.time, last))


def read_room_sessions(folder: Path) -> list[RoomSession]:
    """All sessions that have a journal."""
    return read_journals(folder, RoomSession)
