"""The protocol's page, as tests compare it with the code."""

from __future__ import annotations

import json
from collections import defaultdict
from functools import cache
from typing import Any

from tests.support.pages import Page

HISTORY_COMMANDS = frozenset(
    {
        *("ReadHistory", "Search", "ListConversations", "MarkRead", "HelpOnHistory"),
        *("ChangeSettings", "Edit", "Retract"),
    }
)
"""The names of the commands about the history, which stand in tables of their own."""


@cache
def page() -> Page:
    """The page."""
    return Page("docs/protocol.md")


def quoted(cell: str) -> str:
    """What stands in a cell as code."""
    return cell.removeprefix("`").removesuffix("`")


def examples(*head: str) -> dict[str, dict[str, Any]]:
    """The example of each frame that a program sends, by its type, from the table with this head."""
    rows = page().table(*head)
    found = [json.loads(quoted(sent.partition("`, or")[0])) for sent, _ in rows]
    return {example["type"]: example for example in found}


def explained(kind: str) -> dict[str, set[str]]:
    """The fields of each frame that the server says, from the table whose first column is this one."""
    found: dict[str, set[str]] = defaultdict(set)
    for frame, field, *_ in page().table(kind, "field", "is", "there"):
        found[frame] |= {quoted(field)} - {""}
    return dict(found)
