"""Mentions: ``@NAME`` of somebody who may read a conversation marks it for them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from chatsvc.accounts.name_index import as_bytes, in_pages, index, new_rows
from chatsvc.accounts.names import MAX_CHARACTERS
from chatsvc.history.access import pair_of
from chatsvc.storage.sql import Row, Transaction
from chatsvc.storage.upsert import raise_value
from chatsvc.storage.value_lists import padded, places

_AT = re.compile("[@＠]")

_MOST = 10
"""Mentions of one message that are looked at."""

_CJK = 0x2E80
"""From here on characters follow one another without spaces: a name may end before any of them."""

_SENDERS = "SELECT serial, sender FROM chat_message WHERE serial IN "
_MEMBERS = "SELECT uid FROM chat_member WHERE room = ? AND uid IN "


def mark_mentions(transaction: Transaction, messages: Iterable[Row]) -> None:
    """Mark conversations for those who are mentioned; conversation, serial and text of each message are given."""
    named = {
        (conversation, serial): names
        for conversation, serial, text in messages
        if (names := names_in(text))
    }
    if not named:
        return
    users = _users(transaction, {name for names in named.values() for one in names for name in one})
    senders = _senders(transaction, [serial for _, serial in named])
    for (conversation, serial), names in named.items():
        wanted = {uid for one in names for uid in _longest(one, users)} - {senders.get(serial)}
        if wanted:
            for uid in _readers(transaction, conversation, sorted(wanted)):
                key = {"uid": uid, "conversation": conversation}
                raise_value(transaction, "chat_reading", key, "mentioned", serial)


def names_in(text: str) -> list[list[str]]:
    """Find what may be names behind each ``@``: all that they may be, the longest first, as names are compared."""
    found = []
    for at in list(_AT.finditer(text))[:_MOST]:
        rest = text[at.end() : at.end() + MAX_CHARACTERS]
        ends = [end for end in range(len(rest), 0, -1) if _may_end(text, at.end() + end)]
        names = [_folded(rest[:end]) for end in ends]
        if any(names):
            found.append([name for name in dict.fromkeys(names) if name])
    return found


def _may_end(text: str, end: int) -> bool:
    """Whether a name may end before this place in a text: not in the middle of a word."""
    if end >= len(text):
        return True
    last, following = text[end - 1], text[end]
    if not (last.isalnum() and following.isalnum()):
        return True
    return ord(last) >= _CJK or ord(following) >= _CJK


def _folded(name: str) -> str:
    """Fold a name as most names are folded: the whole profile would take a thousand times as long."""
    once = unicodedata.normalize("NFKC", name).casefold()
    return " ".join(unicodedata.normalize("NFKC", once).split())


def _users(transaction: Transaction, names: set[str]) -> dict[str, list[int]]:
    """Find whose names these are."""
    index(transaction, new_rows(transaction))  # other programs may have just made them
    keys = {as_bytes(name): name for name in names}
    query = "SELECT folded, uid FROM chat_name WHERE folded IN"
    users: dict[str, list[int]] = {}
    for folded, uid in in_pages(transaction, query, list(keys)):
        users.setdefault(keys[bytes(folded)], []).append(uid)
    return users


def _longest(names: Sequence[str], users: dict[str, list[int]]) -> list[int]:
    """Return who has the longest of some names that anybody has."""
    return next((users[name] for name in names if name in users), [])


def _senders(transaction: Transaction, serials: Sequence[int]) -> dict[int, int]:
    some = padded(serials)
    rows = transaction.all(_SENDERS + places(some), some)
    return {row[0]: row[1] for row in rows}


def _readers(transaction: Transaction, conversation: int, uids: Sequence[int]) -> list[int]:
    """Return who of some users may read a conversation."""
    if conversation < 0:
        some = padded(uids)
        rows = transaction.all(_MEMBERS + places(some), (-conversation, *some))
        return sorted({uid for (uid,) in rows})
    pair = pair_of(transaction, conversation)
    return [uid for uid in uids if pair is not None and uid in pair]
