"""
The search: messages of some conversations that have all words that somebody looks for, the newest first.

The index gives candidates by the rarest word, and their texts decide. A search may be ended at any time, and is gone on
with from the serial that it came down to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

from chatsvc.archive.candidates import Candidates, Source, everything, with_token, within
from chatsvc.archive.message import ArchivedMessage
from chatsvc.archive.pages import ENDLESS, LARGE, messages_at
from chatsvc.archive.scope import Scope
from chatsvc.archive.segmenter import Query
from chatsvc.storage.sql import Transaction
from chatsvc.storage.value_lists import padded, parts, places
from chatsvc.wire.record import record

_FEW = 64
"""So many candidates are no trouble: nothing rarer is looked for."""

_COUNTED = 1000
"""Messages with a token are counted up to this number; what has more of them is frequent."""

_COUNTED_WITHIN = 10_000
"""The same for the rows of a range of tokens: more are not sorted, and all messages are looked at instead."""

_ASKED = 8
"""Tokens of a query that are counted."""

_CHECKED = 3
"""Tokens that are looked up for each candidate, beside the one that gave it."""

_CONVERSATIONS = 512
"""Conversations in one list: MariaDB makes another plan for 1,000 or more."""

_PORTION = 64
_MOST = 512
"""Texts that are read at once, at first and at the most."""

_HAS = (
    " AND EXISTS (SELECT 1 FROM chat_word AS w"
    " WHERE w.conversation = m.conversation AND w.token = ? AND w.serial = m.serial)"
)


@record
class Found:
    """
    A page of what was found, the newest first.

    All was looked at down to the serial ``until``: the next page is what lies below it. ``complete``: nothing does.
    """

    messages: list[ArchivedMessage]
    until: int
    complete: bool


def search_page(
    transaction: Transaction,
    scopes: Sequence[Scope],
    query: Query,
    before: int | None,
    sender: int | None,
    limit: int,
    deadline: Callable[[], bool],
) -> Found:
    """
    Find up to ``limit`` messages within ``scopes``, with serials below ``before``, of one ``sender`` or of all.

    A page of ``LARGE`` texts ends before the limit. The search ends when ``deadline()`` is true, which is asked after
    each message that is looked at and each portion; the first one always is, so that a page is never where it was
    before. Messages that are not in the index yet are not found.
    """
    below = ENDLESS if before is None else max(min(before, ENDLESS), 0)
    readable = _readable(scopes)
    plan = _plan(transaction, query, list(readable), below) if readable else None
    if plan is None:
        return Found([], 0, True)
    lists = [Scope(conversation, since) for conversation, since in readable.items()]
    candidates = Candidates(transaction, plan.source, lists, below)
    found: list[ArchivedMessage] = []
    size = 0
    for serials, until in _portions(candidates):
        messages = _messages(transaction, serials, plan.others, sender)
        for message in messages:
            if _is_in(readable, message) and query.matches(message.text):
                found.append(message)
                size += len(message.text)
            if len(found) == limit or size >= LARGE or deadline():
                end = until if message is messages[-1] else message.serial
                return Found(found, end, not end)
        if until and deadline():
            return Found(found, until, False)
    return Found(found, 0, True)


def _readable(scopes: Sequence[Scope]) -> dict[int, int]:
    """From which serial on each conversation may be read."""
    readable: dict[int, int] = {}
    for scope in scopes:
        since = readable.get(scope.conversation, scope.since)
        readable[scope.conversation] = min(since, scope.since)
    return readable


def _is_in(readable: dict[int, int], message: ArchivedMessage) -> bool:
    """Whether a message may be read: a row of the index alone does not say so."""
    return message.serial >= readable.get(message.conversation, ENDLESS)


def _portions(candidates: Candidates) -> Iterator[tuple[Sequence[int], int]]:
    """Give candidates, descending, with the serial down to which these are all; 0: no more are to come."""
    size = _PORTION
    while not candidates.ended:
        batch = candidates.next()
        while batch:
            some, batch = batch[:size], batch[size:]
            size = min(2 * size, _MOST)
            yield some, some[-1] if batch else candidates.until


def _messages(
    transaction: Transaction, serials: Sequence[int], tokens: Sequence[int], sender: int | None
) -> list[ArchivedMessage]:
    """Read those of some messages that are not retracted, are of the sender and have the tokens, descending."""
    also, args = _HAS * len(tokens), [*tokens]
    if sender is not None:
        also += " AND m.sender = ?"
        args.append(sender)
    found = messages_at(transaction, serials, also, args)
    return sorted(found, key=attrgetter("serial"), reverse=True)


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where candidates come from, and what else the index must say of each."""

    source: Source
    others: tuple[int, ...] = ()


def _plan(
    transaction: Transaction, query: Query, conversations: Sequence[int], below: int
) -> _Plan | None:
    """Choose by what candidates are looked up; None: there are none."""
    tokens = sorted(query.tokens, reverse=True)[:_ASKED]
    if not tokens:
        return _plan_within(transaction, query, conversations)
    if len(tokens) == 1:
        return _Plan(with_token(tokens[0]))
    counted: list[tuple[int, int]] = []
    for token in tokens:
        rows = _count(
            transaction, conversations, "token = ? AND serial < ?", (token, below), _COUNTED
        )
        if rows <= _FEW:
            return _Plan(with_token(token)) if rows else None
        counted.append((rows, token))
    (_, rarest), *others = sorted(counted)
    return _Plan(with_token(rarest), tuple(token for _, token in others[:_CHECKED]))


def _plan_within(
    transaction: Transaction, query: Query, conversations: Sequence[int]
) -> _Plan | None:
    """The same for single characters of Chinese, where the index has a range of tokens for each."""
    counted = [
        (
            _count(transaction, conversations, "token BETWEEN ? AND ?", ends, _COUNTED_WITHIN),
            ends,
        )
        for ends in query.ranges[:_ASKED]
    ]
    rows, ends = min(counted, default=(0, (0, 0)))
    if not rows:
        return None
    return _Plan(within(*ends) if rows < _COUNTED_WITHIN else everything())


def _count(
    transaction: Transaction,
    conversations: Sequence[int],
    condition: str,
    args: tuple[int, ...],
    most: int,
) -> int:
    """Count rows of the index in some conversations, up to ``most``."""
    count = 0
    for part in parts(conversations, _CONVERSATIONS):
        some = padded(part)
        row = transaction.one(
            "SELECT COUNT(*) FROM (SELECT 1 FROM chat_word"  # noqa: S608
            f" WHERE conversation IN {places(some)} AND {condition} LIMIT ?) AS counted",
            (*some, *args, most - count),
        )
        count += row[0] if row else 0
        if count >= most:
            break
    return count
