"""Stores and a transport in memory, for tests that decide when and how they answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.testing import StringTransport

from chatsvc.accounts.passwords import WRONG, PasswordCheck
from chatsvc.accounts.store import Account
from chatsvc.inbox.claim import DeviceClaim, InboxClaim, TakenOver
from chatsvc.inbox.interface import Backlog
from chatsvc.inbox.outcome import Committed, Draft, Duplicate, Gap, Moved, Outcome, Removal, Stored
from chatsvc.storage.url import StoreUnavailable
from chatsvc.wire.events import Message


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


class MemoryInbox(Turns):
    """Inboxes without limits; ``batches`` are the (drafts, removals) of every commit."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[tuple[list[Draft], list[Removal]]] = []
        self.waiting: dict[int, list[Message]] = {}
        self.last_ids: dict[int, int] = {}
        self.generations: dict[int, int] = {}
        self.newest: dict[tuple[int, int, str], int] = {}
        self.sending: dict[tuple[int, str], int] = {}
        """The generation of each device, by uid and device."""
        self.taken: set[int] = set()
        """The uids of those who are logged in at another node."""
        self.outcomes: list[Outcome] = []
        """What to say of the next messages instead of storing them."""

    async def open(self, watcher: Any) -> list[str]:
        return []

    def close(self) -> Deferred[None]:
        return succeed(None)

    def commit(self, drafts: Sequence[Draft], removals: Sequence[Removal]) -> Deferred[Committed]:
        self.batches.append((list(drafts), list(removals)))
        turn = self.turn("commit")
        return turn.addCallback(lambda _: self._commit(drafts, removals))

    async def claim(
        self,
        uid: int,
        after: int | None,
        renewed: int | None = None,
        device: str = "",
        origin: str = "",
    ) -> InboxClaim:
        await self.turn("claim")
        if renewed is not None and uid in self.taken:
            raise TakenOver
        self.generations[uid] = self.generations.get(uid, 0) + 1
        last_id, waiting = self.last_ids.get(uid, 0), len(self.waiting.get(uid, []))
        if device:
            self.sending[uid, device] = self.generations[uid]
        return InboxClaim(self.generations[uid], "epoch", last_id, waiting, last_id - waiting)

    async def claim_device(self, uid: int, device: str) -> DeviceClaim:
        await self.turn("claim_device")
        generation = self.sending[uid, device] = max(0, *self.sending.values(), 0) + 1
        return DeviceClaim(generation, len(self.waiting.get(uid, [])))

    async def read(self, uid: int, after: int, limit: int) -> list[Message]:
        await self.turn("read")
        return [m for m in self.waiting.get(uid, []) if m.id > after][:limit]

    async def examine(self) -> None:
        await self.turn("examine")

    async def count(self, uid: int) -> int:
        await self.turn("count")
        return len(self.waiting.get(uid, []))

    async def elsewhere(self, uids: Sequence[int]) -> set[int]:
        await self.turn("elsewhere")
        return self.taken.intersection(uids)

    async def nodes(self) -> dict[str, str]:
        return {}

    async def total(self) -> int:
        await self.turn("total")
        return sum(map(len, self.waiting.values()))

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

    def store(self, to: int, text: str, sender: int = 7, name: str = "七", at: int = 0) -> Message:
        """Put a message into an inbox, as another node would."""
        id = self.last_ids[to] = self.last_ids.get(to, 0) + 1
        message = Message(id, sender, name, at, text)
        self.waiting.setdefault(to, []).append(message)
        return message

    def _commit(self, drafts: Sequence[Draft], removals: Sequence[Removal]) -> Committed:
        outcomes = [self._append(draft) for draft in drafts]
        refused = [removal for removal in removals if not self._remove(removal)]
        taken = [removal for removal in refused if removal.uid in self.taken]
        return Committed(outcomes, [r for r in refused if r.uid not in self.taken], taken)

    def _append(self, draft: Draft) -> Outcome:
        if self.outcomes:
            return self.outcomes.pop(0)
        if draft.sending and draft.sending < self.sending.get((draft.sender, draft.device), 0):
            return Moved()
        if draft.n is not None:
            key = (draft.to, draft.sender, draft.device)
            expected = self.newest.get(key, 0) + 1
            if draft.n > expected:
                return Gap(expected)
            if draft.n < expected:
                return Duplicate(None, len(self.waiting.get(draft.to, [])))
            self.newest[key] = draft.n
        stored = self.store(draft.to, draft.text, draft.sender, draft.name, draft.at)
        return Stored(stored.id, len(self.waiting[draft.to]))

    def _remove(self, removal: Removal) -> bool:
        if removal.generation != self.generations.get(removal.uid, 0):
            return False
        kept = [m for m in self.waiting.get(removal.uid, []) if m.id > removal.up_to]
        self.waiting[removal.uid] = kept
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
