"""
Messages that may have what is looked for, as the index says, from the newest to the oldest.

Each conversation has its own list of them, by the key of its table. So what is said elsewhere costs nothing, and of a
list no more is read than the answer needs: first a few rows of each list, many lists in one statement, and then more
of those that are in the way.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import neg

from chatsvc.archive.pages import IN_ORDER
from chatsvc.archive.scope import Scope
from chatsvc.storage.sql import Row, Transaction
from chatsvc.storage.value_lists import padded, parts

_LISTS = 128
"""Lists that one statement reads; SQLite takes 500."""

_FEWEST = 8
_FIRST = 512
_MOST = 4096
"""Rows that are read: of each list at least, of all lists together at first, and at the most."""

_GROWTH = 4

_PART = " AND serial >= ? AND serial < ? ORDER BY serial DESC LIMIT ?"

_LIST = {"mysql": "({})", "sqlite": "SELECT * FROM ({})"}
"""How a query that has an order and a limit is made part of a UNION."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the lists are: a query for one of them, and its arguments behind the conversation."""

    sql: str
    args: tuple[int, ...] = ()


def with_token(token: int) -> Source:
    """Give the messages that have a token."""
    sql = "SELECT conversation, serial FROM chat_word WHERE conversation = ? AND token = ?"
    return Source(sql, (token,))


def within(lowest: int, highest: int) -> Source:
    """Give the messages that have one of a range of tokens; each part takes the time of all, so they must be few."""
    sql = "SELECT DISTINCT conversation, serial FROM chat_word WHERE conversation = ? AND token BETWEEN ? AND ?"
    return Source(sql, (lowest, highest))


def everything() -> Source:
    """Give all messages."""
    # As the key begins: without the last condition it would not give an order.
    return Source(
        f"SELECT conversation, serial FROM {IN_ORDER} WHERE conversation = ? AND retracted = 0"  # noqa: S608
    )


@dataclass(slots=True)
class _List:
    """
    What is known of one conversation's list.

    The rows from ``below`` on were read; those of them that were not given yet are ``held``, the newest first. The next
    time ``size`` are read. ``ended``: there are none below.
    """

    scope: Scope
    below: int
    size: int
    held: list[int] = field(default_factory=list)
    ended: bool = False

    def take_from(self, serial: int) -> list[int]:
        """Give what is held and not below a serial."""
        count = bisect_right(self.held, -serial, key=neg)
        taken, self.held = self.held[:count], self.held[count:]
        return taken

    def add(self, serials: list[int], asked: int) -> None:
        """Hold what was read when so many rows were asked for."""
        self.held += sorted(serials, reverse=True)
        self.ended = len(serials) < asked
        if serials:
            self.below = self.held[-1]
        self.size = asked * _GROWTH


class Candidates:
    """
    The candidates in some conversations, each of which is named once, with serials below ``before``, batch by batch.

    ``until`` is the serial down to which all of them have been given; ``ended``: there are no more.
    """

    def __init__(
        self, transaction: Transaction, source: Source, scopes: Sequence[Scope], before: int
    ) -> None:
        self._transaction = transaction
        self._source = source
        size = max(_FIRST // max(len(scopes), 1), _FEWEST)
        self._lists = [_List(scope, before, size) for scope in scopes if scope.since < before]
        self.until = before

    @property
    def ended(self) -> bool:
        """Whether all have been given."""
        return not self._lists

    def next(self) -> list[int]:
        """Give the serials of the next ones, descending; none only if there are no more."""
        self._read([one for one in self._lists if not one.ended and len(one.held) < _FEWEST])
        # What a list that goes on has below its last row is not known.
        self.until = max((one.below for one in self._lists if not one.ended), default=0)
        batch = [serial for one in self._lists for serial in one.take_from(self.until)]
        self._lists = [one for one in self._lists if one.held or not one.ended]
        return sorted(batch, reverse=True)

    def _read(self, lists: Sequence[_List]) -> None:
        """Read on in lists that hold little; the one that is in the way now is not the one that will be next."""
        most = max(_MOST // max(len(lists), 1), _FEWEST)
        for some in parts(lists, _LISTS):
            sizes = [min(one.size, most) for one in some]
            read: dict[int, list[int]] = {one.scope.conversation: [] for one in some}
            for conversation, serial in self._rows(some, sizes):
                read[conversation].append(serial)
            for one, size in zip(some, sizes, strict=True):
                one.add(read[one.scope.conversation], size)

    def _rows(self, lists: Sequence[_List], sizes: Sequence[int]) -> list[Row]:
        """Read so many rows of each list, in one statement."""
        source = self._source
        args = [
            (one.scope.conversation, *source.args, one.scope.since, one.below, size)
            for one, size in zip(lists, sizes, strict=True)
        ]
        some = [*args, *[(*args[-1][:-1], 0)] * (len(padded(args)) - len(args))]
        term = _LIST[self._transaction.backend].format(source.sql + _PART)
        return self._transaction.all(" UNION ALL ".join([term] * len(some)), [*chain(*some)])
