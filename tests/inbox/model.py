"""A simple model of what inboxes promise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

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
    RoomAcknowledgement,
    RoomDraft,
    Stored,
    Unregistered,
)
from chatsvc.inbox.room_log import LogEvent
from chatsvc.wire.entries import Mark, Reference
from chatsvc.wire.events import Invitation, Joining
from tests.inbox.room_model import RoomModel

LIMITS = InboxLimits(waiting=9, share=5, devices=3, device_backlog=14)


@dataclass
class Entry:
    """A message that is kept; ``serial`` is known once the store has said it."""

    id: int
    sender: int
    text: str
    to: int = 0
    device: str = ""
    serial: int = 0
    mark: Mark | None = None

    @property
    def counts(self) -> bool:
        """Whether it is a message that waits, not a copy or the note of a joining."""
        return not self.to and not isinstance(self.mark, Joining)


@dataclass
class Device:
    """A device that is registered (the unnamed one: that has logged in): its session, and its position."""

    generation: int
    position: int


@dataclass
class Model:
    """One inbox as the interface describes it."""

    kept: list[Entry] = field(default_factory=list)
    last_id: int = 0
    acknowledged: int = 0
    front: int = 0
    newest: int = 0
    epoch: str | None = None
    shares: dict[int, int] = field(default_factory=dict)
    # Devices of a sender: the texts that were accepted, and the id of the last. All are used within a day.
    numbers: dict[int, dict[str, tuple[list[str], int]]] = field(default_factory=dict)
    devices: dict[str, Device] = field(default_factory=dict)
    # What this user's own devices send under.
    sending: dict[str, int] = field(default_factory=dict)
    unnamed_device: str = ""

    @property
    def waiting(self) -> int:
        """How many messages no device has acknowledged."""
        return sum(entry.id > self.acknowledged and entry.counts for entry in self.kept)

    @property
    def generation(self) -> int:
        """The generation of the unnamed device's session, 0 before the first."""
        return self.devices[""].generation if "" in self.devices else 0

    def named(self) -> list[str]:
        """The devices that have a name."""
        return [name for name in self.devices if name]

    def put(self, draft: Draft, copy: bool = False) -> int:
        """Append a message, or a copy of what this user has sent."""
        self.last_id += 1
        entry = Entry(self.last_id, draft.sender, draft.text, mark=draft.reference)
        if copy:
            entry.to, entry.device = draft.to, draft.device
        self.kept.append(entry)
        return self.last_id

    def mark(self, sender: int, text: str, mark: Invitation | Joining) -> Entry | None:
        """Take an invitation or the note of a joining; None: the inbox is too full."""
        if isinstance(mark, Invitation) and not self.takes(sender):
            return None
        self.last_id += 1
        entry = Entry(self.last_id, sender, text, mark=mark)
        self.kept.append(entry)
        return entry

    def takes(self, sender: int) -> bool:
        """Count a message to its sender's share, if there is space."""
        share = self.shares.get(sender, 0)
        if self.waiting >= LIMITS.waiting or share >= LIMITS.share:
            return False
        self.shares[sender] = share + 1
        return True

    def append(self, draft: Draft) -> Outcome:
        """The outcome of a message, which it stores or not."""
        waiting = self.waiting
        known = self.numbers.setdefault(draft.sender, {})
        if draft.n is not None:
            texts, id = known.get(draft.device, ([], 0))
            newest = len(texts)
            if draft.n <= newest and draft.text == texts[draft.n - 1]:
                return Duplicate(id if draft.n == newest else None, waiting)
            if draft.n != newest + 1:
                return Gap(newest + 1)
        if draft.reference is not None and draft.reference.changes and not self.receivers():
            assert draft.n is None
            return Stored(0, waiting)
        if not self.takes(draft.sender):
            return Full(waiting, waiting < LIMITS.waiting)
        self.put(draft)
        if draft.n is not None:
            known[draft.device] = ([*texts, draft.text], self.last_id)
        return Stored(self.last_id, waiting + 1)

    def receivers(self, but: str = "") -> set[str]:
        """The registered devices, but for one, that are told of copies and changes."""
        return set(self.named()) - {but} - self.those_behind()

    def known_serials(self) -> Sequence[int]:
        """Serials that a message may refer to: of what is there, and of nothing."""
        return [*[entry.serial for entry in self.kept], 5]

    def acknowledge(self, up_to: int) -> None:
        """Note that some device is at ``up_to``."""
        if up_to > self.acknowledged:
            self.acknowledged, self.shares = up_to, {}

    def remove(self, removal: Removal) -> bool:
        """Note what the session of a device has received; False: it is refused."""
        device = self.devices[removal.device]
        if removal.generation != device.generation or removal.up_to > self.last_id:
            return False
        device.position = max(device.position, removal.up_to)
        self.acknowledge(removal.up_to)
        return True

    def purge(self, up_to: int) -> int:
        """Remove all up to an id; how many messages that waited."""
        before, up_to = self.waiting, min(up_to, self.last_id)
        if "" in self.devices:
            self.devices[""].position = max(self.devices[""].position, up_to)
        self.acknowledge(up_to)
        self.cut(up_to)
        return before - self.waiting

    def trim(self) -> None:
        """Let go of what every device has passed, and of nothing that waits."""
        self.cut(min([self.acknowledged, *[one.position for one in self.devices.values()]]))

    def cut(self, up_to: int) -> None:
        """Let go of all up to an id."""
        self.front = max(self.front, up_to)
        self.kept = [entry for entry in self.kept if entry.id > self.front]

    def those_behind(self) -> set[str]:
        """The devices that are too far behind."""
        ends = {name: self.last_id if name else self.acknowledged for name in self.devices}
        return {
            name
            for name, one in self.devices.items()
            if ends[name] - one.position > LIMITS.device_backlog
        }

    def forget_those_behind(self) -> set[str]:
        """Forget the devices that are too far behind; which those were."""
        behind = self.those_behind()
        for name in behind:
            del self.devices[name]
        return behind

    def take_generation(self, device: str) -> int:
        """The generation of the next log-in, of a device that sends."""
        self.newest += 1
        if device:
            self.sending[device] = self.newest
        return self.newest

    def claim_unnamed(self, device: str = "") -> None:
        """A log-in of the unnamed device, which sends as ``device``."""
        generation = self.take_generation(device)
        position = self.devices[""].position if "" in self.devices else self.acknowledged
        self.devices[""] = Device(generation, position)
        self.unnamed_device = device
        if device in self.named():
            self.devices[device].generation = generation

    def beginning(self, device: str, after: int | None, serial: int | None) -> int:
        """Where a log-in of a registered device begins to read."""
        if serial is None:
            known = self.devices.get(device)
            return self.acknowledged if known is None else max(self.front, known.position)
        if any(entry.id == after and entry.serial == serial for entry in self.kept):
            assert after is not None
            return after
        return max([self.front, *[entry.id for entry in self.kept if entry.serial <= serial]])

    def claim_registered(self, device: str, begin: int) -> None:
        """A log-in of a registered device that begins to read behind ``begin``."""
        generation = self.take_generation(device)
        known = self.devices.get(device)
        position = begin if known is None else max(known.position, begin)
        self.devices[device] = Device(generation, position)
        self.acknowledge(position)
        if self.unnamed_device == device and "" in self.devices:
            self.devices[""].generation, self.unnamed_device = generation, ""
        self.trim()

    def expected(self, sender: int, device: str) -> int:
        """The next number of a device."""
        return len(self.numbers.get(sender, {}).get(device, ([], 0))[0]) + 1


@dataclass
class Result:
    """What a batch comes to; ``found`` and ``behind`` are devices that are not registered, or not any more."""

    outcomes: list[Outcome]
    refused: list[Removal]
    found: set[tuple[int, str]] = field(default_factory=set)
    behind: set[tuple[int, str]] = field(default_factory=set)


class Models(dict[int, Model]):
    """
    All inboxes, by uid, and ``rooms``, by number.

    ``remembers``: the store knows by itself what was ``retracted``, without an archive, or a room's log.
    """

    def __init__(self, uids: Sequence[int], rooms: Sequence[int], remembers: bool) -> None:
        super().__init__({uid: Model() for uid in uids})
        self.remembers = remembers
        self.retracted: set[int] = set()
        known = self.retracted if remembers else None
        self.rooms = {room: RoomModel(retracted=known) for room in rooms}

    def commit(
        self,
        drafts: Sequence[Draft | RoomDraft],
        removals: Sequence[Removal],
        acknowledgements: Sequence[RoomAcknowledgement] = (),
    ) -> Result:
        """Carry out a batch."""
        result = Result([], [])
        touched = set()
        for one in acknowledgements:
            self.rooms[one.room].acknowledge(one)
        for removal in removals:
            if removal.device not in self[removal.uid].devices:
                result.found.add((removal.uid, removal.device))
            elif self[removal.uid].remove(removal):
                touched.add(removal.uid)
            else:
                result.refused.append(removal)
        for draft in drafts:
            outcome = self._append(draft, result)
            result.outcomes.append(outcome)
            if isinstance(outcome, Stored) and isinstance(draft, Draft):
                touched |= {draft.to, *([draft.sender] if outcome.copy else [])}
        self._end(touched, result)
        return result

    def change(self, event: LogEvent, serial: int, size: int) -> set[tuple[int, str]]:
        """Take the next change of a room, with serial and size of its event; the devices that are forgotten."""
        room, result = self.rooms[event.room], Result([], [])
        entry = room.change(event, size)
        if entry is not None:
            entry.serial = serial
        touched = set()
        if event.joins:
            id = 0 if entry is None else entry.id
            note = self[event.user].mark(0, "", Joining(event.room, id, serial))
            assert note is not None
            note.serial = serial
            touched = {event.user}
        if event.invited is not None:
            one = event.invited
            mark = Invitation(event.room, one.room_name)
            if self[one.user].mark(one.sender, one.text, mark) is None:
                room.full.add(event.version)
            else:
                touched = {one.user}
        self._end(touched, result)
        return result.behind

    def _end(self, touched: set[int], result: Result) -> None:
        for uid in touched:
            result.behind |= {(uid, name) for name in self[uid].forget_those_behind()}
            self[uid].trim()
        for room in self.rooms.values():
            room.trim()

    def learn_serials(
        self, drafts: Sequence[Draft | RoomDraft], outcomes: Sequence[Outcome]
    ) -> None:
        """Note the serials that the store gave out."""
        for draft, outcome in zip(drafts, outcomes, strict=True):
            if isinstance(outcome, Stored) and isinstance(draft, RoomDraft):
                for kept in self.rooms[draft.room].kept:
                    if kept.id == outcome.id:
                        kept.serial = outcome.serial
            elif isinstance(outcome, Stored) and isinstance(draft, Draft):
                ids = {
                    draft.to: outcome.id,
                    **({draft.sender: outcome.copy} if outcome.copy else {}),
                }
                for uid, id in ids.items():
                    for entry in self[uid].kept:
                        if entry.id == id:
                            entry.serial = outcome.serial

    def is_too_late(self, reference: Reference | None) -> bool:
        """Whether it changes what was retracted between two users."""
        if reference is None or not reference.changes:
            return False
        return reference.serial in self.retracted

    def _append(self, draft: Draft | RoomDraft, result: Result) -> Outcome:
        sender = self.get(draft.sender, Model())
        if draft.registered and draft.device not in sender.devices:
            result.found.add((draft.sender, draft.device))
            return Unregistered()
        if draft.sending:
            # One above all that is known was lost with an older state.
            newest = max(draft.sending, sender.sending.get(draft.device, 0))
            sender.sending[draft.device], sender.newest = newest, max(newest, sender.newest)
            if draft.sending < newest:
                return Moved()
        if isinstance(draft, RoomDraft):
            return self.rooms[draft.room].append(draft)
        reference = draft.reference
        if self.remembers and self.is_too_late(reference):
            return Gone()
        outcome = self[draft.to].append(draft)
        if isinstance(outcome, Stored) and reference is not None and reference.kind == "retracted":
            self.retracted.add(reference.serial)
        receives = draft.registered or draft.generation is not None
        others = sender.receivers(but=draft.device)
        if isinstance(outcome, Stored) and receives and others and draft.to != draft.sender:
            return Stored(outcome.id, outcome.waiting, copy=sender.put(draft, copy=True))
        return outcome
