"""Stores and a transport in memory, for tests that decide when and how they answer."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.testing import StringTransport

from chatsvc.accounts.passwords import WRONG, PasswordCheck
from chatsvc.accounts.store import Account
from chatsvc.inbox.claim import (
    DeviceClaim,
    InboxClaim,
    NotRegistered,
    Registration,
    TakenOver,
    TooManyDevices,
)
from chatsvc.inbox.interface import Backlog, NullWatcher, StoreWatcher
from chatsvc.inbox.notice import Notice
from chatsvc.inbox.outcome import (
    Committed,
    Draft,
    Duplicate,
    Gap,
    Moved,
    Outcome,
    Removal,
    RoomAcknowledgement,
    RoomDraft,
    Stored,
    Unregistered,
)
from chatsvc.inbox.room_log import RoomLogs
from chatsvc.storage.url import StoreUnavailable
from chatsvc.wire.entries import Mark
from chatsvc.wire.events import Device, Invitation, Joining, Message, Missed
from tests.support.memory_room_logs import MemoryRoomLogs


class Turns:
    """
    When the calls of a fake are carried out: at once, or, while ``hold`` names them, in the order in which ``let`` lets
    them; while it is ``away`` they fail.
    """

    def __init__(self) -> None:
        self.hold: set[str] = set()
        self.away = False
        self.calls: list[str] = []
        self.held: list[tuple[str, Deferred[None]]] = []

    def turn(self, name: str) -> Deferred[None]:
        """Wait until it is this call's turn."""
        self.calls.append(name)
        if name in self.hold:
            turn: Deferred[None] = Deferred()
            self.held.append((name, turn))
            return turn
        return fail(StoreUnavailable("away")) if self.away else succeed(None)

    def let(self, problem: Exception | None = None) -> str:
        """Carry out the oldest call that is held, or let it fail; its name."""
        name, turn = self.held.pop(0)
        if problem is not None:
            turn.errback(problem)
        else:
            turn.callback(None)
        return name

    def let_all(self) -> None:
        """Carry out all that is held, and what that brings about."""
        while self.held:
            self.let()


@dataclass
class MemoryDevice:
    """A registered device of :class:`MemoryInbox`: its position, the serial there, its log-in's generation."""

    client: str
    position: int
    serial: int = 0
    generation: int = 0
    online: bool = True
    registered_at: int = 0


class MemoryInbox(Turns):
    """
    Inboxes without limits, and rooms' logs.

    ``batches`` are the (drafts, removals) of every commit, ``room_batches`` the messages to rooms and acknowledgements
    of those that had any.
    """

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[tuple[list[Draft], list[Removal]]] = []
        self.room_batches: list[tuple[list[RoomDraft], list[RoomAcknowledgement]]] = []
        self.archive = None
        self.room_logs = MemoryRoomLogs(self)
        self.rooms: RoomLogs = self.room_logs
        self.marked: set[int] = set()
        """The uids of those whose inbox has an invitation, or the note of a joining."""
        self.waiting: dict[int, list[Message]] = {}
        """What is kept of each inbox."""
        self.last_ids: dict[int, int] = {}
        self.serial = 0
        self.generations: dict[int, int] = {}
        """The generation of each user's unnamed device."""
        self.newest: dict[tuple[int, int, str], int] = {}
        self.sending: dict[tuple[int, str], int] = {}
        """The generation of each device, by uid and device."""
        self.positions: dict[int, int] = {}
        """The position of each user's unnamed device."""
        self.registered: defaultdict[int, dict[str, MemoryDevice]] = defaultdict(dict)
        self.most_devices = 8
        self.taken: set[int] = set()
        """The uids of those who are logged in at another node."""
        self.outcomes: list[Outcome] = []
        """What to say of the next messages instead of storing them."""
        self.forgetting: list[tuple[int, str]] = []
        """The devices that the next batch forgets."""
        self.alive: dict[str, str] = {}
        """What the nodes publish."""
        self.watcher: StoreWatcher = NullWatcher()

    async def notify(self, notices: Sequence[Notice]) -> None:
        self.watcher.noticed(notices)

    def go_on_above(self, serial: int) -> None:
        self.serial = max(self.serial, serial)

    async def open(self, watcher: StoreWatcher) -> list[str]:
        self.watcher = watcher
        return []

    def close(self) -> Deferred[None]:
        return succeed(None)

    def commit(
        self,
        drafts: Sequence[Draft | RoomDraft],
        removals: Sequence[Removal],
        acknowledgements: Sequence[RoomAcknowledgement] = (),
    ) -> Deferred[Committed]:
        plain = [draft for draft in drafts if type(draft) is Draft]
        self.batches.append((plain, list(removals)))
        if acknowledgements or len(plain) < len(drafts):
            to_rooms = [draft for draft in drafts if type(draft) is RoomDraft]
            self.room_batches.append((to_rooms, list(acknowledgements)))
        turn = self.turn("commit")
        return turn.addCallback(lambda _: self._commit(drafts, removals, acknowledgements))

    async def claim(
        self,
        uid: int,
        after: int | None,
        renewed: int | None = None,
        device: str = "",
        origin: str = "",
        registration: Registration | None = None,
    ) -> InboxClaim:
        await self.turn("claim")
        if renewed is not None and uid in self.taken:
            raise TakenOver
        if registration is not None:
            return self._claim_registered(uid, after, renewed, device, registration)
        generation = self.generations[uid] = self._next_generation(uid)
        last_id, acknowledged = self.last_ids.get(uid, 0), self.acknowledged(uid)
        position = self.positions.setdefault(uid, acknowledged)
        if device:
            self.sending[uid, device] = generation
        waiting = self._waiting(uid)
        return InboxClaim(generation, "epoch", last_id, waiting, position, begin=position)

    def _claim_registered(
        self,
        uid: int,
        after: int | None,
        renewed: int | None,
        name: str,
        registration: Registration,
    ) -> InboxClaim:
        devices, acknowledged = self.registered[uid], self.acknowledged(uid)
        new = name not in devices
        if new and renewed is not None:
            raise NotRegistered
        if new and len(devices) >= self.most_devices:
            offline = [one for one, device in devices.items() if not device.online]
            if not offline:
                raise TooManyDevices
            del devices[offline[0]]
        device = devices.setdefault(name, MemoryDevice(registration.client, acknowledged))
        begin = self._begin(uid, after, registration.serial, device.position)
        if new:
            device.registered_at = self.serial
        if renewed is None:
            device.position = begin if new else max(device.position, begin)
        device.generation = self.sending[uid, name] = self._next_generation(uid)
        device.online = True
        known = registration.serial if registration.serial is not None else device.serial
        missed = self._missed(uid, after, known if new else min(known, device.serial - 1))
        return InboxClaim(
            device.generation,
            "",
            self.last_ids.get(uid, 0),
            self._waiting(uid),
            device.position,
            begin=begin,
            serial=known or self.serial,
            missed=missed,
            registered_at=device.registered_at,
        )

    def _begin(self, uid: int, after: int | None, serial: int | None, position: int) -> int:
        if after is None:
            return position
        page = self.waiting.get(uid, [])
        if any((one.id, one.serial) == (after, serial) for one in page):
            return after
        return max((one.id for one in page if one.serial <= (serial or 0)), default=self.front(uid))

    def front(self, uid: int) -> int:
        """The id before the first entry that is kept, the last id if none is."""
        page = self.waiting.get(uid, [])
        return page[0].id - 1 if page else self.last_ids.get(uid, 0)

    def _missed(self, uid: int, after: int | None, serial: int) -> Missed | None:
        front, page = self.front(uid), self.waiting.get(uid, [])
        if after is None or after >= front or serial < 0:
            return None
        return Missed(after, front, page[0].serial if page else None)

    def acknowledged(self, uid: int) -> int:
        """The highest position of any device ever."""
        named = [device.position for device in self.registered.get(uid, {}).values()]
        return max([self.front(uid), self.positions.get(uid, 0), *named])

    def _waiting(self, uid: int) -> int:
        page = self.waiting.get(uid, [])
        if uid not in self.registered and uid not in self.marked:
            return len(page)
        acknowledged = self.acknowledged(uid)
        return sum(
            1
            for one in page
            if one.id > acknowledged and not one.to and not isinstance(one.mark, Joining)
        )

    def _next_generation(self, uid: int) -> int:
        named = [device.generation for device in self.registered.get(uid, {}).values()]
        return max([self.generations.get(uid, 0), *named]) + 1

    async def claim_device(self, uid: int, device: str) -> DeviceClaim:
        await self.turn("claim_device")
        generation = self.sending[uid, device] = max(0, *self.sending.values(), 0) + 1
        return DeviceClaim(generation, self._waiting(uid))

    async def devices(self, uid: int) -> list[Device]:
        await self.turn("devices")
        named = self.registered.get(uid, {})
        return [Device(name, one.client, 0, 0, one.online) for name, one in named.items()]

    async def forget(self, uid: int, device: str) -> bool:
        await self.turn("forget")
        there = self.registered.get(uid, {}).pop(device, None) is not None
        if there:
            self.watcher.forgotten(uid, device, True)
        return there

    async def read(self, uid: int, after: int, limit: int) -> list[Message]:
        await self.turn("read")
        return [m for m in self.waiting.get(uid, []) if m.id > after][:limit]

    async def examine(self) -> None:
        await self.turn("examine")

    async def count(self, uid: int) -> int:
        await self.turn("count")
        return self._waiting(uid)

    async def elsewhere(self, uids: Sequence[int]) -> set[int]:
        await self.turn("elsewhere")
        return self.taken.intersection(uids)

    async def nodes(self) -> dict[str, str]:
        await self.turn("nodes")
        return self.alive

    async def total(self) -> int:
        await self.turn("total")
        return sum(map(self._waiting, self.waiting))

    async def renew_epoch(self) -> None:
        await self.turn("renew_epoch")

    async def about(self) -> str:
        return "memory"

    async def backlogs(self, uid: int | None) -> list[Backlog]:
        await self.turn("backlogs")
        return [
            Backlog(one, len(page), page[-1].id, page[0].at)
            for one, page in sorted(self.waiting.items())
            if page and uid in (None, one)
        ]

    async def purge(self, uid: int, up_to: int) -> int:
        await self.turn("purge")
        page = self.waiting.get(uid, [])
        self.waiting[uid] = [message for message in page if message.id > up_to]
        return len(page) - len(self.waiting[uid])

    def store(
        self,
        uid: int,
        text: str,
        sender: int = 7,
        name: str = "七",
        at: int = 0,
        to: int = 0,
        device: str = "",
        mark: Mark | None = None,
    ) -> Message:
        """Put a message, or a copy of one ``to`` another, into an inbox, as another node would."""
        id = self.last_ids[uid] = self.last_ids.get(uid, 0) + 1
        if not to:
            self.serial += 10
        message = Message(id, sender, name, at, text, self.serial, to, device, mark)
        self.waiting.setdefault(uid, []).append(message)
        return message

    def next_serial(self) -> int:
        """Give out a serial."""
        self.serial += 10
        return self.serial

    def put_marked(
        self,
        uid: int,
        serial: int,
        sender: int,
        name: str,
        at: int,
        text: str,
        mark: Invitation | Joining,
    ) -> Message:
        """Put an invitation, or the note of a joining, into an inbox."""
        self.marked.add(uid)
        id = self.last_ids[uid] = self.last_ids.get(uid, 0) + 1
        message = Message(id, sender, name, at, text, serial, mark=mark)
        self.waiting.setdefault(uid, []).append(message)
        return message

    def refused(self, draft: RoomDraft) -> Outcome | None:
        """What the test wants to be said of a message to a room, or what is wrong with its session."""
        if self.outcomes:
            return self.outcomes.pop(0)
        if draft.registered and draft.device not in self.registered.get(draft.sender, {}):
            return Unregistered()
        if draft.sending and draft.sending < self.sending.get((draft.sender, draft.device), 0):
            return Moved()
        return None

    def _commit(
        self,
        drafts: Sequence[Draft | RoomDraft],
        removals: Sequence[Removal],
        acknowledgements: Sequence[RoomAcknowledgement],
    ) -> Committed:
        forgotten, self.forgetting = self.forgetting, []
        for uid, device in forgotten:
            self.registered.get(uid, {}).pop(device, None)
        for one in acknowledgements:
            self.room_logs.acknowledge(one)
        # No call to find out which is which: test_cost.py counts them.
        outcomes = [
            self.room_logs.append(draft) if type(draft) is RoomDraft else self._append(draft)
            for draft in drafts
        ]
        refused = [removal for removal in removals if not self._remove(removal)]
        taken = [removal for removal in refused if removal.uid in self.taken]
        kept = [r for r in refused if r.uid not in self.taken]
        return Committed(outcomes, kept, taken, forgotten=forgotten)

    def _append(self, draft: Draft | RoomDraft) -> Outcome:
        assert type(draft) is Draft
        if self.outcomes:
            return self.outcomes.pop(0)
        # Few calls, and none without registered devices: test_cost.py counts them.
        named = self.registered[draft.sender] if self.registered else {}
        if draft.registered and draft.device not in named:
            return Unregistered()
        if draft.sending and draft.sending < self.sending.get((draft.sender, draft.device), 0):
            return Moved()
        if draft.n is not None:
            key = (draft.to, draft.sender, draft.device)
            expected = self.newest.get(key, 0) + 1
            if draft.n > expected:
                return Gap(expected)
            if draft.n < expected:
                return Duplicate(None, self._waiting(draft.to))
            self.newest[key] = draft.n
        what = draft.sender, draft.name, draft.at
        reference = draft.reference
        if reference is not None and reference.changes and not self.registered.get(draft.to):
            stored = Message(0, 0, "", 0, "", self.next_serial())  # it is in no inbox
        else:
            stored = self.store(draft.to, draft.text, *what, mark=reference)
        receives = draft.registered or draft.generation is not None
        copy = 0
        if named and receives and draft.to != draft.sender and set(named) - {draft.device}:
            where = draft.to, draft.device, reference
            copy = self.store(draft.sender, draft.text, *what, *where).id
        there = draft.to in self.registered or draft.to in self.marked
        waiting = self._waiting(draft.to) if there else len(self.waiting.get(draft.to, ()))
        return Stored(stored.id, waiting, serial=stored.serial, copy=copy)

    def _remove(self, removal: Removal) -> bool:
        uid, named = removal.uid, self.registered.get(removal.uid, {})
        if removal.device:
            device = named.get(removal.device)
            if device is None or removal.generation != device.generation:
                return False
            device.position = max(device.position, removal.up_to)
            device.online = not removal.leaving
            shown = [m.serial for m in self.waiting.get(uid, []) if m.id == removal.shown]
            device.serial = shown[0] if shown else device.serial
        elif removal.generation != self.generations.get(uid, 0):
            return False
        else:
            self.positions[uid] = max(self.positions.get(uid, 0), removal.up_to)
        positions = [device.position for device in named.values()]
        if uid in self.positions:
            positions.append(self.positions[uid])
        kept = [m for m in self.waiting.get(uid, []) if m.id > min(positions)]
        self.waiting[uid] = kept
        return True


class MemoryAccounts(Turns):
    """What an :class:`~chatsvc.accounts.store.AccountStore` offers sessions: (name, stored password) by uid."""

    def __init__(self, **rows: tuple[str, str]) -> None:
        super().__init__()
        self.rows = {int(uid.removeprefix("u")): row for uid, row in rows.items()}
        self.cached: set[int] = set()
        self.forgets: Counter[tuple[int, str]] = Counter()

    def cached_name(self, uid: int) -> str | None:
        return self.rows[uid][0] if uid in self.cached else None

    async def name(self, uid: int) -> str | None:
        await self.turn("name")
        if uid in self.rows:
            self.cached.add(uid)
        return self.rows[uid][0] if uid in self.rows else None

    async def get(self, uid: int, *devices: str) -> Account | None:
        await self.turn("get")
        if uid not in self.rows:
            return None
        forgets = {device: self.forgets[uid, device] for device in devices}
        return Account(uid, *self.rows[uid], 0, forgets)

    async def get_by_name(self, name: str, *devices: str) -> Account | None:
        await self.turn("get_by_name")
        uids = [uid for uid, row in self.rows.items() if row[0] == name]
        return await self.get(uids[0], *devices) if len(uids) == 1 else None

    async def forget_device(self, uid: int, device: str) -> None:
        await self.turn("forget_device")
        self.forgets[uid, device] += 1

    async def register(self, name: str, phc: str) -> int:
        await self.turn("register")
        uid = max(self.rows, default=10_000) + 1
        self.rows[uid] = (name, phc)
        return uid

    async def find(self, name: str) -> list[int]:
        await self.turn("find")
        return sorted(uid for uid, row in self.rows.items() if row[0] == name)

    async def replace_password(self, uid: int, old_stored: str, new_stored: str) -> bool:
        await self.turn("replace_password")
        name, stored = self.rows[uid]
        if stored != old_stored:
            return False
        self.rows[uid] = (name, new_stored)
        return True


class PlainPasswords(Turns):
    """What a :class:`~chatsvc.accounts.passwords.PasswordHasherPool` offers sessions: passwords stored as they are."""

    queue = 0

    def is_too_costly(self, stored: str) -> bool:
        return False

    async def check(self, stored: str | None, password: str) -> PasswordCheck:
        await self.turn("check")
        return PasswordCheck(True, None) if stored == password else WRONG

    async def hash(self, password: str) -> str:
        await self.turn("hash")
        return password


class _Socket:
    """A socket without a descriptor."""

    def fileno(self) -> int:
        return -1


class FakeTCP(StringTransport):
    """A TCP transport as far as a meter looks into it: ``kept`` bytes in its buffers, ``under_way`` in the kernel's."""

    def __init__(self) -> None:
        super().__init__()
        self.dataBuffer = b"sent already and kept"
        self.offset = len(self.dataBuffer)
        self._tempDataLen = 0
        self.socket = _Socket()

    def writeSomeData(self, data: bytes) -> int:
        self.write(data)
        return len(data)
