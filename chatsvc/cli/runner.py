"""What the commands work on: the accounts of one open database, under a reactor that runs for one command."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import click
from twisted.internet.defer import ensureDeferred
from twisted.internet.error import ReactorNotRunning

from chatsvc.accounts import passwords
from chatsvc.accounts.store import Account, AccountStore
from chatsvc.cli.errors import store_errors
from chatsvc.storage.database import Database
from chatsvc.storage.url import (
    STORE_PATIENCE,
    StoreMisconfigured,
    StoreURL,
    parse_store_url,
)

T = TypeVar("T")


class OpenAccounts:
    """What a command works on: the accounts of one open database, and a way to hash."""

    def __init__(self, database: Database, hasher: passwords.PasswordHasherPool) -> None:
        self.database = database
        self.accounts = AccountStore(database)
        self.hash = hasher.hash

    async def account(self, uid: int) -> Account:
        """Give an account; one that does not exist is an error to say."""
        await self.accounts.open()
        account = await self.accounts.get(uid)
        if account is None:
            raise click.ClickException(f"there is no account {uid}")
        return account

    async def store(self, account: Account, stored: str) -> None:
        """Store a password, unless another one was stored since ``account`` was read."""
        if account.stored is None:
            done = await self.accounts.set_stored(account.uid, stored)
        else:
            done = await self.accounts.replace_password(account.uid, account.stored, stored)
        _require(done, account)

    async def change_lock(self, account: Account, stored: str) -> None:
        """Store the same password, locked or unlocked, in the same way; tokens from before end."""
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
    Run ``work`` on the accounts at ``url`` under a reactor, once in a process; ``make`` an SQLite file that is missing.
    The database has ``patience`` seconds for each of its answers.

    :raise click.ClickException: what went wrong, in one line.
    """
    with store_errors(url):
        place = parse_store_url(url, ("mysql", "sqlite"))
        if not make:
            require_file(place)
        return under_reactor(
            lambda reactor: _with_accounts(
                Database(place, reactor, patience),
                passwords.PasswordHasherPool(reactor, hashing or passwords.Hashing()),
                work,
            )
        )


def require_file(place: StoreURL) -> None:
    """Nobody means a file that is not there when asking what is in it."""
    if place.scheme == "sqlite" and not os.path.exists(place.path):
        raise StoreMisconfigured(f"{place}: there is no such file here")


async def _with_accounts(
    database: Database,
    hasher: passwords.PasswordHasherPool,
    work: Callable[[OpenAccounts], Awaitable[T]],
) -> T:
    await database.open()
    hasher.start()
    try:
        return await work(OpenAccounts(database, hasher))
    finally:
        hasher.stop()
        database.close()


def under_reactor(work: Callable[[Any], Awaitable[T]]) -> T:
    """Run ``work`` with a reactor, once in a process, and give its result."""
    from twisted.internet import reactor

    at_work: Any = reactor
    results: list[T] = []
    problems: list[Exception] = []
    interrupted = False

    async def run() -> None:
        try:
            results.append(await work(at_work))
        except Exception as problem:
            problems.append(problem)
        finally:
            with suppress(ReactorNotRunning):  # interrupted: it stops already
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
