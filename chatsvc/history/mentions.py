"""Mentions: ``@NAME`` of somebody who may read a conversation marks a message of it for them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from chatsvc.accounts.name_index import as_bytes, in_pages, index, new_rows
from chatsvc.accounts.names import MAX_CHARACTERS, fold, possible_folds
from chatsvc.archive.reading import NOTHING, Reading, readings, remove_mentions
from chatsvc.history.access import pair_of
from chatsvc.storage.sql import Row, Transaction
from chatsvc.storage.upsert import insert_absent
from chatsvc.storage.value_lists import padded, parts, places

_AT = re.compile(r"(?<![A-Za-z0-9._+-])[@＠]")
"""An ``@`` that is not in the middle of an e-mail address."""

_MOST = 10
"""Mentions of one message that are looked at."""

_CJK = 0x2E80
"""From here on characters follow one another without spaces: a name may end before any of them."""

_SOME = 100
"""Rows in one statement, and markers."""

_UIDS = 500
"""Users in one statement: MariaDB makes another plan for a list of 1,000 or more."""

_SENDERS = "SELECT serial, sender FROM chat_message WHERE serial IN "
_MEMBERS = "SELECT uid FROM chat_member WHERE room = ? AND uid IN "
_MARKED = "SELECT uid, conversation, serial FROM chat_mention WHERE serial IN "


def mark_mentions(
    transaction: Transaction, serials: Sequence[int], messages: Iterable[Row]
) -> None:
    """
    Bring the marks of some messages level with their texts.

    Conversation, serial and text of each message are given. ``serials`` has those of messages that are gone or were
    retracted, too: they lose their marks. Nobody else makes marks of these messages meanwhile.
    """
    if not serials:
        return
    wanted = _wanted(transaction, messages)
    # Read without locks: one on a message's place in this index is one on the gaps beside it, too.
    some = padded(serials)
    marked = {*transaction.all(_MARKED + places(some), some)}
    remove_mentions(transaction, marked - wanted)
    new = sorted(wanted - marked)
    seen = _markers(transaction, {(uid, conversation) for uid, conversation, _ in new})
    unread = [row for row in new if row[2] > seen.get(row[:2], NOTHING).seen]
    for part in parts(unread, _SOME):
        columns = ("uid", "conversation", "serial")
        insert_absent(transaction, "chat_mention", columns, padded(part))


def names_in(text: str) -> list[list[str]]:
    """Find what may be names behind each ``@``: all that they may be, the longest first, with single spaces."""
    found = []
    for at in list(_AT.finditer(text))[:_MOST]:
        rest = text[at.end() : at.end() + MAX_CHARACTERS]
        ends = [end for end in range(len(rest), 0, -1) if _may_end(text, at.end() + end)]
        names = dict.fromkeys(" ".join(rest[:end].split()) for end in ends)
        found.append([name for name in names if name])
    return [names for names in found if names]


def _may_end(text: str, end: int) -> bool:
    """Whether a name may end before this place in a text: not in the middle of a word."""
    if end >= len(text):
        return True
    last, following = text[end - 1], text[end]
    if not (last.isalnum() and following.isalnum()):
        return True
    return ord(last) >= _CJK or ord(following) >= _CJK


def _wanted(transaction: Transaction, messages: Iterable[Row]) -> set[Row]:
    """Say who is mentioned where: uid, conversation and serial."""
    named = {
        (conversation, serial): names
        for conversation, serial, text in messages
        if (names := names_in(text))
    }
    if not named:
        return set()
    users = _users(transaction, {name for names in named.values() for one in names for name in one})
    senders = _senders(transaction, [serial for _, serial in named])
    return {
        (uid, conversation, serial)
        for (conversation, serial), names in named.items()
        for uid in _mentioned(transaction, conversation, names, users)
        if uid != senders.get(serial)
    }


def _mentioned(
    transaction: Transaction,
    conversation: int,
    names: Sequence[Sequence[str]],
    users: Mapping[str, Sequence[int]],
) -> set[int]:
    """
    Say who is mentioned in a conversation by what may be names.

    The longest counts that somebody has who may read it: nobody else can take a mention away by a longer name.
    """
    everybody = {uid for one in names for name in one for uid in users.get(name, ())}
    readers = _readers(transaction, conversation, sorted(everybody))
    found: set[int] = set()
    for one in names:
        known = (readers.intersection(users.get(name, ())) for name in one)
        found |= next((uids for uids in known if uids), set())
    return found


def _users(transaction: Transaction, names: Iterable[str]) -> dict[str, list[int]]:
    """Find whose names these are; those that nobody has are left out."""
    index(transaction, new_rows(transaction))  # other programs may have just made them
    folds = {name: possible_folds(name) for name in names}
    keys = {as_bytes(key): key for some in folds.values() for key in some}
    query = "SELECT folded, uid FROM chat_name WHERE folded IN"
    owners: dict[str, list[int]] = {}
    for folded, uid in in_pages(transaction, query, list(keys)):
        owners.setdefault(keys[bytes(folded)], []).append(uid)
    users = {}
    for name, some in folds.items():
        if not owners.keys().isdisjoint(some):
            key = some[0] if len(some) == 1 else _folded(name)
            users[name] = owners.get(key, [])
    return users


@lru_cache(maxsize=1000)
def _folded(name: str) -> str:
    # The profile takes up to 0.4 ms, and the same few names are said again and again.
    return fold(name)


def _senders(transaction: Transaction, serials: Sequence[int]) -> dict[int, int]:
    some = padded(serials)
    rows = transaction.all(_SENDERS + places(some), some)
    return {row[0]: row[1] for row in rows}


def _readers(transaction: Transaction, conversation: int, uids: Sequence[int]) -> set[int]:
    """Return who of some users may read a conversation."""
    if not uids:
        return set()
    if conversation > 0:
        return {*uids} & {*(pair_of(transaction, conversation) or ())}
    found: set[int] = set()
    for part in parts(uids, _UIDS):
        some = padded(part)
        rows = transaction.all(_MEMBERS + places(some), (-conversation, *some))
        found |= {uid for (uid,) in rows}
    return found


def _markers(
    transaction: Transaction, users: Iterable[tuple[int, int]]
) -> dict[tuple[int, int], Reading]:
    found: dict[tuple[int, int], Reading] = {}
    for some in parts(sorted(users), _SOME):
        found |= readings(transaction, some)
    return found
