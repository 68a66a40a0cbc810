"""
What the journals say of the archive: is every message in it that was confirmed, once, as it was sent, and no other?

A message that was confirmed, or shown to anybody, is owed, under each serial by which somebody was told of it. One
whose outcome its sender never learned may be there or not; one that was refused, or that nobody sent, may not. By
their serials the messages of one session to one recipient stand in the order in which it sent them.

A message reads as the last confirmed edit of it said, or as one that was sent and never confirmed; one that was
retracted by a confirmed word has no text, nor words in the index, and neither it nor an edit of it is in its room's
log. A change that a store may have lost counts as one that was never confirmed; what it did in a room's log is exempt
even if it was confirmed again later: who asks again is told that it is done, where the archive has it.

A store that goes back loses what came after a moment, as ``verdict.py`` of the campaign says, and with it what had not
left the archive's queue. So what was lost with the store may be missing: the last of it, for the queue is taken in
order. Redis does not take the archive back with it: what was lost may also be there, even if it was stored again later,
under another serial, or refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.campaign.archive.reading import Archive, Row
from benchmarks.campaign.archive.verdict import ArchiveVerdict
from benchmarks.campaign.changes import Change, SessionChanges, ShownChange, by_target
from benchmarks.campaign.journal import (
    RETRACTION,
    Entry,
    edit_of,
    edit_text,
    is_message,
    message_of,
    split_name,
    text_of,
)
from benchmarks.campaign.losses import LOSSES, Loss, read_losses
from benchmarks.campaign.records import Pair, Told, read_journals
from benchmarks.campaign.verdict import is_unknown
from chatsvc.archive.segmenter import tokens_of

Key = tuple[str, int, int]
"""A message: its sender's session, its recipient (a room: below zero) and its K."""

_AS_SENT = -1
"""In place of the number of a change: there was none."""

_LATER = 2.0
"""Seconds that what was said after a change was confirmed is certainly stored behind it."""


def judge_archive(folder: Path, archive: Archive) -> ArchiveVerdict:
    """Compare what every sender was told, and every reader was shown, with what the archive has."""
    return _ArchiveCourt(folder, archive).judge()


@dataclass
class _Session:
    """What one session says of all messages, those into rooms among them."""

    name: str
    uid: int
    kind: str
    said: set[Key] = field(default_factory=set)
    confirmed: dict[Key, Told] = field(default_factory=dict)
    refused: set[Key] = field(default_factory=set)
    shown: list[tuple[Key, Told]] = field(default_factory=list)
    changes: SessionChanges = field(default_factory=SessionChanges)

    def take(self, entry: Entry) -> None:
        """Take an entry of its journal into account; they come in their order."""
        self.changes.take(entry)
        match entry.kind, entry.words:
            case "o", [to, _, k]:
                self.said.add((self.name, int(to), int(k)))
            case "c", [to, k, at, id, serial]:
                told = Told(int(k), entry.time, int(at) / 1000, int(id), int(serial))
                self.confirmed[self.name, int(to), told.k] = told
            case "x", [to, k]:
                self.refused.add((self.name, int(to), int(k)))
            case ("s", [id, by, to, k, at, serial]) | ("rs", [to, id, serial, by, k, at]):
                place = -int(to) if entry.kind == "rs" else int(to)
                told = Told(int(k), entry.time, int(at) / 1000, int(id), int(serial))
                self.shown.append(((by, place, told.k), told))


class _ArchiveCourt:
    """Judges what is owed, then what is there, then the index."""

    def __init__(self, folder: Path, archive: Archive) -> None:
        self._sessions = {one.name: one for one in read_journals(folder, _Session)}
        self._losses = read_losses(folder / LOSSES)
        self._archive = archive
        self._verdict = ArchiveVerdict()
        self._by_serial = {row.serial: row for row in archive.rows}
        self._times = self._times_shown()
        self._owed = self._all_owed()
        self._reached = [self._reached_before(loss) for loss in self._losses]
        self._changes = by_target(one.changes for one in self._sessions.values())
        self._makers = {
            target: session.name
            for session in self._sessions.values()
            for target, _ in session.changes.asked
        }
        self._told = self._last_told()
        self._rows: dict[Key, list[Row]] = defaultdict(list)
        for row in archive.rows:
            if key := self._key_of(row):
                self._rows[key].append(row)

    def judge(self) -> ArchiveVerdict:
        verdict, archive = self._verdict, self._archive
        verdict.messages = len(archive.rows)
        for key, told in self._owed.items():
            verdict.owed += 1
            self._judge_owed(key, told)
        for row in archive.rows:
            self._judge_row(row)
        self._judge_order()
        self._judge_index()
        self._judge_changes()
        verdict.unindexed = len(archive.unindexed)
        verdict.queued, verdict.refused = archive.queued, archive.refused
        return verdict

    def _key_of(self, row: Row) -> Key | None:
        """Which message it is; None: that of nobody."""
        if is_message(row.text):
            return message_of(row.text)
        if edit := edit_of(row.text):
            return edit[:3]
        if row.is_retracted and (changes := self._changes.get(row.serial)):
            return self._makers[row.serial], changes[0].to, changes[0].k
        return None

    # What is owed

    def _all_owed(self) -> dict[Key, list[Told]]:
        """All by which anybody was told of a message."""
        found: dict[Key, list[Told]] = defaultdict(list)
        for session in self._sessions.values():
            for key, told in [*session.confirmed.items(), *session.shown]:
                found[key].append(told)
        return found

    def _times_shown(self) -> dict[int, int]:
        """When the server had accepted what was shown, in ms, by serial."""
        return {
            told.serial: round(told.at * 1000)
            for session in self._sessions.values()
            for _, told in session.shown
            if told.serial
        }

    def _judge_owed(self, key: Key, tellings: list[Told]) -> None:
        rows = self._rows.get(key, [])
        serials = {row.serial for row in rows}
        there = [told for told in tellings if (told.serial in serials if told.serial else rows)]
        absent = [told for told in tellings if told not in there]
        lacking = [told for told in absent if not self._is_lost(key, told)]
        if lacking:
            newest = self._archive.rows[-1].serial if self._archive.rows else 0
            named = sorted({told.serial for told in lacking})
            stands = f", but under {sorted(serials)}" if serials else ""
            self._verdict.blame("missing", f"{_named(key)} with serial {named}{stands}")
            self._verdict.passed_over += 0 < named[-1] < newest
        elif absent and not there:
            self._verdict.lost_with_store += 1

    def _is_lost(self, key: Key, told: Told) -> bool:
        return any(
            is_unknown(loss, key[:2], told) and not 0 < told.serial < reached
            for loss, reached in zip(self._losses, self._reached, strict=True)
        )

    def _reached_before(self, loss: Loss) -> int:
        """The last serial of what a store lost that is in the archive, as far as it was told of before; 0: none is."""
        tellings = (told for one in self._owed.values() for told in one)
        return max(
            (
                told.serial
                for told in tellings
                if told.serial > loss.serial and told.time <= loss.end
                if told.serial in self._by_serial
            ),
            default=0,
        )

    # What is there

    def _judge_row(self, row: Row) -> None:
        for why in self._troubles(row):
            self._verdict.blame("wrong", f"{row.serial} {row.text.split(' ')[0]!r}: {why}")

    def _troubles(self, row: Row) -> Iterator[str]:
        key = self._key_of(row)
        if key is None:
            yield "no message of anybody"
            return
        sender = self._sessions.get(key[0])
        if sender is None or key not in sender.said:
            yield "nobody has sent it"
            return
        if key in sender.refused and key not in sender.confirmed and not self._may_be_lost(row):
            yield "it was refused"
        if row.text.rstrip() != self._text_of(row, key).rstrip():
            yield "another text"
        if (row.sender, row.name) != (sender.uid, f"user{sender.uid}"):
            yield f"sent by {row.sender}, {row.name}"
        if not self._is_in_place(row, key):
            yield f"in the conversation {row.conversation}"
        if self._times.get(row.serial, row.at) != row.at:
            yield f"accepted at {row.at}, and shown with {self._times[row.serial]}"
        if bool(row.changed) != (row.is_retracted or edit_of(row.text) is not None):
            yield "changed"
        if edit_of(row.text) and row.edited is None:
            yield "not said to be edited"

    def _text_of(self, row: Row, key: Key) -> str:
        """What it is to read, if it is what it says of itself."""
        if row.is_retracted:
            return ""
        edit = edit_of(row.text)
        return edit_text(*edit) if edit else text_of(*key)

    def _is_in_place(self, row: Row, key: Key) -> bool:
        uid, to = int(split_name(key[0])[0]), key[1]
        if to < 0:
            return row.conversation == to
        return self._archive.conversations.get(row.conversation) == (min(uid, to), max(uid, to))

    def _judge_order(self) -> None:
        """Twice, or in another order, may only stand what the store has lost."""
        seen: dict[Key, int] = {}
        newest: dict[Pair, int] = defaultdict(int)
        for row in self._archive.rows:
            key = self._key_of(row)
            if key is None:
                continue
            if self._may_be_lost(row):
                self._verdict.kept += 1
                continue
            pair, k = key[:2], key[2]
            if key in seen:
                what = f"{_named(key)} with the serials {seen[key]} and {row.serial}"
                self._verdict.blame("twice", what)
            elif k < newest[pair]:
                what = f"{_named(key)} with serial {row.serial} behind #{newest[pair]}"
                self._verdict.blame("out_of_order", what)
            seen[key] = row.serial
            newest[pair] = max(newest[pair], k)

    def _may_be_lost(self, row: Row) -> bool:
        """Whether the store lost it, as far as the archive can tell."""
        return any(_lost(loss, row) for loss in self._losses)

    # Changes

    def _judge_changes(self) -> None:
        newest = self._archive.rows[-1].at / 1000 if self._archive.rows else 0.0
        for row in self._archive.rows:
            changes = self._changes.get(row.serial, [])
            reads = RETRACTION if row.is_retracted else (edit_of(row.text) or [_AS_SENT])[-1]
            if reads not in self._allowed(changes):
                what = f"{row.serial} {row.text.split(' ')[0]!r} reads by {reads}"
                self._verdict.blame("otherwise", f"{what}, and not by {self._allowed(changes)}")
                done = max((done for one in changes for _, done in one.done), default=0.0)
                self._verdict.otherwise_for_good += done + _LATER < newest
            self._judge_telling(row, reads)
        for session in self._sessions.values():
            for change in session.changes.asked.values():
                self._judge_change(session, change)
        self._judge_logs()

    def _last_told(self) -> dict[int, ShownChange]:
        """The last change of each message that anybody was told of, but for what a store lost."""
        found: dict[int, ShownChange] = {}
        for session in self._sessions.values():
            for one in [*session.changes.shown, *session.changes.shown_in_rooms]:
                is_lost = any(
                    one.serial > loss.serial and one.at <= loss.end for loss in self._losses
                )
                if not is_lost and (
                    one.target not in found or found[one.target].serial < one.serial
                ):
                    found[one.target] = one
        return found

    def _judge_telling(self, row: Row, reads: int) -> None:
        """Of two changes of a message, readers go by the one that they are told of later."""
        told = self._told.get(row.serial)
        if told is not None and told.serial >= row.changed and told.n != reads:
            what = f"{row.serial} reads by {reads}, and {told.serial} says {told.n}"
            self._verdict.blame("told_otherwise", what)

    def _allowed(self, changes: list[Change]) -> list[int]:
        """By which changes of a message it may read as it does."""
        made = [change for change in changes if not change.was_never_made]
        certain = [change.n for change in made if change.is_certain(self._losses)]
        if RETRACTION in certain:
            return [RETRACTION]
        uncertain = [change.n for change in made if change.n not in certain]
        return [max(certain, default=_AS_SENT), *uncertain]

    def _judge_change(self, session: _Session, change: Change) -> None:
        if change.done and change.is_retraction:
            self._verdict.retractions += 1
        elif change.done:
            self._verdict.edits += 1
        if change.refused == "forbidden" and change.to > 0:
            told = session.confirmed.get((session.name, change.to, change.k))
            is_retracted = any(one.is_retraction for one in self._changes[change.target])
            is_lost = told and any(
                is_unknown(loss, (session.name, change.to), told) for loss in self._losses
            )
            if not ((is_retracted and not change.is_retraction) or is_lost):
                key = (session.name, change.to, change.k)
                self._verdict.blame("changes_refused", f"{change.n} of {_named(key)}")

    def _judge_logs(self) -> None:
        """What was retracted before the rooms' logs were read is not in them."""
        retracted = {
            (-change.to, change.target): change
            for changes in self._changes.values()
            for change in changes
            if change.is_retraction and change.to < 0 and not change.may_be_lost(self._losses)
            if change.done and change.done[0][1] < self._archive.read_at
        }
        for one in self._archive.logged:
            edited = int(one.reference[1:]) if one.reference.startswith("e") else 0
            for target in (one.serial, edited):
                if (one.room, target) in retracted:
                    what = "an edit of" if target == edited else "the message"
                    self._verdict.blame(
                        "in_rooms", f"room {one.room}: {one.serial}, {what} {target}"
                    )

    # The index

    def _judge_index(self) -> None:
        """Every message that is not to be indexed yet has all its words, and no others, in its conversation."""
        tokens: dict[int, set[tuple[int, int]]] = defaultdict(set)
        for conversation, token, serial in self._archive.words:
            tokens[serial].add((conversation, token))
        for row in self._archive.rows:
            known = tokens.pop(row.serial, set())
            if row.serial in self._archive.unindexed:
                continue
            wanted = {(row.conversation, token) for token in tokens_of(row.text)}
            if wanted - known:
                self._verdict.blame("unfound", f"{row.serial} by {len(wanted - known)} words")
            self._blame_stray(row.serial, known - wanted)
        if not (
            self._archive.queued or self._archive.unindexed
        ):  # else something may have come meanwhile
            for serial, rest in tokens.items():
                self._blame_stray(serial, rest)

    def _blame_stray(self, serial: int, words: set[tuple[int, int]]) -> None:
        for conversation, token in sorted(words):
            what = f"the word {token} of {serial} in the conversation {conversation}"
            self._verdict.blame("stray", what)


def _lost(loss: Loss, row: Row) -> bool:
    return row.serial > loss.serial and row.at / 1000 <= loss.end


def _named(key: Key) -> str:
    return f"{key[0]}>{key[1]}#{key[2]}"
