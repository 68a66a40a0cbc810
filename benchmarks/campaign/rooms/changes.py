"""What the journals say of edits and retractions in rooms."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.campaign.changes import EVENTS, Change, Key
from benchmarks.campaign.losses import Loss
from benchmarks.campaign.rooms.known import Span, is_lost
from benchmarks.campaign.rooms.records import RoomSession, Shown

_END = 1 << 53


@dataclass(frozen=True)
class ConfirmedChange:
    """
    A change that was confirmed, and is owed to members. Its event stands in ``span``; ``told`` says when it was first
    asked for, and confirmed.

    It may be gone from the log because its message ``may_be_retracted``.
    """

    change: Change
    span: Span
    told: Shown
    may_be_lost: bool
    may_be_retracted: bool

    @property
    def name(self) -> tuple[str, int]:
        """The name of its entry in the log, see `Shown`."""
        return str(self.change.target), self.change.n

    def __str__(self) -> str:
        change = self.change
        what = EVENTS[change.is_retraction]
        return f"room {-change.to} {what} {change.n} of {change.target}"


class RoomChanges:
    """All changes of messages in rooms that any session has asked for."""

    def __init__(self, sessions: Sequence[RoomSession], losses: Sequence[Loss]) -> None:
        self._losses = losses
        self._made: dict[Key, tuple[RoomSession, Change]] = {}
        self._in_room: dict[int, list[Change]] = defaultdict(list)
        self._retracted: set[tuple[str, int, int]] = set()
        for session in sessions:
            for change in session.of_messages.asked.values():
                if change.to < 0:
                    self._take(session, change)
        self._serials: dict[Key, set[int]] = defaultdict(set)
        """Those of the events of each change that anybody knows."""
        for session in sessions:
            for shown in session.shown.values():
                for one in shown:
                    if one.target and not is_lost(losses, one):
                        self._serials[one.target, one.n].add(one.serial)

    def _take(self, session: RoomSession, change: Change) -> None:
        self._made[change.key] = session, change
        self._in_room[-change.to].append(change)
        if change.is_retraction:
            self._retracted.add((session.name, -change.to, change.k))

    @property
    def confirmed(self) -> tuple[int, int]:
        """How many edits and retractions were."""
        done = [change.is_retraction for _, change in self._made.values() if change.done]
        return done.count(False), done.count(True)

    def is_retracted(self, sender: RoomSession, room: int, k: int) -> bool:
        """Whether a message may be gone from the log because its sender has asked for that."""
        return (sender.name, room, k) in self._retracted

    def confirmed_in(self, room: int) -> Iterator[ConfirmedChange]:
        """Those of a room's messages; where nobody was told of one, it stands behind its message."""
        for change in self._in_room.get(room, []):
            if not change.done:
                continue
            serials = self._serials.get(change.key, set())
            span = Span(min(serials), max(serials)) if serials else Span(change.target, _END)
            told = Shown(change.done[0][1], change.sent[0], 0, min(serials, default=0))
            sender, _ = self._made[change.key]
            is_gone = not change.is_retraction and self.is_retracted(sender, room, change.k)
            yield ConfirmedChange(change, span, told, change.may_be_lost(self._losses), is_gone)

    def trouble(self, room: int, one: Shown, before: Sequence[Shown]) -> str:
        """What is wrong with an event; ``before`` the same change was told by these. Empty: nothing is."""
        sender, change = self._made.get((one.target, one.n), (None, None))
        if sender is None or change is None or change.to != -room:
            return "wrong"
        if (one.event, one.by) != (EVENTS[change.is_retraction], sender.uid):
            return "wrong"
        if one.serial <= one.target:
            return "wrong"
        others = sum(other.serial != one.serial for other in before)
        return "shown_twice" if others >= change.most(self._losses) else ""
