"""What the journals say of edits and retractions: which were asked for, confirmed and refused, and which were shown."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from benchmarks.campaign.journal import RETRACTION, Entry
from benchmarks.campaign.losses import Loss

EVENTS = {False: "edited", True: "retracted"}
"""The name of the event, by whether it is that of a retraction."""

Key = tuple[int, int]
"""The serial of a message, and the number of one of its changes."""


@dataclass
class Change:
    """
    A change of the message K to ``to``, with the serial ``target``.

    It was ``sent`` at these times; ``done`` has, for each confirmation, when the last try before it was sent, and when
    it came.
    """

    target: int
    n: int
    to: int
    k: int
    sent: list[float] = field(default_factory=list)
    done: list[tuple[float, float]] = field(default_factory=list)
    refused: str = ""

    @property
    def key(self) -> Key:
        """What names it."""
        return self.target, self.n

    @property
    def is_retraction(self) -> bool:
        """Whether the message is no longer there by it."""
        return self.n == RETRACTION

    def most(self, losses: Sequence[Loss]) -> int:
        """How often it may have been stored: once a try, up to the first confirmation that no store has lost."""
        last = next((sent for sent, done in self.done if _stays(sent, done, losses)), math.inf)
        return sum(sent <= last for sent in self.sent)

    @property
    def was_never_made(self) -> bool:
        """Whether its only try was refused."""
        return not self.done and len(self.sent) == 1 and self.refused not in ("", "-")

    def may_be_lost(self, losses: Sequence[Loss]) -> bool:
        """
        Whether a store may have lost the event of it, and what else it did there.

        Who repeats it afterwards is told that it is done, where the archive has it.
        """
        done = self.done[0][1] if self.done else math.inf
        return any(loss.begin <= done and self.sent[0] <= loss.end for loss in losses)

    def is_certain(self, losses: Sequence[Loss]) -> bool:
        """Whether it was confirmed, and the archive has it, whatever a store has lost."""
        return any(_stays(sent, done, losses) for sent, done in self.done)


def _stays(sent: float, done: float, losses: Sequence[Loss]) -> bool:
    """Whether no store can have lost what was sent at one time and confirmed at another."""
    return not any(loss.begin <= done and sent <= loss.end for loss in losses)


@dataclass(frozen=True)
class ShownChange:
    """
    An event that was shown at ``time``: ``by`` has changed the message ``target`` in the conversation with ``place``,
    or in the room of this number below zero.
    """

    time: float
    id: int
    serial: int
    at: float
    event: str
    by: int
    place: int
    target: int
    n: int

    @property
    def key(self) -> Key:
        """Which change it tells of."""
        return self.target, self.n


@dataclass
class SessionChanges:
    """What one session says of changes: which it has asked for, and of which it was shown the event."""

    asked: dict[Key, Change] = field(default_factory=dict)
    shown: list[ShownChange] = field(default_factory=list)
    shown_in_rooms: list[ShownChange] = field(default_factory=list)

    def take(self, entry: Entry) -> None:
        """Take an entry of its journal into account; they come in their order."""
        match entry.kind, entry.words:
            case "v", words:
                target, n, to, k = map(int, words)
                change = self.asked.setdefault((target, n), Change(target, n, to, k))
                change.sent.append(entry.time)
            case "vk", [target, n]:
                change = self.asked[int(target), int(n)]
                change.done.append((change.sent[-1], entry.time))
            case "vx", [target, n, code]:
                self.asked[int(target), int(n)].refused = code
            case "vs", [id, serial, at, event, *rest]:
                place = (entry.time, int(id), int(serial), int(at) / 1000, event)
                self.shown.append(ShownChange(*place, *map(int, rest)))
            case "rv", [room, id, serial, at, event, by, *rest]:
                place = (entry.time, int(id), int(serial), int(at) / 1000, event)
                self.shown_in_rooms.append(
                    ShownChange(*place, int(by), -int(room), *map(int, rest))
                )


def by_target(sessions: Iterable[SessionChanges]) -> dict[int, list[Change]]:
    """All changes that were asked for, by the serial of their message."""
    found: dict[int, list[Change]] = defaultdict(list)
    for session in sessions:
        for change in session.asked.values():
            found[change.target].append(change)
    return found
