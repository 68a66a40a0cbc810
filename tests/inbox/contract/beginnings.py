"""Serials, where a registered device begins to read, and what it is told that it missed."""

from __future__ import annotations

from chatsvc.inbox.claim import InboxClaim
from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.outcome import Duplicate, Removal, Stored
from chatsvc.wire.events import Missed
from tests.inbox.contract.case import StoreCase
from tests.inbox.fixtures import DESK, DEVICE, LAPTOP, OTHER, PHONE, READER, A, draft


class BeginningsContract(StoreCase):
    """Serials, where a registered device begins to read, and what it is told that it missed."""

    async def test_serials(self) -> None:
        """Two messages would have one name, or a client drop a new one for an older one's serial."""
        await self.begin()
        outcomes = await self.commit(draft(), draft(to=OTHER), draft())
        outcomes += await self.commit(draft())
        await self.begin()
        outcomes += await self.commit(draft())
        serials = [one.serial for one in outcomes if isinstance(one, Stored)]
        self.assertEqual((len(serials), sorted(set(serials))), (5, serials))
        for serial in serials:
            self.assertEqual(serial % 10, 0, "the number of the store")
            self.assertLess(abs(serial - self.time() * 1000), 60_000_000)
            self.assertLess(serial, 2**53)
        self.assertEqual(await self.serials(), [serials[0], *serials[2:]])

    async def test_serial_of_a_duplicate(self) -> None:
        """A sender could not name what it has sent, or by a name that is another's."""
        await self.begin()
        claim = await self.inbox.claim(READER, None)
        one, two = draft("1", device=DEVICE, n=1), draft("2", device=DEVICE, n=2)
        first, second = await self.commit(one, two)
        assert isinstance(first, Stored)
        assert isinstance(second, Stored)
        self.assertEqual(await self.serial_of_duplicate(one), 0, "whose id is not known any more")
        self.assertEqual(await self.serial_of_duplicate(two), second.serial)
        await self.commit(removals=[Removal(READER, claim.generation, 2)])
        self.assertEqual(await self.serial_of_duplicate(two), 0, "it has left the inbox")

    async def serial_of_duplicate(self, again: object) -> int:
        """The serial that a repetition is answered with."""
        (outcome,) = await self.commit(again)  # type: ignore[arg-type]
        assert isinstance(outcome, Duplicate)
        return outcome.serial

    async def five(self) -> list[int]:
        """Five messages, of which DESK has acknowledged two and keeps all; their serials."""
        await self.begin()
        await self.claim(LAPTOP)
        desk = await self.claim(DESK)
        await self.commit(*[draft(f"{i}") for i in range(1, 6)])
        await self.passed(DESK, desk, 2)
        return await self.serials()

    async def test_new_device_begins_at_what_was_acknowledged(self) -> None:
        """A new phone would be shown what the user has read, or not what waits."""
        await self.five()
        claim = await self.claim(PHONE)
        self.assertEqual((claim.begin, claim.acknowledged, claim.missed), (2, 2, None))
        self.assertEqual((claim.epoch, claim.waiting, claim.last_id), ("", 3, 5))

    async def test_begin_by_id_and_serial(self) -> None:
        """A client that was shown more than it has acknowledged would be shown it again, or not the rest (P2)."""
        serials = await self.five()
        for after in (1, 2, 4):
            claim = await self.claim(f"{after:016x}", after, serials[after - 1])
            self.assertEqual((claim.begin, claim.serial), (after, serials[after - 1]))
            self.assertEqual((claim.acknowledged, claim.missed), (after, None))

    async def test_begin_by_serial_alone(self) -> None:
        """After a store lost writes, ids are another message's: a client would drop what is new under them (P2)."""
        serials = await self.five()
        for after, serial, begin in (
            *((9, serials[2], 3), (5, serials[2] + 5, 3), (1, serials[4] + 10, 5)),
            *((4, serials[0] - 10, 0), (None, serials[3], 4)),
        ):
            await self.inbox.forget(READER, PHONE)
            claim = await self.claim(PHONE, after, serial)
            self.assertEqual((claim.begin, claim.serial), (begin, serial), (after, serial))

    async def test_begin_of_a_known_device(self) -> None:
        """A device would be shown again what it acknowledged, or lose its place by an older record (P7)."""
        serials = await self.five()
        phone = await self.claim(PHONE, 3, serials[2])
        self.assertEqual((await self.claim(PHONE)).begin, 3, "at its position")
        ahead = await self.claim(PHONE, 4, serials[3])
        self.assertEqual((ahead.begin, ahead.acknowledged), (4, 4))
        silent = await self.claim(PHONE)
        self.assertEqual((silent.begin, silent.serial), (4, serials[3]), "what it said is known")
        behind = await self.claim(PHONE, 1, serials[0])
        self.assertEqual((behind.begin, behind.acknowledged, behind.missed), (1, 4, None))
        await self.passed(PHONE, behind, 2)
        self.assertEqual((await self.claim(PHONE)).begin, 4)
        self.assertGreater(behind.generation, phone.generation)

    async def test_serial_at_the_position(self) -> None:
        """A device would not know by what to recognise what it has."""
        await self.five()
        phone = await self.claim(PHONE, 1, (await self.serials())[0])
        serials = await self.serials()
        await self.passed(PHONE, phone, 4, shown=3)
        claim = await self.claim(PHONE)
        self.assertEqual((claim.begin, claim.serial), (4, serials[3]))

    async def missing(self) -> tuple[list[int], InboxClaim]:
        """Five messages, of which all that know them have acknowledged three; their serials, and PHONE's claim."""
        await self.begin()
        phone = await self.claim(PHONE)
        await self.commit(*[draft(f"{i}") for i in range(1, 6)])
        serials = await self.serials()
        await self.passed(PHONE, phone, 3)
        self.assertEqual(await self.ids(), [4, 5])
        return serials, phone

    async def test_missed_without_registration(self) -> None:
        """A device that was forgotten would not be told what it lacks, or be told what it does not."""
        serials, phone = await self.missing()
        for after, missed in ((1, Missed(1, 3, serials[3])), (3, None), (4, None)):
            claim = await self.claim(DESK, after, serials[after - 1])
            self.assertEqual((claim.missed, claim.begin), (missed, max(after, 3)), after)
            await self.inbox.forget(READER, DESK)
        self.assertIsNone((await self.claim(DESK)).missed, "it says nothing")
        await self.passed(PHONE, phone, 5)
        await self.inbox.forget(READER, DESK)
        await self.commit(removals=[Removal(READER, phone.generation, 5, False, PHONE, 5)])
        claim = await self.claim(LAPTOP, 2, serials[1])
        self.assertEqual((claim.missed, claim.begin), (Missed(2, 5), 5), "nothing is kept")

    async def test_missed_is_told_again(self) -> None:
        """A device would never hear what it lacks, because the answer to its first log-in was lost."""
        serials, _ = await self.missing()
        for _ in range(2):
            claim = await self.claim(DESK, 1, serials[0])
            self.assertEqual((claim.missed, claim.begin), (Missed(1, 3, serials[3]), 3))
        self.assertIsNone((await self.claim(DESK, 4, serials[3])).missed, "it has shown more")

    async def test_missed_with_registration(self) -> None:
        """A device whose record went back would not be told, or one that knows all be told at each log-in."""
        serials, _ = await self.missing()
        behind = await self.claim(PHONE, 1, serials[0])
        self.assertEqual((behind.missed, behind.begin), (Missed(1, 3, serials[3]), 3))
        level = await self.claim(PHONE, 3, serials[2])
        self.assertEqual((level.missed, level.begin), (None, 3))

    async def test_own_copies_are_not_missed(self) -> None:
        """A device would be told at each log-in that it lacks what it sent itself."""
        await self.begin()
        phone, desk = await self.claim(PHONE), await self.claim(DESK)
        await self.commit(draft())
        (serial,) = await self.serials()
        sent = [
            draft("mine", A, READER, device=PHONE, registered=True, sending=phone.generation)
            for _ in range(3)
        ]
        await self.commit(*sent)
        await self.passed(PHONE, phone, 4, shown=1)
        await self.passed(DESK, desk, 4)
        self.assertEqual(await self.ids(), [])
        claim = await self.claim(PHONE, 1, serial)
        self.assertEqual((claim.missed, claim.begin), (None, 4))

    async def test_two_registrations_of_one_device(self) -> None:
        """A device that was forgotten would be shown again what it has, or begin at its old place (P2)."""
        serials = await self.five()
        phone = await self.claim(PHONE, 4, serials[3])
        await self.passed(PHONE, phone, 5)
        await self.inbox.forget(READER, PHONE)
        again = await self.claim(PHONE, 3, serials[2])
        self.assertEqual((again.begin, again.acknowledged), (3, 3))
        await self.passed(PHONE, again, 4)
        self.assertEqual(self.refused, [])
        self.assertEqual((await self.claim(PHONE)).begin, 4)

    async def test_log_in_that_says_more_than_it_acknowledged(self) -> None:
        """What a client has shown would go on waiting, and its senders stay stopped (P8)."""
        await self.begin(InboxLimits(waiting=3, share=99))
        await self.claim(PHONE)
        await self.commit(draft(), draft(), draft())
        claim = await self.claim(PHONE, 2, (await self.serials())[1])
        self.assertEqual((claim.waiting, await self.ids()), (1, [3]))
        self.assertEqual(await self.commit(draft()), [Stored(4, 2)])

    async def test_upgrade(self) -> None:
        """A bot would lose what it has not acknowledged, because its user's phone came first after the upgrade."""
        await self.leave_older(2, ["3", "4", "5"])
        await self.begin()
        self.assertEqual((await self.inbox.count(READER), await self.inbox.total()), (3, 3))
        phone = await self.claim(PHONE)
        self.assertEqual((phone.begin, phone.waiting, await self.serials()), (2, 3, [0, 0, 0]))
        await self.passed(PHONE, phone, 5)
        bot = await self.inbox.claim(READER, 2)
        self.assertEqual((bot.acknowledged, bot.waiting, bot.last_id), (2, 0, 5))
        self.assertEqual(await self.texts(), ["3", "4", "5"])
        await self.passed("", bot, 5)
        self.assertEqual((self.refused, await self.texts()), ([], []))
        self.assertEqual(await self.commit(draft()), [Stored(6, 1)])

    async def test_upgrade_of_a_client(self) -> None:
        """A client that knows ids and no serials would lose what waits since before the upgrade."""
        await self.leave_older(2, ["3", "4", "5"])
        await self.begin()
        for after, begin in ((3, 3), (0, 2), (5, 5)):
            claim = await self.claim(f"{after:016x}", after, 0)
            self.assertEqual(claim.begin, begin, after)
        await self.commit(draft("6"))
        (serial,) = [serial for serial in await self.serials() if serial]
        claim = await self.claim(PHONE, 6, serial)
        self.assertEqual(claim.begin, 6)

    async def test_many_without_serials_behind_what_is_new(self) -> None:
        """A message would be passed over for good, because others behind it have no serial (P2)."""
        await self.begin()
        await self.commit(draft("1"))
        for n in range(2, 21):
            await self.store_as_before(f"{n}")
        (serial, *_) = await self.serials()
        for after in (0, 7, 20, 99):
            claim = await self.claim(f"{after:016x}", after, serial - 10)
            self.assertEqual((claim.begin, claim.acknowledged), (0, 0), after)

    async def test_what_an_older_server_stored_last(self) -> None:
        """A phone would never be shown what a server of before stored after messages that have a serial (P2)."""
        await self.begin()
        await self.commit(draft("1"))
        for text in ("2", "3"):
            await self.store_as_before(text)
        serials = await self.serials()
        self.assertEqual(serials[1:], [0, 0])
        phone = await self.claim(PHONE)
        await self.passed(PHONE, phone, 1)
        self.assertEqual(await self.texts(), ["2", "3"])
        for after, serial, begin in ((1, serials[0], 1), (2, 0, 2), (3, 0, 3), (9, serials[0], 3)):
            claim = await self.claim(f"{after:016x}", after, serial)
            self.assertEqual(claim.begin, begin, (after, serial))
