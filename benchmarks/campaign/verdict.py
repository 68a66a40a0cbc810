"""
What the journals say: was everything that was confirmed shown, once and in order, and nothing that was refused?

A message is owed to each session that reads its recipient's inbox, and, as a copy, to each registered device of its
sender but the one that sent it. Where a user has several devices, to each from its first log-in on: what was first said
after that.

A store that goes back loses what came after a moment. The campaign records each such loss (``losses.py``): it began at
FROM, just before the moment to which the store went back, or past which, and ended at TO, when the process that had
more was dead; what waited in the data that came back, the last id that each inbox had given out there, and the last
serial. This alone is exempt, all else is strict:

*Lost with the store* may be a message that was confirmed after FROM, that the server had accepted (``at`` of the
answer) before TO, and that the data which came back know nothing of: its serial is above the last one there. Where its
serial is not known, it does not wait there, and its id is above the last one there, or not known. Who was told before
FROM was told of what is in these data; what was accepted after TO, a repetition too, was stored, or found, in them.

*Shown again* after TO may be a message that was shown after FROM, that the server had accepted (``at`` of the message)
before TO, and of which the data know nothing, as above; in a session without a registered device also one that waits
in the data which came back, for they know no acknowledgement of it. For each loss once. The order is counted on from
there.

*Refused* is a message for good, and must not be shown, but for one that was shown of what the store lost, as above: it
may be refused afterwards.

An *event*, of a message that was edited or retracted, is owed like a message, to the devices to which that message is,
but for the one that made the change; its serial is known where somebody was shown it. It may be shown as often as the
change was asked for until it was confirmed.

*Missed* may be a message that a registered device was told of as no longer kept. This it may be told if the campaign
has had it forgotten, if it was too far behind, or if a store lost that it was there; once for each of these. Of what
was sent while it was forgotten it may lack the copy.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from pathlib import Path

from benchmarks.campaign.events import EventJudge
from benchmarks.campaign.forgettings import read_forgettings
from benchmarks.campaign.inbox_verdict import Verdict as Verdict
from benchmarks.campaign.journal import entries
from benchmarks.campaign.losses import LOSSES, Loss, read_losses
from benchmarks.campaign.records import Gone, Pair, Session, Told, read_sessions

BACKLOG = 1500
"""Ids that a registered device may be behind, as the campaign's servers are told."""

_UNACKNOWLEDGED = 500
"""Ids by which what a device has acknowledged may lag behind what it has shown, at most."""


def count_confirmed(folder: Path) -> int:
    """How many messages have been confirmed so far: all that `reconcile` takes longer to say."""
    return sum(entry.kind == "c" for path in folder.glob("*.journal") for entry in entries(path))


def reconcile(folder: Path, backlog: int = BACKLOG) -> Verdict:
    """Compare what every sender was told with what every reader was shown."""
    return _Court(folder, backlog).judge()


class _Court:
    """Judges all sessions, one reader at a time."""

    def __init__(self, folder: Path, backlog: int) -> None:
        self._sessions = {session.name: session for session in read_sessions(folder)}
        self._losses = read_losses(folder / LOSSES)
        self._forgettings = read_forgettings(folder)
        self._backlog = backlog
        self._verdict = Verdict()
        self._add_absent_readers()
        self._ids = self._all_ids()
        self._serials = self._all_serials()
        self._absences = self._all_absences()
        self._events = EventJudge(
            *(self._sessions, self._losses, self._verdict),
            *(self._is_for, self._was_there, self._was_absent),
        )

    def judge(self) -> Verdict:
        verdict = self._verdict
        for session in self._sessions.values():
            verdict.kicked += session.kicked
            verdict.devices += session.devices
            verdict.confirmed += sum(map(len, session.confirmed.values()))
            verdict.refused += sum(map(len, session.refused.values()))
            for words in session.wrong:
                verdict.blame("wrong", f"{session.name}: {words}")
        for reader in self._sessions.values():
            if reader.receives:
                self._judge_reader(reader)
        return verdict

    def _add_absent_readers(self) -> None:
        """Whoever was written to reads, even if it never wrote anything down."""
        there = {session.uid for session in self._sessions.values() if session.receives}
        written = {to for session in self._sessions.values() for to in session.confirmed}
        for uid in written - there:
            self._sessions[str(uid)] = Session(str(uid), uid, "")

    def _judge_reader(self, reader: Session) -> None:
        for sender in self._sessions.values():
            for to in {*sender.confirmed, *sender.refused}:
                pair = (sender.name, to)
                if self._is_for(pair, reader):
                    self._judge_confirmed(reader, pair)
                    self._judge_refused(reader, pair)
        for pair, shown in reader.shown.items():
            if self._is_for(pair, reader):
                self._judge_shown(reader, pair, shown)
            else:
                self._verdict.blame("misdirected", f"{_named(pair, shown[0].k)} at {reader.name}")
        self._judge_order(reader)
        self._judge_gone(reader)
        if reader.is_registered:
            self._events.judge(reader)
        elif reader.changes.shown:
            self._verdict.blame("misdirected", f"an event at {reader.name}")

    def _is_for(self, pair: Pair, reader: Session) -> bool:
        return pair[1] == reader.uid or self._is_copy(pair, reader)

    def _is_copy(self, pair: Pair, reader: Session) -> bool:
        """Whether what a sender wrote to somebody is for its user's device ``reader``."""
        sender = self._sessions.get(pair[0])
        return (
            sender is not None
            and pair[1] != reader.uid == sender.uid
            and reader.is_registered
            and sender.receives
            and (sender is not reader or sender.devices > 0)
        )

    def _judge_confirmed(self, reader: Session, pair: Pair) -> None:
        sender = self._sessions[pair[0]]
        copy = pair[1] != reader.uid
        if copy and sender is reader:
            return
        shown = reader.shown.get(pair, [])
        ks, newest = {told.k for told in shown}, max((told.k for told in shown), default=0)
        for k, told in sorted(sender.confirmed[pair[1]].items()):
            if not self._was_there(reader, sender.said[pair[1]].get(k, told.time)):
                continue
            self._verdict.owed += 1
            self._verdict.copies += copy
            if k in ks:
                continue
            if any(is_unknown(loss, pair, told) for loss in self._losses):
                self._verdict.lost_with_store += 1
            elif self._is_missed(reader, pair, k) or (copy and self._was_away(reader, pair, told)):
                self._verdict.missed += 1
            else:
                self._verdict.blame("lost", self._said_of(reader, pair, told), copy)
                self._verdict.passed_over += newest > k

    def _was_there(self, reader: Session, said: float) -> bool:
        """
        Whether this reader was known to the store, and stayed so, when a message was first said.

        Where a loss may have taken that away again it counts from the next log-in on. So it does where the device was
        forgotten before it had shown anything: it cannot say what it lacks.
        """
        if not reader.logins:
            return not reader.is_registered
        since = reader.logins[0]
        if any(time < reader.first_shown for time in self._forgettings.get(reader.name, [])):
            since = reader.logins[bisect_left(reader.logins, reader.first_shown) - 1]
        for loss in self._losses:
            if loss.begin <= since <= loss.end:
                later = bisect_right(reader.logins, loss.end)
                if later == len(reader.logins):
                    return False
                since = reader.logins[later]
        return said > since

    def _is_missed(self, reader: Session, pair: Pair, k: int) -> bool:
        if not reader.gone:
            return False
        said = self._sessions[pair[0]].said[pair[1]].get(k, 0.0)
        low, high = self._span(pair, k)
        return any(gone.covers(low, high, said) for gone in reader.gone)

    def _was_away(self, reader: Session, pair: Pair, told: Told) -> bool:
        """Whether a message may have been stored when this device was not registered: then it has no copy for it."""
        said = self._sessions[pair[0]].said[pair[1]].get(told.k, told.time)
        return self._was_absent(reader, said, told.time)

    def _was_absent(self, reader: Session, said: float, confirmed: float) -> bool:
        """Whether this device may not have been registered at some time between these two."""
        return any(begin <= confirmed and said <= end for begin, end in self._absences[reader.name])

    def _all_absences(self) -> dict[str, list[tuple[float, float]]]:
        """When each registered device may have been forgotten."""
        found: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for session in self._sessions.values():
            logins = session.logins
            for begin in self._forgettings.get(session.name, []):
                later = bisect_right(logins, begin)
                end = logins[later] if later < len(logins) else float("inf")
                found[session.name].append((begin, end))
            for gone in session.gone:
                found[session.name].append((gone.last.time if gone.last else 0.0, gone.time))
        return found

    def _span(self, pair: Pair, k: int) -> tuple[int, int]:
        """Between which serials a message has its own."""
        known = self._serials[pair]
        ks = sorted(known)
        place = bisect_left(ks, k)
        if place < len(ks) and ks[place] == k:
            return known[k], known[k]
        low = known[ks[place - 1]] if place else 0
        return low, known[ks[place]] if place < len(ks) else 1 << 53

    def _judge_refused(self, reader: Session, pair: Pair) -> None:
        refused = self._sessions[pair[0]].refused[pair[1]]
        for told in reader.shown.get(pair, []):
            if told.k in refused and not any(is_unknown(one, pair, told) for one in self._losses):
                self._verdict.blame("shown_though_refused", self._said_of(reader, pair, told))

    def _judge_shown(self, reader: Session, pair: Pair, shown: list[Told]) -> None:
        if reader.repeats:
            return
        seen: dict[int, list[Told]] = defaultdict(list)
        newest = 0
        for told in shown:
            before, k = seen[told.k], told.k
            reasons = [
                loss for loss in self._losses if self._comes_again(reader, loss, pair, told, before)
            ]
            if before and len(before) <= len(reasons):
                self._verdict.shown_again += 1
                newest = k
            elif before:
                what = self._said_of(reader, pair, told)
                self._verdict.blame("shown_twice", what, pair[1] != reader.uid)
            elif k < newest:
                what = self._said_of(reader, pair, told)
                self._verdict.blame("out_of_order", what, pair[1] != reader.uid)
            before.append(told)
            newest = max(newest, k)

    def _comes_again(
        self, reader: Session, loss: Loss, pair: Pair, told: Told, before: list[Told]
    ) -> bool:
        waits = not reader.is_registered and (*pair, told.k) in loss.waiting
        unknown = any(is_unknown(loss, pair, other) for other in before)
        return loss.end <= told.time and (waits or unknown)

    def _judge_order(self, reader: Session) -> None:
        """A registered device is shown its inbox in order: the serials of all that it is shown grow."""
        if not reader.is_registered:
            return
        newest = 0
        for pair, told in reader.order:
            if told.serial <= newest:
                what = f"{self._said_of(reader, pair, told)} behind the serial {newest}"
                self._verdict.blame("out_of_order", what, pair[1] != reader.uid)
            newest = max(newest, told.serial)

    def _judge_gone(self, reader: Session) -> None:
        """Whoever is told so again before it has shown anything is told of the same."""
        reasons = [*self._forgettings.get(reader.name, []), *(loss.end for loss in self._losses)]
        told: dict[int, Gone] = {}
        for gone in reader.gone:
            if gone.shown in told or gone.lacks_nothing:
                continue
            told[gone.shown] = gone
            if self._is_behind(reader, gone):
                continue
            earlier = [time for time in reasons if time < gone.time]
            if earlier:
                reasons.remove(min(earlier))
            else:
                what = f"{reader.name} lacks {gone.after} to {gone.until}"
                self._verdict.blame("missed_for_no_reason", what)
        for told_of in reader.gone:
            self._judge_until(reader, told_of)

    def _judge_until(self, reader: Session, gone: Gone) -> None:
        """What is shown next is not of what was said to be no longer kept."""
        for pair, told in reader.order:
            if told.time > gone.time:
                if gone.serial and told.serial < gone.serial:
                    what = self._said_of(reader, pair, told)
                    self._verdict.blame("wrong", f"{what} after a word that it is gone")
                return

    def _is_behind(self, reader: Session, gone: Gone) -> bool:
        times, ids = self._ids[reader.uid]
        newest = max(ids[: bisect_right(times, gone.time)], default=0)
        return newest - gone.after > self._backlog - _UNACKNOWLEDGED

    def _all_ids(self) -> dict[int, tuple[list[float], list[int]]]:
        """All ids that anybody knows of each user's inbox, and when, in the order of time."""
        known: dict[int, list[tuple[float, int]]] = defaultdict(list)
        for session in self._sessions.values():
            known[session.uid] += [(told.time, told.id) for _, told in session.order]
            for to, confirmed in session.confirmed.items():
                known[to] += [(told.time, told.id) for told in confirmed.values()]
        found: dict[int, tuple[list[float], list[int]]] = defaultdict(lambda: ([], []))
        for uid, pairs in known.items():
            pairs.sort()
            found[uid] = ([time for time, _ in pairs], [id for _, id in pairs])
        return found

    def _all_serials(self) -> dict[Pair, dict[int, int]]:
        """The serials that anybody knows, by pair and K."""
        known: dict[Pair, dict[int, int]] = defaultdict(dict)
        for session in self._sessions.values():
            for pair, shown in session.shown.items():
                for told in shown:
                    if told.serial:
                        known[pair].setdefault(told.k, told.serial)
        for session in self._sessions.values():
            for to, confirmed in session.confirmed.items():
                known[session.name, to].update(
                    {k: told.serial for k, told in confirmed.items() if told.serial}
                )
        return known

    def _said_of(self, reader: Session, pair: Pair, told: Told) -> str:
        """Which message, where, and what is known of it."""
        where = "" if reader.name == str(pair[1]) else f" at {reader.name}"
        return f"{_named(pair, told.k)}{where}"


def _named(pair: Pair, k: int) -> str:
    return f"{pair[0]}>{pair[1]}#{k}"


def is_unknown(loss: Loss, pair: Pair, told: Told) -> bool:
    """Whether the data that came back know nothing of a message which was told of before the loss."""
    if told.time < loss.begin or told.at > loss.end:
        return False
    if told.serial and loss.serial:
        return told.serial > loss.serial
    return (*pair, told.k) not in loss.waiting and not 0 < told.id <= loss.last.get(pair[1], 0)
