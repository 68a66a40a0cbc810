"""Who may do what in a room, by role."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

from chatsvc.rooms.room import MEMBER, MODERATOR, OWNER, PRIVATE, ROLES


class Action(Enum):
    """What a member does in a room."""

    SEND = auto()
    LEAVE = auto()
    SEE_MEMBERS = auto()
    READ_HISTORY = auto()
    INVITE_INTO_PUBLIC = auto()
    INVITE_INTO_PRIVATE = auto()
    REMOVE = auto()
    BAN = auto()
    UNBAN = auto()
    TOPIC = auto()
    RETRACT = auto()
    RENAME = auto()
    KIND = auto()
    HISTORY = auto()
    ROLE = auto()
    CLOSE = auto()


_ANYBODY = frozenset({OWNER, MODERATOR, MEMBER})
_MODERATORS = frozenset({OWNER, MODERATOR})
_OWNERS = frozenset({OWNER})

MAY: Mapping[Action, frozenset[str]] = {
    Action.SEND: _ANYBODY,
    Action.LEAVE: _ANYBODY,
    Action.SEE_MEMBERS: _ANYBODY,
    Action.READ_HISTORY: _ANYBODY,
    Action.INVITE_INTO_PUBLIC: _ANYBODY,
    Action.INVITE_INTO_PRIVATE: _MODERATORS,
    Action.REMOVE: _MODERATORS,
    Action.BAN: _MODERATORS,
    Action.UNBAN: _MODERATORS,
    Action.TOPIC: _MODERATORS,
    Action.RETRACT: _MODERATORS,
    Action.RENAME: _OWNERS,
    Action.KIND: _OWNERS,
    Action.HISTORY: _OWNERS,
    Action.ROLE: _OWNERS,
    Action.CLOSE: _OWNERS,
}
"""The roles whose members may do it. ``RETRACT`` is about messages of others: its own a member always may."""


def inviting(kind: str) -> Action:
    """Return what it is to invite into a room of this kind."""
    return Action.INVITE_INTO_PRIVATE if kind == PRIVATE else Action.INVITE_INTO_PUBLIC


def may(role: str, action: Action) -> bool:
    """Return whether a member with this role may do this."""
    return role in MAY[action]


def may_act_on(role: str, other: str | None) -> bool:
    """Return whether somebody with ``role`` may act on a member with the role ``other``, or (None) on who is none."""
    return role == OWNER or other is None or ROLES.index(role) < ROLES.index(other)
