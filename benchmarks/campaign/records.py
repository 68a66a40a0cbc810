"""The journals of all sessions, read together: what was said, confirmed and shown, by whom to whom."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from benchmarks.campaign.changes import SessionChanges
from benchmarks.campaign.journal import Entry, entries, split_name

Pair = tuple[str, int]
"""A sender and the user to whom it wrote."""

TEXT = "t"
"""The kind of a session in the text dialect: it may be shown a message more than once."""

SENDING = "s"
"""The kind of a session that only sends."""

DEVICE = "d"
"""The first letter of the kind of a registered device."""


@dataclass(frozen=True)
class Told:
    """
    Of a message K: when it was confirmed or shown, when the server had accepted it, in seconds since 1970, under
    which id and which serial; 0: nobody knows.
    """

    k: int
    time: float
    at: float
    id: int
    serial: int = 0


@dataclass(frozen=True)
class Gone:
    """
    A device was told at ``time`` that the ids above ``after``, up to ``until``, are no longer kept: what comes before
    the message with ``serial``, 0: before whatever came later. ``shown`` is what it had shown last by then, None:
    nothing.
    """

    time: float
    after: int
    until: int
    serial: int
    last: Told | None

    @property
    def shown(self) -> int:
        """The serial of what it had shown last."""
        return self.last.serial if self.last else 0

    @property
    def lacks_nothing(self) -> bool:
        """Whether it has shown all that since it asked, on the connection before."""
        if self.last is None:
            return False
        return self.last.serial >= self.serial > 0 or self.last.id >= self.until

    def covers(self, low: int, high: int, said: float) -> bool:
        """Whether a message that was first said then, with a serial from ``low`` to ``high``, may be among them."""
        if self.serial:
            return high > self.shown and low < self.serial
        return high > self.shown and said <= self.time


@dataclass
class Session:
    """
    One of a user's sessions. ``kind`` is what follows the uid in its name; ``logins`` are when it has logged in beside
    other devices, ``shown`` is what it was shown, by pair, and ``order`` all of that, and events, in its order.
    """

    name: str
    uid: int
    kind: str
    confirmed: dict[int, dict[int, Told]] = field(default_factory=lambda: defaultdict(dict))
    refused: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    said: dict[int, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    shown: dict[Pair, list[Told]] = field(default_factory=lambda: defaultdict(list))
    order: list[tuple[Pair, Told]] = field(default_factory=list)
    logins: list[float] = field(default_factory=list)
    gone: list[Gone] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    changes: SessionChanges = field(default_factory=SessionChanges)
    kicked: int = 0
    devices: int = 0

    @property
    def is_registered(self) -> bool:
        """Whether it is that of a device with a name."""
        return self.kind.startswith(DEVICE)

    @property
    def receives(self) -> bool:
        """Whether it is shown messages, and has copies made of its own."""
        return self.kind != SENDING

    @property
    def first_shown(self) -> float:
        """When it was shown something for the first time."""
        return self.order[0][1].time if self.order else float("inf")

    @property
    def repeats(self) -> bool:
        """Whether it may be shown a message twice."""
        return self.kind == TEXT

    def take(self, entry: Entry) -> None:
        """Take an entry of its journal into account; they come in their order."""
        match entry.kind:
            case "o" | "c" | "x" if entry.words[0].startswith("-"):
                pass  # into a room, see rooms/records.py
            case "o":
                to, _, k = map(int, entry.words)
                self.said[to].setdefault(k, entry.time)
            case "c":
                to, k, at, id, serial = map(int, entry.words)
                self.confirmed[to][k] = Told(k, entry.time, at / 1000, id, serial)
            case "x":
                to, k = map(int, entry.words)
                self.refused[to].add(k)
            case "s":
                self._take_shown(entry)
            case "v" | "vk" | "vx" | "vs":
                self._take_change(entry)
            case "m":
                after, until, serial = map(int, entry.words)
                last = self.order[-1][1] if self.order else None
                self.gone.append(Gone(entry.time, after, until, serial, last))
            case "l":
                self.logins.append(entry.time)
            case "w":
                self.wrong.append(" ".join(entry.words))
            case "k":
                self.kicked += 1
            case "d":
                self.devices += 1

    def _take_shown(self, entry: Entry) -> None:
        sender = entry.words[1]
        id, to, k, at, serial = map(int, [entry.words[0], *entry.words[2:]])
        told = Told(k, entry.time, at / 1000, id, serial)
        self.shown[sender, to].append(told)
        self.order.append(((sender, to), told))

    def _take_change(self, entry: Entry) -> None:
        self.changes.take(entry)
        if entry.kind == "vs":
            one = self.changes.shown[-1]
            told = Told(0, entry.time, one.at, one.id, one.serial)
            self.order.append(((f"{one.event} {one.target}", one.place), told))


class Reads(Protocol):
    """What is made of one journal."""

    def take(self, entry: Entry) -> None:
        """Take its next entry."""


R = TypeVar("R", bound=Reads)


def read_journals(folder: Path, session_of: Callable[[str, int, str], R]) -> list[R]:
    """Read each journal of a folder into a session, which is made of its name, its uid and its kind."""
    found = []
    for path in sorted(folder.glob("*.journal")):
        uid, kind = split_name(path.stem)
        session = session_of(path.stem, int(uid), kind)
        for entry in entries(path):
            session.take(entry)
        found.append(session)
    return found


def read_sessions(folder: Path) -> list[Session]:
    """All sessions that have a journal."""
    return read_journals(folder, Session)
