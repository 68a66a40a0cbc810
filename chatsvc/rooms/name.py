"""Room names: the profile of user names, and nothing in them that frames and commands put around a room's name."""

from __future__ import annotations

from chatsvc.accounts.name_index import as_bytes
from chatsvc.accounts.names import MAX_BYTES, BadName, enforce, fold

_NEVER = frozenset(" #[]|")
"""A room is ``#NAME`` in a command, and ``[ #NAME|张三|UID:10001 ]:`` in a message."""

_KEY_BYTES = 255
"""Width of the column ``chat_room.folded``."""


def enforce_room_name(raw: str) -> str:
    """
    Return the name to store.

    :raise BadName: when it is none that a user could have, or has a space or one of ``# [ ] |`` in it.
    """
    name = enforce(raw)
    if bad := _NEVER.intersection(name):
        raise BadName(f"{min(bad)!r} may not stand in the name of a room")
    if not room_key(name):
        raise BadName("the name is too long")
    return name


def room_key(raw: str) -> bytes:
    """Return what two room names are compared by, as user names are; empty: no room can have that name."""
    if len(raw) > MAX_BYTES:  # as long as a frame, perhaps: folding that would take a second
        return b""
    key = as_bytes(fold(raw))
    return key if len(key) <= _KEY_BYTES else b""
