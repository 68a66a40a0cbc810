"""The entrance: who is refused learns nothing of the account, neither from the answer nor from what it took."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple, cast

import argon2._password_hasher
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import VerifyMismatchError
from argon2.low_level import hash_secret, verify_secret
from twisted.internet import reactor
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs

from chatsvc.accounts.passwords import Hashing, PasswordHasherPool
from chatsvc.accounts.store import AccountStore
from chatsvc.accounts.tokens import Tokens
from chatsvc.services import Services
from chatsvc.storage.database import Database
from chatsvc.storage.sql import Transaction
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.structured import StructuredDialect
from chatsvc.wire.text import TextDialect
from tests.support.databases import OnSQLite
from tests.support.processes import new_address
from tests.support.worlds import RecordingConnection, World

PASSES, MEMORY = 2, 64
PHC = PasswordHasher(PASSES, MEMORY, 1).hash("right")
CHEAP = PasswordHasher(1, MEMORY // 2, 1).hash("right")

KNOWN: dict[int, str | None] = {
    1: PHC,
    2: "!" + PHC,
    3: "right",
    4: "!right",
    5: None,
    6: "",
    7: CHEAP,
    8: "!" + CHEAP,
    # Damaged: its end or half of it is lost, letters or parameters that are none, no bytes, nothing at all.
    10: PHC[:-1],
    11: PHC[:30],
    12: PHC[:-1] + "密",
    13: PHC.replace(f"m={MEMORY}", "m=x"),
    14: PHC.rpartition("$")[0] + "$",
    15: CHEAP + "密",
    16: "$argon2id$",
    17: PHC.replace(f"m={MEMORY}", "m=1"),
}
"""What is stored as a password, by uid."""

SPELLINGS = ("caf\u00e9 x", "cafe\u0301\u3000x")
"""One password, as two keyboards have it."""

HEALTHY, LOCKED, CHEAPER = 1, 2, 7
UNKNOWN = (77, -77, 2**40)


class Refused(NamedTuple):
    """
    What a log-in that is refused leads to. ``work`` is each run of argon2 in passes * KiB, which is what its time grows
    with (RFC 9106, section 3.1).
    """

    frames: list[bytes]
    work: list[int]
    statements: list[str]
    transactions: int


class EntranceTests(OnSQLite):
    def setUp(self) -> None:
        super().setUp()
        self.work: list[int] = []
        self.statements: list[str] = []
        self.transactions = 0
        self.patch(argon2._password_hasher, "verify_secret", self.verify_secret)
        self.patch(argon2._password_hasher, "hash_secret", self.hash_secret)
        run_sql, run = Transaction._run, Database.run

        def counted_sql(transaction: Transaction, sql: str, args: Any) -> Any:
            self.statements.append(sql)
            return run_sql(transaction, sql, args)

        def counted(database: Database, *arguments: Any, **options: Any) -> Any:
            self.transactions += 1
            return run(database, *arguments, **options)

        self.patch(Transaction, "_run", counted_sql)
        self.patch(Database, "run", counted)

    def verify_secret(self, phc: bytes, secret: bytes, kind: Any) -> bool:
        """argon2's own, which does no work on a hash that is damaged."""
        try:
            return verify_secret(phc, secret, kind)
        except VerifyMismatchError:
            used = extract_parameters(phc.decode())
            self.work.append(used.time_cost * used.memory_cost)
            raise

    def hash_secret(self, **how: Any) -> bytes:
        """argon2's own."""
        self.work.append(how["time_cost"] * how["memory_cost"])
        return hash_secret(**how)

    async def services(self) -> Services:
        """A server's parts, with accounts in a file and passwords in a thread."""
        accounts = AccountStore(await self.open())
        await accounts.open()
        for uid, stored in KNOWN.items():
            self.sql("INSERT INTO user VALUES (?, ?, ?)", (uid, f"user {uid}", stored))
        hashing = Hashing(PASSES, MEMORY, threads=1)
        passwords = PasswordHasherPool(cast(IReactorFromThreads, reactor), hashing)
        passwords.start()
        self.addCleanup(passwords.stop)
        services = World().services
        auth = replace(services.auth, accounts=accounts, passwords=passwords)
        return replace(services, accounts=accounts, auth=auth)

    async def refused(self, services: Services, **auth: Any) -> Refused:
        """Fail to log in, on a new connection from a new address."""
        self.work, self.statements, self.transactions = [], [], 0
        connection = RecordingConnection(services)
        connection.address = new_address()
        connection.do(c.Auth(**auth, n=7))
        while not connection.said:
            await deferLater(cast(IReactorTime, reactor), 0.001)
        (answer,) = connection.answers()
        self.assertIsInstance(answer, e.Refused)
        frames = TextDialect("zh").encode(answer) + StructuredDialect("en").encode(answer)
        return Refused(frames, self.work, self.statements, self.transactions)

    async def test_wrong_password(self) -> None:
        """A guesser could tell which accounts there are, and which are locked, old or damaged."""
        services = await self.services()
        expected = await self.refused(services, uid=HEALTHY, password="wrong")
        self.assertEqual(expected.work, [PASSES * MEMORY] * 2)
        self.assertEqual((len(expected.statements), expected.transactions), (1, 1))
        self.assertIn("认证失败!".encode(), expected.frames)
        for uid in (*KNOWN, *UNKNOWN):
            for wrong in ("wrong", *SPELLINGS, "wrong\t"):
                seen = await self.refused(services, uid=uid, password=wrong)
                if uid == CHEAPER:  # what it saves is spent on another hash
                    self.assertEqual(sum(seen.work), sum(expected.work))
                    seen = seen._replace(work=expected.work)
                self.assertEqual(seen, expected, f"uid {uid}: {KNOWN.get(uid)}, {wrong!a}")

    async def test_many_wrong_passwords(self) -> None:
        """A guesser could tell which accounts there are by when tries begin to cost time."""
        services = await self.services()
        expected = [await self.refused(services, uid=HEALTHY, password=f"{i}") for i in range(9)]
        self.assertIn(b"throttled", expected[-1].frames[-1])
        self.assertEqual(expected[-1].work, [])
        for uid in (2, 3, 10, *UNKNOWN):
            seen = [await self.refused(services, uid=uid, password=f"{i}") for i in range(9)]
            self.assertEqual(seen, expected, f"uid {uid}")

    async def test_right_password_of_a_locked_account(self) -> None:
        """Who knows the password of a locked account would be told that it is right."""
        services = await self.services()
        expected = await self.refused(services, uid=UNKNOWN[0], password="right")
        self.assertEqual(await self.refused(services, uid=LOCKED, password="right"), expected)
        for spelling in SPELLINGS:
            stored = "!" + PasswordHasher(PASSES, MEMORY, 1).hash(spelling)
            self.sql("UPDATE user SET password = ? WHERE id = ?", (stored, LOCKED))
            for typed in SPELLINGS:
                seen = await self.refused(services, uid=LOCKED, password=typed)
                self.assertEqual(seen, expected, ascii(typed))

    async def test_forged_token(self) -> None:
        """A forged token would tell which accounts there are, or cost the server work."""
        services = await self.services()
        for forge in ("", "x.y.z", Tokens(b"x" * 32).issue(HEALTHY, PHC)):
            expected = await self.refused(services, uid=HEALTHY, token=forge)
            self.assertEqual((expected.work, expected.transactions), ([], 0))
            for uid in (LOCKED, *UNKNOWN):
                self.assertEqual(await self.refused(services, uid=uid, token=forge), expected)

    async def test_too_dear(self) -> None:
        """A hash that nobody can log in with would show, cost a stranger's guess seconds, or be said to no admin."""
        services = await self.services()
        expected = await self.refused(services, uid=UNKNOWN[0], password="right")
        stored = PHC.replace(f"m={MEMORY}", "m=4000000000")
        self.sql("UPDATE user SET password = ? WHERE id = ?", (stored, HEALTHY))
        with capturedLogs() as said:
            for _ in range(3):
                seen = await self.refused(services, uid=HEALTHY, password="right")
                self.assertEqual(seen, expected)
        noted = [event for event in said if event.get("event") == "password-too-dear"]
        self.assertEqual([event["uid"] for event in noted], [HEALTHY])
