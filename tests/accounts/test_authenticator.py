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

from chatsvc.accounts.authenticator import Denied
from chatsvc.accounts.passwords import Hashing, PasswordHasherPool
from chatsvc.accounts.store import Account, AccountStore
from chatsvc.accounts.tokens import Tokens
from chatsvc.limits.wait_list import Caller
from chatsvc.services import Services
from chatsvc.storage.database import Database
from chatsvc.storage.sql import Transaction
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.problems import Problem
from chatsvc.wire.structured.dialect import StructuredDialect
from chatsvc.wire.text.dialect import TextDialect
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

PHONE, DESK = "0123456789abcdef", "f" * 32

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

    async def test_names_that_nobody_has(self) -> None:
        """A guesser could tell which names there are, or which several have, by the answer or by what it took."""
        services = await self.services()
        for uid in (30, 31):
            self.sql("INSERT INTO user VALUES (?, 'twin', ?)", (uid, PHC))
        await services.accounts.find("twin")
        expected = await self.refused(services, **by_name("User 1"), password="wrong")
        self.assertEqual(expected.work, [PASSES * MEMORY] * 2)
        self.assertIn("认证失败!".encode(), expected.frames)
        names = ("user 2", "user 5", "user 10", "twin", "nobody", "\u00e9" * 32, "[ ] |", "")
        for name in names:
            for wrong in ("wrong", *SPELLINGS, "right" if name == "twin" else "x"):
                seen = await self.refused(services, **by_name(name), password=wrong)
                self.assertEqual(seen, expected, f"{name}, {wrong!a}")
        for name in ("user 1", "twin", "nobody"):
            forged = Tokens(b"x" * 32).issue(HEALTHY, PHC)
            seen = await self.refused(services, **by_name(name), token=forged)
            self.assertEqual((seen.work, seen.transactions), ([], 0))

    async def test_long_names(self) -> None:
        """A name as long as a frame would take seconds, and fill memory with itself."""
        services = await self.services()
        auth = services.auth
        for name in ("x" * 60_000, "\ufdfa" * 20_000, "\ufdfa" * 255):
            seen = await self.refused(services, **by_name(name), password="wrong")
            self.assertIn("认证失败!".encode(), seen.frames)
        keys = [str(key[0]) for key in auth.throttle._accounts._failures]
        self.assertLess(max(map(len, keys)), 100)

    async def test_many_tries_by_name(self) -> None:
        """A guesser could tell which names there are by when tries begin to cost time, or guess by name for ever."""
        services = await self.services()
        await services.accounts.find("indexed")
        expected = [
            await self.refused(services, **by_name("user 1"), password=f"{i}") for i in range(9)
        ]
        self.assertIn(b"throttled", expected[-1].frames[-1])
        self.assertEqual(expected[-1].work, [])
        for name in ("user 2", "nobody", "Somebody Else"):
            seen = [
                await self.refused(services, **by_name(name), password=f"{i}") for i in range(9)
            ]
            self.assertEqual(seen, expected, name)
        by_uid = await self.refused(services, uid=HEALTHY, password="wrong")
        self.assertIn(b"throttled", by_uid.frames[-1])
        other = await self.refused(services, **by_name(" SOMEBODY  else"), password="wrong")
        self.assertIn(b"throttled", other.frames[-1])

    async def test_many_names(self) -> None:
        """Somebody could keep the database busy with names, each of which is new."""
        services = await self.services()
        caller = Caller.at(new_address(), 1)
        for _ in range(1000):
            services.auth.throttle.count_lookup(caller)
        token = services.auth.tokens.issue(HEALTHY, PHC)
        for command in (
            c.Auth(c.NO_UID, password="right", name="user 1"),
            c.Auth(c.NO_UID, token=token, name="user 1"),
        ):
            with self.assertRaises(Denied) as denied:
                self.statements = []
                await services.auth.authenticate(caller, command)
            self.assertEqual(denied.exception.problem, Problem.THROTTLED)
            self.assertGreater(denied.exception.retry_after or 0, 0)
            self.assertEqual(self.statements, [])

    async def test_by_name(self) -> None:
        """Who types a name would not come in, come in as another, or have failures before count for ever."""
        services = await self.services()
        caller = Caller.at(new_address(), 1)
        for name in ("user 1", " USER  1"):
            command = c.Auth(c.NO_UID, password="right", name=name)
            identity = await services.auth.authenticate(caller, command)
            self.assertEqual((identity.account.uid, identity.stored), (HEALTHY, PHC))
        token = services.auth.issue_token(identity)
        again = c.Auth(c.NO_UID, token=token, name="user 1")
        self.assertEqual((await services.auth.authenticate(caller, again)).account.uid, HEALTHY)
        # Somebody else may have the very same hash: the account was copied.
        self.sql("UPDATE user SET password = ? WHERE id = ?", (PHC, CHEAPER))
        for name in ("user 2", f"user {CHEAPER}", "nobody"):
            with self.assertRaises(Denied) as denied:
                command = c.Auth(c.NO_UID, token=token, name=name)
                await services.auth.authenticate(caller, command)
            self.assertEqual(denied.exception.problem, Problem.BAD_CREDENTIALS)
        plain = c.Auth(c.NO_UID, password="right", name="user 3")
        identity = await services.auth.authenticate(caller, plain)
        self.assertTrue(identity.stored.startswith("$argon2id$"))

    async def test_a_name_that_changes_hands(self) -> None:
        """Who takes a name while a log-in by it waits would be logged in to without its own failures being asked."""
        services = await self.services()
        accounts = services.auth.accounts
        look_up = accounts.get_by_name
        uids = iter((HEALTHY, LOCKED))

        async def other(name: str, *devices: str) -> Account | None:
            self.sql("UPDATE user SET username = 'gone' WHERE username = 'wanted'")
            self.sql("UPDATE user SET username = 'wanted' WHERE id = ?", (next(uids),))
            return await look_up(name, *devices)

        self.patch(accounts, "get_by_name", other)
        self.sql("UPDATE user SET password = ? WHERE id = ?", (PHC, LOCKED))
        with self.assertRaises(Denied):
            command = c.Auth(c.NO_UID, password="right", name="wanted")
            await services.auth.authenticate(Caller.at(new_address(), 1), command)

    async def test_token_of_a_device(self) -> None:
        """A device that was forgotten could go on, or another's token end with it."""
        services = await self.services()
        auth, caller = services.auth, Caller.at(new_address(), 1)
        typed = c.Auth(HEALTHY, password="right")
        first = await auth.authenticate(caller, typed, PHONE)
        tokens = {
            PHONE: auth.issue_token(first),
            DESK: auth.issue_token(await auth.authenticate(caller, typed, DESK)),
            "": auth.issue_token(await auth.authenticate(caller, typed)),
        }
        self.assertEqual([token.count(".") for token in tokens.values()], [4, 4, 3])
        for token in tokens.values():
            for device in (PHONE, DESK, ""):
                identity = await auth.authenticate(caller, c.Auth(HEALTHY, token=token), device)
                self.assertEqual((identity.device, identity.forgets), (device, 0))
        await auth.forget_device(HEALTHY, PHONE)
        self.assertTrue(await auth.was_forgotten(first))
        refused = await self.refused(services, uid=HEALTHY, token=tokens[PHONE])
        self.assertIn("认证失败!".encode(), refused.frames)
        self.assertEqual((refused.work, len(refused.statements)), ([], 1))
        self.assertEqual(
            await self.refused(services, uid=HEALTHY, token=auth.issue_token(first)), refused
        )
        for device in (DESK, ""):
            command = c.Auth(HEALTHY, token=tokens[device])
            identity = await auth.authenticate(caller, command, PHONE)
            self.assertEqual((identity.device, identity.forgets), (PHONE, 1))
            self.assertFalse(await auth.was_forgotten(identity))
            self.assertFalse(await auth.was_forgotten(replace(identity, device="")))
        renewed = auth.issue_token(identity)
        command = c.Auth(HEALTHY, token=renewed)
        self.assertEqual((await auth.authenticate(caller, command, PHONE)).forgets, 1)
        old = auth.renew_token(HEALTHY, tokens[PHONE], PHONE)
        with self.assertRaises(Denied):
            await auth.authenticate(caller, c.Auth(HEALTHY, token=old), PHONE)

    async def test_passwd_in_a_session_of_a_device(self) -> None:
        """The token that comes with a new password would outlive the device, or be of no use at once."""
        services = await self.services()
        auth, caller = services.auth, Caller.at(new_address(), 1)
        await auth.forget_device(HEALTHY, PHONE)
        command = c.Passwd("right", "new", True)
        identity = await auth.change_password(caller, HEALTHY, command, PHONE)
        token = auth.issue_token(identity)
        again = await auth.authenticate(caller, c.Auth(HEALTHY, token=token), PHONE)
        self.assertEqual((again.device, again.forgets), (PHONE, 1))
        await auth.forget_device(HEALTHY, PHONE)
        with self.assertRaises(Denied):
            await auth.authenticate(caller, c.Auth(HEALTHY, token=token), PHONE)


def by_name(name: str) -> dict[str, Any]:
    """What says in an `auth` that it is by name."""
    return {"uid": c.NO_UID, "name": name}
