"""What nodes of the version before stored beside newer ones, and then registered devices."""

from __future__ import annotations

from chatsvc.inbox.claim import Cursor, Registration
from chatsvc.inbox.outcome import Stored
from tests.inbox.fixtures import DESK, PHONE, READER, draft, until
from tests.inbox.redis.stores import OnTwoNodes


class OlderNodeTests(OnTwoNodes):
    """An inbox whose last messages have no serial, but earlier ones have."""

    async def mix(self) -> int:
        """Store a message, and one of a node of before; the serial of the first."""
        await self.begin()
        (first,) = await self.store_there(draft("1"))
        assert isinstance(first, Stored)
        self.append_as_before("2")
        # Holds both.
        await self.here.claim(READER, None, device=DESK, registration=Registration("x/1"))
        return first.serial

    async def test_reader_stays(self) -> None:
        """A phone would be shown messages twice whenever a connection to Redis was lost (P2)."""
        serial = await self.mix()
        # That of the last message shown, and of the one before it, as the node knows them.
        for after, said in ((None, None), (2, 0)):
            registration = Registration("x/1", said)
            claim = await self.here.claim(READER, after, device=PHONE, registration=registration)
            known = serial if after is None else claim.serial
            where = (READER, 2, claim.generation, draft().at)
            self.mine.read = [Cursor(*where, device=PHONE, serial=known)]
            self.mine.comparisons.clear()
            await self.here._check_again()
            await until(lambda: self.mine.comparisons)
            self.assertEqual(self.mine.comparisons[0].stepped_back, [], after)
