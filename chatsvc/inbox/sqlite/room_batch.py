"""The part of a transaction that is about rooms' logs: messages, changes, acknowledgements."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from chatsvc.inbox.outcome import (
    Behind,
    Draft,
    Duplicate,
    Gap,
    Gone,
    NotMember,
    Outcome,
    RoomAcknowledgement,
    RoomDraft,
    Stored,
)
from chatsvc.inbox.room_log import Applied, LogEvent, Place, RoomLogLimits
from chatsvc.inbox.sqlite.batch import SQLiteBatch
from chatsvc.inbox.sqlite.room_entries import RoomEntries, RoomState
from chatsvc.inbox.sqlite.rows import read_rows, write_rows
from chatsvc.inbox.sqlite.sending import SentNumbers
from chatsvc.storage.sql import Transaction
from chatsvc.wire.events import Invitation, Joining, Message, RoomEntry

_MEMBERS = """
SELECT json_group_array(json_array(room, uid)) FROM json_each(?) AS wanted CROSS JOIN chat_room_role
ON room = json_extract(wanted.value, '$[0]') AND uid = json_extract(wanted.value, '$[1]')
"""
_SERIALS = """
SELECT json_group_array(json_array(wanted_room, wanted_id, serial)) FROM (
    SELECT json_extract(value, '$[0]') AS wanted_room, json_extract(value, '$[1]') AS wanted_id FROM json_each(?)
) CROSS JOIN chat_room_log AS log ON room = wanted_room AND log.id = (
    SELECT max(id) FROM chat_room_log WHERE room = wanted_room AND id <= wanted_id
)
"""
_POSITIONS = """
SELECT json_group_array(json_array(uid, room, serial, place.id)) FROM json_each(?) AS wanted
CROSS JOIN chat_room_position AS place
ON uid = json_extract(wanted.value, '$[0]') AND room = json_extract(wanted.value, '$[1]')
"""
_WRITE_POSITIONS = "REPLACE INTO chat_room_position (uid, room, serial, id) VALUES"
_WRITE_ROLES = "REPLACE INTO chat_room_role (room, uid, role) VALUES"
_DELETE_POSITIONS = """
DELETE FROM chat_room_position WHERE (uid, room) IN (
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?)
)
"""


class RoomBatch:
    """
    Work on the logs of ``rooms``, and of those that ``drafts`` are for.

    ``inboxes`` is the transaction's part that is about inboxes; ``now`` is in ms.
    """

    def __init__(
        self,
        transaction: Transaction,
        inboxes: SQLiteBatch,
        limits: RoomLogLimits,
        now: int,
        rooms: Iterable[int],
        drafts: Sequence[RoomDraft] = (),
    ) -> None:
        self._transaction = transaction
        self._inboxes = inboxes
        self._limits = limits
        self._logs = RoomEntries(transaction, {*rooms, *[draft.room for draft in drafts]})
        senders = {(draft.room, draft.sender) for draft in drafts}
        self._members = {(room, uid) for room, uid in read_rows(transaction, _MEMBERS, senders)}
        self._numbers = SentNumbers(transaction, now, "rooms")
        self.entries: list[RoomEntry] = []
        """The events that were stored."""
        self.messages: list[tuple[int, Message]] = []
        """What was stored in inboxes, with their users' uids."""

    def append(self, draft: RoomDraft) -> Outcome:
        """
        Store a message, or say why not.

        First comes what is wrong with its session, then with the log, then with its number, then with its sender.
        """
        refused = self._inboxes.refuse_session(draft)
        if refused is not None:
            return refused
        state = self._logs[draft.room]
        if not state.version or state.version < draft.version:
            return Behind()
        digests = ""
        if draft.n is not None:
            seen = self._numbers.seen(draft.room, draft)
            if isinstance(seen, Duplicate):
                is_kept = seen.id is not None and self._logs.has(draft.room, seen.id)
                return Duplicate(seen.id, 0, serial=seen.serial if is_kept else 0)
            if isinstance(seen, Gap):
                return seen
            digests = seen
        if (draft.room, draft.sender) not in self._members:
            return NotMember()
        reference = draft.reference
        if reference is not None and self._logs.is_retracted(draft.room, reference):
            return Gone()  # it was judged before that, and comes too late (P6)
        if reference is not None and reference.kind == "retracted":
            self._logs.delete(draft.room, reference.serial)
        serial = self._inboxes.next_serial()
        id = self._logs.append(draft, serial)
        self._inboxes.archive(draft.room, draft, serial)
        if draft.n is not None:
            self._numbers.remember(draft.room, draft, id, serial, digests)
        return Stored(id, 0, serial=serial)

    def acknowledge(self, acknowledgements: Sequence[RoomAcknowledgement]) -> None:
        """Raise accounts' positions, or let go of them; a serial, then an id, says which is higher."""
        accounts = {(one.uid, one.room) for one in acknowledgements}
        ids = {(one.room, one.id) for one in acknowledgements}
        rows = read_rows(self._transaction, _POSITIONS, accounts)
        before = {(uid, room): (serial, id) for uid, room, serial, id in rows}
        rows = read_rows(self._transaction, _SERIALS, ids)
        serials = {(room, id): serial for room, id, serial in rows}
        positions = dict(before)
        for one in acknowledgements:
            account = (one.uid, one.room)
            known = positions.get(account, (0, 0))
            # Of an entry that is no longer kept, nothing is known but that it is older than all that is.
            place = (serials.get((one.room, one.id), known[0]), one.id)
            is_lost = one.id > self._logs[one.room].last
            if one.over and (is_lost or place >= known):
                positions.pop(account, None)
            elif not one.over and not is_lost and place > known:
                positions[account] = place
        changed = [(*key, *place) for key, place in positions.items() if place != before.get(key)]
        write_rows(self._transaction, _WRITE_POSITIONS, changed)
        gone = list(before.keys() - positions.keys())
        if gone:
            self._transaction.execute(_DELETE_POSITIONS, (json.dumps(gone),))

    def apply(self, room: int, events: Sequence[LogEvent]) -> Applied:
        """Put those of a room's changes into its log that it does not have, as far as their versions follow."""
        state = self._logs[room]
        if not state.version and not (events and events[0].version == 1):
            return Applied([], None)
        places = []
        for event in events:
            if event.version > state.version + 1:
                break
            known = event.version <= state.version
            places.append(self._logs.place(event) if known else self._put(state, event))
        return Applied(places, state.version)

    def load(self, room: int, version: int, members: Mapping[int, str], last: int) -> None:
        """Give a log all its members, unless it has this version already."""
        state = self._logs[room]
        if version <= state.version:
            return
        state.version = version
        if state.front == state.last:
            state.front = state.last = max(state.last, last)
            state.serial = self._inboxes.next_serial()
        self._remove_all(room)
        rows = [(room, uid, role) for uid, role in members.items()]
        write_rows(self._transaction, _WRITE_ROLES, rows)

    def expire(self, rooms: Sequence[int], before: int, limit: int) -> list[int]:
        """Let go of what is too old, ``limit`` entries at most; the rooms that may have more."""
        more = []
        for room in rooms:
            limit -= self._logs.expire(room, before, limit)
            if not limit:
                more.append(room)
        return more

    def finish(self) -> None:
        """Write what has changed."""
        self._logs.save(self._limits)

    def _put(self, state: RoomState, event: LogEvent) -> Place:
        """Store a change with all that belongs to it."""
        state.version = event.version
        serial = self._inboxes.next_serial()
        id = 0
        if event.event:
            entry = self._logs.append_event(event, serial)
            self.entries.append(entry)
            id = entry.id
        self._change_members(event)
        if event.joins:
            draft = Draft(event.user, event.by, event.name, event.at, "")
            self._tell(draft, Joining(event.room, id, serial), serial)
        is_full = event.invited is not None and not self._invite(event, serial)
        if is_full:
            state.refuse(event.version)
        return Place(event.version, id, serial, is_full)

    def _invite(self, event: LogEvent, serial: int) -> bool:
        draft = invitation_of(event)
        assert draft is not None and event.invited is not None
        return self._tell(draft, Invitation(event.room, event.invited.room_name), serial)

    def _tell(self, draft: Draft, mark: Invitation | Joining, serial: int) -> bool:
        message = self._inboxes.append_marked(draft, mark, serial)
        if message is None:
            return False
        self.messages.append((draft.to, message))
        return True

    def _change_members(self, event: LogEvent) -> None:
        if event.closes:
            self._remove_all(event.room)
        for uid, role in event.members:
            if role is None:
                sql = "DELETE FROM chat_room_role WHERE room = ? AND uid = ?"
                self._transaction.execute(sql, (event.room, uid))
            else:
                write_rows(self._transaction, _WRITE_ROLES, [(event.room, uid, role)])

    def _remove_all(self, room: int) -> None:
        self._transaction.execute("DELETE FROM chat_room_role WHERE room = ?", (room,))


def invitation_of(event: LogEvent) -> Draft | None:
    """The message of an invitation; None: the change is none."""
    one = event.invited
    return None if one is None else Draft(one.user, one.sender, one.name, event.at, one.text)
