"""
Accounts: who exists, under which name, and what is stored for the password.

The ``user`` table belongs to other programs too, so that rows come and change at any time. Names
are found by `chat_name`, an index by comparison key which is brought up to the highest uid before
it is asked; what it missed is found by the exact name, and no hit counts without its user's row.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pymysql
from cachetools import TTLCache
from pymysql.constants import ER
from twisted.logger import Logger

from chatsvc import migration
from chatsvc.database import Database
from chatsvc.dialects import Row, Transaction
from chatsvc.limits import Rate
from chatsvc.names import BadName, enforce, fold, shown
from chatsvc.seldom import SeldomEach
from chatsvc.stored import ACCOUNT, change_lock, replace, require_readable

_log = Logger()

_LONGEST = 255
"""Characters of a name at most, as the table has it. Comparing much longer ones takes seconds."""

MOST_FOUND = 100
"""Most uids that `Accounts.find` gives."""

_PAGE = 200
_KEY_BYTES = 255
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1
_LOCK = "names"

_OTHER_CHARACTERS = frozenset(
    {
        ER.CANT_AGGREGATE_2COLLATIONS,
        ER.CANT_AGGREGATE_3COLLATIONS,
        ER.CANT_AGGREGATE_NCOLLATIONS,
    }
)
"""What MySQL says when the table's character set does not have the characters asked for."""


class NameTaken(Exception):
    """Somebody has this name, or one that compares equal."""


@dataclass(frozen=True, slots=True)
class Account:
    """
    One row: ``name`` is harmless to show; ``stored`` is the password column as it stands; ``locks`` is how often it was
    locked and unlocked.
    """

    uid: int
    name: str
    stored: str | None
    locks: int = 0


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Somebody to make an account for: ``name`` as `enforce` gives it, ``uid`` None for the next free one."""

    name: str
    stored: str
    uid: int | None = None


class Taken(Exception):
    """``names`` and ``uids`` of newcomers that others have."""

    def __init__(self, names: set[str], uids: set[int]) -> None:
        super().__init__(names, uids)
        self.names, self.uids = names, uids


class Refused(Exception):
    """The database does not take the newcomer at ``index``; the text says why."""

    def __init__(self, index: int, why: str) -> None:
        super().__init__(why)
        self.index = index


class Accounts:
    """
    The accounts in one database, which whoever hands it in opens and closes.

    Names are remembered for ``names_lifetime`` seconds of ``now``. All that is asynchronous
    raises `chatsvc.store.StoreUnavailable` when the database is away.
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
        self._not_changed: SeldomEach[int] = SeldomEach(now, Rate(1 / 60, 1))

    async def open(self) -> None:
        """
        Make the tables that are missing and index the names that are not.

        :raise BadStore: tables are missing and may not be made, or may not be read.
        """
        await migration.apply(self._database)
        await self._database.run(require_readable, write=False)
        after = _LOWEST
        while page := await self._database.run(partial(_unindexed, after=after), write=False):
            await self._add_to_index(page)
            after = page[-1][0]

    def cached_name(self, uid: int) -> str | None:
        """Give the name of a user if it is remembered."""
        return self._names.get(uid)

    async def name(self, uid: int) -> str | None:
        """Give the name of a user, None if there is none."""
        known = self.cached_name(uid)
        if known is not None:
            return known
        account = await self.get(uid)
        return None if account is None else account.name

    async def get(self, uid: int) -> Account | None:
        """Give the account of a user, None if there is none."""
        if not _possible(uid):
            return None
        row = await self._database.run(lambda t: t.one(ACCOUNT, (uid,)), write=False)
        if row is None:
            return None
        account = _account(row)
        self._names[uid] = account.name
        return account

    async def register(self, name: str, phc: str) -> int:
        """
        Make an account and give its uid.

        :raise BadName: the name is none, or not one that this database can hold.
        :raise NameTaken: an account has it, whoever made that one and when.
        """
        stored = enforce(name)
        try:
            uid = await self._database.run(lambda t: _register(t, stored, phc), lock=_LOCK)
        except pymysql.DataError:
            raise BadName("this database cannot hold a character of the name") from None
        except (pymysql.IntegrityError, sqlite3.IntegrityError):
            # The table has a rule of its own. Not in its words: they quote the name.
            raise NameTaken(name) from None
        self._names[uid] = shown(stored, uid)
        return uid

    async def check(self, newcomers: Sequence[Newcomer]) -> None:
        """
        See that nobody has the names and uids of newcomers.

        :raise Taken: somebody has.
        """
        await self._database.run(lambda t: _check(t, newcomers), write=False)

    async def enrol(self, newcomers: Sequence[Newcomer]) -> list[int]:
        """
        Make accounts, all or none, and give their uids in the same order.

        :raise Taken: somebody has a name or a uid.
        :raise Refused: the database cannot hold one of them.
        """
        return await self._database.run(lambda t: _enrol(t, newcomers), lock=_LOCK)

    async def find(self, name: str) -> list[int]:
        """Give the uids that have this name, ascending, at most `MOST_FOUND`."""
        if len(name) > _LONGEST:
            return []
        while page := await self._database.run(_new, write=False):
            await self._add_to_index(page)
        return await self._database.run(lambda t: _find(t, name), write=False)

    async def listing(self, after: int, limit: int) -> list[Account]:
        """Give up to ``limit`` accounts with uids above ``after``, ascending."""
        question = "SELECT id, username, password FROM user WHERE id > ? ORDER BY id LIMIT ?"
        start = min(max(after, _LOWEST), _HIGHEST)
        rows = await self._database.run(lambda t: t.all(question, (start, limit)), write=False)
        return [_account(row) for row in rows]

    async def replace_password(self, uid: int, old_stored: str, new_stored: str) -> bool:
        """Store another password if the row still holds the old one, to the byte."""
        if not _possible(uid):
            return False
        try:
            return await self._database.run(lambda t: replace(t, uid, old_stored, new_stored))
        except pymysql.DataError as problem:
            # A column narrower than the schema's; what it holds goes on working.
            text, why = "user.password not changed: {reason}", problem.args[-1]
            if self._not_changed.count(uid):
                _log.error(text, event="password-not-changed", uid=uid, reason=why)
            return False

    async def change_lock(self, uid: int, old_stored: str, new_stored: str) -> bool:
        """Store the same password, locked or unlocked, as `replace_password` does; tokens from before end."""
        return await self._database.run(lambda t: change_lock(t, uid, old_stored, new_stored))

    async def set_stored(self, uid: int, stored: str) -> bool:
        """Store another password, whatever the row holds; say whether there is such a row."""
        if not _possible(uid):
            return False
        change = "UPDATE user SET password = ? WHERE id = ?"
        return await self._database.run(lambda t: t.execute(change, (stored, uid))) > 0

    async def plain_passwords(self) -> int:
        """Count the accounts whose password is still an old plain text."""
        rows = await self._database.run(lambda t: t.one(_PLAIN), write=False)
        return int(rows[0]) if rows else 0

    async def try_out(self) -> None:
        """Change nothing, in a way that shows whether accounts can be changed; raise what is in the way."""
        change = "UPDATE user SET password = password WHERE id = 0"
        await self._database.run(lambda t: t.execute(change))
        await self._database.run(require_readable, write=False)

    async def _add_to_index(self, page: list[Row]) -> None:
        await self._database.run(partial(_index, rows=page), lock=_LOCK)


_PLAIN = (
    "SELECT COUNT(*) FROM user WHERE password <> ''"
    " AND password NOT LIKE '$argon2%' AND password NOT LIKE '!$argon2%'"
)


def _register(transaction: Transaction, name: str, phc: str) -> int:
    while page := _new(transaction):
        _index(transaction, page)
    if _find(transaction, name):
        raise NameTaken(name)
    insert = "INSERT INTO user (username, password) VALUES (?, ?)"
    uid = transaction.insert(insert, (name, phc))
    _index(transaction, [(uid, name)])
    return uid


def _check(transaction: Transaction, newcomers: Sequence[Newcomer]) -> None:
    by_fold = {fold(newcomer.name): newcomer.name for newcomer in newcomers}
    uids = {newcomer.uid for newcomer in newcomers if newcomer.uid is not None}
    found = _in_pages(
        transaction,
        "SELECT user.username FROM chat_name JOIN user ON user.id = chat_name.uid"
        " WHERE chat_name.folded IN",
        [_key(name) for name in by_fold.values()],
    )
    found += _all_exact(transaction, list(by_fold.values()))
    folded = {fold(_text(name)) for (name,) in found}
    names = {name for key, name in by_fold.items() if key in folded}
    rows = _in_pages(transaction, "SELECT id FROM user WHERE id IN", list(uids))
    if names or rows:
        raise Taken(names, {uid for (uid,) in rows})


def _enrol(transaction: Transaction, newcomers: Sequence[Newcomer]) -> list[int]:
    while page := _new(transaction):
        _index(transaction, page)
    _check(transaction, newcomers)
    uids: dict[int, int] = {}
    # Those who bring their uid first, or it could be given to another one.
    for index in sorted(range(len(newcomers)), key=lambda index: newcomers[index].uid is None):
        uids[index] = _insert(transaction, index, newcomers[index])
    rows: list[Row] = [(uids[index], one.name) for index, one in enumerate(newcomers)]
    for start in range(0, len(rows), _PAGE):
        _index(transaction, rows[start : start + _PAGE])
    return [uid for uid, _ in rows]


def _insert(transaction: Transaction, index: int, newcomer: Newcomer) -> int:
    insert = "INSERT INTO user (id, username, password) VALUES (?, ?, ?)"
    try:
        given = transaction.insert(insert, (newcomer.uid, newcomer.name, newcomer.stored))
    except pymysql.DataError:
        raise Refused(index, "this database cannot hold the name or the password") from None
    except (pymysql.IntegrityError, sqlite3.IntegrityError):
        # The table has a rule of its own, or another program was quicker.
        raise Refused(index, "its name or uid is taken") from None
    return given if newcomer.uid is None else newcomer.uid


def _in_pages(transaction: Transaction, question: str, values: Sequence[Any]) -> list[Row]:
    """The answers to a question that ends with ``IN``."""
    rows: list[Row] = []
    for start in range(0, len(values), _PAGE):
        some = values[start : start + _PAGE]
        places = ", ".join("?" * len(some))
        rows += transaction.all(f"{question} ({places})", some)
    return rows


def _all_exact(transaction: Transaction, names: Sequence[str]) -> list[Row]:
    try:
        return _in_pages(transaction, "SELECT username FROM user WHERE username IN", names)
    except pymysql.OperationalError as problem:
        if problem.args[0] not in _OTHER_CHARACTERS:
            raise
        return [(name,) for one in names for _, name in _exact(transaction, one)]


def _find(transaction: Transaction, name: str) -> list[int]:
    try:
        name.encode()
    except UnicodeEncodeError:
        return []
    indexed = (
        "SELECT user.id, user.username FROM chat_name JOIN user ON user.id = chat_name.uid"
        " WHERE chat_name.folded = ? ORDER BY user.id LIMIT ?"
    )
    rows = transaction.all(indexed, (_key(name), MOST_FOUND))
    rows += _exact(transaction, name)
    wanted = fold(name)
    # The database compares by its own rules, and a row may have changed since it was indexed.
    return sorted({uid for uid, found in rows if fold(_text(found)) == wanted})[:MOST_FOUND]


def _exact(transaction: Transaction, name: str) -> list[Row]:
    exact = "SELECT id, username FROM user WHERE username = ? ORDER BY id LIMIT ?"
    try:
        return transaction.all(exact, (name, MOST_FOUND))
    except pymysql.OperationalError as problem:
        if problem.args[0] not in _OTHER_CHARACTERS:
            raise
        return []


def _new(transaction: Transaction) -> list[Row]:
    """Give rows (uid, name) above the highest that is indexed."""
    (highest,) = transaction.one("SELECT MAX(uid) FROM chat_name") or (None,)
    question = "SELECT id, username FROM user WHERE id > ? ORDER BY id LIMIT ?"
    return transaction.all(question, (_LOWEST if highest is None else highest, _PAGE))


def _unindexed(transaction: Transaction, after: int) -> list[Row]:
    """Give rows (uid, name) that are not indexed, with uids above ``after``."""
    question = (
        "SELECT user.id, user.username FROM user LEFT JOIN chat_name ON chat_name.uid = user.id"
        " WHERE user.id > ? AND chat_name.uid IS NULL ORDER BY user.id LIMIT ?"
    )
    return transaction.all(question, (after, _PAGE))


def _index(transaction: Transaction, rows: list[Row]) -> None:
    entries = [entry for uid, name in rows for entry in (_key(_text(name)), uid)]
    places = ", ".join(["(?, ?)"] * len(rows))
    transaction.execute(f"REPLACE INTO chat_name (folded, uid) VALUES {places}", entries)  # noqa: S608


def _key(name: str) -> bytes:
    key = _bytes(fold(name))
    return key if len(key) <= _KEY_BYTES else hashlib.sha256(key).digest()


def _account(row: Row) -> Account:
    uid, name, stored, *times = row
    stored = None if stored is None else _text(stored)
    return Account(uid, shown(_text(name), uid), stored, *(n or 0 for n in times))


def _text(value: Any) -> str:
    """Take a column as text: SQLite keeps whatever type a program put in."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return "" if value is None else str(value)


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _possible(uid: int) -> bool:
    # 0 is nobody: it marks what the older server left.
    return uid != 0 and _LOWEST <= uid <= _HIGHEST
