"""What of a store's messages goes into the archive."""

from __future__ import annotations

from chatsvc.archive.entry import ArchiveEntry, Edited, Place, Retracted, Said
from chatsvc.inbox.outcome import Draft, RoomDraft
from chatsvc.wire.entries import Reference


def entry_of(serial: int, place: Place, draft: Draft | RoomDraft) -> ArchiveEntry:
    """Make the archive's entry of a draft that is stored under ``serial``."""
    words = (draft.sender, draft.name, draft.at, draft.text)
    return archive_entry(serial, place, *words, draft.reference)


def archive_entry(
    serial: int,
    place: Place,
    sender: int,
    name: str,
    at: int,
    text: str,
    reference: Reference | None,
) -> ArchiveEntry:
    """Make an entry of what a message says, and of what it has to do with an earlier one."""
    if reference is None:
        return Said(serial, place, sender, name, at, text)
    if reference.kind == "edited":
        return Edited(serial, reference.serial, at, text)
    if reference.kind == "retracted":
        return Retracted(serial, reference.serial)
    return Said(serial, place, sender, name, at, text, reference.serial)
