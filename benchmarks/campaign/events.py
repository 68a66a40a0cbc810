"""What the journals say of inboxes' events: was each edit and retraction told to whom it concerns, and nobody else?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from benchmarks.campaign.changes import EVENTS, Change, Key, ShownChange
from benchmarks.campaign.inbox_verdict import Verdict
from benchmarks.campaign.losses import Loss
from benchmarks.campaign.records import Pair, Session

_END = 1 << 53


class EventJudge:
    """
    Judges the events that registered devices were shown, and were not.

    ``is_for`` says whether what a session wrote to a user is for a reader, ``was_there`` whether that reader was
    registered when something was first said, and ``was_absent`` whether it may not have been between two times.
    """

    def __init__(
        self,
        sessions: Mapping[str, Session],
        losses: Sequence[Loss],
        verdict: Verdict,
        is_for: Callable[[Pair, Session], bool],
        was_there: Callable[[Session, float], bool],
        was_absent: Callable[[Session, float, float], bool],
    ) -> None:
        self._losses = losses
        self._verdict = verdict
        self._is_for = is_for
        self._was_there = was_there
        self._was_absent = was_absent
        self._made: dict[Key, tuple[Session, Change]] = {
            change.key: (session, change)
            for session in sessions.values()
            for change in session.changes.asked.values()
            if change.to > 0
        }
        self._serials: dict[Key, set[int]] = defaultdict(set)
        """Those of the events of each change that anybody knows; of what a store lost, too."""
        for session in sessions.values():
            for one in session.changes.shown:
                self._serials[one.key].add(one.serial)

    def judge(self, reader: Session) -> None:
        """Judge what a registered device was shown, then what it should have been."""
        shown: dict[Key, int] = defaultdict(int)
        for one in reader.changes.shown:
            self._judge_shown(reader, one, shown[one.key])
            shown[one.key] += 1
        for maker, change in self._made.values():
            is_for = self._is_for((maker.name, change.to), reader)
            if change.done and maker is not reader and is_for:
                self._judge_owed(reader, maker, change, is_shown=change.key in shown)

    def _judge_shown(self, reader: Session, one: ShownChange, before: int) -> None:
        """Judge an event whose change was told so many times ``before``."""
        what = f"{one.event} {one.target} at {reader.name}"
        if one.key not in self._made:
            self._verdict.blame("wrong", f"{what}: nobody has asked for that")
            return
        maker, change = self._made[one.key]
        is_copy = change.to != reader.uid
        said = EVENTS[change.is_retraction], maker.uid, change.to if is_copy else maker.uid
        if not self._is_for((maker.name, change.to), reader):
            self._verdict.blame("misdirected", what)
        elif (one.event, one.by, one.place) != said or one.serial <= one.target:
            self._verdict.blame("wrong", what)
        elif before >= change.most(self._losses):
            self._verdict.blame("shown_twice", what, is_copy)

    def _judge_owed(
        self, reader: Session, maker: Session, change: Change, *, is_shown: bool
    ) -> None:
        """Judge whether a change that was confirmed, and is for this reader, was told."""
        said, done = change.sent[0], change.done[0][1]
        if not self._was_there(reader, said):
            return
        self._verdict.owed += 1
        self._verdict.events += 1
        if is_shown:
            return
        serials = self._serials.get(change.key) or {change.target, _END}
        is_missed = any(gone.covers(min(serials), max(serials), said) for gone in reader.gone)
        if change.may_be_lost(self._losses):
            self._verdict.lost_with_store += 1
        elif is_missed or self._was_absent(reader, said, done):
            self._verdict.missed += 1
        else:
            name = f"{maker.name}>{change.to}#{change.k}"
            what = f"{EVENTS[change.is_retraction]} {name} at {reader.name}"
            self._verdict.blame("lost", what, change.to != reader.uid)
            self._verdict.passed_over += any(other.at > done for _, other in reader.order)
