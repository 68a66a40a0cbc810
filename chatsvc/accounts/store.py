"""
The store of accounts: names, stored passwords and locks, in the ``user`` table of a database.

The table belongs to other programs too, so its rows come and change at any time: see ``chatsvc.accounts.name_index``
for how names are found nevertheless, and ``chatsvc.accounts.creation`` for how rows are added.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial

import pymysql
from cachetools import TTLCache
from twisted.logger import Logger

from chatsvc.accounts import creation, name_index, session_device
from chatsvc.accounts.creation import NameTaken, NewAccount, UidsUsedUp
from chatsvc.accounts.name_index import HIGHEST, LOWEST, as_text
from chatsvc.accounts.names import BadName, display_name, enforce
from chatsvc.accounts.rights import READING, Rights, of_server, require
from chatsvc.accounts.stored_password import change_lock, replace
from chatsvc.limits.token_bucket import Rate
from chatsvc.observability.log_limiter import KeyedLogLimiter
from chatsvc.storage import schema
from chatsvc.storage.database import Database
from chatsvc.storage.sql import Row, Transaction

_log = Logger()

LONGEST = 255
"""Characters of a name in the table. Comparing much longer ones takes seconds."""

MOST_FOUND = 100
"""Uids that ``AccountStore.find`` returns at most."""

_COUNTED = 10_000
"""Rows that one transaction counts."""

_LOCK = "names"
"""The database's lock that whoever adds names holds."""


@dataclass(frozen=True, slots=True)
class Account:
    """
    One account.

    ``name`` is safe to show. ``stored`` is the password column as it stands: a PHC string, an old plain password, or
    None. ``locks`` counts how often the account was locked and unlocked, ``forgets`` how often each of the devices was
    forgotten that were asked for.
    """

    uid: int
    name: str
    stored: str | None
    locks: int = 0
    forgets: Mapping[str, int] = field(default_factory=dict)


class AccountStore:
    """
    The accounts in one database, which the caller opens and closes.

    Up to ``names_size`` names are cached for ``names_lifetime`` seconds of the clock ``now``. Every coroutine raises
    ``chatsvc.storage.url.StoreUnavailable`` when the database is away.
    """

    def __init__(
        self,
        database: Database,
        names_size: int = 100_000,
        names_lifetime: float = 300.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._names: TTLCache[int, str] = TTLCache(names_size, names_lifetime, now)
        self._not_changed: KeyedLogLimiter[int] = KeyedLogLimiter(now, Rate(1 / 60, 1))
        self._used_up_logged = False

    async def open(self, rights: Rights = READING) -> None:
        """
        Create missing tables and index the names that are not indexed yet.

        :raise StoreMisconfigured: when tables are missing and may not be created, or ``rights`` are.
        """
        await schema.apply(self._database)
        await self._database.run(partial(require, rights=rights), write=rights is not READING)
        after: int | None = LOWEST
        while after is not None:
            page = partial(name_index.unindexed, after=after)
            rows, after = await self._database.run(page, write=False)
            await self._index(rows)

    def cached_name(self, uid: int) -> str | None:
        """Return the name of a user if it is cached."""
        return self._names.get(uid)

    async def name(self, uid: int) -> str | None:
        """Return the name of a user, or None if there is no such user."""
        known = self.cached_name(uid)
        if known is not None:
            return known
        account = await self.get(uid)
        return None if account is None else account.name

    async def get(self, uid: int, *devices: str) -> Account | None:
        """
        Return the account of a user, or None if there is no such user.

        It says how often these ``devices`` of the user were forgotten.
        """
        if not _possible(uid):
            return None
        row = await self._database.run(partial(_row, uid, devices), write=False)
        return self._remembered(row, devices)

    async def get_by_name(self, name: str, *devices: str) -> Account | None:
        """
        Return the account with this name, or None unless exactly one has it, as ``find`` compares names.

        The database is asked the same, however many have the name.
        """
        if len(name) > LONGEST:
            return None
        await self._index_new()
        search = partial(_row_by_name, name, devices)
        return self._remembered(await self._database.run(search, write=False), devices)

    def _remembered(self, row: Row | None, devices: Sequence[str]) -> Account | None:
        if row is None:
            return None
        account = _account(row, devices)
        self._names[account.uid] = account.name
        return account

    async def register(self, name: str, phc: str) -> int:
        """
        Create an account and return its uid; ``phc`` is what is stored as its password.

        :raise BadName: when the text is no name, or this database cannot hold it.
        :raise NameTaken: when an account has the name, whichever program created that one.
        :raise UidsUsedUp: when there is no uid for it.
        """
        stored = enforce(name)
        try:
            await self._index_new()
            enter = partial(creation.register, name=stored, phc=phc)
            given = await self._database.run(enter, lock=_LOCK)
        except pymysql.DataError:
            raise BadName("this database cannot hold a character of the name") from None
        except UidsUsedUp:
            self._log_used_up(_log.error, "there is none left for them")
            raise
        except (pymysql.IntegrityError, sqlite3.IntegrityError):
            # The table has a constraint that we do not know. Its message is dropped, for it quotes the name.
            raise NameTaken(name) from None
        self._names[given.uid] = display_name(stored, given.uid)
        if given.numbered_by_us:
            self._log_used_up(_log.warn, f"they get free ones below, {given.uid} now")
        return given.uid

    async def require_free(self, accounts: Sequence[NewAccount]) -> None:
        """
        Check that the names and uids of new accounts are free.

        :raise AccountsTaken: when some are not.
        """
        await self._database.run(lambda t: creation.require_free(t, accounts), write=False)

    async def create_many(self, accounts: Sequence[NewAccount]) -> list[int]:
        """
        Create accounts, all or none, and return their uids in the same order.

        One short transaction inserts the rows. Their names are indexed outside of it: beforehand where the uid is
        known, so that nobody can take an equal name meanwhile. That does no harm if the transaction fails, for no hit
        in the index counts without its row.

        :raise AccountsTaken: when a name or a uid is not free.
        :raise RowRejected: when the database cannot hold one of them.
        """
        await self._index_new()
        await self.require_free(accounts)
        given, index = [one.uid for one in accounts], self._database.run_paced
        await index(creation.indexing(accounts, given), _LOCK)
        uids = await self._database.run(lambda t: creation.create_many(t, accounts), lock=_LOCK)
        await index(creation.indexing(accounts, uids), _LOCK)
        return uids

    async def find(self, name: str) -> list[int]:
        """Return the uids of the accounts with this name, ascending, ``MOST_FOUND`` at most."""
        if len(name) > LONGEST:
            return []
        await self._index_new()
        search = partial(name_index.find, name=name, most=MOST_FOUND)
        return await self._database.run(search, write=False)

    async def page(self, after: int, limit: int) -> list[Account]:
        """Return up to ``limit`` accounts with uids above ``after``, ascending."""
        query = "SELECT id, username, password FROM user WHERE id > ? ORDER BY id LIMIT ?"
        start = min(max(after, LOWEST), HIGHEST)
        rows = await self._database.run(lambda t: t.all(query, (start, limit)), write=False)
        return [_account(row) for row in rows]

    async def replace_password(self, uid: int, old_stored: str, new_stored: str) -> bool:
        """Store another password if the row still holds the old one, byte for byte; return whether it did."""
        if not _possible(uid):
            return False
        try:
            return await self._database.run(lambda t: replace(t, uid, old_stored, new_stored))
        except pymysql.DataError as problem:
            # The column is narrower than the schema's; the old password goes on working.
            text, why = "user.password not changed: {reason}", problem.args[-1]
            if self._not_changed.hit(uid):
                _log.error(text, event="password-not-changed", uid=uid, reason=why)
            return False

    async def change_lock(self, uid: int, old_stored: str, new_stored: str) -> bool:
        """Store the same password, locked or unlocked, as ``replace_password`` does; older tokens become invalid."""
        return await self._database.run(lambda t: change_lock(t, uid, old_stored, new_stored))

    async def set_stored(self, uid: int, stored: str) -> bool:
        """Store another password, whatever the row holds; return whether there is such a row."""
        if not _possible(uid):
            return False
        change = "UPDATE user SET password = ? WHERE id = ?"
        return await self._database.run(lambda t: t.execute(change, (stored, uid))) > 0

    async def forget_device(self, uid: int, device: str) -> None:
        """Make all tokens void that were issued to a device of an account so far."""
        await self._database.run(lambda t: session_device.forget(t, uid, device))

    async def plain_passwords(self) -> int:
        """Count the accounts whose password is still an old plain text."""
        count, after = 0, LOWEST
        while True:
            page = partial(Transaction.one, sql=_PLAIN, args=(after, _COUNTED))
            plain, last = await self._database.run(page, write=False) or (0, None)
            count += int(plain)
            if last is None:
                return count
            after = last

    async def check_usable(self, registers: bool = True, archives: bool = False) -> None:
        """
        Check that a server, which perhaps makes accounts or has a history, can work with these, without a change.

        :raise Exception: the driver's error, when it cannot write.
        :raise StoreMisconfigured: when it lacks a right.
        """
        await self._database.run(partial(require, rights=of_server(registers, archives)))
        change = "UPDATE user SET password = password WHERE id = 0"
        await self._database.run(lambda t: t.execute(change))

    async def _index_new(self) -> None:
        """Bring the index up to the highest uid, in short transactions."""
        while rows := await self._database.run(name_index.new_rows, write=False):
            await self._index(rows)

    async def _index(self, rows: Sequence[Row]) -> None:
        for start in range(0, len(rows), name_index.PAGE):
            page = rows[start : start + name_index.PAGE]
            await self._database.run(partial(name_index.index, rows=page), lock=_LOCK)

    def _log_used_up(self, log: Callable[..., None], what: str) -> None:
        """Log this once: each registration would repeat it."""
        if not self._used_up_logged:
            self._used_up_logged = True
            text = (
                "The table user cannot number new accounts, for its highest id is the last: {what}"
            )
            log(text, event="uids-used-up", what=what)


_PLAIN = (
    "SELECT COUNT(CASE WHEN password <> '' AND password NOT LIKE '$argon2%'"
    " AND password NOT LIKE '!$argon2%' THEN 1 END), MAX(id)"
    " FROM (SELECT id, password FROM user WHERE id > ? ORDER BY id LIMIT ?) AS page"
)


_NOBODY = 0
"""A uid that no account has: it marks messages that the older server left."""


@cache
def _account_query(devices: int) -> str:
    """One account, how often it was locked and unlocked, and how often each device was forgotten (NULL: never)."""
    counts = "".join([f", {session_device.TIMES}"] * devices)
    return (
        f"SELECT user.id, user.username, user.password, chat_lock.times{counts}"  # noqa: S608
        " FROM user LEFT JOIN chat_lock ON chat_lock.uid = user.id WHERE user.id = ?"
    )


def _row(uid: int, devices: Sequence[str], transaction: Transaction) -> Row | None:
    return transaction.one(_account_query(len(devices)), (*devices, uid))


def _row_by_name(name: str, devices: Sequence[str], transaction: Transaction) -> Row | None:
    uids = name_index.find(transaction, name, MOST_FOUND)
    uid = uids[0] if len(uids) == 1 and _possible(uids[0]) else _NOBODY
    row = _row(uid, devices, transaction)
    return row if uid != _NOBODY else None


def _account(row: Row, devices: Sequence[str] = ()) -> Account:
    uid, name, stored, *counts = row
    stored = None if stored is None else as_text(stored)
    locks, *forgets = (count or 0 for count in counts) if counts else (0,)
    forgotten = dict(zip(devices, forgets, strict=True))
    return Account(uid, display_name(as_text(name), uid), stored, locks, forgotten)


def _possible(uid: int) -> bool:
    return uid != _NOBODY and LOWEST <= uid <= HIGHEST
