"""Marks of entries in one word, as stores keep them: what makes an entry more, or other, than a message."""

from __future__ import annotations

import re

from chatsvc.wire.entries import (
    Invitation,
    Joining,
    Mark,
    Reference,
    RoomEvent,
    RoomMessage,
)

_INVITATION = re.compile(r"i(\d+):(.+)", re.DOTALL)
_JOINING = re.compile(r"j(\d+):(\d+):(\d+)")
_REFERENCE = re.compile(r"([aex])(\d{1,16})")

_KINDS = {"a": "reply", "e": "edited", "x": "retracted"}
_LETTERS = {kind: letter for letter, kind in _KINDS.items()}


def mark_to_text(mark: Mark) -> str:
    """
    The word of a mark.

    It is ``i7:dev``, room and its name, ``j7:121:SERIAL``, room and the event's id and serial, or ``aSERIAL``,
    ``eSERIAL``, ``xSERIAL`` for an answer to a message, an edit, a retraction.
    """
    if isinstance(mark, Invitation):
        return f"i{mark.room}:{mark.name}"
    if isinstance(mark, Reference):
        return f"{_LETTERS[mark.kind]}{mark.serial}"
    return f"j{mark.room}:{mark.id}:{mark.serial}"


def parse_mark(text: str) -> Mark | None:
    """Read the word of a mark; None if it is none."""
    invitation = _INVITATION.fullmatch(text)
    if invitation is not None:
        return Invitation(int(invitation[1]), invitation[2])
    reference = _REFERENCE.fullmatch(text)
    if reference is not None:
        return Reference(_KINDS[reference[1]], int(reference[2]))
    joining = _JOINING.fullmatch(text)
    return None if joining is None else Joining(*map(int, joining.groups()))


def message_or_change(
    fields: tuple[int, int, int, int, str, int, str, str], word: str
) -> RoomMessage | RoomEvent:
    """
    Make an entry of a room's log that is no change of the room.

    ``fields`` are those of a :class:`~chatsvc.wire.entries.RoomMessage` up to its device, ``word`` is that of what it
    has to do with an earlier message, empty if it has not.
    """
    reference = parse_mark(word) if word else None
    if not isinstance(reference, Reference):
        return RoomMessage(*fields)
    if not reference.changes:
        return RoomMessage(*fields, reference.serial)
    room, id, serial, sender, name, at, text, _ = fields
    return change_event((room, id, serial), at, sender, name, text, reference)


def change_event(
    place: tuple[int, int, int], at: int, sender: int, name: str, text: str, reference: Reference
) -> RoomEvent:
    """Make the event that changes an earlier message; ``place`` is room, id and serial."""
    details: dict[str, object] = {"target": reference.serial}
    if reference.kind == "edited":
        details["text"] = text
    return RoomEvent(*place, 0, at, reference.kind, sender, 0, name, details)
