"""A batch as the script takes it, and its result as the script answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chatsvc.inbox.outcome import (
    Committed,
    Draft,
    Duplicate,
    Failed,
    Full,
    Gap,
    Moved,
    Outcome,
    Removal,
    Stored,
)

_OUTCOMES: dict[str, Callable[..., Outcome]] = {
    "stored": Stored,
    "full": Full,
    "duplicate": lambda known, *rest: Duplicate(known or None, *rest),
    "gap": lambda expected: Gap(int(expected)),
    "failed": Failed,
    "moved": Moved,
}


def encode_batch(drafts: Sequence[Draft], removals: Sequence[Removal]) -> dict[str, Any]:
    """The script's arguments for a batch; lua/batch.lua says what their fields are."""
    return {
        "drafts": [_draft_fields(draft) for draft in drafts],
        "removals": [[str(r.uid), r.generation, r.up_to, r.leaving] for r in removals],
    }


def decode_batch(
    removals: Sequence[Removal], outcomes: list[Any], done: list[str], expired: int, lost: bool
) -> Committed:
    """The result of a batch with these ``removals``: an answer's outcomes, and what was done with each removal."""
    verdicts = list(zip(done, removals, strict=False))
    return Committed(
        [_OUTCOMES[kind](*details) for kind, *details in outcomes],
        [removal for verdict, removal in verdicts if verdict == "refused"],
        [removal for verdict, removal in verdicts if verdict == "taken"],
        expired,
        lost,
    )


def _draft_fields(draft: Draft) -> list[str | int]:
    # Numbers that Lua's doubles could round travel as texts.
    fields: list[str | int] = [
        *(str(draft.to), str(draft.sender)),
        *(draft.name, str(draft.at), draft.text),
    ]
    if draft.n is None and draft.generation is None:
        return fields
    n = "" if draft.n is None else str(draft.n)
    again = "again" if draft.again else ""
    return [*fields, draft.device, n, again, draft.generation or 0, draft.sending or 0]
