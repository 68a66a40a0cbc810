"""A test of a store of either kind."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import TestCase

from chatsvc.inbox.claim import InboxClaim, Registration
from chatsvc.inbox.interface import Inbox
from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.outcome import Committed, Draft, Outcome, Removal, RoomAcknowledgement, RoomDraft
from chatsvc.inbox.room_log import RoomLogLimits
from tests.inbox.fixtures import READER, RecordingWatcher


class StoreCase(TestCase):
    """A test with a store, made by the subclass for one kind."""

    inbox: Inbox
    watcher: RecordingWatcher
    """Of the store that is open."""
    room_limits = RoomLogLimits()
    believes_nodes = False
    """Whether the store has no other clock than that of its one node."""

    def time(self) -> int:
        """The store's time in ms."""
        raise NotImplementedError

    async def pass_days(self, days: float) -> None:
        """Make all that waits for READER so much older."""
        raise NotImplementedError

    async def pass_days_for_devices(self, days: float) -> None:
        """Make so much older when A's devices were used to write to READER."""
        raise NotImplementedError

    async def pass_days_for_registered(self, days: float) -> None:
        """Make so much older when READER's devices, the unnamed one among them, were used to read."""
        raise NotImplementedError

    async def leave_older(self, acknowledged: int, texts: Sequence[str]) -> None:
        """Leave READER's inbox as the version before did, with what a reader acknowledged and A's texts that wait."""
        raise NotImplementedError

    async def store_as_before(self, text: str) -> None:
        """Store a text of A for READER as a server of the version before does, beside this one or after it."""
        raise NotImplementedError

    async def make(self, limits: InboxLimits) -> Inbox:
        """A store of the kind under test with ``room_limits``, open, with whatever is kept for this test."""
        raise NotImplementedError

    async def begin(
        self, limits: InboxLimits | None = None, rooms: RoomLogLimits | None = None
    ) -> None:
        """(Re)open the store."""
        self.room_limits = rooms or RoomLogLimits()
        self.inbox = await self.make(limits or InboxLimits())

    async def commit(
        self,
        *drafts: Draft | RoomDraft,
        removals: Sequence[Removal] = (),
        acknowledgements: Sequence[RoomAcknowledgement] = (),
    ) -> list[Outcome]:
        """Carry out a batch; its outcomes. ``refused`` (``taken`` too) and ``forgotten`` are those of the batch."""
        committed = await self.inbox.commit(list(drafts), list(removals), list(acknowledgements))
        self.assertIsInstance(committed, Committed)
        self.assertEqual(len(committed.outcomes), len(drafts))
        self.refused = committed.refused + committed.taken
        self.forgotten = committed.forgotten
        return list(committed.outcomes)

    async def acknowledge(self, up_to: int, uid: int = READER) -> None:
        """Acknowledge as a new log-in of the reader."""
        claim = await self.inbox.claim(uid, None)
        await self.commit(removals=[Removal(uid, claim.generation, up_to)])
        self.assertEqual(self.refused, [])

    async def texts(self, uid: int = READER) -> list[str]:
        """The texts that wait for a user."""
        return [message.text for message in await self.inbox.read(uid, 0, 10_000)]

    async def ids(self, uid: int = READER) -> list[int]:
        """The ids that wait for a user."""
        return [message.id for message in await self.inbox.read(uid, 0, 10_000)]

    async def claim(
        self,
        device: str,
        after: int | None = None,
        serial: int | None = None,
        renewed: int | None = None,
        uid: int = READER,
    ) -> InboxClaim:
        """Log in as a registered device."""
        says = Registration("client 1", serial)
        return await self.inbox.claim(uid, after, renewed, device=device, registration=says)

    async def passed(
        self,
        device: str,
        claim: InboxClaim,
        up_to: int,
        shown: int | None = None,
        leaving: bool = False,
        uid: int = READER,
    ) -> None:
        """Acknowledge under a claim of a device, registered or unnamed (empty)."""
        shown = up_to if shown is None else shown
        removal = Removal(uid, claim.generation, up_to, leaving, device, shown if device else 0)
        await self.commit(removals=[removal])

    async def left(self, device: str, claim: InboxClaim, up_to: int = 0, uid: int = READER) -> None:
        """Acknowledge under a claim of a device, and log out."""
        await self.passed(device, claim, up_to, leaving=True, uid=uid)

    async def registered(self, uid: int = READER) -> set[str]:
        """The names of a user's registered devices."""
        return {one.device for one in await self.inbox.devices(uid)}

    async def serials(self, uid: int = READER) -> list[int]:
        """The serials of what is kept for a user."""
        return [message.serial for message in await self.inbox.read(uid, 0, 10_000)]
