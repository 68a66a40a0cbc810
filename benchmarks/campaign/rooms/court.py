"""
What the journals say of rooms: was every device shown all from its user's joining to the leaving, once, in order?

A message that was confirmed, and an event that SQL knows, is owed to each session that reads rooms, if its user was
in the room at that point of its log, by the serials of SQL's events: from the session's registration on, or from the
log-in after it was forgotten before it had shown anything of the room. It is not owed to who sent it, nor, of a
membership that is over, to a device that has shown nothing of the room up to its end: such a device cannot name it.
A session of the text dialect may be shown a message more than once, and owes nothing of what another device of its
user has shown, or of what was more than 50 entries back when it logged in.

A confirmed edit or retraction is owed like a message, to its maker, too. A message of which a retraction was asked for,
and its edits, may be gone before a reader comes to them.

*Leaked* is what was shown, or taken, outside of a membership, and what lies in one that began before its end was
asked for and was said after that was confirmed.

*Missed* may be what a device was told of as no longer kept: more than the window's entries had come behind it, or a
store lost the whole log, whose ids then go on where SQL knows that they were.

A store that goes back loses what came after a moment, as ``verdict.py`` of the campaign says. Here all serials are
known: lost is what was accepted before the loss ended, under a serial above the last one that came back.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from benchmarks.campaign.forgettings import read_forgettings
from benchmarks.campaign.losses import LOSSES, read_losses
from benchmarks.campaign.rooms.changes import RoomChanges
from benchmarks.campaign.rooms.history import Change, Stay, read_history
from benchmarks.campaign.rooms.known import Known, Span, is_lost
from benchmarks.campaign.rooms.plan import WINDOW
from benchmarks.campaign.rooms.records import Asked, RoomSession, Shown, Words, read_room_sessions
from benchmarks.campaign.rooms.verdict import RoomVerdict

_UNSEEN = 40
"""Entries that may have come though nobody has written down yet that they have."""

_TEXT_BACKLOG = 50 - 20
"""Entries back from which a text session is shown a room, less those that nobody has written down yet."""

_ENDINGS = ("remove", "leave", "close")


def judge_rooms(
    folder: Path, write_history: Callable[[], bool] | None = None, window: int = WINDOW
) -> RoomVerdict:
    """
    Compare what was confirmed, and what SQL knows of rooms, with what every reader of rooms was shown.

    Before the end SQL is asked, by ``write_history``, when the journals have been read: it must know what they do.
    While some of it is unfinished (False), nothing can be said.
    """
    sessions = read_room_sessions(folder)
    if write_history is not None and not write_history():
        return RoomVerdict()
    return _RoomCourt(folder, sessions, window).judge()


class _RoomCourt:
    """Judges all sessions that read rooms, one room at a time."""

    def __init__(self, folder: Path, sessions: list[RoomSession], window: int) -> None:
        self._sessions = {one.name: one for one in sessions}
        self._losses = read_losses(folder / LOSSES)
        self._forgettings = read_forgettings(folder)
        self._history = read_history(folder)
        self._known = Known(self._sessions.values(), self._losses)
        self._window = window
        self._verdict = RoomVerdict()
        self._endings = self._all_endings()
        self._changes = RoomChanges(sessions, self._losses)
        self._verdict.edits, self._verdict.retractions = self._changes.confirmed
        self._limits: dict[tuple[int, int], list[tuple[Stay, float]]] = {}

    def judge(self) -> RoomVerdict:
        verdict = self._verdict
        verdict.changes = sum(map(len, self._history.changes.values()))
        for change in self._history.unfinished:
            verdict.blame("unfinished", f"room {change.room} version {change.version}")
        for what in self._known.disordered():
            verdict.blame("out_of_order", what)
        for sender in self._sessions.values():
            self._judge_sender(sender)
        for reader in self._sessions.values():
            if reader.reads and reader.logins:
                for room in self._rooms():
                    self._judge_reader(reader, room)
        return verdict

    def _rooms(self) -> list[int]:
        said = {room for one in self._sessions.values() for room in (*one.confirmed, *one.shown)}
        return sorted({*said, *self._history.changes})

    # Of senders

    def _judge_sender(self, sender: RoomSession) -> None:
        verdict = self._verdict
        verdict.refused += sum(map(len, sender.refused.values()))
        for room, confirmed in sender.confirmed.items():
            verdict.confirmed += len(confirmed)
            for k, told in confirmed.items():
                span = self._known.span(room, sender.name, k)
                inside = self._history.is_inside(room, sender.uid, span.low, span.high)
                if not inside and not self._is_lost(told, span):
                    verdict.blame("leaked", f"{_named((room, sender.name, k))} of no member")
                elif self._is_outlived(room, sender.uid, span, sender.said[room][k]):
                    verdict.blame("leaked", f"{_named((room, sender.name, k))} after the end")
        for time, room, k in sender.outside:
            if self._was_inside(room, sender.uid, sender.said[room].get(k, time), time):
                what = _named((room, sender.name, k))
                verdict.blame("refused_for_no_reason", what)

    def _was_inside(self, room: int, uid: int, since: float, until: float) -> bool:
        """Whether a user was a member all the time, as far as is certain; a store that went back makes it uncertain."""
        if any(loss.begin <= until and since <= loss.end for loss in self._losses):
            return False
        return any(
            self._known.seen.get((room, stay.began.serial), until) < since
            and (stay.ended is None or stay.ended.at > until)
            for stay in self._history.stays(room, uid)
        )

    def _all_endings(self) -> dict[tuple[int, int], list[Asked]]:
        """Confirmed ends of memberships, by room and user; those of closed rooms by the user 0."""
        found: dict[tuple[int, int], list[Asked]] = defaultdict(list)
        for session in self._sessions.values():
            for one in session.changes:
                lost = any(
                    loss.begin <= one.done and one.asked <= loss.end for loss in self._losses
                )
                if one.what in _ENDINGS and not lost:
                    found[one.room, 0 if one.what == "close" else one.user].append(one)
        return found

    def _is_outlived(self, room: int, uid: int, span: Span, said: float) -> bool:
        """Whether what was said then lies in a membership of ``uid`` that had ended by a confirmed word."""
        if (room, uid) not in self._limits:
            self._limits[room, uid] = self._confirmed_ends(room, uid)
        return span.low == span.high and any(
            done < said and stay.has(span.low, span.high) for stay, done in self._limits[room, uid]
        )

    def _confirmed_ends(self, room: int, uid: int) -> list[tuple[Stay, float]]:
        """When the end of each membership was confirmed that was asked for in its time."""
        endings = [*self._endings.get((room, uid), []), *self._endings.get((room, 0), [])]
        found = []
        for stay in self._history.stays(room, uid):
            done = [ending.done for ending in endings if stay.began.at < ending.asked]
            found.append((stay, min(done, default=float("inf"))))
        return found

    # Of readers

    def _judge_reader(self, reader: RoomSession, room: int) -> None:
        shown = reader.shown.get(room, [])
        self._judge_owed(reader, room, shown)
        self._judge_shown(reader, room, shown)
        self._judge_gaps(reader, room)
        if reader.is_device and not self._losses:
            self._judge_ends(reader, room, shown)

    def _judge_owed(self, reader: RoomSession, room: int, shown: list[Shown]) -> None:
        stays = self._stays_read(reader, room, shown)
        if not stays:
            return
        since = self._since(reader, shown)
        messages = {(one.sender, one.k) for one in shown if one.k}
        newest = max((self._serial_of(room, one) for one in shown), default=0)
        for sender in self._sessions.values():
            if sender is reader:
                continue
            for k, told in sorted(sender.confirmed.get(room, {}).items()):
                if told.serial and is_lost(self._losses, told):
                    self._verdict.lost_with_store += (sender.name, k) not in messages
                    continue
                span = self._known.span(room, sender.name, k)
                if sender.said[room].get(k, told.time) <= since or not self._is_in(stays, span):
                    continue
                if (sender.name, k) not in messages and self._changes.is_retracted(sender, room, k):
                    self._verdict.retracted += 1
                    continue
                self._verdict.owed += 1
                if (sender.name, k) not in messages:
                    what = f"{_named((room, sender.name, k))} at {reader.name}"
                    self._judge_missing(reader, room, told, span, what, newest)
        if reader.is_device:
            self._judge_events(reader, room, stays, since, newest)
            self._judge_changes(reader, room, stays, since, newest)

    def _judge_changes(
        self, reader: RoomSession, room: int, stays: list[Stay], since: float, newest: int
    ) -> None:
        """Judge edits and retractions of messages."""
        told_of = {one.name for one in reader.shown.get(room, []) if one.target}
        for one in self._changes.confirmed_in(room):
            if one.told.at <= since or not self._is_in(stays, one.span):
                continue
            if one.name not in told_of and one.may_be_retracted:
                self._verdict.retracted += 1
                continue
            self._verdict.owed += 1
            if one.name not in told_of and one.may_be_lost:
                self._verdict.lost_with_store += 1
            elif one.name not in told_of:
                what = f"{one} at {reader.name}"
                self._judge_missing(reader, room, one.told, one.span, what, newest)

    def _judge_events(
        self, reader: RoomSession, room: int, stays: list[Stay], since: float, newest: int
    ) -> None:
        serials = {one.serial for one in reader.shown.get(room, [])}
        for change in self._history.changes.get(room, []):
            span = Span(change.serial, change.serial)
            if change.at <= since or not self._is_in(stays, span, quiet=True):
                continue
            self._verdict.owed += 1
            if change.serial not in serials:
                told = Shown(change.at, change.at, change.id, change.serial)
                what = f"{_event(change)} at {reader.name}"
                self._judge_missing(reader, room, told, span, what, newest)

    def _judge_missing(
        self, reader: RoomSession, room: int, told: Shown, span: Span, what: str, newest: int
    ) -> None:
        verdict = self._verdict
        if self._is_lost(told, span):
            verdict.lost_with_store += 1
        elif self._is_missed(reader, room, told, span):
            verdict.missed += 1
        elif reader.is_device or not self._is_excused(reader, room, span):
            verdict.blame("lost", what)
            verdict.passed_over += newest > span.high

    def _stays_read(self, reader: RoomSession, room: int, shown: list[Shown]) -> list[Stay]:
        """The memberships that a reader can know of."""
        first = min((self._serial_of(room, one) for one in shown), default=0)
        return [
            stay
            for stay in self._history.stays(room, reader.uid)
            if stay.ended is None or 0 < first <= stay.last
        ]

    def _since(self, reader: RoomSession, shown: list[Shown]) -> float:
        """From when on what is said is for this reader, who has shown so much of the room."""
        logins, since = reader.logins, reader.logins[0]
        first = shown[0].time if shown else float("inf")
        forgotten = [*self._forgettings.get(reader.name, []), *reader.told_gone]
        if any(time < first for time in forgotten):
            since = logins[max(0, bisect_left(logins, first) - 1)]
        for loss in self._losses:
            if loss.begin <= since <= loss.end:
                later = bisect_right(logins, loss.end)
                since = logins[later] if later < len(logins) else float("inf")
        return since

    def _is_in(self, stays: list[Stay], span: Span, *, quiet: bool = False) -> bool:
        """Whether an entry lies in one of these memberships for certain."""
        if any(stay.has(span.low, span.high) for stay in stays):
            return True
        if not quiet and any(stay.may_have(span.low, span.high) for stay in stays):
            self._verdict.unplaced += 1
        return False

    def _is_missed(self, reader: RoomSession, room: int, told: Shown, span: Span) -> bool:
        return any(
            span.high > gap.shown
            and (span.low < gap.serial if gap.serial else told.time <= gap.time)
            for gap in reader.gaps.get(room, [])
        )

    def _is_excused(self, reader: RoomSession, room: int, span: Span) -> bool:
        """Whether another device of the user may have acknowledged it, or it was too far back at a log-in."""
        others = (one for one in self._sessions.values() if one.uid == reader.uid and one.is_device)
        if any(one.serial >= span.low for other in others for one in other.shown.get(room, [])):
            return True
        return any(
            self._known.behind(room, span.high, login) >= _TEXT_BACKLOG for login in reader.logins
        )

    def _judge_shown(self, reader: RoomSession, room: int, shown: list[Shown]) -> None:
        events = {change.serial: change for change in self._history.changes.get(room, [])}
        seen: dict[tuple[str, int], list[Shown]] = defaultdict(list)
        newest = 0
        for one in shown:
            self._judge_place(reader, room, one)
            if not reader.is_device:
                continue
            if one.target:
                if trouble := self._changes.trouble(room, one, seen[one.name]):
                    self._blame_shown(trouble, reader, room, one)
            elif one.event:
                self._judge_event(reader, room, one, events.get(one.serial))
            elif before := seen[one.name]:
                self._judge_again(reader, room, one, before)
            seen[one.name].append(one)
            if one.serial == newest and one.event:
                self._blame_shown("shown_twice", reader, room, one)
            elif one.serial < newest:
                self._blame_shown("out_of_order", reader, room, one)
            newest = max(newest, one.serial)

    def _judge_place(self, reader: RoomSession, room: int, one: Shown) -> None:
        serial = self._serial_of(room, one)
        span, sender = Span(serial, serial), self._sessions.get(one.sender)
        lost = is_lost(self._losses, one, serial)
        if serial and not lost and not self._history.is_inside(room, reader.uid, serial, serial):
            self._blame_shown("leaked", reader, room, one)
        if sender is None:
            return
        said = sender.said[room].get(one.k, one.time)
        if self._is_outlived(room, reader.uid, span, said):
            self._blame_shown("leaked", reader, room, one)
        if sender is reader or (one.k in sender.refused[room] and not lost):
            self._blame_shown("misdirected", reader, room, one)
        told = sender.confirmed[room].get(one.k)
        lost = lost or (told is not None and is_lost(self._losses, told))
        if told and not lost and told.serial and one.serial not in (0, told.serial):
            self._blame_shown("shown_twice", reader, room, one)

    def _judge_event(
        self, reader: RoomSession, room: int, one: Shown, change: Change | None
    ) -> None:
        if change is None:
            if not is_lost(self._losses, one):
                self._blame_shown("wrong", reader, room, one)
        elif one.what != change.what:
            self._blame_shown("wrong", reader, room, one)

    def _judge_again(self, reader: RoomSession, room: int, one: Shown, before: list[Shown]) -> None:
        reasons = [
            loss
            for loss in self._losses
            if loss.end <= one.time and any(is_lost([loss], other) for other in before)
        ]
        if len(before) <= len(reasons):
            self._verdict.shown_again += 1
        else:
            self._blame_shown("shown_twice", reader, room, one)

    def _judge_gaps(self, reader: RoomSession, room: int) -> None:
        """Who is told so again before it has shown anything is told of the same; a loss is a reason once."""
        reasons, told = [loss.end for loss in self._losses], set[int]()
        for gap in reader.gaps.get(room, []):
            if (gap.serial and gap.shown >= gap.serial) or gap.shown in told:
                continue  # it has shown that since, on the connection before
            told.add(gap.shown)
            kept = self._known.newest(room, gap.time) + _UNSEEN - gap.until
            earlier = [end for end in reasons if end < gap.time]
            if kept < self._window and earlier:
                reasons.remove(min(earlier))
            elif kept < self._window:
                what = f"{reader.name} lacks up to {gap.until} in room {room}"
                self._verdict.blame("missed_for_no_reason", what)
            shown = [one for one in reader.shown.get(room, []) if one.time > gap.time]
            if shown and 0 < shown[0].serial < gap.serial:
                self._blame_shown("wrong", reader, room, shown[0])

    def _judge_ends(self, reader: RoomSession, room: int, shown: list[Shown]) -> None:
        """Who has shown the end of a membership is told so behind it, and not before."""
        if reader.gaps.get(room):
            return
        ends = reader.ends.get(room, [])
        for end in ends:
            if end.last is not None and not _is_end(end.last, reader.uid):
                self._verdict.blame("wrong", f"{reader.name} left room {room} in the middle")
        is_over = bool(shown) and _is_end(shown[-1], reader.uid)
        if is_over and not any(end.time >= shown[-1].time for end in ends):
            self._verdict.blame("wrong", f"{reader.name} is not told of the end in room {room}")

    def _is_lost(self, told: Shown, span: Span) -> bool:
        return is_lost(self._losses, told, span.high if span.low == span.high else 0)

    def _serial_of(self, room: int, one: Shown) -> int:
        """The serial of what was shown, also by the text dialect; 0: nobody knows."""
        if one.serial or not one.k:
            return one.serial
        span = self._known.span(room, one.sender, one.k)
        return span.low if span.low == span.high else 0

    def _blame_shown(self, kind: str, reader: RoomSession, room: int, one: Shown) -> None:
        named = _named((room, one.sender, one.k)) if one.k else f"room {room} {one.event} {one.id}"
        self._verdict.blame(kind, f"{named} at {reader.name}")


def _is_end(one: Shown, uid: int) -> bool:
    return one.event == "closed" or (one.event in ("left", "removed") and one.user == uid)


def _named(words: Words) -> str:
    room, sender, k = words
    return f"{sender}>room {room}#{k}"


def _event(change: Change) -> str:
    return f"room {change.room} {change.event} {change.id}"
