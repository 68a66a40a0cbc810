"""Running a command: the reactor that it runs under, the stores that it works on, and its errors, a line each."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, TypeVar

import click
from twisted.internet.defer import ensureDeferred
from twisted.internet.error import ReactorNotRunning

from chatsvc.accounts import passwords
from chatsvc.accounts.creation import NameTaken
from chatsvc.accounts.store import Account, AccountStore
from chatsvc.backends import INBOX_SCHEMES, inbox_at
from chatsvc.inbox.interface import Inbox
from chatsvc.storage.database import Database
from chatsvc.storage.sql import SQL_ERRORS, first_line
from chatsvc.storage.url import (
    STORE_PATIENCE,
    StoreMisconfigured,
    StoreUnavailable,
    StoreURL,
    parse_store_url,
    without_password,
)
from chatsvc.transport.twisted_internals import use_monotonic_clock

T = TypeVar("T")


class OpenAccounts:
    """
    The accounts of one open database, and a way to hash passwords, for the length of one command.

    ``reactor`` is the one that the command runs under.
    """

    def __init__(
        self, reactor: Any, database: Database, hasher: passwords.PasswordHasherPool
    ) -> None:
        self.reactor = reactor
        self.database = database
        self.accounts = AccountStore(database)
        self.hash = hasher.hash
        self.hash_plain = hasher.hash_plain

    async def account(self, uid: int) -> Account:
        """
        Look an account up.

        :raise click.ClickException: there is none.
        """
        await self.accounts.open()
        account = await self.accounts.get(uid)
        if account is None:
            raise click.ClickException(f"there is no account {uid}")
        return account

    async def store(self, account: Account, stored: str) -> None:
        """
        Store a password.

        :raise click.ClickException: another one was stored since ``account`` was read.
        """
        if account.stored is None:
            done = await self.accounts.set_stored(account.uid, stored)
        else:
            done = await self.accounts.replace_password(account.uid, account.stored, stored)
        _require(done, account)

    async def change_lock(self, account: Account, stored: str) -> None:
        """
        Store the same password, locked or unlocked; tokens from before end.

        :raise click.ClickException: another one was stored since ``account`` was read.
        """
        assert account.stored is not None
        _require(await self.accounts.change_lock(account.uid, account.stored, stored), account)


def _require(done: bool, account: Account) -> None:
    if not done:
        raise click.ClickException(f"account {account.uid} has just changed: try again")


def run_on_accounts(
    url: str,
    work: Callable[[OpenAccounts], Awaitable[T]],
    *,
    make: bool = False,
    hashing: passwords.Hashing | None = None,
    patience: float = STORE_PATIENCE,
) -> T:
    """
    Run ``work`` on the accounts at ``url`` under a reactor, once in a process, and give its result.

    ``make``: make an SQLite file that is missing. The database has ``patience`` seconds for each of its answers.

    :raise click.ClickException: what went wrong, in one line.
    """
    with store_errors(url):
        place = parse_store_url(url, ("mysql", "sqlite"))
        if not make:
            require_file(place)
        return under_reactor(
            lambda reactor: _with_accounts(
                reactor,
                Database(place, reactor, patience),
                passwords.PasswordHasherPool(reactor, hashing or passwords.Hashing()),
                work,
            )
        )


def require_file(place: StoreURL) -> None:
    """
    Refuse an SQLite file that is not there: opening it would make an empty one.

    :raise StoreMisconfigured: it is not there.
    """
    if place.scheme == "sqlite" and not os.path.exists(place.path):
        raise StoreMisconfigured(f"{place}: there is no such file here")


@contextmanager
def one_line(*kinds: type[Exception]) -> Iterator[None]:
    """
    Turn exceptions of these kinds, whose text is one line already, into click's.

    :raise click.ClickException: there was one.
    """
    try:
        yield
    except kinds as problem:
        raise click.ClickException(str(problem)) from None


@contextmanager
def store_errors(url: str) -> Iterator[None]:
    """
    Turn whatever goes wrong with the store at ``url`` into one line that names it.

    :raise click.ClickException: something did.
    """
    try:
        with one_line(StoreMisconfigured, StoreUnavailable, ValueError):
            yield
    except NameTaken as problem:
        raise click.ClickException(f"the name {str(problem)!r} is taken") from None
    except SQL_ERRORS as problem:
        raise click.ClickException(f"{without_password(url)}: {first_line(problem)}") from None


@asynccontextmanager
async def open_inbox(url: str, reactor: Any) -> AsyncIterator[Inbox]:
    """
    Open the inbox store at ``url``.

    :raise click.ClickException: what went wrong with it, in one line.
    """
    with store_errors(url):
        place = parse_store_url(url, INBOX_SCHEMES)
        require_file(place)
        store, _ = await inbox_at(place, reactor)
        try:
            yield store
        finally:
            await store.close()


async def _with_accounts(
    reactor: Any,
    database: Database,
    hasher: passwords.PasswordHasherPool,
    work: Callable[[OpenAccounts], Awaitable[T]],
) -> T:
    await database.open()
    hasher.start()
    try:
        return await work(OpenAccounts(reactor, database, hasher))
    finally:
        hasher.stop()
        database.close()


def under_reactor(work: Callable[[Any], Awaitable[T]]) -> T:
    """
    Run ``work`` with a reactor, once in a process, and give its result.

    :raise click.Abort: it was interrupted.
    """
    from twisted.internet import reactor

    at_work: Any = reactor
    use_monotonic_clock(at_work)
    results: list[T] = []
    problems: list[Exception] = []
    interrupted = False

    async def run() -> None:
        try:
            results.append(await work(at_work))
        except Exception as problem:
            problems.append(problem)
        finally:
            with suppress(ReactorNotRunning):  # an interrupt has stopped it
                at_work.stop()

    def begin() -> None:
        working = ensureDeferred(run())

        def end() -> None:
            nonlocal interrupted
            interrupted = not working.called
            working.cancel()

        at_work.addSystemEventTrigger("before", "shutdown", end)

    at_work.callWhenRunning(begin)
    at_work.run()
    if interrupted:
        raise click.Abort
    if problems:
        raise problems[0]
    return results[0]
