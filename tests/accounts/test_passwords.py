"""Passwords: what is right, what it costs to be wrong, and how many may wait."""

from __future__ import annotations

import os
import threading
from typing import cast

from argon2 import PasswordHasher, Type, extract_parameters
from argon2.low_level import hash_secret
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from chatsvc.accounts.hash_cost import MOST_WORK, verify_in_one_thread
from chatsvc.accounts.opaque_string import BadPassword
from chatsvc.accounts.passwords import (
    WRONG,
    Hashing,
    PasswordCheck,
    PasswordHasherPool,
    PasswordsBusy,
)
from chatsvc.accounts.phc import is_hashed, lock

MEMORY = 16
"""KiB: tests hash as weakly as they can."""

PHC = PasswordHasher(1, MEMORY, 1).hash("secret")

WRONG_ONES = ("wrong", "wro\u0301ng\u3000x", "wrong\n")
"""Wrong passwords: as they are hashed, in another spelling, and such as no password may be."""


def new_passwords(
    threads: int = 1, queue: int = 8, memory_cost: int = MEMORY
) -> PasswordHasherPool:
    """Make a pool that hashes as weakly as argon2 can."""
    return PasswordHasherPool(
        cast(IReactorFromThreads, reactor), Hashing(1, memory_cost, threads, queue)
    )


class CheckTests(TestCase):
    """Verdicts on a password, in a real thread."""

    def setUp(self) -> None:
        self.passwords = new_passwords()
        self.passwords.start()
        self.addCleanup(self.passwords.stop)

    async def test_new_password(self) -> None:
        """Nobody could log in with a password just set."""
        stored = await self.passwords.hash("密码")
        self.assertTrue(is_hashed(stored))
        self.assertEqual(await self.passwords.check(stored, "密码"), PasswordCheck(True, None))
        self.assertEqual(await self.passwords.check(stored, "密碼"), WRONG)

    async def test_two_hashes_differ(self) -> None:
        """Equal passwords could be told from the database."""
        self.assertNotEqual(await self.passwords.hash("x"), await self.passwords.hash("x"))

    async def test_unacceptable_new_password(self) -> None:
        """An account could get an empty password, or one that nobody can type."""
        for password in ("", "\ud800", "secret\n", "a\tb", "x" * 1025):
            with self.assertRaises(BadPassword):
                await self.passwords.hash(password)

    async def test_other_spelling(self) -> None:
        """A password would fail at another keyboard: there its accent is a character of its own, or its space wider."""
        for one, other in (
            ("caf\u00e9", "cafe\u0301"),
            ("a b", "a\u3000b"),
            ("\ud55c", "\u1112\u1161\u11ab"),
        ):
            for stored in (await self.passwords.hash(one), await self.passwords.hash(other)):
                for typed in (one, other):
                    verdict = await self.passwords.check(stored, typed)
                    self.assertEqual(verdict, PasswordCheck(True, None), ascii(typed))

    async def test_hash_of_an_older_release(self) -> None:
        """Who has a password that was hashed as it was typed could not log in any more, or not by another keyboard."""
        typed, other = "cafe\u0301\u3000x", "café x"
        older = PasswordHasher(1, MEMORY, 1).hash(typed)
        self.assertEqual(await self.passwords.check(older, other), WRONG, "nobody knows its form")
        verdict = await self.passwords.check(older, typed)
        self.assertTrue(verdict.right)
        for one in (typed, other):
            self.assertEqual(
                await self.passwords.check(verdict.replacement, one), PasswordCheck(True, None)
            )

    async def test_hash_of_what_no_password_may_be(self) -> None:
        """Who has a password with a tab or a line end could not log in any more, not even to change it."""
        for password in ("a\tb", "secret\n", "", "x" * 1025, "👩\u200d🚀"):
            older = PasswordHasher(1, MEMORY, 1).hash(password)
            self.assertEqual(await self.passwords.check(older, password), PasswordCheck(True, None))
            weaker = PasswordHasher(1, 8, 1).hash(password)
            verdict = await self.passwords.check(weaker, password)
            self.assertEqual(
                await self.passwords.check(verdict.replacement, password), PasswordCheck(True, None)
            )

    async def test_plain_text_in_another_spelling(self) -> None:
        """An old user could log in by the keyboard alone at which the password was once chosen."""
        for plain, typed in (
            ("caf\u00e9", "cafe\u0301"),
            ("cafe\u0301", "caf\u00e9"),
            ("a\u3000b", "a b"),
        ):
            verdict = await self.passwords.check(plain, typed)
            self.assertTrue(verdict.right, ascii(plain))
            self.assertEqual(
                await self.passwords.check(verdict.replacement, plain), PasswordCheck(True, None)
            )

    async def test_plain_text_hashed_by_an_admin(self) -> None:
        """An old account whose password no new one may be could not be locked."""
        for plain in ("a\tb", "x" * 1025, "cafe\u0301"):
            stored = await self.passwords.hash_plain(plain)
            self.assertEqual(await self.passwords.check(stored, plain), PasswordCheck(True, None))

    async def test_old_plain_text(self) -> None:
        """An old user could not log in, or would keep a readable password."""
        for plain in ("secret", "!secret", "密码", " "):
            verdict = await self.passwords.check(plain, plain)
            self.assertTrue(verdict.right)
            self.assertEqual(
                await self.passwords.check(verdict.replacement, plain), PasswordCheck(True, None)
            )

    async def test_wrong(self) -> None:
        """Somebody could log in to an account that is not theirs."""
        cases = [
            (None, ""),
            (None, "secret"),
            ("", ""),
            ("secret", ""),
            ("secret", "Secret"),
            ("secret", "secret\ud800"),
            (PHC, ""),
            (PHC, PHC),
            (PHC, "x" * 65535),
            (lock(PHC), "secret"),
            (lock(PHC), lock(PHC)),
        ]
        for stored, password in cases:
            self.assertEqual(await self.passwords.check(stored, password), WRONG)

    async def test_damaged_hash(self) -> None:
        """A damaged row would end in a traceback, or its text would be the password."""
        for stored in (PHC[:-1], PHC[:20], "$argon2id$", PHC + "密", PHC.replace("m=16", "m=x")):
            for password in ("secret", stored):
                self.assertEqual(await self.passwords.check(stored, password), WRONG)

    async def test_weaker_hash(self) -> None:
        """Raising the cost would not reach accounts that exist."""
        for old in (
            PasswordHasher(1, 8, 1).hash("secret"),
            PasswordHasher(1, MEMORY, 1, type=Type.I).hash("secret"),
        ):
            verdict = await self.passwords.check(old, "secret")
            self.assertEqual(extract_parameters(str(verdict.replacement)).memory_cost, MEMORY)
            self.assertEqual(await self.passwords.check(old, "wrong"), WRONG)

    async def test_stronger_hash(self) -> None:
        """A hash would be replaced by a weaker one."""
        stronger = PasswordHasher(2, MEMORY * 2, 1).hash("secret")
        self.assertEqual(await self.passwords.check(stronger, "secret"), PasswordCheck(True, None))

    async def test_equal_cost(self) -> None:
        """The time an answer takes would tell which accounts exist, are old, or are locked."""
        verified: list[tuple[int, int]] = []
        verify = PasswordHasher.verify

        def counted(hasher: PasswordHasher, phc: str, password: bytes) -> bool:
            used = extract_parameters(phc)
            verified.append((used.time_cost, used.memory_cost))
            return verify(hasher, phc, password)

        self.patch(PasswordHasher, "verify", counted)
        for stored in (PHC, lock(PHC), None, "", "plain", PHC[:20]):
            for wrong in WRONG_ONES:
                verified.clear()
                await self.passwords.check(stored, wrong)
                self.assertEqual(verified, [(1, MEMORY)] * 2, (stored, ascii(wrong)))

    def watch_cost(self) -> list[int]:
        """Return a list that gets the cost, passes * KiB, of each hash and check from now on."""
        spent: list[int] = []
        verify, hash_ = PasswordHasher.verify, PasswordHasher.hash

        def verified(hasher: PasswordHasher, phc: str, password: bytes) -> bool:
            used = extract_parameters(phc)
            spent.append(used.time_cost * used.memory_cost)
            return verify(hasher, phc, password)

        def hashed(hasher: PasswordHasher, password: bytes) -> str:
            spent.append(hasher.time_cost * hasher.memory_cost)
            return hash_(hasher, password)

        self.patch(PasswordHasher, "verify", verified)
        self.patch(PasswordHasher, "hash", hashed)
        return spent

    async def test_equal_cost_of_older_hashes(self) -> None:
        """After the cost was raised, a quick answer would tell which accounts exist."""
        older = [PasswordHasher(1, 8, 1).hash("secret"), PasswordHasher(1, 40, 1).hash("secret")]
        passwords = PasswordHasherPool(cast(IReactorFromThreads, reactor), Hashing(3, 64, 1, 8))
        passwords.start()
        self.addCleanup(passwords.stop)
        spent = self.watch_cost()
        for stored in (None, *older):
            for wrong in WRONG_ONES:
                spent.clear()
                await passwords.check(stored, wrong)
                self.assertTrue(abs(sum(spent) - 2 * 3 * 64) <= 2 * 3, spent)

    async def test_equal_cost_of_dearer_hashes(self) -> None:
        """A slow answer would tell again and again which accounts were moved over with a dearer hash."""
        passwords = new_passwords()
        passwords.start()
        self.addCleanup(passwords.stop)
        dearer = PasswordHasher(2, 4 * MEMORY, 1).hash("secret")
        await passwords.check(dearer, "wrong")
        spent = self.watch_cost()
        for stored in (None, "", "plain", PHC, lock(PHC), PHC[:20], dearer, lock(dearer)):
            for password in (*WRONG_ONES, ""):
                spent.clear()
                await passwords.check(stored, password)
                self.assertEqual(sum(spent), 2 * 2 * 4 * MEMORY, (stored, ascii(password)))

    async def test_too_dear(self) -> None:
        """A stranger's guess at one account would keep a thread busy for seconds, or take the memory."""
        verified: list[str] = []
        verify = PasswordHasher.verify

        def noted(hasher: PasswordHasher, phc: str, password: bytes) -> bool:
            verified.append(phc)
            return verify(hasher, phc, password)

        self.patch(PasswordHasher, "verify", noted)
        asked = (
            PHC.replace("m=16", f"m={MOST_WORK + 1}"),
            PHC.replace("t=1", "t=4000000000"),
            PHC.replace("p=1", "p=17"),
        )
        for stored in asked:
            for one in (stored, lock(stored)):
                self.assertTrue(self.passwords.is_too_costly(one), one)
                self.assertEqual(await self.passwords.check(one, "secret"), WRONG)
        self.assertEqual(set(verified), {self.passwords._decoy})
        for stored in (PHC, lock(PHC), "plain", "", "$argon2id$", PHC[:20]):
            self.assertFalse(self.passwords.is_too_costly(stored))

    async def test_own_cost_is_never_too_dear(self) -> None:
        """A server that is told to hash dearly would refuse its own hashes."""
        dear = PasswordHasherPool(
            cast(IReactorFromThreads, reactor), Hashing(20, MOST_WORK // 10, 1, 1)
        )
        self.assertFalse(dear.is_too_costly(PHC.replace("m=16,t=1", f"m={MOST_WORK // 10},t=20")))

    async def test_lanes(self) -> None:
        """A hash of many lanes would let nobody in, or be quicker than others and so show, or take all processors."""
        for kind in (Type.ID, Type.I, Type.D):
            for version in (16, 19):
                stored = hash_secret(b"secret", b"saltsalt", 2, 128, 4, 24, kind, version).decode()
                self.assertTrue(verify_in_one_thread(stored, b"secret"))
                self.assertFalse(verify_in_one_thread(stored, b"Secret"))
                self.assertTrue((await self.passwords.check(stored, "secret")).right)
                for damaged in (stored[:-1] + "密", stored[:-2] + "!", stored[:40], stored + "$"):
                    self.assertEqual(await self.passwords.check(damaged, "secret"), WRONG)
        threads: list[object] = []
        self.patch(PasswordHasher, "verify", lambda *arguments: threads.append(arguments))
        await self.passwords.check(stored, "wrong")
        self.assertEqual(threads, [], "argon2-cffi's own takes a thread for each lane")

    async def test_messages_go_first(self) -> None:
        """A flood of log-ins would take the processor from the messages."""
        loop = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        seen: list[int] = []
        self.patch(
            PasswordHasher,
            "verify",
            lambda *arguments: seen.append(
                os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
            ),
        )
        await self.passwords.check(PHC, "secret")
        self.assertGreater(seen[0], loop)
        self.assertEqual(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()), loop)


class QueueTests(TestCase):
    """How many passwords may wait, and what becomes of them."""

    def setUp(self) -> None:
        # Not started yet, it keeps everything waiting for as long as a test likes.
        self.passwords = new_passwords(threads=1, queue=2)
        self.addCleanup(lambda: self.passwords.stop())

    def ask(self) -> Deferred[PasswordCheck]:
        """Check the right password."""
        return Deferred.fromCoroutine(self.passwords.check(PHC, "secret"))

    def test_busy(self) -> None:
        """A flood of log-ins would fill the memory."""
        asked = [self.ask() for _ in range(3)]
        self.failureResultOf(self.ask(), PasswordsBusy)
        for waiting in asked:
            self.assertNoResult(waiting)
            waiting.addErrback(lambda failure: failure.trap(CancelledError))

    async def test_room_again(self) -> None:
        """After one flood nobody could ever log in again."""
        asked = [self.ask() for _ in range(3)]
        self.passwords.start()
        self.assertEqual(await gatherResults(asked), [PasswordCheck(True, None)] * 3)
        self.assertEqual(
            await gatherResults([self.ask() for _ in range(3)]), [PasswordCheck(True, None)] * 3
        )

    async def test_watched(self) -> None:
        """An admin could not see that log-ins wait for passwords, or for how long."""
        took: list[float] = []
        self.passwords = PasswordHasherPool(
            cast(IReactorFromThreads, reactor), Hashing(1, MEMORY, 1, 8), took.append
        )
        asked = [self.ask() for _ in range(3)]
        self.assertEqual((self.passwords.queue, took), (3, []))
        await deferLater(reactor, 0.05)  # type: ignore[arg-type]
        self.passwords.start()
        await gatherResults(asked)
        self.assertEqual((self.passwords.queue, len(took)), (0, 3))
        self.assertGreater(min(took), 0.05, "the wait counts")

    async def test_cancelled(self) -> None:
        """A client that leaves while its password waits would take its place for ever."""
        asked = [self.ask() for _ in range(3)]
        asked[1].cancel()
        self.failureResultOf(asked.pop(1), CancelledError)
        self.failureResultOf(self.ask(), PasswordsBusy)
        self.passwords.start()
        await gatherResults(asked)
        self.assertEqual(
            await gatherResults([self.ask() for _ in range(3)]), [PasswordCheck(True, None)] * 3
        )

    async def test_cancelled_costs_nothing(self) -> None:
        """Connecting and leaving quickly would keep the threads busy for nobody."""
        hashed: list[object] = []

        def right(*arguments: object) -> bool:
            hashed.append(arguments)
            return True

        self.patch(PasswordHasher, "verify", right)
        asked = self.ask()
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        self.passwords.start()
        await self.ask()
        self.assertEqual(len(hashed), 1)

    async def test_stop(self) -> None:
        """The server would hang at its end, or leave threads behind."""
        asked = [self.ask() for _ in range(3)]
        self.passwords.start()
        self.passwords.stop()
        for waiting in asked:
            self.failureResultOf(waiting, CancelledError)
        names = [thread.name for thread in threading.enumerate()]
        self.assertEqual([name for name in names if "passwords" in name], [])

    async def test_start_again(self) -> None:
        """A service started a second time would check no passwords."""
        self.passwords.start()
        self.passwords.stop()
        self.passwords.start()
        self.assertEqual(await self.ask(), PasswordCheck(True, None))
