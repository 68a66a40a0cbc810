"""
One transaction on inboxes in SQLite: it reads all that it needs at its start, and writes all changes at its end.

So what is confirmed is stored once (P1 of docs/protocol.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chatsvc.archive.changes import write_new
from chatsvc.archive.entry import ArchiveEntry, Pair, Place, Retracted
from chatsvc.inbox.archiving import entry_of
from chatsvc.inbox.claim import InboxClaim, Registration
from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.outcome import (
    Draft,
    Duplicate,
    Full,
    Gap,
    Gone,
    Moved,
    Outcome,
    Removal,
    RoomDraft,
    Stored,
    Unregistered,
)
from chatsvc.inbox.sqlite.message_log import MessageLog
from chatsvc.inbox.sqlite.registered import DeviceClaims, counts_at, forget_unused, has_another
from chatsvc.inbox.sqlite.rows import read_rows, write_rows
from chatsvc.inbox.sqlite.sending import SendingDevices, SentNumbers
from chatsvc.inbox.sqlite.state import DeviceState, Inboxes, InboxState
from chatsvc.storage.sql import Transaction
from chatsvc.wire.events import Invitation, Joining, Message, Reference

_SHARES = """
SELECT json_group_array(json_array(uid, sender, share, acknowledged))
FROM json_each(?) AS wanted CROSS JOIN chat_share
ON uid = json_extract(wanted.value, '$[0]') AND sender = json_extract(wanted.value, '$[1]')
"""

_COUNT = """
UPDATE chat_setting SET value = CASE name WHEN 'batches' THEN value + 1 ELSE ? END
WHERE name IN ('batches', 'serial') RETURNING name, value
"""


class SQLiteBatch:
    """
    The work of one transaction.

    It is about ``drafts`` and ``removals``, or about the inboxes of ``uids``; of ``room_drafts``, which go into rooms'
    logs, it judges the sessions. ``now`` is in ms; by ``latest``, also in ms, it is judged whether messages have waited
    too long and devices were not used for too long.
    """

    def __init__(
        self,
        transaction: Transaction,
        limits: InboxLimits,
        now: int,
        latest: int,
        uids: Sequence[int] = (),
        drafts: Sequence[Draft] = (),
        removals: Sequence[Removal] = (),
        room_drafts: Sequence[RoomDraft] = (),
    ) -> None:
        self._transaction = transaction
        self.archives = False
        """Whether what is stored goes into the archive, too."""
        self._archived: list[ArchiveEntry] = []
        self._limits = limits
        self._now = now
        self._latest = latest
        self.expired = 0
        self.refused: list[Removal] = []
        self.unregistered: dict[tuple[int, str], None] = {}
        """Sessions whose device is not registered, as this transaction has found or decided: uid and device."""
        touched = {draft.to for draft in drafts} | {removal.uid for removal in removals}
        # Whose other devices may have to see what they send.
        readers = {
            draft.sender for draft in drafts if draft.registered or draft.generation is not None
        }
        readers |= {draft.sender for draft in room_drafts if draft.registered}
        self._inboxes = Inboxes(transaction, [*uids, *touched], readers, may_be_plain=not uids)
        senders = {(draft.to, draft.sender) for draft in drafts}
        # By inbox and sender: the share, and what was acknowledged when it began.
        self._shares = {
            (to, by): share for to, by, *share in read_rows(transaction, _SHARES, senders)
        }
        sent: list[Draft | RoomDraft] = [*drafts, *room_drafts]
        devices = {(draft.sender, draft.device) for draft in sent if draft.sending}
        self._sending = SendingDevices(transaction, now, devices)
        self._numbers = SentNumbers(transaction, now, "inboxes")
        self._with_devices = {uid for uid, inbox in self._inboxes.items() if inbox.devices}
        self._log = MessageLog(transaction)
        self._places = self._log.places(self._wanted(removals))
        self._fronts: dict[int, int] = {}
        self._stored = False
        self._touched: set[int] = set()

    @property
    def serial(self) -> int:
        """The serial given out last."""
        return self._inboxes.serial

    def inbox(self, uid: int) -> InboxState:
        """The state of one of the inboxes."""
        return self._inboxes[uid]

    def append(self, draft: Draft) -> Outcome:
        """Store a message, or say why not: first what is wrong with its session, then with its number, then space."""
        if draft.registered or draft.sending:
            refused = self.refuse_session(draft)
            if refused is not None:
                return refused
        inbox = self._inboxes[draft.to]
        digests = ""
        if draft.n is not None:
            seen = self._numbers.seen(draft.to, draft)
            if isinstance(seen, Duplicate):
                is_kept = seen.id is not None and seen.id > inbox.front
                return Duplicate(seen.id, inbox.waiting, serial=seen.serial if is_kept else 0)
            if isinstance(seen, Gap):
                return seen
            digests = seen
        if draft.reference is not None and self._is_retracted(draft.reference):
            return Gone()  # it was judged before that, and comes too late (P6)
        is_here = not (draft.reference and draft.reference.changes) or has_another(
            inbox, self._limits, ""
        )
        full = self._take_share(draft, inbox) if is_here else None
        if full is not None:
            return full
        self._touched.add(draft.to)
        serial, id = self.next_serial(), 0
        if is_here:
            id = self._log.append(draft.to, inbox, draft, serial, mark=draft.reference)
        if draft.n is not None:
            self._numbers.remember(draft.to, draft, id, serial, digests)
        self.archive(Pair.between(draft.to, draft.sender), draft, serial)
        copy = self._copy(draft, serial) if draft.sender in self._with_devices else 0
        return Stored(id, inbox.waiting, serial=serial, copy=copy)

    def archive(self, place: Place, draft: Draft | RoomDraft, serial: int) -> None:
        """Put what is stored into the archive, too."""
        if self.archives:
            self._archived.append(entry_of(serial, place, draft))

    def _is_retracted(self, reference: Reference) -> bool:
        """Whether the message of a change was retracted, by this transaction or before."""
        if not reference.changes:
            return False
        target = reference.serial
        if any(isinstance(one, Retracted) and one.target == target for one in self._archived):
            return True
        query = "SELECT 1 FROM chat_message WHERE serial = ? AND retracted = 1"
        return self._transaction.one(query, (target,)) is not None

    def refuse_session(self, draft: Draft | RoomDraft) -> Moved | Unregistered | None:
        """Say what is wrong with the session that sends a draft; None: nothing is."""
        if draft.registered:
            inbox = self._inboxes.get(draft.sender)
            if inbox is None or draft.device not in inbox.devices:
                self.unregistered[draft.sender, draft.device] = None
                return Unregistered()
        if not draft.sending:
            return None
        newest = self._sending.generation(draft.sender, draft.device)
        if newest < draft.sending:
            # An older file was put back, and has lost that log-in.
            self._sending.set_generation(draft.sender, draft.device, draft.sending)
            self._inboxes.raise_generation(draft.sender, draft.sending)
        return Moved() if draft.sending < newest else None

    def next_serial(self) -> int:
        """Give out the next serial, for something that this transaction stores."""
        self._stored = True
        return self._inboxes.next_serial(self._now)

    def append_marked(
        self, draft: Draft, mark: Invitation | Joining, serial: int
    ) -> Message | None:
        """
        Put an invitation into an inbox, or the note that its user has joined a room, which counts as a copy.

        :return: None: it is an invitation, and the inbox is full.
        """
        inbox = self._inboxes[draft.to]
        if isinstance(mark, Invitation) and self._take_share(draft, inbox) is not None:
            return None
        self._touched.add(draft.to)
        id = self._log.append(draft.to, inbox, draft, serial, mark=mark)
        return Message(id, draft.sender, draft.name, draft.at, draft.text, serial, mark=mark)

    def remove(self, removal: Removal) -> None:
        """Take note of what a session has received, unless its device is another session's or not registered."""
        inbox = self._inboxes[removal.uid]
        if inbox.is_plain:
            self._remove_from_plain(inbox, removal)
            return
        device = inbox.devices.get(removal.device)
        if device is None:
            if removal.device or inbox.generation == removal.generation:
                self.unregistered[removal.uid, removal.device] = None
            else:
                self.refused.append(removal)
            return
        if device.generation != removal.generation:
            self.refused.append(removal)
            return
        if removal.leaving:
            device.leave(self._now)
        if removal.up_to > inbox.last_id:
            self.refused.append(removal)
            return
        self._acknowledge(inbox, device, removal)

    def purge(self, uid: int, up_to: int) -> None:
        """Remove all up to an id, whoever has the inbox."""
        self._remove(uid, min(up_to, self._inboxes[uid].last_id))

    def expire(self, uid: int) -> None:
        """Remove what has waited too long."""
        if not self._limits.days:
            return
        self._log.flush()
        inbox = self._inboxes[uid]
        at = self._latest - self._limits.days * 86_400_000
        oldest_kept = self._log.first_since(uid, inbox, at)
        before = inbox.waiting
        self._remove(uid, inbox.last_id if oldest_kept is None else oldest_kept - 1)
        self.expired += before - inbox.waiting

    def claim_device(self, uid: int, device: str) -> int:
        """Take a generation above all that this user's sessions have taken, for the device too if there is one."""
        generation = self._inboxes[uid].take_generation()
        if device:
            self._sending.set_generation(uid, device, generation)
            self._sending.forget_generations(uid)
        return generation

    def claim(
        self,
        uid: int,
        after: int | None,
        device: str,
        registration: Registration | None,
        renewed: bool,
    ) -> InboxClaim:
        """
        Claim an inbox, for the unnamed device or, with ``registration``, for ``device``; the epoch is left empty.

        :raise NotRegistered: the claim only renews one of a device that was forgotten.
        :raise TooManyDevices: as many registered devices as may be are online.
        """
        inbox = self._inboxes[uid]
        claims = DeviceClaims(uid, inbox, self._log, self._limits, self._now)
        generation = self.claim_device(uid, device)
        held = (generation, "", inbox.last_id)
        if registration is None:
            claims.claim_unnamed(generation, device, renewed)
            position = inbox.devices[""].position
            return InboxClaim(*held, inbox.waiting, position, self.expired, begin=position)
        begins = claims.claim_registered(
            generation, device, after, registration, renewed, self.serial
        )
        position = inbox.devices[device].position
        return InboxClaim(
            *(*held, inbox.waiting, position, self.expired),
            *(begins.id, begins.serial, begins.missed, inbox.devices[device].registered_at),
        )

    def forget_unused(self) -> None:
        """Where this transaction has stored or acknowledged, forget devices that are too far behind, or long unused."""
        for uid in self._touched:
            inbox = self._inboxes[uid]
            if inbox.is_plain:
                continue
            for device in forget_unused(inbox, self._limits, self._latest):
                self.unregistered[uid, device] = None

    def forget(self, uid: int, device: str) -> bool:
        """Forget a device, also as one that sends; False: it was not registered."""
        if self._sending.is_known(uid, device):
            self.claim_device(uid, device)
        return self._inboxes[uid].devices.pop(device, None) is not None

    def finish(self) -> int:
        """
        Write what has changed, and delete what every device has passed.

        :return: how many batches with messages there have been; 0: this was none.
        """
        for uid, inbox in self._inboxes.items():
            self._trim(uid, inbox)
            if not inbox.is_plain:
                inbox.begin_counts()
        self._log.flush()
        write_new(self._transaction, self._archived)
        self._inboxes.save()
        write_rows(
            self._transaction,
            "REPLACE INTO chat_share (uid, sender, share, acknowledged) VALUES",
            [(*key, *share) for key, share in self._shares.items()],
        )
        self._log.delete(self._fronts)
        if not self._stored:
            return 0
        counted: dict[str, Any] = dict(self._transaction.all(_COUNT, (self.serial,)))
        return int(counted["batches"])

    def _wanted(self, removals: Sequence[Removal]) -> set[tuple[int, int]]:
        """The ids of which it must be known what the inbox had taken there, each with its uid."""
        return {
            (one.uid, id)
            for one in removals
            if not self._inboxes[one.uid].is_plain
            for id in (one.up_to, one.shown)
            if id
        }

    def _take_share(self, draft: Draft, inbox: InboxState) -> Full | None:
        """Count a message to its sender's share; not if the inbox is full, or the share used up."""
        if inbox.waiting >= self._limits.waiting:
            self.expire(draft.to)
            if inbox.waiting >= self._limits.waiting:
                return Full(inbox.waiting, share=False)
        key = (draft.to, draft.sender)
        share, since = self._shares.get(key, (0, 0))
        if since != inbox.acknowledged:
            share = 0
        if share >= self._limits.share:
            return Full(inbox.waiting, share=True)
        self._shares[key] = [share + 1, inbox.acknowledged]
        return None

    def _copy(self, draft: Draft, serial: int) -> int:
        """Put a copy of a message into its sender's inbox, for the registered devices that did not send it; its id."""
        if draft.to == draft.sender or not (draft.registered or draft.generation is not None):
            return 0
        inbox = self._inboxes[draft.sender]
        if not has_another(inbox, self._limits, draft.device):
            return 0
        self._touched.add(draft.sender)
        return self._log.append(draft.sender, inbox, draft, serial, draft.to, mark=draft.reference)

    def _remove_from_plain(self, inbox: InboxState, removal: Removal) -> None:
        if removal.device or (inbox.generation == removal.generation and not inbox.has_unnamed):
            self.unregistered[removal.uid, removal.device] = None
            return
        is_its_own = inbox.generation == removal.generation
        if is_its_own and removal.leaving:
            inbox.unnamed_used = self._now
        if not is_its_own or removal.up_to > inbox.last_id:
            self.refused.append(removal)
        elif removal.up_to > inbox.acknowledged:
            inbox.acknowledged = removal.up_to

    def _acknowledge(self, inbox: InboxState, device: DeviceState, removal: Removal) -> None:
        self._touched.add(removal.uid)
        device.used = self._now
        place = self._places.get((removal.uid, removal.up_to))
        counts = (place.copies, place.bytes) if place else (inbox.copies, inbox.bytes)
        if removal.up_to > device.position:
            device.pass_to(removal.up_to, counts[1])
            inbox.acknowledge(removal.up_to, *counts)
        if removal.shown > device.shown:
            device.shown = removal.shown
            shown = self._places.get((removal.uid, removal.shown))
            if shown is not None:
                device.serial = max(device.serial, shown.serial)

    def _remove(self, uid: int, up_to: int) -> None:
        """Remove all up to an id, as if every device had acknowledged it."""
        inbox = self._inboxes[uid]
        if up_to <= inbox.front:
            return
        counts = counts_at(uid, inbox, self._log, up_to)
        if inbox.unnamed is not None:
            inbox.unnamed.pass_to(up_to, counts[1])  # the others are told that they missed it
        inbox.acknowledge(up_to, *counts)
        self._fronts[uid] = inbox.front = up_to

    def _trim(self, uid: int, inbox: InboxState) -> None:
        """Let go of what every device has passed."""
        front = inbox.acknowledged if inbox.is_plain else inbox.lowest
        if front > inbox.front:
            self._fronts[uid] = inbox.front = front
