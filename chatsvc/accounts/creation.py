"""Creating accounts: rows of the ``user`` table, one or many in a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import pymysql

from chatsvc.accounts import name_index
from chatsvc.accounts.names import fold
from chatsvc.storage.sql import SQL_ERRORS, Transaction

HIGHEST_GIVEN = 2_000_000_000
"""
Uids from here on are not given out. Deployments have an ``int`` column, and no row can follow one with its last number.
"""

_FIRST = 10_001
"""The first uid that is given out where the table is empty."""

_INDEXED = 1000
"""Names that one transaction indexes; that takes some 20 ms."""

_LAST_NUMBERS = frozenset(2**bits - 1 for bits in (7, 8, 15, 16, 23, 24, 31, 32, 63, 64))
"""The largest ids of columns that number rows themselves (MySQL's manual, "Integer Types"; SQLite has 63 bits)."""


class NameTaken(Exception):
    """An account has this name, or one that compares equal."""


class UidsUsedUp(Exception):
    """No uid is left of which it is certain that it was never given out."""


@dataclass(frozen=True, slots=True)
class NewAccount:
    """
    An account to create.

    ``name`` is as ``enforce`` returns it, ``stored`` goes into the password column, ``uid`` is None for the next free
    one. ``folded`` is the key by which names are compared. It is made here because it takes longest of all, and
    others wait while a transaction runs.
    """

    name: str
    stored: str
    uid: int | None = None
    folded: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "folded", fold(self.name))


class AccountsTaken(Exception):
    """Other accounts have these ``names`` and ``uids`` already."""

    def __init__(self, names: set[str], uids: set[int]) -> None:
        super().__init__(names, uids)
        self.names, self.uids = names, uids


class RowRejected(Exception):
    """The database refuses the new account at ``index``; the text says why."""

    def __init__(self, index: int, why: str) -> None:
        super().__init__(why)
        self.index = index


@dataclass(frozen=True, slots=True)
class Created:
    """The ``uid`` of a new account; ``numbered_by_us`` if the table could not number the row itself."""

    uid: int
    numbered_by_us: bool = False


def register(transaction: Transaction, name: str, phc: str) -> Created:
    """
    Create one account and index its name; ``phc`` is what is stored as its password.

    :raise NameTaken: when an account has the name.
    :raise UidsUsedUp: when there is no uid for it.
    """
    _index_new(transaction)
    if name_index.find(transaction, name, 1):
        raise NameTaken(name)
    given = _insert(transaction, name, phc)
    name_index.index(transaction, [(given.uid, name)])
    return given


def require_free(transaction: Transaction, accounts: Sequence[NewAccount]) -> None:
    """
    Check that the names and uids of new accounts are free.

    :raise AccountsTaken: when some are not.
    """
    by_fold = {account.folded: account.name for account in accounts}
    uids = [account.uid for account in accounts if account.uid is not None]
    folded = name_index.taken(transaction, by_fold)
    names = {name for key, name in by_fold.items() if key in folded}
    rows = name_index.in_pages(transaction, "SELECT id FROM user WHERE id IN", uids)
    if names or rows:
        raise AccountsTaken(names, {uid for (uid,) in rows})


def create_many(transaction: Transaction, accounts: Sequence[NewAccount]) -> list[int]:
    """
    Create accounts and return their uids in the same order.

    Their names are not indexed: that takes long, and others wait for the transaction's end. See ``indexing``.

    :raise AccountsTaken: when names or uids are not free.
    :raise RowRejected: when the database cannot hold one of them.
    """
    _index_new(transaction)
    require_free(transaction, accounts)
    uids: dict[int, int] = {}
    # Accounts with a uid first, or their uid could be given to one without.
    for with_uid in (True, False):
        those = [i for i, one in enumerate(accounts) if (one.uid is not None) is with_uid]
        for start in range(0, len(those), name_index.PAGE):
            uids |= _insert_page(transaction, accounts, those[start : start + name_index.PAGE])
    return [uids[i] for i in range(len(accounts))]


def indexing(
    accounts: Sequence[NewAccount], uids: Sequence[int | None]
) -> Iterator[Callable[[Transaction], None]]:
    """Yield steps, each for a transaction of its own, that index the accounts which have a uid."""
    rows = [(uid, one.folded) for uid, one in zip(uids, accounts, strict=True) if uid is not None]
    for start in range(0, len(rows), _INDEXED):
        yield partial(name_index.index_folded, rows=rows[start : start + _INDEXED])


def _index_new(transaction: Transaction) -> None:
    while page := name_index.new_rows(transaction):
        name_index.index(transaction, page)


def _insert_page(
    transaction: Transaction, accounts: Sequence[NewAccount], those: Sequence[int]
) -> dict[int, int]:
    """Insert the accounts at some places, of which all bring a uid or none; return the uids by place."""
    some = [accounts[i] for i in those]
    try:
        if some[0].uid is None:
            rows = [(one.name, one.stored) for one in some]
            given = transaction.insert_many("INSERT INTO user (username, password)", rows)
        else:
            numbered = [(one.uid, one.name, one.stored) for one in some]
            transaction.insert_many("INSERT INTO user (id, username, password)", numbered)
            given = [one.uid for one in some if one.uid is not None]
    except SQL_ERRORS:
        # One after the other, to learn which of them is refused.
        given = [_insert_account(transaction, i, accounts[i]) for i in those]
    return dict(zip(those, given, strict=True))


def _insert_account(transaction: Transaction, index: int, account: NewAccount) -> int:
    try:
        if account.uid is None:
            return _insert(transaction, account.name, account.stored).uid
        _insert_numbered(transaction, account.uid, account.name, account.stored)
        return account.uid
    except UidsUsedUp:
        raise RowRejected(index, "no uid is left for it") from None
    except pymysql.DataError:
        raise RowRejected(index, "this database cannot hold the name or the password") from None
    except (pymysql.IntegrityError, sqlite3.IntegrityError):
        # The table has a constraint that we do not know, or another program was quicker.
        raise RowRejected(index, "its name or uid is taken") from None


def _insert(transaction: Transaction, name: str, stored: str) -> Created:
    """Insert a row that the table numbers; once its last number is taken, use a free one below."""
    try:
        return Created(
            transaction.insert(
                "INSERT INTO user (username, password) VALUES (?, ?)", (name, stored)
            )
        )
    except SQL_ERRORS:
        (last,) = transaction.one("SELECT MAX(id) FROM user") or (None,)
        if last not in _LAST_NUMBERS:
            raise
    uid = _free_below(transaction)
    try:
        _insert_numbered(transaction, uid, name, stored)
    except pymysql.DataError:
        raise UidsUsedUp from None
    return Created(uid, numbered_by_us=True)


def _free_below(transaction: Transaction) -> int:
    """
    Return a uid above all that were given out.

    A deleted account's uid must not be given out again: its new owner would read the messages that still wait for the
    old one. The index of names keeps the uids of deleted rows, so it is asked as well.
    """
    highest = _FIRST - 1
    for column in ("id) FROM user WHERE id", "uid) FROM chat_name WHERE uid"):
        (found,) = transaction.one(f"SELECT MAX({column} < ?", (HIGHEST_GIVEN,)) or (None,)
        highest = max(highest, found or 0)
    if highest + 1 >= HIGHEST_GIVEN:
        raise UidsUsedUp
    return highest + 1


def _insert_numbered(transaction: Transaction, uid: int, name: str, stored: str) -> None:
    insert = "INSERT INTO user (id, username, password) VALUES (?, ?, ?)"
    transaction.execute(insert, (uid, name, stored))
