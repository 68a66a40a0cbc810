"""How often devices were forgotten, on a real SQLite and a real MariaDB."""

from __future__ import annotations

from twisted.internet.defer import DeferredList, ensureDeferred

from chatsvc.accounts import session_device
from chatsvc.accounts.store import Account, AccountStore
from tests.support.databases import OnDatabase, OnMariaDB, OnSQLite


class BothKinds:
    """What holds on both kinds of database."""

    class Tests(OnDatabase):
        """The tests, for each kind of database."""

        async def accounts(self) -> AccountStore:
            """Give accounts with a database of their own, open."""
            accounts = AccountStore(await self.open())
            await accounts.open()
            return accounts

        async def test_forgotten_devices(self) -> None:
            """A device's tokens would go on after it was forgotten, or end with another account's or device's."""
            accounts = await self.accounts()
            uids = [await accounts.register(name, "$") for name in ("Ann", "Bob")]
            device, other = "0123456789abcdef", "f" * 32
            for _ in range(3):
                await accounts.forget_device(uids[0], device)
            await accounts.forget_device(uids[1], other)
            ann = await accounts.get(uids[0], device, other)
            self.assertEqual(ann, Account(uids[0], "Ann", "$", 0, {device: 3, other: 0}))
            self.assertEqual(await accounts.get(uids[0]), Account(uids[0], "Ann", "$"))
            self.assertEqual(await accounts.get_by_name("ann", device, other), ann)
            bob = await accounts.get(uids[1], other, device)
            self.assertEqual(bob and bob.forgets, {other: 1, device: 0})
            self.assertIsNone(await accounts.get(7, device))

        async def test_one_question(self) -> None:
            """A log-in from a device would cost the database one more question."""
            accounts = await self.accounts()
            uid = await accounts.register("Ann", "$")
            asked = self.listen_in()
            account = await accounts.get(uid, "0" * 16, "1" * 16)
            self.assertEqual(account and set(account.forgets.values()), {0})
            self.assertEqual(len(asked), 1, asked)

        async def test_devices_that_cannot_be(self) -> None:
            """A text that is no device's name would be an error of SQL, or a row for nothing."""
            accounts = await self.accounts()
            uid = await accounts.register("Ann", "$")
            hostile = ("", "'; DROP TABLE user; --", "\ud800", "\x00", "张三", "x" * 70_000)
            for device in (*hostile, "0" * 15, "0" * 33, "g" * 16, "A" * 16, "0" * 16 + "\n"):
                await accounts.forget_device(uid, device)
            self.assertEqual(self.sql("SELECT * FROM chat_session_device"), [])

        async def test_many_devices(self) -> None:
            """One user could fill the database, or the last of many devices would keep its tokens."""
            self.patch(session_device, "MOST", 3)
            accounts = await self.accounts()
            uid = await accounts.register("Ann", "$")
            for number in (0, 1, 2, 3, 4, 2):
                await accounts.forget_device(uid, f"{number:016x}")
            self.assertEqual(self.sql("SELECT COUNT(*) FROM chat_session_device"), [(3,)])
            account = await accounts.get(uid, f"{2:016x}", f"{3:016x}")
            expected = {f"{2:016x}": 2, f"{3:016x}": 0}
            self.assertEqual(account and (account.locks, account.forgets), (2, expected))

        async def test_at_once(self) -> None:
            """Two who forget one device at the same time would get an error, or count once."""
            several = [await self.accounts(), await self.accounts()]
            uid = await several[0].register("Ann", "$")
            tries = [
                ensureDeferred(one.forget_device(uid, "0" * 16))
                for _ in range(4)
                for one in several
            ]
            results = await DeferredList(tries)
            self.assertEqual([good for good, _ in results], [True] * 8, results)
            account = await several[0].get(uid, "0" * 16)
            self.assertEqual(account and account.forgets, {"0" * 16: 8})


class SQLiteSessionDeviceTests(BothKinds.Tests, OnSQLite):
    """Devices in SQLite."""


class MariaDBSessionDeviceTests(BothKinds.Tests, OnMariaDB):
    """Devices in MariaDB."""
