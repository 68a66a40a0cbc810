"""Marks of an inbox's entries in one word, as stores keep them: invitations to rooms, and notes of joining one."""

from __future__ import annotations

import re

from chatsvc.wire.events import Invitation, Joining

_INVITATION = re.compile(r"i(\d+):(.+)", re.DOTALL)
_JOINING = re.compile(r"j(\d+):(\d+):(\d+)")


def mark_to_text(mark: Invitation | Joining) -> str:
    """The word of a mark: ``i7:dev``, room and its name, or ``j7:121:SERIAL``, room and the event's id and serial."""
    if isinstance(mark, Invitation):
        return f"i{mark.room}:{mark.name}"
    return f"j{mark.room}:{mark.id}:{mark.serial}"


def parse_mark(text: str) -> Invitation | Joining | None:
    """Read the word of a mark; None if it is none."""
    invitation = _INVITATION.fullmatch(text)
    if invitation is not None:
        return Invitation(int(invitation[1]), invitation[2])
    joining = _JOINING.fullmatch(text)
    return None if joining is None else Joining(*map(int, joining.groups()))
