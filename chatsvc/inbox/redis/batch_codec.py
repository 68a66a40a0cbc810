"""A batch as the script takes it, and its result as the script answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chatsvc.inbox.limits import (
    DEVICES,
    DIGEST_DIGITS,
    DIGESTS,
    MEMORY_OF_SENDERS,
    MOST_DEVICES,
    RECENT,
    InboxLimits,
)
from chatsvc.inbox.mark import mark_to_text
from chatsvc.inbox.outcome import (
    Behind,
    Committed,
    Draft,
    Duplicate,
    Failed,
    Full,
    Gap,
    Gone,
    Moved,
    NotMember,
    Outcome,
    Removal,
    RoomAcknowledgement,
    RoomDraft,
    Stored,
    Unregistered,
)
from chatsvc.inbox.redis.room_codec import decode_recipient, key_of, mark_words
from chatsvc.wire.events import Message

_REFUSALS: dict[str, Callable[..., Outcome]] = {
    "full": Full,
    "duplicate": lambda known, waiting, elsewhere, serial: Duplicate(
        known or None, waiting, elsewhere, int(serial)
    ),
    "gap": lambda expected: Gap(int(expected)),
    "failed": Failed,
    "moved": Moved,
    "unregistered": Unregistered,
    "not-member": NotMember,
    "behind": Behind,
    "gone": Gone,
}
"""Outcomes of what was not stored now."""


SERIAL_STEP = 10
"""From one draft's serial to the next one's, as in lua/batch.lua."""

MEMORY = {
    "devices": DEVICES,
    "recent": RECENT,
    "most": MOST_DEVICES,
    "memory": MEMORY_OF_SENDERS,
    "digests": DIGESTS,
    "digits": DIGEST_DIGITS,
}
"""How long the script remembers devices, and how much of what they sent."""


def inbox_rules(limits: InboxLimits) -> dict[str, Any]:
    """The script's arguments that say what an inbox may hold, and for how long."""
    return {
        "device_days": limits.device_days,
        "device_backlog": limits.device_backlog,
        "device_bytes": limits.device_bytes,
        "most_devices": limits.devices,
        **({"days": limits.days} if limits.days else {}),
        **MEMORY,
    }


def is_for_rooms(
    drafts: Sequence[Draft | RoomDraft], acknowledgements: Sequence[RoomAcknowledgement]
) -> bool:
    """Whether a batch has to do with rooms."""
    return bool(acknowledgements) or RoomDraft in set(map(type, drafts))


def encode_batch(
    drafts: Sequence[Draft | RoomDraft], removals: Sequence[Removal]
) -> dict[str, Any]:
    """The script's arguments for a batch; lua/batch.lua and lua/room_batch.lua say what their fields are."""
    return {
        "drafts": [_FIELDS[type(draft)](draft) for draft in drafts],
        "removals": [_removal_fields(removal) for removal in removals],
    }


def encode_acknowledgements(acknowledgements: Sequence[RoomAcknowledgement]) -> dict[str, Any]:
    """The further arguments for a batch that has to do with rooms; lua/room_batch.lua says what their fields are."""
    rows = [[str(one.uid), key_of(one.room), one.id, one.over] for one in acknowledgements]
    return {"acknowledgements": rows}


def decode_batch(
    removals: Sequence[Removal],
    outcomes: list[Any],
    serial: int,
    done: list[str],
    expired: int,
    lost: bool,
    forgotten: list[Any],
) -> Committed:
    """
    The result of a batch with these ``removals``.

    It is made of an answer's outcomes, of the serial of the first draft, of what was done with each removal, and of the
    devices that were forgotten.
    """
    verdicts = list(zip(done, removals, strict=False))
    ended = [(one.uid, one.device) for verdict, one in verdicts if verdict == "unregistered"]
    return Committed(
        _outcomes(outcomes, serial),
        [removal for verdict, removal in verdicts if verdict == "refused"],
        [removal for verdict, removal in verdicts if verdict == "taken"],
        expired,
        lost,
        list(dict.fromkeys(ended + decode_forgotten(forgotten))),
    )


def _outcomes(answered: list[Any], serial: int) -> list[Outcome]:
    # Few steps for the usual outcome: this runs for each message.
    outcomes: list[Outcome] = []
    for outcome in answered:
        if outcome[0] != "stored":
            outcomes.append(_REFUSALS[outcome[0]](*outcome[1:]))
        elif len(outcome) == 3:
            outcomes.append(Stored(outcome[1], outcome[2], False, serial))
        else:
            _, id, waiting, elsewhere, taken, copy = outcome
            outcomes.append(Stored(id, waiting, elsewhere, serial, taken, copy))
        serial += SERIAL_STEP
    return outcomes


def decode_forgotten(forgotten: list[Any]) -> list[tuple[int, str]]:
    """The sessions of this node whose device was forgotten, as the script answers: uid and device each."""
    return [(int(uid), device) for uid, device in forgotten]


def _removal_fields(removal: Removal) -> list[str | int]:
    fields: list[str | int] = [
        *(str(removal.uid), removal.generation),
        *(removal.up_to, removal.leaving),
    ]
    if removal.device:
        fields += [removal.device, removal.shown]
    return fields


def _draft_fields(draft: Draft) -> list[str | int]:
    # Numbers that Lua's doubles could round travel as texts.
    fields: list[str | int] = [
        *(str(draft.to), str(draft.sender)),
        *(draft.name, str(draft.at), draft.text),
    ]
    if draft.n is None and draft.generation is None and not (draft.registered or draft.reference):
        return fields
    n = "" if draft.n is None else str(draft.n)
    again = "again" if draft.again else ""
    fields += [draft.device, n, again, draft.generation or 0, draft.sending or 0]
    if draft.reference is not None:
        return [*fields, draft.registered, mark_to_text(draft.reference)]
    return [*fields, True] if draft.registered else fields


def _room_draft_fields(draft: RoomDraft) -> list[str | int]:
    return [
        *(key_of(draft.room), str(draft.sender), draft.name, str(draft.at), draft.text),
        *(draft.device, "" if draft.n is None else str(draft.n), "again" if draft.again else ""),
        *(draft.generation or 0, draft.sending or 0, draft.registered),
        *(draft.version, mark_words(draft.mark)),
        *([mark_to_text(draft.reference)] if draft.reference is not None else []),
    ]


_FIELDS: dict[type, Callable[..., list[str | int]]] = {
    Draft: _draft_fields,
    RoomDraft: _room_draft_fields,
}


def decode_message(fields: Sequence[Any], mark: Sequence[Any]) -> tuple[int, Message]:
    """A message as the script publishes it, and what it says of it besides: the reader's uid, and the message."""
    uid, id, sender, name, at, text = fields
    serial, *copy = mark
    to, device = copy or (0, "")
    recipient, meaning = decode_recipient(to)
    message = Message(
        *(int(id), int(sender), name, int(at), text, int(serial)),
        *(recipient, device_name(device), meaning),
    )
    return int(uid), message


def device_name(written: str) -> str:
    """The device that sent a copy, as the script writes it: ``-`` stands for none that has a name."""
    return "" if written == "-" else written
