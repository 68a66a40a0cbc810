"""Hashing and checking passwords: argon2id in threads of its own, and the same time for every wrong password."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from hmac import compare_digest
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import Argon2Error, InvalidHashError, VerifyMismatchError
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from chatsvc.accounts.hash_cost import (
    MOST_WORK,
    is_too_costly,
    parameters,
    verify_in_one_thread,
    work_of,
)
from chatsvc.accounts.opaque_string import enforce, form_of
from chatsvc.accounts.phc import is_hashed, is_locked, unlock

_ARGON2_VERSION = 0x13  # RFC 9106, section 3.1
_LEAST_MEMORY = 8  # KiB for one lane (RFC 9106, section 3.1)

_NICENESS = 10
"""The nice value of hashing threads (setpriority(2)): messages go first when cores are few."""

T = TypeVar("T")


BUSY_RETRY = 1.0
"""Seconds after which a client should repeat what found too many passwords waiting to be hashed."""


class PasswordsBusy(Exception):
    """Too many passwords wait for a thread; try again in some seconds."""


@dataclass(frozen=True)
class PasswordCheck:
    """Whether a password was right, and the PHC string to store instead of the present one (None: keep it)."""

    right: bool
    replacement: str | None


WRONG = PasswordCheck(False, None)


@dataclass(frozen=True)
class Hashing:
    """
    The cost of hashing a password, and the threads that do it.

    ``memory`` is in KiB for each of ``threads``; ``queue`` is how many passwords may wait for a thread. 19 MiB and 2
    passes, in 1 lane, are the least that OWASP's Password Storage Cheat Sheet allows.
    """

    passes: int = 2
    memory: int = 19 * 1024
    threads: int = 2
    queue: int = 256


class _NiceThread(threading.Thread):
    """A thread that yields to the reactor's."""

    def run(self) -> None:
        if sys.platform == "linux":  # elsewhere a nice value is the whole process's
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        super().run()


class PasswordHasherPool:
    """Threads that hash and check passwords; ``took`` is called with the seconds that each took, waiting included."""

    def __init__(
        self,
        reactor: IReactorFromThreads,
        hashing: Hashing = Hashing(),
        took: Callable[[float], object] = lambda seconds: None,
    ) -> None:
        self._reactor = reactor
        self._took = took
        self._threads = hashing.threads
        self._most = hashing.threads + hashing.queue
        self._hasher = PasswordHasher(hashing.passes, hashing.memory, parallelism=1)
        # Verified where an account has no hash, so that timing does not show its absence.
        self._decoy = ""
        # The cost of every wrong password: that of the most costly hash that this process has met.
        self._work = hashing.passes * hashing.memory
        self._most_work = max(MOST_WORK, self._work)
        self._pool = self._new_pool()
        self._jobs: set[Deferred] = set()

    @property
    def queue(self) -> int:
        """The number of passwords that are being hashed or wait for a thread."""
        return len(self._jobs)

    def start(self) -> None:
        """Start the threads; jobs that came before begin now."""
        self._decoy = self._hasher.hash(os.urandom(16))
        self._pool.start()

    def stop(self) -> None:
        """Cancel the jobs that wait (their callers get ``CancelledError``); return when the threads have ended."""
        for job in list(self._jobs):
            job.cancel()
        self._pool.stop()
        self._pool = self._new_pool()
        self._jobs = set()

    async def hash(self, password: str) -> str:
        """
        Return the PHC string to store for a new password: that of its OpaqueString form.

        :raise PasswordsBusy: when too many passwords wait.
        :raise BadPassword: when the text cannot become a password.
        """
        form = enforce(password)
        return await self._in_thread(lambda: self._hasher.hash(form))

    async def hash_plain(self, stored: str) -> str:
        """
        Return the PHC string to store instead of a plain password that an older server left, whatever is in it.

        :raise PasswordsBusy: when too many passwords wait.
        """
        return await self._in_thread(lambda: self._hasher.hash(_bytes(form_of(stored))))

    def is_too_costly(self, stored: str) -> bool:
        """Return whether a hash costs too much to check: a stranger's guess would keep the server busy for seconds."""
        return is_hashed(stored) and is_too_costly(unlock(stored), self._most_work)

    async def check(self, stored: str | None, password: str) -> PasswordCheck:
        """
        Check a password against what is stored for the account; None stands for an account that does not exist.

        Its OpaqueString form is checked first, then the text as it is, for a hash that is older than this rule. Every
        wrong password is checked twice, also where the two are the same.

        :raise PasswordsBusy: when too many passwords wait.
        """
        return await self._in_thread(lambda: self._judge(stored or "", password))

    def _new_pool(self) -> ThreadPool:
        pool = ThreadPool(0, self._threads, "passwords")
        pool.threadFactory = _NiceThread
        return pool

    def _in_thread(self, work: Callable[[], T]) -> Deferred[T]:
        if len(self._jobs) >= self._most:
            raise PasswordsBusy("too many passwords are waiting to be checked")
        job: Deferred[T] = Deferred()
        # A cancelled job counts until a thread has passed it by, so that the queue stays bounded.
        self._jobs.add(job)
        began = time.monotonic()

        def unless_cancelled() -> T:
            if job.called:
                raise CancelledError
            return work()

        def over(success: bool, result: T | Failure) -> None:
            self._reactor.callFromThread(self._finish, job, result, time.monotonic() - began)

        self._pool.callInThreadWithCallback(over, unless_cancelled)
        return job

    def _finish(self, job: Deferred[T], result: T | Failure, seconds: float) -> None:
        self._jobs.discard(job)
        self._took(seconds)
        if not job.called:
            job.callback(result)  # a Failure makes it an errback

    def _judge(self, stored: str, password: str) -> PasswordCheck:
        form = form_of(password)
        if self._is_right(stored, form):
            outdated = self._is_outdated(stored)
        elif self._is_right(stored, password):
            outdated = True
        else:
            return WRONG
        return PasswordCheck(True, self._hasher.hash(_bytes(form)) if outdated else None)

    def _is_right(self, stored: str, text: str) -> bool:
        secret = _bytes(text)
        if is_hashed(stored) and not is_locked(stored) and not self.is_too_costly(stored):
            return self._verify(stored, secret)
        self._verify(self._decoy, secret)
        if is_hashed(stored):
            return False
        return compare_digest(_bytes(form_of(stored)), secret) and stored != ""

    def _verify(self, phc: str, secret: bytes) -> bool:
        used = parameters(phc)
        try:
            if used is not None and used.parallelism > 1:
                right = verify_in_one_thread(phc, secret)
            else:
                right = self._hasher.verify(phc, secret)
        except VerifyMismatchError:
            right = False
        except (Argon2Error, InvalidHashError, UnicodeError):
            if phc != self._decoy:  # a damaged hash fails at once, which timing would show
                self._verify(self._decoy, secret)
            return False
        if not right and used is not None:
            self._spend_the_difference(work_of(used), secret)
        return right

    def _spend_the_difference(self, spent: int, secret: bytes) -> None:
        """
        Hash for as long as a cheaper hash has saved, or the time would show that such an account exists.

        The time of argon2 grows with passes * memory (RFC 9106, section 3.1).
        """
        self._work = max(self._work, spent)
        passes = self._hasher.time_cost
        missing = (self._work - spent) // passes
        if missing >= _LEAST_MEMORY:
            PasswordHasher(passes, missing, parallelism=1).hash(secret)

    def _is_outdated(self, stored: str) -> bool:
        if not is_hashed(stored):
            return True
        used = parameters(stored)
        return (
            used is None
            or used.type is not Type.ID
            or used.version < _ARGON2_VERSION
            or used.time_cost < self._hasher.time_cost
            or used.memory_cost < self._hasher.memory_cost
        )


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
